"""The grammar of answers: lists of named values, relations, ratios and sets, down to single numbers."""

from __future__ import annotations

from functools import lru_cache

from .amounts import QUALIFIERS, AmountParser
from .lexer import Lexer, to_ascii
from .limits import MAX_ANSWER, MAX_ITEMS, LimitExceeded, ParseError
from .reader import END
from .special import based_number, clock_time
from .trees import symbols
from .values import Labelled, ListOf, Modular, NamedSet, Number, Ratio, Relation, SetOperation, Symbol, Value

_RELATIONS = ("=", "!=", "<", ">", "<=", ">=", "~", "in", "notin")
_COPULAS = ("is", "are", "equals")
_SET_OPERATIONS = ("union", "intersection", "difference")


class AnswerParser(AmountParser):
    """Reads a whole answer; everything must be consumed."""

    def whole(self) -> Value:
        value = self.listing()
        while self.accept(".", ",", ";"):
            pass
        if self.peek() is not END:
            raise ParseError(f"left over: {self.peek().value!r}")
        return value

    def listing(self, closing: tuple[str, ...] = ()) -> Value:
        """Items between ``,``, ``;``, ``and``, ``or``; groups between ``;`` when both separators are used."""
        groups: list[list[Value]] = [[self.item()]]
        word, semicolons, commas = ",", 0, 0
        while self.at(",", ";", "and", "or", "&", "row"):
            separator = self.accept(",", ";", "and", "or", "&", "row")
            while separator in (",", ";", "row") and self.at("and", "or"):
                separator = self.accept("and", "or")
            if self.peek() is END or self.at(*closing, "."):
                break
            if self.qualifier():
                break
            if separator == ";":
                semicolons += 1
                groups.append([])
            else:
                commas += 1
                word = str(separator) if separator not in (",", "row") else word
            groups[-1].append(self.item())
            if semicolons + commas > MAX_ITEMS:
                raise LimitExceeded(f"more than {MAX_ITEMS} items")
        if semicolons and commas and all(len(group) == len(groups[0]) for group in groups):
            return ListOf(tuple(ListOf(tuple(group)) for group in groups), ";")
        items = without_parameters([item for group in groups for item in group])
        return items[0] if len(items) == 1 else ListOf(tuple(items), word)

    def qualifier(self) -> bool:
        """Skip ``for all x``, ``where k is an integer`` to the end: a remark on the answer, not another answer."""
        token = self.peek()
        if token.kind == "word" and str(token.value).lower() in QUALIFIERS and self.depth == 0:
            self.position = len(self.tokens)
            return True
        return False

    def item(self) -> Value:
        """One relation or value with its label, currency, percent sign and unit."""
        if self.peek().value in ("all", "All"):  # "all n >= 3"
            self.position += 1
        label = self.label()
        value = self.modular(self.relation())
        self.qualifier()
        return Labelled(label, value) if label else value

    def modular(self, value: Value) -> Value:
        """``x \\equiv 3 \\pmod 7``, ``3 (mod 7)``."""
        bracketed = self.at("(") and self.peek(1).value == "mod"
        if not (bracketed or self.peek().value == "mod"):
            return value
        self.position += 2 if bracketed else 1
        modulus = self.expression_of(self.sum())
        if bracketed:
            self.expect(")")
        return Modular(value, modulus)

    def label(self) -> str:
        """``Minimum:``, ``Area =``: words before a colon or an equals sign."""
        ahead = 0
        words: list[str] = []
        while self.peek(ahead).kind == "word" and ahead < 6:
            words.append(str(self.peek(ahead).value).lower())
            ahead += 1
        token = self.peek(ahead)
        if words and token.kind == "op" and token.value in (":", "="):
            self.position += ahead + 1
            return " ".join(words)
        if len(words) > 1 and words[-1] in _COPULAS and token is not END:
            self.position += ahead
            return " ".join(words[:-1])
        return ""

    def relation(self) -> Value:
        parts = [self.set_expression()]
        ops: list[str] = []
        while True:
            op = self.relation_sign()
            if op is None:
                break
            ops.append(op)
            parts.append(self.set_expression())
            if len(parts) > 8:
                raise LimitExceeded("a chain of more than 8 relations")
        return Relation(tuple(parts), tuple(ops)) if ops else parts[0]

    def relation_sign(self) -> str | None:
        token = self.peek()
        if token.kind == "op" and token.value == "not":
            self.position += 1
            op = self.accept("=", "in")
            if op is None:
                raise ParseError("\\not before nothing that it can negate")
            return "!=" if op == "=" else "notin"
        if token.kind == "word" and token.value in _COPULAS:
            self.position += 1
            return "="
        if token.kind == "word" and token.value == "in" and self.peek(1).value in ("(", "[", "\\{"):
            self.position += 1
            return "in"
        return self.accept(*_RELATIONS)

    def set_expression(self) -> Value:
        value = self.ratio()
        while self.at(*_SET_OPERATIONS) or (isinstance(value, NamedSet) and self.at("-")):
            op = self.accept(*_SET_OPERATIONS) or "difference"
            if op == "difference" and self.at("-"):
                self.position += 1
            right = self.ratio()
            if isinstance(value, SetOperation) and value.name == op and op != "difference":
                if len(value.parts) > MAX_ITEMS:
                    raise LimitExceeded(f"more than {MAX_ITEMS} sets")
                # Growing a list and not a tuple would be linear; 5,000 members keep this well under a second.
                value = SetOperation(op, (*value.parts, right))
            else:
                value = SetOperation(op, (value, right))
        return value

    def ratio(self) -> Value:
        first = self.amount()
        if self.at(":") and self.colon_ends:
            return first
        if not (self.at(":") or (self.peek().value == "to" and isinstance(first, Number))):
            return first
        if self.at(":") and self.peek(1) is END:
            self.position += 1
            return first
        items = [self.expression_of(first)]
        while self.at(":") or self.peek().value == "to":
            self.position += 1
            if self.accept("..."):
                items.append(Symbol("..."))
                break
            items.append(self.expression_of(self.amount(units=False)))
        return Ratio(tuple(items))


def without_parameters(items: list[Value]) -> list[Value]:
    """``2k\\pi, k \\in \\mathbb{Z}``: the range of a parameter is a remark on the items that use it."""
    return [
        item
        for item in items
        if not (
            isinstance(item, Relation)
            and item.ops == ("in",)
            and isinstance(item.parts[0], Symbol)
            and isinstance(item.parts[1], NamedSet)
            and any(other is not item and item.parts[0].name in symbols(other) for other in items)
        )
    ] or items


def parse(text: str, thousands: bool = True) -> Value:
    """Parse one answer.

    Raises:
        ParseError: the text is not mathematics of this grammar; compare it as words.
        LimitExceeded: it is larger than the bounds of limits.py.
    """
    if len(text) > MAX_ANSWER:
        raise LimitExceeded(f"an answer of more than {MAX_ANSWER} characters")
    text = to_ascii(text)
    special = based_number(text) or clock_time(text)
    if special is not None:
        return special
    tokens = Lexer(text, thousands).run()
    if not tokens:
        raise ParseError("nothing to read")
    return AnswerParser(tokens).whole()


@lru_cache(maxsize=4096)
def parse_cached(text: str, thousands: bool = True) -> Value | ParseError | LimitExceeded:
    """`parse`, remembered; the failure is returned, since an answer that is no mathematics is met as often."""
    try:
        return parse(text, thousands)
    except (ParseError, LimitExceeded) as error:
        return error.with_traceback(None)
