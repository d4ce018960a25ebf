"""What an answer can be: expressions, and the collections and relations built from them.

All nodes are immutable. Expressions (`Expr`) denote numbers or functions of their free symbols; the other nodes denote
sets, tuples, relations and the rest of what a problem can ask for.
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction

Unit = tuple[tuple[str, int], ...]


class Value:
    """Anything the parser can return."""

    __slots__ = ()


class Expr(Value):
    """A number or a function of free symbols."""

    __slots__ = ()


@dataclass(frozen=True, slots=True)
class Number(Expr):
    """A literal. ``digits``: significant digits when it was written with a decimal point, else None."""

    value: Fraction
    digits: int | None = None
    places: int = 0  # digits after the decimal point
    mixed: bool = False  # written as a mixed number


@dataclass(frozen=True, slots=True)
class Symbol(Expr):
    name: str


@dataclass(frozen=True, slots=True)
class Constant(Expr):
    """``pi``, ``e``, ``i``, ``inf`` or ``undefined``."""

    name: str


@dataclass(frozen=True, slots=True)
class Add(Expr):
    terms: tuple[Expr, ...]


@dataclass(frozen=True, slots=True)
class Mul(Expr):
    factors: tuple[Expr, ...]


@dataclass(frozen=True, slots=True)
class Div(Expr):
    top: Expr
    bottom: Expr


@dataclass(frozen=True, slots=True)
class Pow(Expr):
    base: Expr
    exponent: Expr


@dataclass(frozen=True, slots=True)
class Call(Expr):
    """A function applied: ``sqrt``, ``sin``, ``neg``, ``pm``, ``binom`` ... or an unknown one, ``f``."""

    name: str
    args: tuple[Expr, ...]


@dataclass(frozen=True, slots=True)
class Big(Expr):
    """``sum``, ``prod``, ``int`` or ``lim`` over a bound variable; a limit has its point in ``low``."""

    name: str
    variable: str
    low: Expr | None
    high: Expr | None
    body: Expr


@dataclass(frozen=True, slots=True)
class Tuple(Value):
    """An ordered collection with its brackets; two members may also be an interval."""

    items: tuple[Value, ...]
    left: str = "("
    right: str = ")"


@dataclass(frozen=True, slots=True)
class ListOf(Value):
    """Several answers without brackets: ``1, 2``, ``x = 1 or x = 2``. ``word`` is the last separator seen."""

    items: tuple[Value, ...]
    word: str = ","


@dataclass(frozen=True, slots=True)
class SetOf(Value):
    items: tuple[Value, ...]


@dataclass(frozen=True, slots=True)
class SetBuilder(Value):
    """``{variable | condition}``; ``element`` is the expression before the bar."""

    element: Value
    condition: Value


@dataclass(frozen=True, slots=True)
class NamedSet(Value):
    """``R``, ``Z``, ``N``, ``Q`` or ``C``."""

    name: str


@dataclass(frozen=True, slots=True)
class SetOperation(Value):
    """``union``, ``intersection`` or ``difference``."""

    name: str
    parts: tuple[Value, ...]


@dataclass(frozen=True, slots=True)
class Relation(Value):
    """``parts[0] ops[0] parts[1] ops[1] ...`` with the operators = != < > <= >= ~ in notin."""

    parts: tuple[Value, ...]
    ops: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Labelled(Value):
    """``Minimum: 1``: a value under a name in words."""

    label: str
    value: Value


@dataclass(frozen=True, slots=True)
class Matrix(Value):
    rows: tuple[tuple[Value, ...], ...]


@dataclass(frozen=True, slots=True)
class Cases(Value):
    """A piecewise definition: (value, condition) pairs; the condition may be missing."""

    rows: tuple[tuple[Value, Value | None], ...]


@dataclass(frozen=True, slots=True)
class Quantity(Value):
    """A value with a unit, a currency or a counted noun, already in canonical form (see units.py)."""

    value: Value
    unit: Unit
    text: str = ""


@dataclass(frozen=True, slots=True)
class Percent(Value):
    value: Expr


@dataclass(frozen=True, slots=True)
class Ratio(Value):
    """``a : b : c``. ``clock`` tells that the second part is two digits, as minutes are."""

    items: tuple[Expr, ...]
    clock: bool = False
    half: str = ""  # "am" or "pm"


@dataclass(frozen=True, slots=True)
class Modular(Value):
    """A residue class: ``3 (mod 7)``."""

    value: Value
    modulus: Expr


@dataclass(frozen=True, slots=True)
class Based(Value):
    """Digits in a stated base: ``413_5``."""

    digits: str
    base: int


@dataclass(frozen=True, slots=True)
class Text(Value):
    """Words; ``words`` is the normal form that is compared."""

    words: str


@dataclass(frozen=True, slots=True)
class Ellipsis_(Value):
    """The dots of a list that goes on."""
