"""`grpo-kit doctor --stress`: all that it tries comes through, and what does not is reported."""

from contextlib import nullcontext
from functools import partial

import pytest

from grpo_kit.stress import chaos

EVERYTHING = chaos.everything


def one_of_each():
    """What is done more than once, at other moments or in other phases, once; the long run has a test of its own."""
    kinds = {}
    for name, expected, attempt in EVERYTHING():
        kinds.setdefault(attempt.func if isinstance(attempt, partial) else attempt, (name, expected, attempt))
    del kinds[chaos.stays_flat]
    return list(kinds.values())


@pytest.mark.slow
def test_everything_comes_through(monkeypatch):
    monkeypatch.setattr(chaos, "everything", one_of_each)
    tried = []
    assert chaos.stress(tried.append) == 0, [t for t in tried if t.problem]
    assert len(tried) == len(one_of_each()) >= 10


def test_what_does_not_come_through_is_counted(monkeypatch):
    def fails(_):
        raise chaos.Failed("the reason")

    monkeypatch.setattr(chaos, "Zygote", lambda folder: nullcontext())
    monkeypatch.setattr(chaos, "Chaos", lambda zygote: None)
    monkeypatch.setattr(chaos, "everything", lambda: [("a", "b", fails), ("c", "d", lambda _: None)])
    tried = []
    assert chaos.stress(tried.append) == 1
    assert [t.problem for t in tried] == ["the reason", None]
