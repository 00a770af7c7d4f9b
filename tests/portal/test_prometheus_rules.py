"""docs/operations/prometheus-alerts.yml: rules that Prometheus can read, about what /metrics exports."""

import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from django.conf import settings
from django.test import Client
from prometheus_client.parser import text_string_to_metric_families

from core import metrics as counting
from portal import celery, middleware
from relay.models import AlertKind, OutboundState
from tests.relay.rows import make_outbound, make_pause
from tests.watching import forget_counts

pytestmark = [pytest.mark.covers("OPS-03")]

OPERATIONS = Path(settings.BASE_DIR) / "docs" / "operations"
RULES = [rule for group in yaml.safe_load((OPERATIONS / "prometheus-alerts.yml").read_text())["groups"] for rule in group["rules"]]
#: Functions, operators and words of PromQL that the rules use.
WORDS = {"absent", "or", "unless", "min", "max", "sum", "by", "rate", "histogram_quantile"}
#: What Prometheus itself adds.
OWN = {"up"}
OWN_LABELS = {"job", "instance", "le"}


def names(expression: str) -> set[str]:
    """The metrics that an expression names."""
    bare = re.sub(r'"[^"]*"', "", expression)
    bare = re.sub(r"\{[^}]*\}|\[[^\]]*\]|\bby \([^)]*\)", "", bare)
    return {word for word in re.findall(r"[a-z_]{2,}", bare) if word not in WORDS}


def labels(expression: str) -> set[str]:
    """The labels that an expression names."""
    grouped = {word for group in re.findall(r"\bby \(([^)]*)\)", expression) for word in re.split(r",\s*", group)}
    return grouped | set(re.findall(r"(\w+)=~?\"", expression))


@pytest.fixture
def exported(db: None, client: Client) -> dict[str, set[str]]:
    """Every metric that /metrics exports, and its labels."""
    forget_counts()
    make_pause()
    make_outbound(state=OutboundState.REFUSED)
    for metric in counting.declared():
        given = dict.fromkeys(metric.labels, "x")
        if isinstance(metric, counting.Counter):
            metric.count(**given)
        else:
            metric.observe(1, **given)
    found: dict[str, set[str]] = {}
    for family in text_string_to_metric_families(client.get("/metrics").content.decode()):
        for sample in family.samples:
            found.setdefault(sample.name, set()).update(sample.labels)
    forget_counts()
    return found


@pytest.mark.parametrize("rule", RULES, ids=[rule["alert"] for rule in RULES])
def test_each_rule_is_about_what_is_exported(exported: dict[str, set[str]], rule: dict[str, Any]) -> None:
    metrics = names(rule["expr"])
    assert metrics
    assert not metrics - exported.keys() - OWN
    known = set().union(*(exported.get(name, set()) for name in metrics)) | OWN_LABELS
    assert not labels(rule["expr"]) - known
    used = set(re.findall(r"\$labels\.(\w+)", str(rule["annotations"])))
    assert used <= labels(rule["expr"]) | known
    assert rule["expr"].count("(") == rule["expr"].count(")")
    assert re.fullmatch(r"\d+[smhd]", rule.get("for", "1m"))
    assert rule["labels"]["severity"] in ("warning", "critical")
    assert set(rule["annotations"]) == {"summary", "todo"}


def test_rules_have_names_of_their_own() -> None:
    assert len({rule["alert"] for rule in RULES}) == len(RULES) > 10


def test_the_reader_of_expressions_finds_what_is_there() -> None:
    expression = 'max by (part, le) (rate(relay_x_total{outcome="error", code=~"A.*"}[10m])) > 0 unless absent(portal_up)'
    assert names(expression) == {"relay_x_total", "portal_up"}
    assert labels(expression) == {"part", "le", "outcome", "code"}


def test_the_page_tells_every_metric_and_every_kind_of_alert(exported: dict[str, set[str]]) -> None:
    page = (OPERATIONS / "watching.md").read_text()
    families = {re.sub(r"_(bucket|sum|count)$", "", name) for name in exported} - {"relay_attempts", "python_info"}
    assert {name for name in families if f"`{name}`" not in page} == set()
    assert {kind.value for kind in AlertKind if f"`{kind.value}`" not in page} == set()
    assert celery.app.conf.beat_schedule["relay-watch"]["schedule"] == 60
    assert middleware.REQUESTS.labels == ("view", "method", "status")
