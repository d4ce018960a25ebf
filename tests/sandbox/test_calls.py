"""Assert statements as calls: which fit, what goes in, how values are judged outside."""

from __future__ import annotations

from decimal import Decimal
from fractions import Fraction

import pytest

from grpo_kit.sandbox.wire import calls, codec

NONE: frozenset[str] = frozenset()


def plan(test, entry=("f",), foreign=NONE):
    return calls.plan(test, frozenset(entry), foreign)


@pytest.mark.parametrize(
    ("test", "sources"),
    [
        ("assert f(1, [2, 3]) == 4", ["f(1, [2, 3])"]),
        ("assert set(f(1)) == {1, 2}, 'message'", ["f(1)"]),
        ("assert abs(f(1) - 0.5) < 1e-6", ["f(1)"]),
        ("import math\nassert math.isclose(f(1), math.pi, rel_tol=1e-3)", ["f(1)"]),
        ("assert f(f(1)) == 2", ["f(f(1))"]),
        ("assert not f(1) and f(2) is None", ["f(1)", "f(2)"]),
        ("assert f(lambda x: x + 1) == 2", ["f(lambda x: x + 1)"]),
        ("assert f(1)[0:2] == [1, 2]", ["f(1)"]),
        ("METADATA = {'a': 1}\ndef check(c):\n    assert c(1) == 2\n    assert c(2) == 3\ncheck(f)", ["f(1)", "f(2)"]),
        ("assert isinstance(f(1), (int, float))", ["f(1)"]),
    ],
)
def test_what_goes_into_the_program_holds_no_expected_value(test, sources):
    made = plan(test)
    assert made is not None
    assert [source for source, _ in made.calls] == sources


@pytest.mark.parametrize(
    "test",
    [
        "x = f(1)\nassert x == 2",
        "for i in range(3):\n    assert f(i) == i",
        "try:\n    f(1)\nexcept ValueError:\n    pass",
        "assert f('a').startswith('b')",  # the argument of a result's method may be the expected value
        "assert f(1).__eq__(2)",
        "assert all(f(i) == i for i in range(3))",
        "assert helper(f(1), 2)",
        "assert sorted(f(1), key=len) == [1]",
        "import numpy as np\nassert np.allclose(f(1), 2)",
        # Which calls are made hangs on what the first ones return.
        "assert f(1) == 1 or f(-1) == 1",
        "assert not (f(1) == 2 and f(-1) == 1)",
        "assert (f(0) and f(1)) == 0",
        "assert 1 < 2 < f(1)",
    ],
)
def test_what_does_not_fit_is_left_to_the_referee(test):
    assert plan(test) is None


@pytest.mark.parametrize(
    ("test", "sources"),
    [
        ("def check(c):\n    assert c(1) == 2\ncheck(f)\ncheck(g)", ["f(1)", "g(1)"]),
        ("def check(c):\n    assert c(1) == 2\ncheck(f)\ndef check(c):\n    assert c(3) == 1", ["f(1)"]),
        ("assert {f(1): f(2), f(3): f(4)} == {}", ["f(1)", "f(2)", "f(3)", "f(4)"]),
    ],
)
def test_calls_are_made_in_the_order_of_the_text(test, sources):
    made = plan(test, ("f", "g"))
    assert made is not None
    assert [source for source, _ in made.calls] == sources


def test_names_of_the_tests_side_stay_there():
    assert calls.plan("assert f(1) == 2", NONE, NONE) is not None
    assert calls.plan("assert poly(f(1)) == 2", NONE, frozenset({"poly"})) is None
    assert calls.plan("assert erf(f(1)) == 2", NONE, NONE, frozenset({"erf"})) is None
    assert calls.plan("assert Solution().run([1], 2) == 3", NONE, NONE).calls == (("Solution().run([1], 2)", False),)


def judged(test, *values):
    return plan(test).judge(list(values))


def test_judging():
    assert judged("assert f(1) == 2", 2) == (True, "")
    assert judged("assert f(1) == 2", 3) == (False, "f(1) returned 3")
    assert judged("assert f(1) == 2", calls.Raised(["ValueError", "no", None])) == (
        False,
        "f(1) raised ValueError: no",
    )
    assert judged("assert f(1) == (1, 2)", [1, 2])[0] is False
    assert judged("assert 1 < f(1) < 3", 2)[0] is True
    assert judged("assert f(1) == {'a': [1]}", {"a": [1]})[0] is True
    assert judged("assert f(1) % 7 == 10**9 % 7", 10**9)[0] is True
    assert judged("assert sorted(f(1)) == [1, 2]", [2, 1])[0] is True
    assert judged("assert f(1) in (1, 2)", 2)[0] is True


@pytest.mark.parametrize("value", [codec.Opaque("C"), codec.Array("int64", (1,), [2]), [codec.Opaque("C")]])
def test_what_is_not_here_is_asked_by_the_referee(value):
    assert judged("assert f(1) is not None", value) == (True, "")
    assert judged("assert None is f(1) and len(f(2)) == 2", value, [1, 2])[0] is False
    assert judged("assert f(1) == 2\nassert len(f(2)) == 1", 3, value)[0] is False
    for test in (
        "f(1) != 2",
        "[f(1)] == [2]",
        "f(1) == f(2) == 2",
        "not f(1)",
        "len(f(1)) == 1",
        "str(f(1)) == 'x'",
        "type(f(1)) is not int",
        "[f(1)] is None",
    ):
        with pytest.raises(calls.NotCalls):
            judged(f"assert {test}", value, 2)
    with pytest.raises(calls.NotCalls):
        judged("assert f(1) is f(2)", value, value)


EVALUATED = (
    "f(1) or 3",
    "f(1) or [] or 3",
    "f(1) and 3",
    "f(1) and 0 or []",
    "not f(1) or 3",
    "sorted(f(1) or [])",
    "f(1) or 1 / 0",
    "f(1) and len(3)",
    "(1 < f(1)) + 1",
    "1 < f(1) < 3",
    "1 == f(1) == 1 or 'x'",
    "(f(1) == 1) == 0",
    "1 in f(1)",
    "f(1) is None",
    "[not f(1), -f(1), +f(1)]",
    "{f(1): f(1)}",
    "{f(1), 2}",
    "f(1)[0]",
    "f(1)[::-1]",
    "f(1) ** 2 - f(1) // 2 + 1 / f(1)",
    "round(f(1), ndigits=1)",
    "round(number=f(1), ndigits=0)",
    "sum(f(1), start=1)",
    "sum(items=f(1))",
    "set(items=f(1))",
    "frozenset(f(1))",
    "int(f(1), base=16)",
    "max(f(1), default=3)",
    "str(f(1), encoding='utf-8')",
)


@pytest.mark.parametrize("text", EVALUATED)
def test_a_check_has_the_value_that_python_gives_it(text):
    def told(evaluate, *arguments):
        try:
            value = evaluate(*arguments)
        except Exception as error:
            return type(error)
        return type(value), value

    (check, _), *_ = plan(f"assert {text}").checks
    asked = text.count("f(1)")
    for value in (0, 1, 2, -3, 2.25, True, False, None, "", "ab", [], [1, 2], [[3]], (), (2, 1), {}, {0: 5}, {1}, b"a"):
        here = told(calls._evaluate, check, [value] * asked)
        assert repr(here) == repr(told(eval, text.replace("f(1)", "v"), {"v": value})), value


def test_what_an_operand_is_decides():
    assert judged("assert (f(1) or 0) == 1", 4)[0] is False
    assert judged("assert (f(1) or []) == []", [])[0] is True
    assert judged("assert sorted(f(1) or []) == [1, 2]", [2, 1])[0] is True


def test_a_template_is_filled_in_by_the_referee():
    for test, value in (("'%s' % f(1) == 'ab'", "ab"), ("f(1) % 5 == '5'", "%d")):
        with pytest.raises(calls.NotCalls):
            judged(f"assert {test}", value)


def test_an_object_that_is_to_equal_data_needs_no_referee():
    assert judged("assert f(1) == 2", codec.Opaque("C"))[0] is False
    assert judged("assert f(1) == None", codec.Opaque("C"))[0] is False
    for value in (codec.Array("int64", (1,), [2]), [codec.Opaque("C")]):
        with pytest.raises(calls.NotCalls):
            judged("assert f(1) == 2", value)


def test_judging_is_bounded():
    huge = 1 << 10_000_000
    assert judged("assert f(1) * f(1) == 2", huge, huge)[0] is False
    assert judged("assert f(1) * 10**9 == 'x'", "abc")[0] is False
    assert judged("assert 2 ** f(1) == 3", 10**12)[0] is False
    assert judged("assert set(f(1)) == {1}", [n * ((1 << 61) - 1) for n in range(1000)])[0] is False
    assert "returned" in judged("assert f(1) == 2", 10**6000)[1]
    assert "too long" in judged("assert sum(f(1)) == 2", [Fraction(1, p) for p in range(3, 9000, 2)])[1]
    for function in ("int(f(1))", "round(f(1))", "math.floor(f(1))", "math.ceil(f(1))"):
        assert "too long" in judged(f"import math\nassert {function} > 1", Decimal("1E+999999999"))[1]
        assert judged(f"import math\nassert {function} == 10**20", Decimal("1E+20"))[0] is True
    assert judged("assert sum(f(1)) == 1", [Fraction(1, 2), Fraction(1, 2)])[0] is True


def test_a_test_that_does_not_parse_is_the_tasks_fault():
    with pytest.raises(SyntaxError):
        plan("assert f(1) ==")


def test_split():
    assert calls.split("def check(c):\n    assert c(1) == 2\n    assert c(2) == 3\ncheck(f)") == [
        "assert f(1) == 2",
        "assert f(2) == 3",
    ]
    script = "x = f(1)\nassert x == 2"
    assert calls.split(script) == [script]
