"""The gold answer in whatever form a data set keeps it: text, numbers, lists, solutions, sentences, tagged answers."""

from __future__ import annotations

import numbers
import re
from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from ..final_answer import bare, final_answer
from .kind import MATHEMATICS
from .limits import ParseError
from .read import parse_cached

_ANSWER_LINE = re.compile(r"\nA: ?([^\n]+)\s*$")
# How Python prints the scalars of NumPy, found in data sets that were written with str() of a list.
_SCALAR = re.compile(r"(?:np|numpy)\.(?:u?int|float)\d*_?\(([^()]*)\)")
_QUOTED = re.compile(r"(['\"])([^'\"]*)\1")
_SENTENCE = re.compile(r"(?:answer|答案|ответ|réponse|antwort|respuesta)", re.I)


def golds_of(gold: Any) -> list[str]:
    """The acceptable answers as texts.

    Raises:
        TypeError: for a dict, None, or anything else that is no answer; ValueError: for an empty one.
    """
    if hasattr(gold, "tolist") and not isinstance(gold, str):  # a NumPy scalar or array
        gold = gold.tolist()
    many = list(gold) if isinstance(gold, (list, tuple, set, frozenset)) else [gold]
    if not many:
        raise TypeError("verify needs a gold answer; the list of golds is empty")
    return [gold_answer(_text_of(one)) for one in many]


def _text_of(gold: Any) -> str:
    if hasattr(gold, "item") and not isinstance(gold, str):
        gold = gold.item()
    if isinstance(gold, str):
        return gold
    if isinstance(gold, Mapping):
        raise TypeError(
            f"the gold is a dict with the keys {', '.join(map(str, list(gold)[:6]))}; give the answer itself: name the "
            "column that holds it, or pick it out when the data is made"
        )
    if isinstance(gold, (numbers.Number, Decimal)) and gold == gold:
        return str(gold)
    raise TypeError(f"the gold must be text, a number or a list of them; got {type(gold).__name__} {gold!r:.80}")


def gold_answer(gold: str) -> str:
    """The answer within a gold: after ``####``, in ``<answer>``, in the last box, in a last line ``A: ...``, in a sentence."""
    if "####" in gold:
        return gold.rpartition("####")[2].strip()
    scalar = _SCALAR.fullmatch(gold.strip())
    if scalar:
        return scalar[1]
    line = _ANSWER_LINE.search(gold)
    if line and "boxed" not in gold:
        return line[1].strip()
    gold = gold.strip()
    quoted = _QUOTED.fullmatch(gold)
    inner = quoted[2] if quoted else gold
    marked = "box" in inner or "</answer>" in inner
    if marked or (_SENTENCE.search(inner) and isinstance(parse_cached(bare(inner)), ParseError)):
        found = final_answer(inner, MATHEMATICS)
        if found.text is not None and found.source in ("tag", "box", "statement"):
            return found.text.strip()
    return gold
