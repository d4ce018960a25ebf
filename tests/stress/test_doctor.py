"""`grpo-kit doctor --stress`: all that it tries comes through, and what does not is reported."""

import pytest

from grpo_kit.stress import chaos


@pytest.mark.slow
def test_everything_comes_through():
    tried = []
    assert chaos.stress(tried.append) == 0, [t for t in tried if t.problem]
    assert len(tried) > 20


def test_what_does_not_come_through_is_counted(monkeypatch):
    def fails(_):
        raise chaos.Failed("the reason")

    monkeypatch.setattr(chaos, "Chaos", lambda zygote: None)
    monkeypatch.setattr(chaos, "everything", lambda: [("a", "b", fails), ("c", "d", lambda _: None)])
    tried = []
    assert chaos.stress(tried.append) == 1
    assert [t.problem for t in tried] == ["the reason", None]
