"""Names of the tests are theirs in the scope that binds them, and nowhere else."""

# ruff: noqa: E501

from __future__ import annotations

import ast

import pytest

from grpo_kit.sandbox import TestError
from grpo_kit.sandbox.wire.bindings import read_and_bound

from .corpus import LIMITS

COUNTING = "count = 0\ndef inc():\n global count\n count += 1\ndef reset():{}"
COUNTED = "inc()\nreset()\nassert count == 0\n"
ENDS = "def f(x): return iter(())"
ENDED = "assert all(map(lambda it: next(it) == 5, [f(1), f(2)]))\n"
NAMED = "def f(x): return 'want'"
LOOKED_UP = "want = 7\nx = f(1)\nassert vars()[x] == 7\n"
BINDING = [
    "def t({0}): return {0}",
    "def t():\n    {0} = 1\n    return {0}",
    "t = lambda {0}: {0}",
    "t = [{0} for {0} in 'ab']",
    "class T:\n    {0} = 1\n    def t(self): return 1",
    "def t():\n    for {0} in 'ab': pass\n    class U:\n        def u(self, {0}): return {0}",
]


@pytest.mark.parametrize("binding", BINDING)
def test_a_name_that_is_bound_elsewhere_is_the_programs_or_a_built_in_one_here(any_sandbox, binding):
    program = COUNTING.format(" pass")
    for name, program_, test in (
        ("count", program, COUNTED),
        ("next", ENDS, ENDED),
        ("vars", NAMED, LOOKED_UP),
    ):
        result = any_sandbox.run_tests(program_, [test + binding.format(name)], limits=LIMITS)
        assert not result.passed, (name, binding)


@pytest.mark.parametrize("binding", BINDING)
def test_the_same_beside_a_right_program(any_sandbox, binding):
    right = COUNTING.format("\n global count\n count = 0")
    result = any_sandbox.run_tests(right, [COUNTED + binding.format("count")], limits=LIMITS)
    assert result.passed, result.reason


@pytest.mark.parametrize(
    ("program", "tests", "arguments"),
    [
        ("def f(x): return x", ["def next(x): return x + 1", "assert next(f(1)) == 2"], {"entry_point": "f"}),
        ("def f(x): return x", ["assert next(f(1)) == 2"], {"entry_point": "f", "setup": "def next(x): return x + 1"}),
        ("def next(x): return x + 1", ["y = next(1)\nassert y == 2"], {"entry_point": "next"}),
        ("def type(x): return 'int'", ["y = type(1)\nassert y == 'int'"], {"entry_point": "type"}),
        ("def f(x): return x", ["def isinstance(x, y): return x + y\ny = f(1)\nassert isinstance(y, 1) == 2"], {"entry_point": "f"}),
        ("count = 0\ndef inc():\n global count\n count += 1", ["inc()\nassert [count for count in range(count + 1)] == [0, 1]"], {}),
        ("count = 0\ndef inc():\n global count\n count += 1", ["inc()\ndef t(count, n=count): return count + n\nassert t(5) == 6"], {}),
    ],
)  # fmt: skip
def test_what_has_the_name_of_a_built_in_function_is_called(any_sandbox, program, tests, arguments):
    result = any_sandbox.run_tests(program, tests, limits=LIMITS, **arguments)
    assert result.passed, result.reason


@pytest.mark.parametrize(
    ("source", "read", "bound"),
    [
        ("def f(a, b=c): return a + d", {"c", "d"}, {"f"}),
        ("def f():\n global g\n g = 1\n def h(): return g", {"g"}, {"f", "g"}),
        ("def f():\n x = 1\n def g():\n  nonlocal x\n  x = y", {"y"}, {"f"}),
        ("class A(B):\n x = 1\n def f(self): return x", {"B", "x"}, {"A"}),
        ("[x for x in x if (y := x)]", {"x"}, {"y"}),
        ("import a.b, c as d\nfrom e import f as g\nexcepted = 1", set(), {"a", "d", "g", "excepted"}),
        ("try: pass\nexcept E as e: pass", {"E"}, {"e"}),
        ("match x:\n case {'a': b, **c}: pass\n case [d, *e]: pass\n case P(f) as g: pass", {"x", "P"}, set("bcdefg")),
        ("def top(a): return a", set(), {"top"}),
        ("del x\nlambda x: x", set(), {"x"}),
    ],
)
def test_which_names_a_module_reads_and_binds(source, read, bound):
    assert read_and_bound(ast.parse(source)) == (read, bound)


def test_a_sum_of_some_hundred_terms_is_rewritten(any_sandbox):
    test = (
        "def test():\n    for i in (1, 2):\n        if i:\n            assert f(1) == "
        + "+".join(["1"] * 600)
        + "\ntest()"
    )
    assert any_sandbox.run_tests("def f(x): return 600", [test], limits=LIMITS).passed
    assert not any_sandbox.run_tests("def f(x): return 6", [test], limits=LIMITS).passed


LONG = "0x" + "f" * 5000


@pytest.mark.parametrize(
    ("test", "setup"),
    [
        (f"assert f({LONG}) == {LONG}", ""),
        (f"x = f({LONG})\nassert x == {LONG} and x != -{LONG}", ""),
        (f"from solution import f as g\nx = g({LONG})\nassert x == {LONG}", ""),
        ("x = f(BIG)\nassert x == BIG", f"BIG = {LONG}"),
        ("x = f(1)\nassert x == 1 and big().bit_length() == 20000", f"def big(): return {LONG}"),
        (f"class T:\n    def __len__(self): return f({LONG}).bit_length()\nassert len(T()) == 20000", ""),
        (f"x = f(lambda: {LONG})()\nassert x == {LONG}", ""),
        (f"def g(x): return x\nx = g(f({LONG}).bit_length())\nassert x == 20000", ""),
    ],
)
def test_integers_that_python_writes_in_no_other_base(any_sandbox, test, setup):
    assert any_sandbox.run_tests("def f(x): return x", [test], entry_point="f", setup=setup, limits=LIMITS).passed
    assert not any_sandbox.run_tests("def f(x): return 2", [test], entry_point="f", setup=setup, limits=LIMITS).passed


@pytest.mark.parametrize(
    "test", ["x = f(1)\nreturn x", "def t(x):\n    global x\ny = f(1)\nassert y == 1", "x = f(1)\nnonlocal x"]
)
def test_tests_that_do_not_compile_are_refused(any_sandbox, test):
    with pytest.raises(TestError, match="do not compile"):
        any_sandbox.run_tests("def f(x): return 1", [test], entry_point="f", limits=LIMITS)
