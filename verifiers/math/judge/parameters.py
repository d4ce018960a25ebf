"""The names of parameters: ``x = k\\pi`` and ``x = n\\pi`` are the same solutions, and k is a whole number."""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import permutations
from typing import Any

from ..trees import contains, rebuilt, symbols
from ..values import Call, Constant, Labelled, ListOf, Quantity, Relation, SetOf, Symbol, Tuple, Value

_LETTER = r"\\?[A-Za-z]+"
_WHOLE = re.compile(rf"((?:{_LETTER}(?:_\{{?\w\}}?)?\s*,?\s*){{1,4}})(?:\\in|∈)\s*(?:\\mathbb\s*\{{?|\\)?[ZN](?![a-z])")
_WHOLE_WORDS = re.compile(
    r"(?:integers?|natural numbers?|whole numbers?)\W{0,12}(?:\\text\s*\{\s*)?\$?([a-zA-Z])(?![a-zA-Z])"
    r"|(?<![A-Za-z\\])([a-zA-Z])\W{0,6}(?:\\(?:text|mathrm)\s*\{\s*)?\s*(?:is|are|be)\s+(?:an?\s+|any\s+|some\s+|all\s+)?"
    r"(?:positive\s+|non-?negative\s+|arbitrary\s+)?(?:integers?|natural|whole)"
)
_DECLARED = re.compile(rf"({_LETTER})\s*(?:\\in|∈)\s*(?:\\mathbb\s*\{{?|\\)?[ZNRQC](?![a-z])")
_COUNTERS = frozenset("knmljNKpq")
_REALS = frozenset(("t", "s", "u", "r", "lambda", "mu", "c", "k", "C", "K", "a", "b"))
_LINE = ("t", "s", "lambda", "mu")  # of the points of a line, and of nothing else
_UNKNOWN_HEADS = re.compile(r"[a-z]|theta|alpha|beta|phi|\(.*\)|\[.*\]")
MAX_RENAMED = 2


def declared_integers(text: str) -> frozenset[str]:
    """The variables that a text declares to be whole numbers: ``k \\in \\mathbb{Z}``, "n is an integer"."""
    if "in" not in text and "∈" not in text and "whole" not in text and "natural" not in text:
        return frozenset()
    text = text[:4_000]
    found: set[str] = set()
    for match in _WHOLE.finditer(text):
        found.update(name.lstrip("\\") for name in re.findall(_LETTER, match[1]))
    for match in _WHOLE_WORDS.finditer(text):
        found.add(match[1] or match[2])
    return frozenset(found)


def renamings(gold: Value, response: Value, gold_text: str, response_text: str) -> Iterator[Value]:
    """The response with its own parameters named as the gold names them, where both are parameters."""
    wanted, given = symbols(gold), symbols(response)
    if wanted == given or not wanted or not given:
        return
    ours, theirs = _plain(wanted - given - _heads(gold)), _plain(given - wanted - _heads(response))
    if len(ours) != len(theirs) or not 0 < len(ours) <= MAX_RENAMED:
        return
    declared = [{m.lstrip("\\") for m in _DECLARED.findall(text[:4_000])} for text in (gold_text, response_text)]
    if not all(_is_parameter(name, gold, declared[0]) for name in ours):
        return
    whole = ours <= _COUNTERS
    if not all(name in declared[1] or name in (_COUNTERS if whole else _REALS | _COUNTERS) for name in theirs):
        return
    for order in permutations(sorted(theirs)):
        yield rename(response, dict(zip(order, sorted(ours), strict=True)))


def _heads(value: Value) -> set[str]:
    """The unknowns that a statement solves for: they may be missing beside it."""
    items = value.items if isinstance(value, ListOf) else (value,)
    heads = [item.parts[0] for item in items if isinstance(item, Relation) and item.ops == ("=",)]
    return symbols(tuple(head for head in heads if isinstance(head, Tuple)))


def _plain(names: set[str]) -> set[str]:
    """The letters among names: a_n and a_k differ in their letters n and k."""
    return {name for name in names if "_" not in name} or {name.rpartition("_")[2] for name in names}


def _is_parameter(name: str, gold: Value, declared: set[str]) -> bool:
    """Whether a letter of the gold is a parameter that the gold itself brings in.

    It ranges over a declared set, or numbers the solutions of an unknown, or the periods of an angle.
    """
    if name in declared:
        return True
    if name not in _COUNTERS and name not in _LINE:
        return False
    if name in _COUNTERS and _periodic(gold, name):
        return True
    statements = gold.items if isinstance(gold, ListOf) else (gold,)
    return all(_solves_with(item, name) for item in statements)


def _solves_with(item: Value, name: str) -> bool:
    if isinstance(item, Labelled) or not isinstance(item, Relation) or item.ops != ("=",):
        return False
    head, value = item.parts
    if name in symbols(value) and isinstance(head, Symbol) and head.name.rpartition("_")[2] == name != head.name:
        return True  # a_n = 2n - 1
    names = symbols(head)
    unknown = (
        isinstance(head, Symbol)
        and _UNKNOWN_HEADS.fullmatch(head.name) is not None
        and symbols(value) <= _COUNTERS  # x = k pi; in y = kx the k was given
    )
    return name in symbols(value) and name not in names and (unknown or isinstance(head, (Tuple, SetOf)))


def _periodic(gold: Any, name: str) -> bool:
    """Whether the letter multiplies pi or degrees."""

    def test(part: Any) -> bool:
        factors = getattr(part, "factors", None) or ((part.top, part.bottom) if hasattr(part, "top") else ())
        return name in symbols(tuple(factors)) and contains(
            tuple(factors),
            lambda one: (
                (isinstance(one, Constant) and one.name == "pi") or (isinstance(one, Call) and one.name == "deg")
            ),
        )

    return contains(gold, test) or (isinstance(gold, Quantity) and gold.text == "degree")


def rename(node: Any, names: dict[str, str]) -> Any:
    """The node with its symbols renamed, indices included."""
    if isinstance(node, Symbol):
        if node.name in names:
            return Symbol(names[node.name])
        base, mark, index = node.name.rpartition("_")
        return Symbol(base + mark + names[index]) if mark and index in names else node
    return rebuilt(node, lambda part: rename(part, names))
