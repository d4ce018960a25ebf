"""The loop and what it calls know no algorithm by name and no source of groups by its class."""

import ast
import re
from pathlib import Path

import pytest

import grpo_kit
from grpo_kit.objective.algorithms import ALGORITHMS
from grpo_kit.objective.rows import Objective, values_of

TRAIN = Path(grpo_kit.__file__).parent / "train"
LOOP = ("loop.py", "assemble.py", "evaluator.py", "progress.py", "recorder.py")
SOURCES = sorted(str(path.relative_to(TRAIN)) for path in (TRAIN / "sources").glob("*.py"))
UPDATE = ("update.py", "batch.py", "learners.py", "steps.py")
BRANCHES = (ast.If, ast.IfExp, ast.For, ast.While, ast.Try, ast.BoolOp, ast.comprehension, ast.match_case)
FEW = 6  # branches of a function that is read in one go


@pytest.mark.parametrize("name", [*LOOP, *SOURCES, *UPDATE])
def test_no_branch_on_an_algorithms_name(name):
    text = (TRAIN / name).read_text()
    code = re.sub(r'""".*?"""|#[^\n]*', "", text, flags=re.DOTALL)
    families = {"reward_model"}  # is a family as well as an algorithm: the table of learners names it
    quoted = set(re.findall(r"[\"']([\w+]+)[\"']", code))
    assert quoted & set(ALGORITHMS) <= (families if name == "learners.py" else set())
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


@pytest.mark.parametrize("name", LOOP)
def test_nothing_is_asked_for_its_class_or_given_to_it_afterwards(name):
    """What the loop needs of an object is in the object's protocol, and what an object needs is given to its constructor."""
    tree = ast.parse((TRAIN / name).read_text())
    called = {node.func.id for node in ast.walk(tree) if isinstance(node, ast.Call) and isinstance(node.func, ast.Name)}
    assert not called & {"isinstance", "hasattr", "getattr", "setattr", "callable"}
    private = [
        node.attr
        for node in ast.walk(tree)
        if isinstance(node, ast.Attribute)
        and node.attr.startswith("_")
        and not (isinstance(node.value, ast.Name) and node.value.id == "self")
    ]
    assert private == []


def test_every_function_of_the_loop_is_read_in_one_go():
    tree = ast.parse((TRAIN / "loop.py").read_text())
    functions = [node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)]
    branches = {f.name: sum(isinstance(node, BRANCHES) for node in ast.walk(f)) for f in functions}
    assert {name: count for name, count in branches.items() if count > FEW} == {}
    assert {"train", "learn"} <= branches.keys()


def test_the_loop_reads_like_the_pseudo_code_of_a_paper():
    """Groups, learning, evaluation, saving; in this order, one call each."""
    tree = ast.parse((TRAIN / "loop.py").read_text())
    (train,) = (node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef) and node.name == "train")
    (body,) = (node.body for node in ast.walk(train) if isinstance(node, ast.While))
    text = [ast.unparse(statement) for statement in body]
    calls = ("self._next_groups()", "self.learn(groups)", "self._evaluate_if_due(bar)", "self.saver.save_if_due()")
    places = [next(at for at, line in enumerate(text) if call in line) for call in calls]
    assert places == sorted(places)
