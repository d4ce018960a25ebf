"""A thousand steps of the smallest model: memory, open files and threads stay as they are, and nothing is left behind."""

import tempfile
from pathlib import Path

import pytest

from grpo_kit.stress.soak import Soak, soak


def left_behind():
    processes = [p for p in Path("/proc").glob("[0-9]*/cmdline") if b"scoring.nursery" in _read(p)]
    return {str(p) for p in processes} | {str(p) for p in Path(tempfile.gettempdir()).glob("grpo-kit-*")}


def _read(path):
    try:
        return path.read_bytes()
    except OSError:
        return b""


@pytest.mark.slow
def test_a_thousand_steps(zygote, straight):
    before = left_behind()
    found = soak(zygote, straight["procedural"][0], 1000)
    assert found.problem() is None, found
    assert left_behind() == before


def test_growth_would_be_noticed():
    flat = {"steps": 1000, "rss": 3e8, "files": (9, 9), "threads": (4, 4)}
    assert Soak(growth=100.0, **flat).problem() is None
    assert "memory grew" in Soak(growth=10_000.0, **flat).problem()
    assert "open files" in Soak(growth=0.0, **flat | {"files": (9, 12)}).problem()
