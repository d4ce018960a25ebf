"""No algorithm has code of its own in the loop or in an update; a new row needs none either."""

import ast
import re
from pathlib import Path

import pytest

import grpo_kit
from grpo_kit.objective.algorithms import ALGORITHMS
from grpo_kit.objective.rows import Objective, values_of

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


def test_nobody_but_the_row_compares_its_choices_by_name():
    """What a choice means is a property of the row: a new value is added there, and not in a branch elsewhere."""
    house = Path(grpo_kit.__file__).parent
    judges = ("objective", "cli/algorithms.py")  # what is refused, and how the table is shown, is said value by value
    found = []
    for path in sorted(house.rglob("*.py")):
        name = path.relative_to(house).as_posix()
        if not name.startswith(judges):
            found += [f"{name}:{line}" for line in comparisons(ast.parse(path.read_text()))]
    assert found == []


def comparisons(tree):
    """Lines that compare an axis of a row (``objective.step``) with one of its values, or with how they begin."""
    axes = {key: set(values_of(key)) for key in Objective.model_fields if values_of(key)}
    for node in ast.walk(tree):
        if isinstance(node, ast.Compare):
            sides = [node.left, *node.comparators]
            words = {c.value for side in sides for c in ast.walk(side) if isinstance(c, ast.Constant)}
            if any(words & axes.get(side.attr, set()) for side in sides if isinstance(side, ast.Attribute)):
                yield node.lineno
        elif isinstance(node, ast.Attribute) and node.attr == "startswith" and getattr(node.value, "attr", "") in axes:
            yield node.lineno


def test_the_loop_is_readable_in_one_sitting():
    assert len((Path(grpo_kit.__file__).parent / "train/online.py").read_text().splitlines()) <= 350
