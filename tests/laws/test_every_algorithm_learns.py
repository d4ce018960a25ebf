"""Law 8: every algorithm improves a tiny model on a tiny task. benchmarks/learn.py trains them all and keeps the curves;
tests/test_learning.py trains one from scratch in every test run; here no kept curve may be of one that did not learn, and
rows without one are named."""

import json
from pathlib import Path

import pytest

from grpo_kit.objective.algorithms import ALGORITHMS

RESULTS = Path(__file__).parents[2] / "benchmarks" / "results" / "learn.json"
MEASURED = {run["algorithm"]: run for run in json.loads(RESULTS.read_text())["runs"]}


@pytest.mark.parametrize("name", ALGORITHMS)
def test_it_was_seen_to_learn(name):
    if name not in MEASURED:
        pytest.skip(f"not measured: run `python benchmarks/learn.py --only {name}`")
    run = MEASURED[name]
    assert run["after"] > run["before"], run["measure"]
