"""Words behind a number: those that change its value, those that count, and those that do neither.

No noun is listed: a noun counts where it stands in the plural, in the words of grammar that English and its neighbours
have for that. Listed are closed classes only: numerals, negations, prepositions, irregular plurals.
"""

from __future__ import annotations

import re
from fractions import Fraction

from . import vocabulary as V
from .vocabulary import NUMBER_WORDS

_TENS = {"hundred": 10**2, "thousand": 10**3, "million": 10**6, "billion": 10**9, "trillion": 10**12, "dozen": 12,
         "score": 20, "gross": 144, "lakh": 10**5, "crore": 10**7, "ten": 10}  # fmt: skip
_ORDINAL_FRACTIONS = {
    "half": 2, "third": 3, "quarter": 4, "fourth": 4, "fifth": 5, "sixth": 6, "seventh": 7, "eighth": 8, "ninth": 9,
    "tenth": 10, "eleventh": 11, "twelfth": 12, "fifteenth": 15, "sixteenth": 16, "twentieth": 20, "hundredth": 100,
    "thousandth": 1000, "millionth": 10**6, "billionth": 10**9,
}  # fmt: skip
_FACTORS: dict[str, Fraction] = {
    **{name: Fraction(value) for name, value in _TENS.items()},
    **{f"{name}s": Fraction(value) for name, value in _TENS.items()},
    **{name: Fraction(1, value) for name, value in _ORDINAL_FRACTIONS.items()},
    **{f"{name}s": Fraction(1, value) for name, value in _ORDINAL_FRACTIONS.items() if name != "half"},
    "halves": Fraction(1, 2), "k": Fraction(1000), "mil": Fraction(10**6), "mln": Fraction(10**6), "mn": Fraction(10**6),
    "bn": Fraction(10**9), "tn": Fraction(10**12), "doubled": Fraction(2), "tripled": Fraction(3),
    "halved": Fraction(1, 2), "十": Fraction(10), "百": Fraction(100), "千": Fraction(1000), "万": Fraction(10**4),
    "萬": Fraction(10**4), "亿": Fraction(10**8), "億": Fraction(10**8), "만": Fraction(10**4), "억": Fraction(10**8),
    "тысяч": Fraction(1000), "тыс": Fraction(1000), "млн": Fraction(10**6), "миллионов": Fraction(10**6),
    "млрд": Fraction(10**9), "Millionen": Fraction(10**6), "Tausend": Fraction(1000), "millones": Fraction(10**6),
}  # fmt: skip
POWERS = {"squared": 2, "cubed": 3}
# With one of these behind it a number is no plain amount: it is denied, hedged, compared or calculated with.
REFUSED = frozenset(
    V.words(
        "not no never nor none neither wrong false incorrect impossible maybe perhaps possibly probably or at "
        "least most less fewer plus minus over under divided multiplied mod modulo point root roots power powers "
        "exponent factorial inverse inverses reciprocal reciprocals radical radicals surd surds logarithm logarithms logs "
        "log base negative positive if unless when whenever is are was were be but because since so either both all "
        "even odd prime undefined true i we you they he she it this these those between greater doubled tripled halved "
        "reversed squared cubed versus vs percentages don know think guess sure correct"
    )
)  # fmt: skip
# Words that say nothing about the kind of the answer.
_FILLERS = frozenset(
    V.words(
        "a an the different distinct possible total totals in-total altogether approximately about roughly only exactly "
        "more old away each left remaining apart later earlier extra additional other ahead ago long wide tall high "
        "deep thick such whole full overall respectively too there here now out"
    )
)  # fmt: skip
# What a noun is followed by: from here on its description goes, which need not be read.
_TAILS = frozenset(
    V.words(
        "of than as to in on per for from with that which who whom whose while during after before into by toward towards "
        "within without among across behind below above around until inside outside"
    )
)  # fmt: skip
_IRREGULAR = {
    "people": "person", "men": "man", "women": "woman", "children": "child", "feet": "foot", "teeth": "tooth",
    "geese": "goose", "mice": "mouse", "oxen": "ox", "fish": "fish", "sheep": "sheep", "deer": "deer", "series": "series",
    "species": "species", "dice": "die", "cattle": "cattle", "person": "person", "data": "datum", "criteria": "criterion",
    "phenomena": "phenomenon", "lives": "life", "knives": "knife", "wives": "wife", "leaves": "leaf", "loaves": "loaf",
    "shelves": "shelf", "wolves": "wolf", "calves": "calf", "thieves": "thief", "indices": "index", "radii": "radius",
    "foci": "focus", "loci": "locus", "maxima": "maximum", "minima": "minimum", "vertices": "vertex", "matrices": "matrix",
}  # fmt: skip
_ENDINGS = (("ies", "y"), ("sses", "ss"), ("ches", "ch"), ("shes", "sh"), ("xes", "x"), ("zes", "z"))
_NO_PLURAL = ("ss", "us", "is", "ous")
_ASIAN = re.compile(r"[\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af]+")
_HIRAGANA, _HANGUL = re.compile("[\u3041-\u309f]"), re.compile("[\uac00-\ud7af]")
_ASIAN_REFUSED = frozenset("左右上下之以超近似万萬亿億千百十多半余不非没无無約约错負负或若如非未もまたは")
_FOREIGN_REFUSED = frozenset(("не", "нет", "или", "kein", "nicht", "неверно"))


def factor(word: str) -> Fraction | None:
    """What a word behind a number multiplies it with: million, dozen, tenths."""
    return _FACTORS.get(word) or (_FACTORS.get(word.lower()) if len(word) > 1 else None)


def singular(word: str) -> str:
    """The singular of an English noun; other words as they are."""
    lower = word.lower()
    if lower in _IRREGULAR:
        return _IRREGULAR[lower]
    for ending, instead in _ENDINGS:
        if lower.endswith(ending) and len(lower) > len(ending) + 1:
            return lower[: -len(ending)] + instead
    return lower[:-1] if lower.endswith("s") and not lower.endswith(_NO_PLURAL) and len(lower) > 3 else lower


def is_plural(word: str) -> bool:
    lower = word.lower()
    return lower in _IRREGULAR or (len(lower) > 2 and lower.endswith("s") and not lower.endswith(_NO_PLURAL))


def counted(words: list[str], measured: bool, part: bool = False) -> list[str] | None:
    """The nouns that the words count, in the singular, or None when they count nothing.

    Args:
        measured: a unit of measure stands among them, so that no plural is needed: "5 cm long", "3 hours work".
        part: the value is a fraction, and "of the pizza" behind it no selection ("one of the solutions").
    """
    lowered = [word.lower() for word in words]
    if any(word in REFUSED or word in NUMBER_WORDS or factor(word) is not None for word in lowered) or len(words) > 16:
        return None
    if any(_ASIAN.fullmatch(word) for word in words):
        return _asian(words)
    phrase: list[str] = []
    if "than" in lowered and not (
        "more" in lowered and any(is_plural(word) for word in lowered[: lowered.index("than")])
    ):
        return None  # "5 more apples than Bob" counts apples, "5 more than that" does not
    for word in lowered:
        if word in _TAILS:
            break
        if word not in _FILLERS:
            phrase.append(word)
    if not phrase:
        return [] if part or lowered[0] != "of" else None
    if len(phrase) > 5:
        return None
    if not phrase[-1].isascii():
        return phrase if len(phrase) == 1 and phrase[0].isalpha() and phrase[0] not in _FOREIGN_REFUSED else None
    if phrase[-1] == "times" and lowered[-1] != "times" and lowered[lowered.index("times") + 1] != "as":
        return None
    if not (measured or is_plural(phrase[-1])):
        return None
    return [singular(word) for word in phrase]


def _asian(words: list[str]) -> list[str] | None:
    """Counters: 个, 人, 本; they have no plural."""
    if len(words) > 2 or any(len(word) > 6 or set(word) & _ASIAN_REFUSED for word in words):
        return None
    if any(_HIRAGANA.search(word) and len(word) > 1 for word in words):
        return None  # verbs and particles: ではない
    if any(_HANGUL.search(word) for word in words) and (len(words) > 1 or len(words[0]) > 3):
        return None  # 5가 아닙니다
    return words
