"""Gold answers in the shapes in which data sets bring them."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from .find import final_answer
from .kinds import Kind
from .markers import announced

# "9 (apples)", "36 (sq. inches)": what is counted stands in brackets, and only a measure is a part of the answer.
_GLOSSED = re.compile(r"\s{0,9}(-?[$€£]?\d[\d.,]{0,40}(?:/\d{1,20})?)\s{1,3}\(([A-Za-z][A-Za-z .,'/-]{0,80})\)\s{0,9}")
_MEASURE_WORDS = (
    "mm cm dm m km inch inches in foot feet ft yard yards yd mile miles meter meters metre metres centimeter centimeters "
    "kilometer kilometers millimeter millimeters mg g kg gram grams kilogram kilograms ton tons ounce ounces oz pound pounds "
    "lb lbs second seconds minute minutes hour hours day days week weeks month months year years dollar dollars cent cents "
    "euro euros liter liters litre litres ml milliliter milliliters gallon gallons quart quarts pint pints degree degrees "
    "square sq cubic cu acre acres mph kph percent"
)
_MEASURES = frozenset(_MEASURE_WORDS.split())
_PRINTED = re.compile(r"^np\.(?:u?int|float|str_?)\d{0,3}_?\((.{1,400})\)$", re.DOTALL)  # a scalar of NumPy 2 as text


def plain(gold: Any) -> Any:
    """A gold as a Python object: the scalars of NumPy and PyTorch, and arrays of them, become numbers and lists."""
    convert = getattr(gold, "tolist", None) or getattr(gold, "item", None)
    return convert() if callable(convert) and not isinstance(gold, (str, bytes)) else gold


def gold_texts(gold: Any) -> list[str]:
    """The texts of a gold: one text or number, or several of which any is right.

    Raises:
        TypeError: a gold of another shape, which would be wrong for every response.
    """
    if type(gold) is str:  # the usual case
        return [_PRINTED.sub(r"\1", gold) if gold.startswith("np.") else gold]
    gold = plain(gold)
    listed = list(gold) if isinstance(gold, Sequence) and not isinstance(gold, (str, bytes)) else [gold]
    texts = [plain(one) for one in listed]
    for one in texts:
        if isinstance(one, (bool, Mapping, bytes, type(None), Sequence)) and not isinstance(one, str):
            raise TypeError(
                f"a gold answer is a text, a number, or a list of these of which any is right; got {gold!r:.100}"
            )
    if not texts:
        raise TypeError("a gold answer is a text, a number, or a list of these; got an empty list")
    return [_PRINTED.sub(r"\1", str(one)) for one in texts]


def final_of_gold(gold: str, kind: Kind) -> str:
    """The answer of a gold that is a solution, a tagged text or a sentence; a bare answer stays as it is."""
    if "####" in gold:
        return gold.rpartition("####")[2].strip()
    if glossed := _GLOSSED.fullmatch(gold):
        measured = not _MEASURES.isdisjoint(re.findall(r"[a-z]+", glossed[2].lower()))
        return f"{glossed[1]}\\text{{ {glossed[2]}}}" if measured else glossed[1]
    if "box" not in gold and "<" not in gold and not announced(gold):
        return gold.strip()
    found = final_answer(gold, kind)
    return found.text.strip() if found.text and found.source in ("tag", "box", "statement") else gold.strip()
