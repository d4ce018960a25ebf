"""Where a test goes on behind a clause that has taken an exception: the rule by which three analyses go."""

from __future__ import annotations

import ast

import pytest

from grpo_kit.sandbox.inside.clauses import going_on, takes_at_last

_FAILING = ("raise", "raise KeyError", "assert False, 'x'", "t.fail('x')", "pytest.fail()", "assert 0")


def _try(clause: str, last: str = "pass") -> ast.Try:
    lines = ["async def test():", "    for _ in 'a':", "        try: f()", "        except KeyError:"]
    lines += [f"            {line}" for line in clause.split("\n")]
    lines += ["        finally:", *(f"            {line}" for line in last.split("\n"))]
    found = [node for node in ast.walk(ast.parse("\n".join(lines))) if isinstance(node, ast.Try)]
    return found[0]


@pytest.mark.parametrize("failing", _FAILING)
@pytest.mark.parametrize(
    "before",
    [
        *("", "x = 1\n", "if f(): x = 1\n", "for x in 'a': break\n", "while f(): continue\n", "def g(): return 1\n"),
        *("g = lambda: (yield)\n", "class K:\n    def g(s): yield\n", "async def g(): await f()\n"),
        "for x in 'a':\n    for y in 'b': break\n    else: continue\n",
    ],
)
def test_a_clause_that_comes_to_its_failure_does_not_go_on(before: str, failing: str) -> None:
    assert not going_on(_try(before + failing))


@pytest.mark.parametrize("failing", _FAILING)
@pytest.mark.parametrize(
    "before",
    [
        *("if f(): return\n", "if f(): break\n", "if f(): continue\n", "for x in 'a': pass\nelse: break\n"),
        *(
            "while f(): return\n",
            "with f(): break\n",
            "match f():\n    case 1: continue\n",
            "try: f()\nfinally: break\n",
        ),
        *("yield\n", "x = yield 1\n", "await f()\n", "async with f(): pass\n", "async for x in f(): pass\n"),
        "x = [v async for v in f()]\n",
    ],
)
def test_a_clause_that_may_not_come_to_its_failure_goes_on(before: str, failing: str) -> None:
    assert going_on(_try(before + failing))


@pytest.mark.parametrize("clause", ["pass", "x = 1", "if f(): raise", "assert f()", "raise\nx = 1", "f.fail", "return"])
def test_a_clause_that_does_not_end_in_a_failure_goes_on(clause: str) -> None:
    assert going_on(_try(clause))


@pytest.mark.parametrize(
    ("last", "takes"),
    [
        *(("return", True), ("break", True), ("if f(): continue", True), ("yield", True), ("with f(): return", True)),
        *(("pass", False), ("for x in 'a': break", False), ("def g(): return 1", False), ("await f()", False)),
        *(("for x in 'a': pass\nelse: break", True), ("raise", False)),
    ],
)
def test_what_is_left_at_last_takes_any_exception(last: str, takes: bool) -> None:
    assert takes_at_last(_try("raise", last)) is takes
