"""Law 8: every algorithm improves a tiny model on a tiny task. benchmarks/learn.py trains them all and keeps the curves;
tests/laws/test_terminals.py trains one from scratch in every test run; here no row may be without a kept curve, or
have one of an algorithm that did not learn."""

import json
from pathlib import Path

import pytest

from grpo_kit.objective.algorithms import ALGORITHMS

RESULTS = Path(__file__).parents[2] / "benchmarks" / "results"
MEASURED = {run["algorithm"]: run for run in json.loads((RESULTS / "learn.json").read_text())["runs"]}


@pytest.mark.parametrize("name", ALGORITHMS)
def test_it_was_seen_to_learn(name):
    assert name in MEASURED, f"not measured: run `python benchmarks/learn.py --only {name}`"
    run = MEASURED[name]
    assert run["after"] > run["before"], run["measure"]
    assert run["standard_errors"] > 3.0, run["measure"]


def test_the_chain_of_several_was_seen_to_learn():
    runs = json.loads((RESULTS / "chain.json").read_text())["runs"]
    assert len(runs) >= 3, "run `python benchmarks/chain.py`"
    assert all(run["standard_errors"] > 3.0 for run in runs)
