"""The smallest parts of an expression: symbols, fractions, roots, functions, sums over an index."""

from __future__ import annotations

from fractions import Fraction

from ..limits import MAX_DEPTH, MAX_ITEMS, LimitExceeded, ParseError
from ..values import Big, Call, Constant, Div, Expr, Number, Pow, Quantity, Symbol, Value
from .lexer import Token
from .parser import END, POSTFIX, PRODUCT, SUM, Parser, expression_of, negate, product_of

# Letters that are read as a function when a bracket follows at once: f(x), but x(x+1) is a product.
FUNCTION_LETTERS = frozenset("fghFGHPQTS")
ORDINALS = ("th", "st", "nd", "rd")
_INVERSE = {
    "sin": "arcsin", "cos": "arccos", "tan": "arctan", "cot": "arccot", "sec": "arcsec", "csc": "arccsc",
    "sinh": "arsinh", "cosh": "arcosh", "tanh": "artanh",
}  # fmt: skip
_WITHIN_NAMES = ("=", "|", "union", "intersection", "<", ">", "<=", ">=", "in")
_TIGHT = ("sqrt", "cbrt", "overline", "abs", "deg")


def primary(parser: Parser) -> Value:
    """One value without anything behind it: a number, symbol, function or group."""
    return parser.parse(POSTFIX)


def numeral(parser: Parser, token: Token, power: int) -> Value:
    parser.position += 1
    value = token.value
    assert isinstance(value, Number)
    return value


def symbol(parser: Parser, token: Token, power: int) -> Value:
    parser.position += 1
    name = str(token.value)
    if name in ("e", "i"):
        return Constant(name)
    if name in ("C", "P") and parser.at("(") and parser.peek(1).kind == "num" and parser.peek(2).value == ",":
        return Call("binom" if name == "C" else "permutations", call_arguments(parser))
    if name in FUNCTION_LETTERS and parser.at("(") and not parser.peek().space:
        return called(parser, name)
    return Symbol(name)


def called(parser: Parser, name: str) -> Expr:
    """``f(x)``; or a name like ``P(X=1)``, whose brackets hold something else than numbers."""
    start, depth, bars = parser.position, parser.depth, parser.bars
    try:
        return Call(name, call_arguments(parser))
    except ParseError:
        parser.position, parser.depth, parser.bars = start, depth, bars
        if parser.peek(2).kind != "op" or parser.peek(2).value not in _WITHIN_NAMES:
            raise
        close = start
        while close < len(parser.tokens) and parser.tokens[close].value != ")":
            close += 1
        if close >= len(parser.tokens) or close - start > 12:
            raise
        parser.position = close + 1
        return named(parser, Symbol(name), start)


def named(parser: Parser, head: Symbol, start: int) -> Symbol:
    """A symbol whose name is spelled by all tokens from ``start`` to here."""
    tokens = parser.tokens[start : parser.position]
    return Symbol(head.name + "".join(str(t.value.value) if t.kind == "num" else str(t.value) for t in tokens))


def constant(parser: Parser, token: Token, power: int) -> Value:
    parser.position += 1
    return Constant(str(token.value))


def call_arguments(parser: Parser) -> tuple[Expr, ...]:
    parser.expect("(")
    parser.enter()
    saved, parser.bars = parser.bars, 0
    arguments = [parser.expression(SUM - 1)]
    while parser.accept(","):
        arguments.append(parser.expression(SUM - 1))
        if len(arguments) > MAX_ITEMS:
            raise LimitExceeded(f"more than {MAX_ITEMS} arguments")
    parser.bars = saved
    parser.depth -= 1
    parser.expect(")")
    return tuple(arguments)


def argument(parser: Parser) -> Expr:
    """A TeX argument: a group, or one token; ``\\frac12`` takes a single digit."""
    token = parser.peek()
    if token.kind == "num" and len(token.digits) > 1:
        first, rest = token.digits[0], token.digits[1:]
        # The rest of the digits stays where it was: nothing is inserted, so that this stays linear.
        parser.tokens[parser.position] = Token("num", Number(Fraction(int(rest))), False, token.text, rest)
        return Number(Fraction(int(first)))
    return expression_of(primary(parser))


def fraction(parser: Parser, token: Token, power: int) -> Value:
    parser.position += 1
    top = argument(parser)
    return Div(top, argument(parser))


def binomial(parser: Parser, token: Token, power: int) -> Value:
    parser.position += 1
    top = argument(parser)
    return Call("binom", (top, argument(parser)))


def root(parser: Parser, token: Token, power: int) -> Value:
    parser.position += 1
    index: Expr | None = None
    if parser.accept("["):
        index = parser.expression(SUM - 1)
        parser.expect("]")
    body = expression_of(primary(parser)) if parser.at("(") else argument(parser)
    return Call("sqrt", (body,)) if index is None else Call("root", (body, index))


def function(parser: Parser, token: Token, power: int) -> Value:
    """``\\sin^2 x``, ``\\log_2 8``, ``\\ln(x+1)``, ``sqrt(2)``; without brackets the argument is one product."""
    parser.position += 1
    name = str(token.value)
    base: Expr | None = None
    exponent: Expr | None = None
    while parser.at("_", "^"):
        if parser.accept("_"):
            base = script(parser) if not parser.at("{") else subscript_value(parser)
        else:
            parser.position += 1
            exponent = script(parser)
    if parser.peek() is END or parser.at("=", "<", ">", "<=", ">="):
        return Symbol(name)  # \max = 204: the name of what was asked for
    if isinstance(exponent, Number) and exponent.value == -1 and name in _INVERSE:
        name, exponent = _INVERSE[name], None
    arguments = function_arguments(parser, name)
    call = Call("log", (arguments[0], base)) if name == "log" and base is not None else Call(name, arguments)
    return call if exponent is None else Pow(call, exponent)


def subscript_value(parser: Parser) -> Expr:
    """``\\log_{10}``; a condition as in ``\\max_{x \\in S}`` only names what is taken and is dropped."""
    saved = parser.position
    try:
        return expression_of(primary(parser))
    except ParseError:
        parser.position = saved
        skip_group(parser)
        return Symbol("?")


def skip_group(parser: Parser) -> None:
    depth = 0
    while parser.peek() is not END:
        if parser.at("{"):
            depth += 1
        elif parser.at("}"):
            depth -= 1
        parser.position += 1
        if depth == 0:
            return
    raise ParseError("a group without end")


def function_arguments(parser: Parser, name: str) -> tuple[Expr, ...]:
    if parser.at("("):
        return call_arguments(parser)
    if parser.at("[") and name in ("sin", "cos", "tan", "ln", "log", "exp"):
        return (expression_of(primary(parser)),)
    if parser.at("{") and name in ("max", "min", "gcd", "lcm"):
        return braced_arguments(parser)
    if parser.at("\\{") and name in ("max", "min"):
        return braced_arguments(parser, "\\{", "\\}")
    if name in _TIGHT:
        return (expression_of(primary(parser) if name == "overline" else parser.parse(PRODUCT)),)
    negative = parser.accept("-")
    factors = [parser.expression(PRODUCT)]
    while goes_on(parser):
        factors.append(parser.expression(PRODUCT))
    argument_ = product_of(factors)
    return (negate(argument_) if negative else argument_,)


def braced_arguments(parser: Parser, opening: str = "{", closing: str = "}") -> tuple[Expr, ...]:
    parser.expect(opening)
    found = [parser.expression(SUM - 1)]
    while parser.accept(","):
        found.append(parser.expression(SUM - 1))
    parser.expect(closing)
    return tuple(found)


def goes_on(parser: Parser) -> bool:
    """Whether the argument of a function without brackets has another factor."""
    return starts_factor(parser) and not (
        parser.peek().kind in ("func", "big", "begin") or parser.at("(") or differential(parser)
    )


def differential(parser: Parser) -> bool:
    return parser.integrals > 0 and parser.peek().value == "d" and parser.peek(1).kind == "sym"


def starts_factor(parser: Parser) -> bool:
    token = parser.peek()
    if token.kind in ("num", "sym", "const", "func", "frac", "binom", "sqrt", "big", "begin"):
        return True
    if token.kind != "op":
        return False
    if token.value == "|":
        return parser.bars == 0 and closes_bar(parser)
    if token.value == "(" and parser.peek(1).value == "mod":
        return False
    return token.value in ("(", "{", "floor(", "ceil(") or (token.value == "[" and not parser.french)


def closes_bar(parser: Parser) -> bool:
    """Whether another bar follows before the end, so that this one opens an absolute value."""
    depth = 0
    for token in parser.tokens[parser.position + 1 : parser.position + 200]:
        if token.kind == "op":
            if token.value in ("(", "[", "{", "\\{"):
                depth += 1
            elif token.value in (")", "]", "}", "\\}"):
                depth -= 1
                if depth < 0:
                    return False
            elif token.value == "|" and depth == 0:
                return True
            elif token.value in (",", ";", "<", ">", "<=", ">=", "=") and depth == 0:
                return False
    return False


def script(parser: Parser) -> Expr:
    """What follows ``^``: one token, a signed number, or a group."""
    if parser.at("*"):
        raise ParseError("a starred symbol")
    if (
        parser.at("{")
        and parser.peek(1).kind == "word"
        and parser.peek(1).value in ORDINALS
        and parser.peek(2).value == "}"
    ):
        parser.position += 3
        return Symbol(str(parser.tokens[parser.position - 2].value))
    if parser.peek().kind == "word" and parser.peek().value in ORDINALS:
        parser.position += 1
        return Symbol(str(parser.tokens[parser.position - 1].value))
    parser.enter()
    if parser.at("-", "+"):
        sign = parser.accept("-", "+")
        value = script(parser)
        value = negate(value) if sign == "-" else value
    else:
        value = expression_of(primary(parser))
        if parser.at("^"):
            parser.position += 1
            value = Pow(value, script(parser))
        marks = 0
        while parser.accept("!"):
            value = Call("factorial", (value,))
            marks += 1
            if marks > 8:
                raise LimitExceeded("more than 8 factorials of one exponent")
    parser.depth -= 1
    return value


def bound(parser: Parser) -> Expr:
    """One token or group: in ``\\int_0^1`` the 1 is no power of 0."""
    negative = parser.accept("-")
    value = expression_of(primary(parser))
    return negate(value) if negative else value


def big(parser: Parser, token: Token, power: int) -> Value:
    """``\\sum_{k=1}^{n} ...``, ``\\lim_{x \\to 0} ...``, ``\\int_0^1 ... dx``."""
    parser.position += 1
    name = str(token.value)
    variable, low, high = "", None, None
    while parser.at("_", "^"):
        if parser.accept("^"):
            high = bound(parser)
        else:
            parser.position += 1
            braced = parser.accept("{")
            if parser.peek().kind == "sym" and parser.peek(1).value in ("=", "->"):
                variable = str(parser.peek().value)
                parser.position += 2
            low = parser.expression(SUM - 1) if braced else bound(parser)
            if braced:
                parser.expect("}")
    parser.integrals += name == "int"
    first = parser.expression(SUM)
    parser.integrals -= name == "int"
    return Big(name, variable, low, high, first)


def floor_or_ceil(parser: Parser, token: Token, power: int) -> Value:
    parser.position += 1
    saved, parser.bars = parser.bars, 0
    inner = parser.expression(SUM - 1)
    parser.bars = saved
    parser.expect(")" + str(token.value)[:-1])
    return Call(str(token.value)[:-1], (inner,))


def absolute(parser: Parser, token: Token, power: int) -> Value:
    parser.position += 1
    parser.bars += 1
    inner = parser.expression(SUM - 1)
    parser.expect("|")
    parser.bars -= 1
    return Call("abs", (inner,))


def signed(parser: Parser, token: Token, power: int) -> Value:
    """Signs before a product, also before money: ``-\\$5``."""
    signs: list[str] = []
    while parser.at("+", "-", "pm", "mp"):
        signs.append(str(parser.accept("+", "-", "pm", "mp")))
        if len(signs) > MAX_DEPTH:
            raise LimitExceeded(f"more than {MAX_DEPTH} signs in a row")
    value = parser.parse(SUM)
    for sign in reversed(signs):
        if isinstance(value, Quantity) and isinstance(value.value, Expr) and sign == "-":
            value = Quantity(negate(value.value), value.unit, value.text)
        elif sign == "-":
            value = negate(expression_of(value))
        elif sign != "+":
            value = Call(sign, (expression_of(value),))
    return value


def name_of_symbol(node: Expr) -> str:
    if isinstance(node, (Symbol, Constant)):
        return node.name
    raise ParseError("a subscript on something that is no symbol")


def subscripted(parser: Parser, base: Expr) -> Expr:
    if isinstance(base, Number):
        raise ParseError("a subscript on a number")
    name = name_of_symbol(base)
    if parser.accept("{"):
        inner: list[str] = []
        while not parser.at("}"):
            token = parser.peek()
            if token is END or len(inner) > 20:
                raise ParseError("a subscript without end")
            inner.append(str(token.value.value) if token.kind == "num" else str(token.value))
            parser.position += 1
        parser.position += 1
        return Symbol(f"{name}_{''.join(inner)}")
    token = parser.peek()
    if token.kind not in ("num", "sym", "word", "const", "func"):
        raise ParseError("a subscript of nothing")
    parser.position += 1
    return Symbol(f"{name}_{token.value.value if token.kind == 'num' else token.value}")
