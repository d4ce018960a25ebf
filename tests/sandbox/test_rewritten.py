"""The rewritten text of a test means what it says: where nothing of the program is in it, it does what plain Python does."""

from __future__ import annotations

import random
import re
from typing import Any

import pytest

from grpo_kit.sandbox.inside.emptied import Emptied
from grpo_kit.sandbox.inside.held import number
from grpo_kit.sandbox.inside.helper import Helper
from grpo_kit.sandbox.inside.outstanding import Outstanding
from grpo_kit.sandbox.inside.rewritten import HELPER, Common, compiled
from grpo_kit.sandbox.inside.texts import Handed
from grpo_kit.sandbox.wire.instances import Instances

_VALUES = (
    "[]",
    "[1]",
    "()",
    "0",
    "1",
    "2",
    "None",
    "True",
    "{}",
    "'a'",
    "a",
    "b",
    "n",
    "it()",
    "set()",
    "[*a]",
    "(b or a)",
)
_MADE = (
    *("list({})", "len({})", "sorted(said({}))", "[v for v in {}]", "[said(v) for v in {}]", "next(iter({}), None)"),
    *("tuple(map(said, {}))", "(m := list({}))", "bool({})", "max({}, default=None)", "sum(1 for _ in {})", "said({})"),
    *("items({})", "(lambda v: list(v))({})", "str({})", "[*{}, 1]", "{{*{}}}", "dict(enumerate({}))"),
)
_ADDRESS = re.compile(" at 0x[0-9a-f]+")
_OPERATORS = ("==", "!=", "is", "is not", "<", "<=", ">", ">=", "in", "not in")
_PLACES = (
    *(
        "assert {}",
        "assert not {}, said('message')",
        "if {}: raise AssertionError('no')",
        "if {}: said(1)\nelse: said(2)",
    ),
    *(
        "t.assertTrue({})",
        "t.assertFalse({})",
        "t.assertEqual({}, {})",
        "t.assertIsNone({})",
        "same({}, {})",
        "x = {}\nassert x",
    ),
    *(
        "x = {}\nsaid(x)\nassert not x",
        "for v in {}: raise AssertionError(v)",
        "while {}:\n    said(3)\n    break",
        "said({})",
    ),
    *(
        "try: assert {}\nexcept TypeError: said(4)",
        "assert (lambda: {})()",
        "class K:\n    x = {}\n    assert x\nsaid(K.x)",
    ),
    "def f():\n    x = {}\n    assert x == {}\n    return x\nsaid(f())",
)
_BEFORE = (
    "import unittest\nt = unittest.TestCase()\na, b, n, m = [], [1], 1, None\nlog = []\n"
    "def said(v):\n    log.append(repr(v))\n    return v\n"
    "def it(): return iter([1, 2])\ndef items(v): return list(said(v))\ndef same(a, b):\n    assert said(a) == b\n    return b\n"
)


def _expression(chance: random.Random, depth: int) -> str:
    kind = chance.random()
    if not depth or kind < 0.2:
        return chance.choice(_VALUES)
    inner = [_expression(chance, depth - 1) for _ in range(3)]
    if kind < 0.45:
        return chance.choice(_MADE).format(inner[0])
    if kind < 0.85:
        first, second = chance.choices(_OPERATORS, k=2)
        return f"({inner[0]} {first} {inner[1]}{f' {second} {inner[2]}' if kind > 0.65 else ''})"
    return chance.choice(("(not {})", "({} and {})", "({} or {})", "({} if {} else {})", "[{}, {}]")).format(*inner)


def _done(text: str, rewritten: bool) -> tuple[str, list[str]]:
    outstanding = Outstanding()
    names: dict[str, Any] = {"__name__": "tests"}
    ends = Emptied(outstanding.add, outstanding.take, has=lambda value: False)
    asked = (number, lambda *_: None, lambda: 0, names.get)
    names[HELPER] = Helper(outstanding, *asked, names, ends, Handed(), Instances({}, 1))
    try:
        exec(compiled(text, "<test 0>", Common(ends.takers)) if rewritten else compile(text, "<test 0>", "exec"), names)
        how = "done"
    except Exception as error:
        how = type(error).__name__
    return how, [_ADDRESS.sub("", said) for said in names["log"]]


@pytest.mark.parametrize(
    ("heads", "clause"),
    [
        (["for v in b:"] * 20, ""),
        (["try:"] * 19, "except KeyError: pass"),
        (["try:"] * 17, "except KeyError: said(2)"),
        (["try:"] * 20, "finally: said(1)"),
        (["for v in b:", "try:", "with redirect_stdout(None):"] * 4, "except (KeyError, IndexError): said(3)"),
    ],
)
def test_statements_within_each_other_are_read(heads: list[str], clause: str) -> None:
    lines = ["from contextlib import redirect_stdout", *(" " * depth + head for depth, head in enumerate(heads))]
    lines.append(" " * len(heads) + "assert a == []")
    lines += [" " * depth + clause for depth, head in reversed([*enumerate(heads)]) if head == "try:"]
    text = _BEFORE + "\n".join(lines)
    assert _done(text, rewritten=True) == _done(text, rewritten=False)


@pytest.mark.filterwarnings("ignore::SyntaxWarning")
@pytest.mark.parametrize("seed", range(8))
def test_it_does_what_plain_python_does(seed: int) -> None:
    chance = random.Random(seed)
    for _ in range(60):
        places = chance.choices(_PLACES, k=2)
        made = [_expression(chance, 3) for _ in range(4)]
        text = _BEFORE + "\n".join(place.format(*made[2 * i :]) for i, place in enumerate(places))
        try:
            compile(text, "<test 0>", "exec")
        except SyntaxError:  # a name given where none may be
            continue
        assert _done(text, rewritten=True) == _done(text, rewritten=False), text


@pytest.mark.parametrize("text", ["assert len(a) < 1 <= len(a)", "if len(b) >= 1 > len(a): raise AssertionError"])
def test_a_constant_of_two_comparisons_stays_what_it_is(text: str) -> None:
    assert _done(_BEFORE + text, rewritten=True) == _done(_BEFORE + text, rewritten=False) == ("AssertionError", [])
