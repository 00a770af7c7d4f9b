"""What tests of /metrics read: the samples by name and labels."""

from collections.abc import Iterable

from prometheus_client.core import Metric
from prometheus_client.parser import text_string_to_metric_families

from core import metrics


def forget_counts() -> None:
    """As if this process had counted nothing yet, nor any other."""
    metrics._gatherer.take()
    metrics.redis().delete(metrics.KEY)


def samples(families: Iterable[Metric]) -> dict[str, float]:
    """`name{label=value,…}` → number, labels sorted; without buckets that nothing fell into."""
    return {
        f"{sample.name}{{{','.join(f'{name}={value}' for name, value in sorted(sample.labels.items()))}}}": sample.value
        for family in families
        for sample in family.samples
        if sample.value or not sample.name.endswith("_bucket")
    }


def counted() -> dict[str, float]:
    """What was counted so far, by all processes."""
    return samples(metrics.families())


def read(text: str) -> dict[str, float]:
    """The samples of an answer of /metrics, as Prometheus reads it."""
    return samples(text_string_to_metric_families(text))
