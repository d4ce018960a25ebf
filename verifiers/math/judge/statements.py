"""Equations, inequalities and named values on one or both sides."""

from __future__ import annotations

from ..limits import LimitExceeded
from ..trees import contains, expand_signs, symbols
from ..values import (
    Call,
    Expr,
    Labelled,
    ListOf,
    Modular,
    Number,
    Percent,
    Quantity,
    Relation,
    Symbol,
    Value,
)
from .exact import Undefined
from .identity import rounds_to
from .intervals import INEQUALITIES, NotASet, intervals_of, same_intervals
from .marker import Marker
from .relations import assignment, compatible, renamed, same_equation, same_inequality

_SINGLE = (Expr, Quantity, Percent)


def unknowns(value: Value) -> set[str]:
    """The free symbols and unspecified functions: f(3) has no value either."""
    found = symbols(value)

    def test(part: object) -> bool:
        if isinstance(part, Call) and len(part.name) == 1:
            found.add(f"{part.name}()")
        return False

    contains(value, test)
    return found


def holds(mark: Marker, value: Value) -> bool:
    """Whether the constants of a chain of equations agree: ``y = 2 = 3`` says nothing that could be paid."""
    if not isinstance(value, Relation) or any(op not in ("=", "~") for op in value.ops):
        return True
    constants = [part for part in value.parts if isinstance(part, _SINGLE) and not unknowns(part)]
    if len(constants) < 2:
        return True
    first = constants[0]
    return all(_agree(mark, first, other) for other in constants[1:])


def _agree(mark: Marker, one: Value, two: Value) -> bool:
    if mark.same(one, two) or mark.same(two, one):
        return True
    values = [part.value if isinstance(part, (Quantity, Percent)) else part for part in (one, two)]
    if not all(isinstance(value, Expr) for value in values):
        return False
    if isinstance(one, Quantity) and isinstance(two, Quantity) and one.unit != two.unit:
        return True  # 2 m = 200 cm: conversions are not our matter
    try:
        signed = [expand_signs(value, 4) for value in values]
        return len(signed[0]) == len(signed[1]) and all(rounds_to(a, b) for a, b in zip(*signed, strict=True))
    except (Undefined, LimitExceeded):
        return False


def stated_value(mark: Marker, value: Relation | Labelled) -> Value | None:
    """What a statement gives as the answer: the value of a name, of a chain, or of ``m + n = 204``.

    None when it gives none, or contradicts itself.
    """
    if not holds(mark, value):
        return None
    named = assignment(value)
    if named is not None:
        return named[1]
    if not isinstance(value, Relation) or any(op not in ("=", "~") for op in value.ops):
        return None
    if not unknowns(value):  # 4 + 5 = 9, and the exact side of \sqrt3 / 3 \approx 0.577
        return value.parts[value.ops.index("~")] if "~" in value.ops else value.parts[-1]
    last = value.parts[-1]
    asked = value.parts[0]
    if "~" in value.ops and value.ops.index("~") > 0:
        last = value.parts[value.ops.index("~")]
    if isinstance(asked, Expr) and unknowns(asked) and not unknowns(last) and not _is_curve(asked, last):
        return last
    if isinstance(last, Expr) and unknowns(last) and not unknowns(asked) and not _is_curve(last, asked):
        return asked  # 204 = m + n
    return None


def _is_curve(left: Expr, right: Value) -> bool:
    """``x^2 + y^2 = 1`` is the equation of a curve in its normal form, and gives no value of anything."""
    if not isinstance(right, Number) or right.value not in (0, 1):
        return False
    return right.value == 0 or (len(symbols(left)) > 1 and symbols(left) <= {"x", "y", "z"})


def response_statement(mark: Marker, gold: Value, response: Relation | Labelled) -> bool | None:
    """A response that is an equation, inequality or label, for a gold that is none."""
    if isinstance(gold, ListOf):
        return None
    as_set = as_sets(gold, response)
    if as_set is not None:
        return as_set
    value = stated_value(mark, response)
    if value is None:
        return False
    if assignment(response) is None and symbols(gold) and isinstance(response, Relation) and symbols(response):
        return False  # an equation does not answer a question for a function
    return mark.same(gold, value)


def gold_statement(mark: Marker, gold: Relation | Labelled, response: Value) -> bool | None:
    """A gold that is an equation, inequality or label, for a response that is none."""
    if isinstance(response, ListOf):
        return None
    as_set = as_sets(gold, response)
    if as_set is not None:
        return as_set
    named = assignment(gold)
    if named is not None and not mark.strict:
        return mark.same(named[1], response)
    if isinstance(gold, Relation) and not unknowns(gold):
        value = stated_value(mark, gold)
        return value is not None and mark.same(value, response)
    return False


def both_statements(mark: Marker, gold: Relation | Labelled, response: Relation | Labelled) -> bool:
    if not holds(mark, response) and holds(mark, gold):
        return False
    one, two = assignment(gold), assignment(response)
    if one is not None and two is not None:
        if compatible(one[0], two[0]) and mark.same(one[1], two[1]):
            return True
        if isinstance(gold, Relation) and isinstance(response, Relation):
            head = gold.parts[0]
            if isinstance(head, Call) and head.args and isinstance(head.args[0], Symbol):
                other = renamed(response, head.args[0].name)
                if other is not None:
                    return both_statements(mark, gold, other)
    if isinstance(gold, Labelled) or isinstance(response, Labelled):
        return False
    as_set = as_sets(gold, response)
    if as_set is not None:
        return as_set
    if one is not None and two is None and not symbols(one[1]):
        return False  # x = 4 is solved, 2x = 8 is not
    if any(op in INEQUALITIES for op in gold.ops):
        return same_inequality(gold, response)
    if one is not None and two is not None and not (symbols(one[1]) or symbols(two[1])):
        return False
    if same_equation(gold, response):
        return True
    return (
        len(gold.parts) == len(response.parts)
        and gold.ops == response.ops
        and all(mark.same(a, b) for a, b in zip(gold.parts, response.parts, strict=True))
    )


def as_sets(gold: Value, response: Value) -> bool | None:
    """Inequalities against intervals and against each other, when both are sets of reals; None when they are not."""
    inequality = [isinstance(v, Relation) and any(op in INEQUALITIES for op in v.ops) for v in (gold, response)]
    membership = [isinstance(v, Relation) and v.ops in (("in",), ("notin",)) for v in (gold, response)]
    if not (any(inequality) or any(membership)) or isinstance(gold, (Expr, Modular)) or isinstance(response, Expr):
        return None
    if isinstance(gold, Relation) and isinstance(response, Relation) and symbols(gold) != symbols(response):
        return False
    try:
        return same_intervals(intervals_of(gold), intervals_of(response))
    except (NotASet, LimitExceeded):
        return None
