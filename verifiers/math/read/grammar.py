"""The grammar: what every token means where it begins a value, and how it goes on from one."""

from __future__ import annotations

from .amounts import money, money_behind, percent
from .answers import (
    RELATIONS,
    SEPARATORS,
    SET_OPERATIONS,
    behind_word,
    bracket,
    bracket_power,
    colon_power,
    dots,
    listing,
    maps_to,
    ratio,
    relation,
    set_operation,
    word,
    word_power,
)
from .atoms import absolute, big, binomial, constant, floor_or_ceil, fraction, function, numeral, root, signed, symbol
from .brackets import group, named_set, set_literal
from .environments import environment
from .operators import (
    degree_power,
    degrees,
    postfix,
    prime_power,
    primes,
    product,
    product_power,
    sum_power,
    total,
)
from .parser import AMOUNT, LIST, POSTFIX, RELATION, SET, Infix, Prefix

PREFIX: dict[str, Prefix] = {
    "num": numeral,
    "sym": symbol,
    "const": constant,
    "frac": fraction,
    "binom": binomial,
    "sqrt": root,
    "func": function,
    "big": big,
    "set": named_set,
    "begin": environment,
    "currency": money,
    "word": word,
    "(": group,
    "[": group,
    "]": group,
    "{": group,
    "<(": group,
    "\\{": set_literal,
    "|": absolute,
    "floor(": floor_or_ceil,
    "ceil(": floor_or_ceil,
    "...": dots,
    **dict.fromkeys(("+", "-", "pm", "mp"), signed),
}
_FACTORS = ("num", "sym", "const", "func", "frac", "binom", "sqrt", "big", "begin", "{", "[", "|", "floor(", "ceil(")
INFIX: dict[str, Infix] = {
    **dict.fromkeys(SEPARATORS, Infix(LIST, listing)),
    **dict.fromkeys((*RELATIONS, "not"), Infix(RELATION, relation)),
    "mapsto": Infix(RELATION, maps_to),
    **dict.fromkeys(SET_OPERATIONS, Infix(SET, set_operation)),
    ":": Infix(colon_power, ratio),
    "word": Infix(word_power, behind_word),
    "%": Infix(AMOUNT, percent),
    "currency": Infix(AMOUNT, money_behind),
    **dict.fromkeys(("+", "-", "pm", "mp"), Infix(sum_power, total)),
    **dict.fromkeys(("*", "/", "mod", *_FACTORS), Infix(product_power, product)),
    "(": Infix(bracket_power, bracket),
    **dict.fromkeys(("^", "_", "!"), Infix(POSTFIX, postfix)),
    "deg": Infix(degree_power, degrees),
    "'": Infix(prime_power, primes),
}
