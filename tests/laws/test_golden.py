"""Law: what a user sees changes on purpose only. Recipes resolved, schema, help, verdicts and first steps stand in tests/golden.

Whoever changes them on purpose renews them with `python benchmarks/same.py --golden`, and the commit shows what changed.
"""

import importlib.util
import json
import math
import sys

import pytest

from tests.kit.places import ROOT

BENCHMARKS, GOLDEN = ROOT / "benchmarks", ROOT / "tests" / "golden"
# What words or numbers depend on, beside the tree: with another version of it they may differ and prove nothing.
DEPENDS_ON = {
    "help": ("typer",),
    "config": ("pydantic", "typer"),
    "verdicts": ("sympy",),
    "metrics": ("torch", "transformers"),
}
# Between vector units and libraries of one torch, the first two steps differ by some 1e-6 of a number.
RELATIVE, ABSOLUTE = 1e-3, 1e-5


@pytest.fixture(scope="module")
def same():
    sys.path.insert(0, str(BENCHMARKS))
    try:
        spec = importlib.util.spec_from_file_location("same", BENCHMARKS / "same.py")
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
    finally:
        sys.path.remove(str(BENCHMARKS))
    return module


@pytest.fixture(scope="module")
def now(same, tmp_path_factory):
    return same.golden_facts(tmp_path_factory.mktemp("golden"))


def golden(name):
    return json.loads((GOLDEN / f"{name}.json").read_text(encoding="utf-8"))


def settled(found, wanted):
    """``found`` with the wanted number in place of every one that is as good as it."""
    if isinstance(wanted, dict) and isinstance(found, dict):
        return {key: settled(value, wanted.get(key)) for key, value in found.items()}
    if isinstance(wanted, list) and isinstance(found, list) and len(wanted) == len(found):
        return [settled(one, other) for one, other in zip(found, wanted, strict=True)]
    if isinstance(wanted, float) and isinstance(found, float):
        return wanted if math.isclose(found, wanted, rel_tol=RELATIVE, abs_tol=ABSOLUTE) else found
    return found


@pytest.mark.parametrize("name", DEPENDS_ON)
def test_nothing_changed_unnoticed(name, same, now):
    made, here = golden("packages"), now["packages"]
    other = [f"{p} {made[p]}, here {here[p]}" for p in DEPENDS_ON[name] if made[p] != here[p]]
    if other:
        pytest.skip(f"tests/golden/{name}.json was made with {', '.join(other)}")
    found = list(same.differences(golden(name), settled(now[name], golden(name)), name))
    assert not found, "\n".join([*found[:20], "", "on purpose? python benchmarks/same.py --golden"])


def test_a_difference_is_found_and_named(same):
    old = {"a": [1, {"b": float("nan")}], "c": 1}
    assert list(same.differences(old, {"a": [1, {"b": float("nan")}], "c": 1})) == []
    new = {"a": [1, {"b": 2.0}, 3], "c": 1.0}
    assert list(same.differences(old, new, "row")) == [
        "row/a[1]/b: nan -> 2.0",
        "row/a[2]: nothing -> 3",
        "row/c: 1 -> 1.0",
    ]


def test_modules_that_moved_are_looked_for_where_they_are(same, tmp_path):
    (tmp_path / "moved").write_text("grpo_kit.a grpo_kit.b.a\ngrpo_kit/c.py grpo_kit/d/__init__.py  # a package now\n")
    moved = same.same_trees.read_moved(tmp_path / "moved")
    where = [same.same_trees.where(m, moved) for m in ("grpo_kit.a.x", "grpo_kit.a", "grpo_kit.ab", "grpo_kit.c")]
    assert where == ["grpo_kit.b.a.x", "grpo_kit.b.a", "grpo_kit.ab", "grpo_kit.d"]
    both = {"grpo_kit.cli": "grpo_kit.cli.app", "grpo_kit.train_cli": "grpo_kit.cli.train"}
    assert same.renamed({"loaded": ["grpo_kit.train_cli", "grpo_kit.cli.main"]}, both) == {
        "loaded": ["grpo_kit.cli.train", "grpo_kit.cli.app.main"]
    }
    (tmp_path / "moved").write_text("grpo_kit.a\n")
    with pytest.raises(SystemExit, match="line 1: 'grpo_kit\\.a' is not"):
        same.same_trees.read_moved(tmp_path / "moved")
