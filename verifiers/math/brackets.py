"""Brackets and environments that are collections: pairs, intervals, sets, matrices, piecewise definitions."""

from __future__ import annotations

from fractions import Fraction

from . import vocabulary as V
from .expressions import ExpressionParser
from .lexer import Token
from .limits import MAX_ITEMS, LimitExceeded, ParseError
from .reader import END
from .values import (
    Call,
    Cases,
    Expr,
    ListOf,
    Matrix,
    Mul,
    NamedSet,
    Number,
    Relation,
    SetBuilder,
    SetOf,
    Text,
    Tuple,
    Value,
)


class CollectionParser(ExpressionParser):
    """Expressions and collections; lists and relations come from the subclass."""

    def listing(self, closing: tuple[str, ...] = ()) -> Value:
        raise NotImplementedError

    def relation(self) -> Value:
        raise NotImplementedError

    def collection(self, op: str) -> Value:
        if op in ("(", "[", "{", "<("):
            return self.tuple_or_group(op)
        if op == "\\{":
            return self.set_literal()
        if op == "]":  # the French ]a, b[
            return self.tuple_or_group("]")
        if op == "||":
            raise ParseError("a norm")
        raise ParseError(f"unexpected {op!r}")

    def tuple_or_group(self, op: str) -> Value:
        closers = {"{": ("}",), "<(": (")>",), "]": ("[", "]")}.get(op, (")", "]"))
        outward = self.closes_outward(op)
        if outward:
            closers = ("[",)
        self.position += 1
        saved, self.bars = self.bars, 0
        saved_colon, self.colon_ends = self.colon_ends, False
        french, self.french = self.french, op == "]" or outward
        if self.at(*closers):
            self.position += 1
            raise ParseError("empty brackets")
        value = self.infix_group() if op == "{" else self.listing(closers)
        self.bars, self.colon_ends, self.french = saved, saved_colon, french
        closer = self.accept(*closers)
        if closer is None:
            raise ParseError(f"expected {closers[0]!r}, found {self.peek().value!r}")
        if op == "{":
            return SetOf(value.items) if isinstance(value, ListOf) else value
        if isinstance(value, ListOf):
            left, right = ("(" if op in ("<(", "]") else op, ")" if closer in (")>", "[") else closer)
            return Tuple(value.items, left, right)
        if op in "([" and closer == {"(": ")", "[": "]"}[op]:
            return Tuple((value,), "[", "]") if isinstance(value, Tuple) and op == "[" else value
        raise ParseError("brackets that do not match")

    def closes_outward(self, op: str) -> bool:
        """``[0, 1[``: after the comma a bracket opens where nothing follows that it could enclose."""
        comma, depth = False, 0
        for index in range(self.position + 1, min(len(self.tokens), self.position + 60)):
            token = self.tokens[index]
            if token.kind != "op":
                continue
            if token.value in ("(", "{") or (token.value == "[" and not (comma and depth == 0)):
                depth += 1
            elif token.value in (")", "]", "}"):
                depth -= 1
                if depth < 0:
                    return False
            elif token.value == "[":
                after = self.tokens[index + 1] if index + 1 < len(self.tokens) else END
                return op in "([" and (after is END or after.value in ("union", "intersection", ",", "and", "or"))
            elif token.value in (",", ";") and depth == 0:
                comma = True
        return False

    def infix_group(self) -> Value:
        """The inside of TeX braces, where ``\\over`` and ``\\choose`` split it in two."""
        value = self.listing(("}",))
        if self.at("over", "choose"):
            infix = self.accept("over", "choose")
            bottom = self.expression_of(self.sum())
            top = self.expression_of(value)
            return self.divide(top, bottom) if infix == "over" else Call("binom", (top, bottom))
        return value

    def set_literal(self) -> Value:
        self.position += 1
        if self.accept("\\}"):
            return SetOf(())
        saved, self.bars = self.bars, 1  # a bar inside ends the element of a set builder, and so does a colon
        self.colon_ends = True
        self.enter()
        element = self.listing(("\\}",))
        self.colon_ends = False
        if self.accept("|", ":"):
            self.bars = 0
            condition = self.listing(("\\}",))
            value: Value = SetBuilder(element, condition)
        else:
            value = SetOf(element.items if isinstance(element, ListOf) else (element,))
        self.depth -= 1
        self.bars = saved
        self.expect("\\}")
        return value

    def other_primary(self, token: Token) -> Value:
        if token.kind == "set":
            self.position += 1
            return self.named_set(str(token.value))
        if token.kind == "begin":
            return self.environment(str(token.value))
        if token.kind == "word" and str(token.value).lower() in V.NUMBER_WORDS and len(self.tokens) <= 4:
            self.position += 1
            return Number(Fraction(V.NUMBER_WORDS[str(token.value).lower()]))
        raise ParseError(f"unexpected {token.value!r}")

    def named_set(self, name: str) -> Value:
        if name == "empty":
            return SetOf(())
        if self.at("^"):
            self.position += 1
            sign = self.accept("+", "-")
            if sign is None:
                name += "^" + str(canonical_power(self.script()))
            else:
                name += sign
        return NamedSet(name)

    def postfix_of_collection(self, value: Value) -> Value:
        raise ParseError("a power or subscript of a collection")

    def environment(self, name: str) -> Value:
        self.position += 1
        self.enter()
        if name in V.MATRICES:
            rows = self.rows(name)
            value: Value = Matrix(tuple(tuple(row) for row in rows))
            if len({len(row) for row in rows}) != 1:
                raise ParseError("a matrix with rows of different length")
            if name == "vmatrix":
                value = Call("det", tuple(self.expression_of(cell) for row in rows for cell in row))
        elif name in ("cases", "dcases", "rcases"):
            value = Cases(tuple((row[0], row[1] if len(row) > 1 else None) for row in self.rows(name)))
        elif name in ("aligned", "align", "gathered", "split", "equation", "align*", "equation*", "gather"):
            items = self.aligned_rows(name)
            value = items[0] if len(items) == 1 else ListOf(items)
        else:
            raise ParseError(f"unknown environment {name!r}")
        self.depth -= 1
        return value

    def aligned_rows(self, name: str) -> tuple[Value, ...]:
        """The lines of ``aligned``, in which ``&`` only marks where they align."""
        end = self.position
        while end < len(self.tokens) and not (self.tokens[end].kind == "end" and self.tokens[end].value == name):
            end += 1
        kept = [token for token in self.tokens[self.position : end] if token.value != "&" or token.kind != "op"]
        self.tokens[self.position : end] = kept
        items: list[Value] = []
        while self.peek().kind != "end":
            if self.peek() is END or len(items) > MAX_ITEMS:
                raise ParseError("an environment without end")
            if not self.accept("row", ",", ";"):
                items.append(self.relation())
        self.position += 1
        if not items:
            raise ParseError("an empty environment")
        return tuple(items)

    def rows(self, name: str) -> list[list[Value]]:
        rows: list[list[Value]] = [[]]
        count = 0
        while True:
            if self.peek().kind == "end":
                if self.peek().value != name:
                    raise ParseError("environments that do not match")
                self.position += 1
                break
            if self.accept("row"):
                rows.append([])
            elif self.accept("&", ","):
                pass
            else:
                for filler in ("if", "If", "when", "for"):
                    if self.peek().kind == "word" and self.peek().value == filler:
                        self.position += 1
                rows[-1].append(self.cell())
                count += 1
                if count > MAX_ITEMS:
                    raise LimitExceeded(f"more than {MAX_ITEMS} matrix entries")
        rows = [row for row in rows if row]
        if not rows:
            raise ParseError("an empty environment")
        return rows

    def cell(self) -> Value:
        if self.peek().kind == "word" and str(self.peek().value).lower() in ("otherwise", "else"):
            self.position += 1
            return Text("otherwise")
        if self.peek() is END:
            raise ParseError("an environment without end")
        return self.relation()

    def scale(self, factor: Expr, collection: Value) -> Value:
        """A number times a vector or matrix: ``2\\begin{pmatrix}...``."""
        if isinstance(collection, Relation) and collection.ops == ("in",):
            return factor  # 2k\\pi (k \\in Z)
        if not isinstance(collection, Matrix):
            raise ParseError("a number times a collection")
        return Matrix(tuple(tuple(Mul((factor, self.expression_of(cell))) for cell in row) for row in collection.rows))


def canonical_power(node: Expr) -> str:
    return str(node.value) if isinstance(node, Number) else "?"
