"""Runs that were launched, and their processes."""

import json
from pathlib import Path

import torch

from tests.kit.runs import weights


def steps(run):
    path = run / "metrics.jsonl"
    return [json.loads(line)["step"] for line in path.read_text().splitlines()] if path.exists() else []


def newest(run):
    return max((int(path.name.removeprefix("step-")) for path in (run / "checkpoints").glob("step-*")), default=0)


def processes_of(run):
    """Every process whose command line names the run."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            words = path.read_bytes().split(b"\0")
        except OSError:  # it has just ended
            continue
        if str(run).encode() in words:
            found.append(int(path.parent.name))
    return found


def same(run, other):
    expected = weights(other)
    assert all(torch.equal(weight, expected[name]) for name, weight in weights(run).items())
