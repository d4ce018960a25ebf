"""What an answer is made of above the numbers: lists, relations, sets, ratios, labels and remarks."""

from __future__ import annotations

from ..limits import MAX_ITEMS, LimitExceeded, ParseError
from ..trees import symbols
from ..values import (
    Call,
    Ellipsis_,
    Labelled,
    ListOf,
    Modular,
    NamedSet,
    Number,
    Ratio,
    Relation,
    SetOperation,
    Symbol,
    Value,
)
from . import amounts
from . import vocabulary as V
from .lexer import Token
from .operators import product, product_power
from .parser import (
    AMOUNT,
    END,
    LIST,
    MODULO,
    RATIO,
    RELATION,
    SET,
    SUM,
    Parser,
    expression_of,
    number,
    symbol_name,
)

RELATIONS = ("=", "equiv", "!=", "<", ">", "<=", ">=", "~", "in", "notin")
COPULAS = ("is", "are", "equals", "equal")
QUALIFIERS = ("for", "where", "with", "whenever", "forall", "as", "on")
SET_OPERATIONS = ("union", "intersection", "difference")
SEPARATORS = (",", ";", "and", "or", "&", "row")
# Words before a value that say what kind of thing it is, and nothing about its value.
LEADS = frozenset(
    V.words(
        "the a an only all exactly just simply year number value point function functions set interval pair answer "
        "answers solution solutions every any each it"
    )
)  # fmt: skip
_CLOSING = (")", "]", "}", "\\}", ")>", ".")


def listing(parser: Parser, first: Value) -> Value:
    """Items between ``,``, ``;``, ``and``, ``or``; groups between ``;`` when both separators are used."""
    groups: list[list[Value]] = [[first]]
    word, semicolons, commas = ",", 0, 0
    while parser.at(*SEPARATORS):
        separator = parser.accept(*SEPARATORS)
        while separator in (",", ";", "row") and parser.at("and", "or"):
            separator = parser.accept("and", "or")
        following = parser.peek()
        if denied_alternative(parser):
            break
        if following is END or following.kind == "end" or parser.at(*_CLOSING) or remark(parser):
            break
        if separator == ";":
            semicolons += 1
            groups.append([])
        else:
            commas += 1
            word = str(separator) if separator not in (",", "row") else word
        groups[-1].append(parser.parse(LIST))
        if semicolons + commas > MAX_ITEMS:
            raise LimitExceeded(f"more than {MAX_ITEMS} items")
    if semicolons and commas and all(len(group) == len(groups[0]) for group in groups):
        return ListOf(tuple(ListOf(tuple(group)) for group in groups), ";")
    items = without_parameters(residues([item for group in groups for item in group]))
    return items[0] if len(items) == 1 else ListOf(tuple(items), word)


def denied_alternative(parser: Parser) -> bool:
    """``3, not 4``: what the answer is not says nothing more about it."""
    token, after = parser.peek(), parser.peek(1)
    if (
        parser.depth
        or token.kind not in ("word", "op")
        or token.value != "not"
        or after.kind in ("word", "end of text")
    ):
        return False
    parser.position = len(parser.tokens)
    return True


def residues(items: list[Value]) -> list[Value]:
    """``n \\equiv 1, 5 \\pmod 6``: the modulus at the end is the one of all."""
    last = items[-1]
    if not isinstance(last, Modular) or any(isinstance(item, Modular) for item in items[:-1]):
        return items
    return [*(Modular(item, last.modulus) for item in items[:-1]), last]


def without_parameters(items: list[Value]) -> list[Value]:
    """``2k\\pi, k \\in \\mathbb{Z}``: the range of a parameter is a remark on the items that use it."""
    declared = {item.parts[0].name: item for item in items if declares(item)}  # type: ignore[attr-defined]
    if not declared:
        return items
    others = [item for item in items if not declares(item)]
    used = symbols(tuple(others))
    return [item for item in items if not (declares(item) and item.parts[0].name in used)] or items  # type: ignore[attr-defined]


def declares(item: Value) -> bool:
    return (
        isinstance(item, Relation)
        and item.ops == ("in",)
        and isinstance(item.parts[0], Symbol)
        and isinstance(item.parts[1], NamedSet)
    )


def remark_power(parser: Parser) -> bool:
    token = parser.peek()
    return token.kind == "word" and str(token.value).lower() in QUALIFIERS and parser.depth == 0


def remark(parser: Parser) -> bool:
    """Skip ``for all x``, ``where k is an integer`` to the end: a remark on the answer, not another answer."""
    if not remark_power(parser):
        return False
    skipped = parser.tokens[parser.position :]
    if any(
        token.kind == "word" and str(token.value).lower() in ("not", "no", "never", "wrong") for token in skipped[:200]
    ):
        raise ParseError("a remark that denies")
    if skipped[0].value == "for" and any(token.kind == "op" and token.value == "=" for token in skipped[:200]):
        raise ParseError("a condition")  # "5 for n = 1" leaves the other cases open
    parser.position = len(parser.tokens)
    return True


def word_power(parser: Parser, left: Value) -> int:
    """What a word behind a value does: relate, divide, remark, or say what is counted."""
    token = parser.peek()
    word = str(token.value).lower()
    if word in COPULAS:
        return RELATION
    if word == "in" and parser.peek(1).value in ("(", "[", "\\{"):
        return RELATION
    if word == "mod":
        return MODULO
    if word == "to" and isinstance(left, (Number, Ratio)) and parser.peek(1).kind == "num":
        return RATIO
    if remark_power(parser) and not (word in ("as", "on") and not isinstance(left, Relation)):
        return LIST
    return AMOUNT


def behind_word(parser: Parser, left: Value) -> Value:
    power = word_power(parser, left) if parser.peek().kind == "word" else AMOUNT
    if power == RELATION:
        return relation(parser, left)
    if power == MODULO:
        return modulo(parser, left)
    if power == RATIO:
        return ratio(parser, left)
    if power == LIST:
        remark(parser)
        return left
    return amounts.behind(parser, left)


def modulo(parser: Parser, left: Value) -> Value:
    """``x \\equiv 3 \\pmod 7``, ``3 (mod 7)``."""
    bracketed = parser.accept("(")
    parser.position += 1
    modulus = parser.expression(SUM - 1)
    if bracketed:
        parser.expect(")")
    return Modular(left, modulus)


def bracket_power(parser: Parser, left: Value) -> int:
    if parser.peek(1).value == "mod":
        return MODULO
    if isinstance(left, Relation) and parser.peek(1).value == "forall" and parser.depth == 0:
        return LIST
    return product_power(parser, left)


def bracket(parser: Parser, left: Value) -> Value:
    power = bracket_power(parser, left)
    if power == LIST:  # f(x) = x^3 (\\forall x)
        parser.position = len(parser.tokens)
        return left
    return modulo(parser, left) if power == MODULO else product(parser, left)


def relation(parser: Parser, left: Value) -> Value:
    parts, ops = [left], []
    while (op := relation_sign(parser)) is not None:
        ops.append(op)
        parts.append(parser.parse(RELATION))
        if len(parts) > 8:
            raise LimitExceeded("a chain of more than 8 relations")
    congruent = "equiv" in ops
    plain = tuple("=" if op == "equiv" else op for op in ops)
    last = parts[-1]
    if congruent and isinstance(last, Call) and last.name == "mod":  # x \equiv 3 \bmod 7
        return Modular(Relation((*parts[:-1], last.args[0]), plain), last.args[1])
    return Relation(tuple(parts), plain)


def relation_sign(parser: Parser) -> str | None:
    token = parser.peek()
    if token.kind == "op" and token.value == "not":
        parser.position += 1
        op = parser.accept("=", "in")
        if op is None:
            raise ParseError("\\not before nothing that it can negate")
        return "!=" if op == "=" else "notin"
    if parser.accept_word(*COPULAS):
        parser.accept_word("to")
        return "="
    if token.kind == "word" and token.value == "in" and parser.peek(1).value in ("(", "[", "\\{"):
        parser.position += 1
        return "in"
    return parser.accept(*RELATIONS)


def set_operation(parser: Parser, left: Value) -> Value:
    parts, op = [left], str(parser.accept(*SET_OPERATIONS))
    parts.append(parser.parse(SET))
    while op != "difference" and parser.accept(op):
        parts.append(parser.parse(SET))
        if len(parts) > MAX_ITEMS:
            raise LimitExceeded(f"more than {MAX_ITEMS} sets")
    return SetOperation(op, tuple(parts))


def colon_power(parser: Parser, left: Value) -> int:
    return 0 if parser.colon_ends else RATIO


def ratio(parser: Parser, first: Value) -> Value:
    if parser.at(":") and parser.peek(1) is END:
        parser.position += 1
        return first
    mapped = mapping(parser, first)
    if mapped is not None:
        return mapped
    items = [expression_of(first)]
    while parser.at(":") or (parser.peek().kind == "word" and parser.peek().value == "to"):
        parser.position += 1
        if parser.accept("..."):
            items.append(Symbol("..."))
            break
        items.append(parser.expression(SUM - 1))
    return Ratio(tuple(items))


def mapping(parser: Parser, first: Value) -> Value | None:
    """``f: x \\mapsto 2x`` is ``f(x) = 2x``."""
    if (
        isinstance(first, Symbol)
        and [parser.peek(k).kind for k in (1, 3)] == ["set", "set"]
        and parser.peek(2).value == "->"
    ):
        parser.position += 4  # f: R -> R, and then what it maps
        parser.accept(",", ";", ".", "and")
        return parser.parse(RELATION)
    name, arrow = symbol_name(parser.peek(1)), parser.peek(2)
    if not (isinstance(first, Symbol) and name and arrow.kind == "op" and arrow.value in ("mapsto", "->")):
        return None
    parser.position += 3
    body = parser.parse(RELATION)
    return Relation((Call(first.name, (Symbol(name),)), body), ("=",))


def maps_to(parser: Parser, left: Value) -> Value:
    """``x \\mapsto 2x``: a function without a name."""
    parser.position += 1
    if not isinstance(left, Symbol):
        raise ParseError("an arrow behind something that is no variable")
    return Relation((Call("f", (left,)), parser.parse(RELATION)), ("=",))


def dots(parser: Parser, token: Token, power: int) -> Value:
    parser.position += 1
    return Symbol("...") if power >= RATIO else Ellipsis_()


def word(parser: Parser, token: Token, power: int) -> Value:
    """A word before a value: a number word, a label (``Minimum: 1``), a lead (``the year 1999``), a currency code."""
    lower = str(token.value).lower()
    if token.value in V.CODES:
        return amounts.money_code(parser)
    if lower in V.NUMBER_WORDS and len(parser.tokens) <= 4:
        parser.position += 1
        return number(V.NUMBER_WORDS[lower])
    if power > MODULO:
        raise ParseError(f"unexpected {token.value!r}")
    if lower == "forall":
        return for_all(parser)
    ahead, words = 0, []
    while parser.peek(ahead).kind == "word" and ahead < 6:
        words.append(str(parser.peek(ahead).value).lower())
        ahead += 1
    if any(one in ("not", "no", "never", "neither", "cannot") for one in words):
        raise ParseError("a denial")
    behind = parser.peek(ahead)
    if behind.kind == "op" and behind.value in (":", "="):
        parser.position += ahead + 1
        return labelled(words, parser.parse(MODULO))
    if behind is not END and len(words) > 1 and words[-1] in COPULAS:
        parser.position += ahead
        return labelled(words[:-1], parser.parse(MODULO))
    if behind is not END and all(one in LEADS for one in words):
        parser.position += ahead
        return parser.parse(power)
    raise ParseError(f"unexpected {token.value!r}")


def labelled(words: list[str], value: Value) -> Value:
    """A value under its label; a statement says itself what it is: "the only function is f(x) = 2x"."""
    return value if isinstance(value, Relation) and LEADS.issuperset(words) else Labelled(" ".join(words), value)


def for_all(parser: Parser) -> Value:
    """``\\forall x: f(x) = 2x``: what holds is the answer."""
    while parser.peek() is not END and not parser.at(":", ",", ";"):
        parser.position += 1
    parser.position += 1
    return parser.parse(LIST)
