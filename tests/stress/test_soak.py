"""A thousand steps of the smallest model: memory, open files and threads stay as they are, and nothing is left behind."""

import os
from pathlib import Path

import pytest

from grpo_kit.stress.soak import Soak, soak
from grpo_kit.stress.zygote import Zygote


def processes_of(folder):
    """All that inherited this folder as their place for temporary files, however deep their ancestry."""
    mark = f"TMPDIR={folder}".encode()
    return [p.parent.name for p in Path("/proc").glob("[0-9]*/environ") if mark in _read(p).split(b"\0")]


def _read(path):
    try:
        return path.read_bytes()
    except OSError:
        return b""


@pytest.mark.slow
def test_a_thousand_steps(straight, tmp_path, monkeypatch):
    """The run has a folder for temporary files to itself, by which its files and processes are known."""
    temporary = tmp_path / "t"
    temporary.mkdir()
    monkeypatch.setenv("TMPDIR", str(temporary))
    with Zygote(tmp_path) as zygote:
        found = soak(zygote, straight["procedural"][0], 1000)
        assert len(processes_of(temporary)) == 1, "the process that starts runs, and nothing it started"
    assert found.problem() is None, found
    assert [name for name in os.listdir(temporary) if not name.startswith("torchinductor")] == []


def test_growth_would_be_noticed():
    flat = {"steps": 1000, "rss": 3e8, "files": (9, 9), "threads": (4, 4)}
    assert Soak(growth=100.0, **flat).problem() is None
    assert "memory grew" in Soak(growth=10_000.0, **flat).problem()
    assert "open files" in Soak(growth=0.0, **flat | {"files": (9, 12)}).problem()
