"""Properties of equality: reflexive, blind to spelling, never blind to a changed digit."""

from __future__ import annotations

from fractions import Fraction

from hypothesis import given, settings
from hypothesis import strategies as st

from grpo_kit.verifiers.math import equal, verify
from grpo_kit.verifiers.math.judge.exact import exact
from grpo_kit.verifiers.math.read import parse
from grpo_kit.verifiers.math.values import Expr

settings.register_profile("math", deadline=None, derandomize=True, max_examples=150)
settings.load_profile("math")

integers = st.integers(-(10**12), 10**12)
small = st.integers(-50, 50)
naturals = st.integers(1, 60)


@st.composite
def expressions(draw: st.DrawFn, depth: int = 3) -> str:
    """A random expression in x and y, in LaTeX."""
    if depth == 0 or draw(st.booleans()):
        return draw(st.sampled_from(["x", "y", "2", "3", "\\pi", "\\sqrt{2}", "\\frac{1}{3}", "5"]))
    left, right = draw(expressions(depth - 1)), draw(expressions(depth - 1))
    shape = draw(
        st.sampled_from(["({}+{})", "({}-{})", "({})({})", "\\frac{{{}}}{{{}+7}}", "({})^2+{}", "\\sin({})+{}"])
    )
    return shape.format(left, right)


@given(expressions())
def test_an_expression_equals_itself_however_it_is_wrapped(text: str) -> None:
    assert equal(text, text)
    assert equal(text, f"\\left( {text} \\right)")
    assert equal(text, f"\\displaystyle {text.replace('frac', 'dfrac')}")
    assert equal(f"$ {text} $", text + ".")


@given(expressions(), expressions())
def test_sums_and_products_commute_and_the_verdict_is_symmetric(a: str, b: str) -> None:
    assert equal(f"({a})+({b})", f"({b})+({a})")
    assert equal(f"({a})({b})", f"({b})({a})")
    assert equal(a, b) == equal(b, a)


@given(expressions())
def test_an_expression_never_equals_itself_plus_one(text: str) -> None:
    assert not equal(text, f"{text}+1")
    assert not equal(text, f"{text}+10^{{-9}}")


@given(integers, st.integers(0, 11), st.integers(1, 9))
def test_a_changed_digit_is_never_equal(number: int, place: int, shift: int) -> None:
    digits = list(str(abs(number)))
    place %= len(digits)
    digits[place] = str((int(digits[place]) + shift) % 10)
    changed = ("-" if number < 0 else "") + "".join(digits)
    if int(changed) != number:
        assert not equal(str(number), changed)
        assert not equal(str(number), f"{int(changed):,}")
        assert not equal(f"\\boxed{{{number}}}", f"{changed}.0")


@given(integers)
def test_an_integer_in_all_its_spellings(number: int) -> None:
    for spelling in (
        f"{number:,}", f"{number:,}".replace(",", "{,}"), f"{number:,}".replace(",", ",\\!"), f"{number}.0",
        f"{number:,}".replace(",", "\\,"), f"x = {number}", f"\\text{{{number}}}", f"{number}\\text{{ cm}}",
        f"\\frac{{{2 * number}}}{{2}}", f"{{{number}}}",
    ):  # fmt: skip
        assert equal(str(number), spelling), spelling


@given(small, naturals)
def test_a_fraction_in_all_its_spellings(top: int, bottom: int) -> None:
    gold = f"\\frac{{{top}}}{{{bottom}}}"
    value = Fraction(top, bottom)
    for spelling in (
        f"{top}/{bottom}",
        f"\\dfrac{{{3 * top}}}{{{3 * bottom}}}",
        f"{value}",
        f"-\\frac{{{-top}}}{{{bottom}}}",
    ):
        assert equal(gold, spelling), spelling
    assert not equal(gold, f"\\frac{{{top + 1}}}{{{bottom}}}")
    if top and abs(top) != bottom:
        assert not equal(gold, f"\\frac{{{bottom}}}{{{top}}}")
    whole, rest = divmod(abs(top), bottom)
    if whole and rest:
        sign = "-" if top < 0 else ""
        assert equal(gold, f"{sign}{whole}\\frac{{{rest}}}{{{bottom}}}")


@given(st.lists(small, min_size=2, max_size=6, unique=True), st.randoms(use_true_random=False))
def test_lists_are_unordered_and_tuples_are_ordered(items: list[int], random: object) -> None:
    shuffled = list(items)
    random.shuffle(shuffled)  # type: ignore[attr-defined]
    one, two = (", ".join(map(str, part)) for part in (items, shuffled))
    assert equal(one, two)
    assert equal(f"\\{{{one}\\}}", two)
    assert equal(f"({one})", f"({two})") is (items == shuffled)
    assert not equal(one, f"{two}, 777")
    assert not equal(one, two.rpartition(", ")[0])


@given(small, small, st.sampled_from("(["), st.sampled_from(")]"))
def test_intervals_keep_their_ends_and_brackets(low: int, width: int, left: str, right: str) -> None:
    high = low + abs(width) + 1
    gold = f"{left}{low},{high}{right}"
    signs = ("\\le " if left == "[" else "<", "\\le " if right == "]" else "<")
    assert equal(gold, f"{low} {signs[0]} x {signs[1]} {high}")
    assert not equal(gold, f"{left}{low},{high + 1}{right}")
    assert not equal(gold, f"{'(' if left == '[' else '['}{low},{high}{right}")


@st.composite
def rationals(draw: st.DrawFn, depth: int = 4) -> tuple[str, Fraction]:
    """A random arithmetic expression with the value that Python's own fractions give it."""
    if depth == 0 or draw(st.integers(0, 3)) == 0:
        number = draw(st.integers(0, 30))
        return str(number), Fraction(number)
    (a, x), (b, y) = draw(rationals(depth - 1)), draw(rationals(depth - 1))
    operation = draw(st.sampled_from("+-*/^"))
    if operation == "/" and y != 0:
        return f"\\frac{{{a}}}{{{b}}}", x / y
    if operation == "^":
        power = draw(st.integers(0, 3))
        return (f"\\left({a}\\right)^{{{power}}}", x**power) if x else (f"({a})", x)
    if operation == "-":
        return f"({a}) - ({b})", x - y
    return (f"({a})+{b}", x + y) if operation == "+" else (f"({a}) \\cdot ({b})", x * y)


@given(rationals())
def test_exact_values_agree_with_python(pair: tuple[str, Fraction]) -> None:
    text, value = pair
    parsed = parse(text)
    assert isinstance(parsed, Expr)
    assert exact(parsed) == value


@given(st.text(max_size=60))
def test_any_text_is_judged_without_an_error(text: str) -> None:
    for gold in ("7", "\\frac{1}{2}", "x^2+1", text):
        for response in (text, f"\\boxed{{{text}}}", f"The answer is {text}"):
            assert verify(response, gold).value in (0.0, 1.0)
