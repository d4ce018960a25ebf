"""Equations, inequalities and named values: what ``x = 5`` says, and when two relations say the same."""

from __future__ import annotations

from typing import Any

from ..limits import MAX_PLUS_MINUS, LimitExceeded
from ..trees import expand_signs, substitute, symbols
from ..values import (
    Add,
    Call,
    Constant,
    Expr,
    Labelled,
    Modular,
    Mul,
    Pow,
    Ratio,
    Relation,
    Symbol,
    Tuple,
    Value,
)
from .exact import Undefined, exact
from .identity import close
from .intervals import INEQUALITIES
from .numeric import Evaluator, context
from .sampling import branching_symbols, points


def name_of(node: Value) -> str | None:
    """The name that a left-hand side is: ``x``, ``f(x)``, ``a_n``, ``AB``, ``(x, y)``, ``A:B``; None for others."""
    match node:
        case Symbol():
            return node.name
        case Constant() if node.name == "i":
            return "i"
        case Call() if len(node.name) == 1 or node.name.startswith("prime"):
            return f"{node.name}()"
        case Call(name="abs" | "overline"):
            inner = name_of(node.args[0])
            return f"|{inner}|" if inner and len(inner) > 1 and inner.isupper() else None
        case Mul() if all(isinstance(factor, Symbol) for factor in node.factors):
            names = [factor.name for factor in node.factors if isinstance(factor, Symbol)]
            if all(name[0].isupper() for name in names):
                return "".join(names)
            # P(x), x(t): read as a product because the letter is no usual function name
            return f"{names[0]}()" if len(names) == 2 and names[1] in ("x", "t", "n", "z", "k", "m") else None
        case Ratio() if all(name_of(item) for item in node.items):
            return ":".join(name_of(item) or "" for item in node.items)
        case Tuple():
            inner_names = [name_of(item) for item in node.items]
            return "(" + ",".join(str(name) for name in inner_names) + ")" if all(inner_names) else None
        case Mul(factors=(Pow(base=Symbol(name=letter)), Symbol())):  # f^{-1}(x)
            return f"{letter}^()"
    return None


def assignment(value: Value) -> tuple[str, Value] | None:
    """(name, value) of ``x = 5``, ``5 = x``, ``x = 2 + 3 = 5``, ``x \\in [1, 4]``, ``x \\approx 3``."""
    if isinstance(value, Labelled):
        return value.label, value.value
    if not isinstance(value, Relation):
        return None
    first, last = value.parts[0], value.parts[-1]
    if value.ops == ("in",):
        name = name_of(first)
        return None if name is None else (name, last)
    if any(op not in ("=", "~") for op in value.ops):
        return None
    kept = value.parts
    if "~" in value.ops and value.ops.index("~") > 0:  # x = sqrt(2) ~ 1.41: the exact value counts
        kept = value.parts[: value.ops.index("~") + 1]
        last = kept[-1]
    name = name_of(first)
    if name is not None:
        return name, last
    name = name_of(last)
    if name is not None and len(kept) == 2:
        return name, first
    return None


def residue(value: Modular) -> Value:
    """What stands before the modulus, without the name of the unknown."""
    inner = value.value
    if isinstance(inner, Relation) and len(inner.parts) > 2:
        return inner.parts[-1]
    named = assignment(inner)
    if named is None and isinstance(inner, Relation) and _congruent(inner, value.modulus):
        return inner.parts[-1]  # 7^{50} \\equiv 4 \\pmod 9
    return named[1] if named else inner


def _congruent(relation: Relation, modulus: Value) -> bool:
    """Whether both sides are numbers that leave the same remainder."""
    sides = [*relation.parts, modulus]
    if relation.ops != ("=",) or any(not isinstance(side, Expr) or symbols(side) for side in sides):
        return False
    try:
        one, two, divisor = (exact(side) for side in sides if isinstance(side, Expr))
    except (Undefined, LimitExceeded):
        return False
    if one is None or two is None or not divisor:
        return False
    return ((one - two) / divisor).denominator == 1


def classes(value: Modular) -> tuple[Modular, ...]:
    """One residue class per sign: ``\\pm 1 \\pmod 6`` is two."""
    inner = residue(value)
    if not isinstance(inner, Expr):
        return (value,)
    return tuple(Modular(one, value.modulus) for one in expand_signs(inner, MAX_PLUS_MINUS))


def compatible(first: str, second: str) -> bool:
    """Whether two names can stand for the same thing: ``y`` and ``f(x)``, or the same letter."""
    if first.lower() == second.lower() or first == f"{second}()" or second == f"{first}()":
        return True
    return (first == "y" and second.endswith("()")) or (second == "y" and first.endswith("()"))


def same_equation(first: Relation, second: Relation) -> bool:
    """Two equations with the same solutions: proportional sides, or the same solved value of a linear variable."""
    if first.ops != ("=",) or second.ops != ("=",):
        return False
    sides = [relation.parts for relation in (first, second)]
    if not all(isinstance(side, Expr) for pair in sides for side in pair):
        return False
    one, two = (Add((left, Call("neg", (right,)))) for left, right in sides)  # type: ignore[arg-type]
    names = symbols((one, two))
    if not names or symbols(one) != symbols(two):
        return False
    try:
        ratio = _constant_ratio(one, two, names)
        return ratio is not None or any(_same_solved(one, two, name, names) for name in sorted(names))
    except (Undefined, LimitExceeded):
        return False


def _constant_ratio(one: Expr, two: Expr, names: set[str]) -> Any:
    """The constant c with ``one = c * two`` everywhere, or None."""
    mp = context()
    ratio = None
    for number, point in enumerate(points(one, two, names)):
        first, second = Evaluator(point), Evaluator(point)
        try:
            a, b = first(one), second(two)
        except LimitExceeded:
            if number < 6:
                raise
            continue
        if abs(a) == abs(b) == 0:
            continue
        if abs(b) <= mp.mpf("1e-40") * (1 + second.cancelled) or abs(a) <= mp.mpf("1e-40") * (1 + first.cancelled):
            return None
        if ratio is None:
            ratio = a / b
        elif not close(a / b, ratio, 0, "1e-35"):
            return None
    return ratio


def _same_solved(one: Expr, two: Expr, name: str, names: set[str]) -> bool:
    """Both are linear in ``name``, and solving for it gives the same function of the others."""
    mp = context()
    others = names - {name}
    if not others or name in branching_symbols((one, two)):
        return False
    for point in points(one, two, others):
        roots = []
        for node in (one, two):
            values = [Evaluator({**point, name: mp.mpf(x)})(node) for x in (1, 2, 3)]
            slope = values[1] - values[0]
            if abs(slope) < mp.mpf("1e-30") or not close(values[2] - values[1], slope, 0, "1e-30"):
                return False
            roots.append(1 - values[0] / slope)
        if not close(roots[0], roots[1], abs(roots[0]) + 1, "1e-30"):
            return False
    return True


def same_inequality(first: Relation, second: Relation) -> bool:
    """Two inequalities, or chains of them, in several symbols that differ by a positive factor or direction."""
    one, two = _directed(first), _directed(second)
    if one is None or two is None or len(one) != len(two) or symbols(first) != symbols(second):
        return False
    names = symbols((first, second))
    if not names:
        return False
    for difference, op in one:
        match = next((o for o in two if o[1] == op and _positive_multiple(difference, o[0], names, op)), None)
        if match is None:
            return False
        two.remove(match)
    return True


def _directed(relation: Relation) -> list[tuple[Expr, str]] | None:
    """Each neighbouring pair as (difference, op) with the operators <, <= and != only."""
    result: list[tuple[Expr, str]] = []
    for left, op, right in zip(relation.parts, relation.ops, relation.parts[1:], strict=False):
        if op not in INEQUALITIES or not isinstance(left, Expr) or not isinstance(right, Expr):
            return None
        if op in (">", ">="):
            left, right, op = right, left, {">": "<", ">=": "<="}[op]
        result.append((Add((left, Call("neg", (right,)))), op))
    return result


def _positive_multiple(one: Expr, two: Expr, names: set[str], op: str) -> bool:
    try:
        ratio = _constant_ratio(one, two, names)
    except (Undefined, LimitExceeded):
        return False
    return ratio is not None and not isinstance(ratio, context().mpc) and (ratio > 0 or op == "!=")


def renamed(relation: Relation, into: str) -> Relation | None:
    """``f(t) = t^2`` written with another argument."""
    head = relation.parts[0]
    if not (isinstance(head, Call) and len(head.args) == 1 and isinstance(head.args[0], Symbol)):
        return None
    old = head.args[0].name
    if old == into or into in symbols(relation):
        return None
    parts = tuple(substitute(part, old, Symbol(into)) for part in relation.parts)
    return Relation(parts, relation.ops)
