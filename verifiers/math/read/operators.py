"""What stands between and behind numbers: sums, products with and without a sign, powers, factorials, subscripts."""

from __future__ import annotations

from fractions import Fraction

from ..limits import MAX_DEPTH, LimitExceeded, ParseError
from ..values import (
    Add,
    Call,
    Div,
    Expr,
    Matrix,
    Mul,
    NamedSet,
    Number,
    Pow,
    Relation,
    SetOperation,
    Symbol,
    Tuple,
    Value,
)
from .amounts import unit_follows
from .atoms import ORDINALS, named, script, starts_factor, subscripted
from .parser import AMOUNT, POSTFIX, PRODUCT, SET, SUM, Parser, expression_of, negate, product_of

_SIGNS = ("+", "-", "pm", "mp")
_DEGREE_LETTERS = ("C", "F")


def sum_power(parser: Parser, left: Value) -> int:
    return SET if isinstance(left, NamedSet) else SUM


def total(parser: Parser, left: Value) -> Value:
    """``a + b - c``, with the plus-minus signs kept as calls of ``pm`` and ``mp``."""
    if isinstance(left, NamedSet) and parser.accept("-"):
        return SetOperation("difference", (left, parser.parse(SET)))
    terms = [expression_of(left)]
    while parser.at(*_SIGNS) and sum_power(parser, terms[0]):
        sign = str(parser.accept(*_SIGNS))
        term = parser.expression(SUM)
        terms.append(term if sign == "+" else negate(term) if sign == "-" else Call(sign, (term,)))
    return Add(tuple(terms))


def product_power(parser: Parser, left: Value) -> int:
    """Two values side by side are a product, unless the second is a unit or not meant as a factor."""
    token = parser.peek()
    if token.kind == "op" and token.value == "/":
        return PRODUCT if parser.peek(1).kind != "word" else AMOUNT
    if token.kind == "op" and token.value in ("*", "mod"):
        return PRODUCT
    if not starts_factor(parser):
        return 0
    return AMOUNT if unit_follows(parser, left) else PRODUCT


def product(parser: Parser, left: Value) -> Value:
    """Factors with ``*``, ``/`` or nothing between them, left to right."""
    if product_power(parser, left) == AMOUNT:
        return parser.infix["word"].rule(parser, left)
    value, factors, divisions = left, [], 0  # type: ignore[var-annotated]
    while product_power(parser, value if not factors else factors[0]) == PRODUCT:
        start = parser.position
        if parser.at("/", "mod"):
            name = parser.accept("/", "mod")
            divisions += 1
            if divisions > MAX_DEPTH:
                raise LimitExceeded(f"more than {MAX_DEPTH} divisions in a row")
            top = expression_of(value) if not factors else Mul(tuple(factors))
            bottom = expression_of(signed_factor(parser))
            value, factors = (Div(top, bottom) if name == "/" else Call("mod", (top, bottom))), []
            continue
        if parser.accept("*"):
            right = signed_factor(parser)
        else:
            right, mixed = juxtaposed(parser, None if factors else value)
            if mixed:
                value = right
                continue
        if not isinstance(right, Expr) and isinstance(value, Symbol) and not factors and not isinstance(right, Matrix):
            value = named(parser, value, start)  # n(A \\cup B)
            continue
        if not isinstance(right, Expr) or not isinstance(value, Expr):
            return scaled(expression_of(value) if not factors else Mul(tuple(factors)), right)
        factors = factors or [value]
        factors.append(right)
    return value if not factors else product_of(factors)


def signed_factor(parser: Parser) -> Value:
    signs: list[str] = []
    while parser.at("-", "+", "pm"):
        signs.append(str(parser.accept("-", "+", "pm")))
        if len(signs) > MAX_DEPTH:
            raise LimitExceeded(f"more than {MAX_DEPTH} signs in a row")
    value = parser.parse(PRODUCT)
    for sign in reversed(signs):
        value = (
            negate(expression_of(value))
            if sign == "-"
            else Call("pm", (expression_of(value),))
            if sign == "pm"
            else value
        )
    return value


def juxtaposed(parser: Parser, value: Value | None) -> tuple[Value, bool]:
    """The next factor; or, with True, the mixed number that it makes with the whole number before it."""
    first = parser.peek()
    whole = (
        isinstance(value, Number)
        and value.digits is None
        and value.value.denominator == 1
        and parser.tokens[parser.position - 1].kind == "num"
    )
    if not whole:
        if first.kind == "num" and isinstance(value, Number):
            raise ParseError("two numbers side by side")
        return parser.parse(PRODUCT), False
    assert isinstance(value, Number)
    if first.kind == "num":
        if parser.peek(1).value != "/" or parser.peek(2).kind != "num":
            raise ParseError("two numbers side by side")
        part: Value = Div(first.value, parser.peek(2).value)
        if not proper_fraction(part):
            raise ParseError("two numbers side by side")
        parser.position += 3
    else:
        part = parser.parse(PRODUCT)
    if first.kind in ("num", "frac") and proper_fraction(part):
        assert isinstance(part, Div)
        rest = part.top.value / part.bottom.value  # type: ignore[attr-defined]
        return Number(value.value + rest, mixed=True), True
    return part, False


def proper_fraction(node: Value) -> bool:
    """A positive fraction of two whole literals, below one: the second part of a mixed number."""
    return (
        isinstance(node, Div)
        and isinstance(node.top, Number)
        and isinstance(node.bottom, Number)
        and node.top.value.denominator == node.bottom.value.denominator == 1
        and 0 < node.top.value < node.bottom.value
    )


def scaled(factor: Expr, collection: Value) -> Value:
    """A number times a vector or matrix: ``2\\begin{pmatrix}...``."""
    if isinstance(collection, Relation) and collection.ops == ("in",):
        return factor  # 2k\\pi (k \\in Z)
    if not isinstance(collection, Matrix):
        raise ParseError("a number times a collection")
    return Matrix(tuple(tuple(_times(factor, expression_of(cell)) for cell in row) for row in collection.rows))


def _times(factor: Expr, cell: Expr) -> Expr:
    """An entry that is still to be multiplied is written as its product already: nobody would call that unfinished."""
    one, two = (_literal(node) for node in (factor, cell))
    return Mul((factor, cell)) if one is None or two is None else Number(one * two)


def _literal(node: Expr) -> Fraction | None:
    if isinstance(node, Div):
        top, bottom = _literal(node.top), _literal(node.bottom)
        return None if top is None or not bottom else top / bottom
    if isinstance(node, Call) and node.name == "neg":
        inner = _literal(node.args[0])
        return None if inner is None else -inner
    return node.value if isinstance(node, Number) else None


def degree_power(parser: Parser, left: Value) -> int:
    """The degree sign belongs to its number, unless a temperature scale follows."""
    following = parser.peek(1)
    scale = following.value in _DEGREE_LETTERS and (
        following.kind == "word" or (following.kind == "sym" and parser.depth <= 1)
    )
    return AMOUNT if scale else POSTFIX


def degrees(parser: Parser, left: Value) -> Value:
    if degree_power(parser, left) == AMOUNT:
        return parser.infix["word"].rule(parser, left)
    return postfix(parser, left)


def prime_power(parser: Parser, left: Value) -> int:
    """Behind a plain number these are feet, inches, minutes or seconds: a unit."""
    return AMOUNT if isinstance(left, Number) else POSTFIX


def primes(parser: Parser, left: Value) -> Value:
    if prime_power(parser, left) == AMOUNT:
        return parser.infix["word"].rule(parser, left)
    return postfix(parser, left)


def postfix(parser: Parser, left: Value) -> Value:
    """Powers, subscripts, factorials, primes and degree signs of one value."""
    value = left
    for _ in range(MAX_DEPTH):
        if not parser.at("^", "_", "!", "'", "deg") or (parser.at("deg") and degree_power(parser, value) == AMOUNT):
            return value
        if isinstance(value, (Matrix, Tuple)):
            value = transposed(parser, value)
            continue
        base = expression_of(value)
        op = parser.accept("^", "_", "!", "'", "deg")
        if op == "!":
            value = Call("factorial2" if parser.accept("!") else "factorial", (base,))
        elif op == "_":
            value = subscripted(parser, base)
        elif op == "^":
            value = raised(parser, base)
        else:
            value = Call("prime" if op == "'" else "deg", (base,))
    raise LimitExceeded(f"more than {MAX_DEPTH} powers, factorials or subscripts of one symbol")


def raised(parser: Parser, base: Expr) -> Expr:
    exponent = script(parser)
    if isinstance(exponent, Symbol) and exponent.name in ORDINALS:
        return base  # an ordinal: 12^{th}
    return Pow(base, exponent)


def transposed(parser: Parser, value: Matrix | Tuple) -> Value:
    """``^T`` and ``^\\top`` of a matrix or of a row written as a tuple."""
    start = parser.position
    if parser.accept("^"):
        braced = parser.accept("{")
        token = parser.peek()
        if token.value in ("T", "top", "t"):
            parser.position += 1
            if not braced or parser.accept("}"):
                if isinstance(value, Tuple):
                    return Matrix(tuple((item,) for item in value.items))
                return Matrix(tuple(zip(*value.rows, strict=True)))
    parser.position = start
    raise ParseError("a power or subscript of a collection")
