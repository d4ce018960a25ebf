"""No algorithm has code of its own in the loop or in an update; a new row needs none either."""

import re
from pathlib import Path

import pytest

import grpo_kit
from grpo_kit.objective.algorithms import ALGORITHMS

BLIND = (
    "train/online.py",
    "train/update.py",
    "train/batch.py",
    "train/learners.py",
    "train/rollouts.py",
    "train/steps.py",
)


@pytest.mark.parametrize("name", BLIND)
def test_no_branch_on_an_algorithms_name(name):
    text = (Path(grpo_kit.__file__).parent / name).read_text()
    code = re.sub(r'""".*?"""|#[^\n]*', "", text, flags=re.DOTALL)
    families = {"reward_model"}  # is a family as well as an algorithm: the table of learners names it
    quoted = set(re.findall(r"[\"']([\w+]+)[\"']", code))
    assert quoted & set(ALGORITHMS) <= (families if name == "train/learners.py" else set())
    assert not re.search(r"\b(if|elif|match|case)\b[^\n]*\balgorithm\b", code)


def test_the_loop_is_readable_in_one_sitting():
    assert len((Path(grpo_kit.__file__).parent / "train/online.py").read_text().splitlines()) <= 350
