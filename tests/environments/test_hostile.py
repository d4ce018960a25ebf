"""Hostile calls by the thousand: each is accounted for, and siblings hear the same."""

from pathlib import Path

import pytest

from tests.kit.hostile_episodes import HANGING, failures, hostile

CALLS, HANGS = 1000, 4  # benchmarks/environments.py does ten times as many


@pytest.mark.slow
def test_every_hostile_call_is_accounted_for(tmp_path, monkeypatch):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    account = hostile(CALLS, HANGS, timeout=20.0, workers=HANGS)  # which hang side by side
    assert account["wrong"] == []
    assert account["accounted_for"] == account["episodes"] == CALLS // 4 + HANGS
    assert [account["outcomes"][f"{word}: timeout"] for word in HANGING] == [HANGS / 2, HANGS / 2]
    assert failures(account) > account["episodes"] / 4
    seen = account["statistics"]
    assert seen["environment/error"] + seen["environment/timeout"] == failures(account)
    assert seen["environment/replayed"] > 0
    assert list(Path(tmp_path).iterdir()) == []
