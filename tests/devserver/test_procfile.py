"""The lines of the Procfile that take jobs: one for each queue, so that none waits behind another's long jobs (docs/adr/0110)."""

import shlex
from collections import Counter

import pytest
from django.conf import settings
from honcho.environ import parse_procfile

from devserver.run import ROOT


def workers() -> dict[str, list[str]]:
    commands = parse_procfile((ROOT / "Procfile").read_text(encoding="utf-8")).processes
    return {name: words for name, command in commands.items() if "worker" in (words := shlex.split(command))}


def option(words: list[str], name: str, default: str = "") -> str:
    return words[words.index(name) + 1] if name in words else default


@pytest.mark.covers("RLY-01")
def test_each_queue_has_a_worker_that_takes_from_no_other() -> None:
    queues = Counter(option(words, "--queues") for words in workers().values())
    assert queues == Counter(queue.name for queue in settings.CELERY_TASK_QUEUES)


def test_no_two_workers_of_a_machine_have_one_name() -> None:
    names = Counter(option(words, "--hostname", "celery@%h") for words in workers().values())
    assert names.total() == len(names) == 3
