"""Words behind a number: those that change its value, those that count, and those that do neither.

No noun is listed: a noun counts where it stands in the plural, in the words of grammar that English and its neighbours
have for that. Listed are closed classes only: numerals, negations, prepositions, irregular plurals.
"""

from __future__ import annotations

import re

from ...final_answer.scales import factor
from . import vocabulary as V
from .vocabulary import NUMBER_WORDS

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
_GERMAN_PLURAL = re.compile(r"[A-Z][a-z]{2,30}(?:en|er|ern)")  # Personen, Kinder
_ASIAN = re.compile(r"[\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af]+")
_HIRAGANA, _HANGUL = re.compile("[\u3041-\u309f]"), re.compile("[\uac00-\ud7af]")
_ASIAN_REFUSED = frozenset("左右上下之以超近似万萬亿億千百十多半余不非没无無約约错負负或若如非未もまたは的分打成割折")
_KOREAN_BOUNDS = frozenset(("이상", "이하", "미만", "초과", "이내", "정도", "가량", "이다", "다스"))
_FOREIGN_REFUSED = frozenset(("не", "нет", "или", "kein", "nicht", "неверно"))


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
        return (
            [] if part or measured or lowered[0] != "of" or lowered[1:2] in (["them"], ["these"], ["those"]) else None
        )
    if len(phrase) > 5:
        return None
    if not phrase[-1].isascii():
        return phrase if len(phrase) == 1 and phrase[0].isalpha() and phrase[0] not in _FOREIGN_REFUSED else None
    if phrase[-1] == "times" and lowered[-1] != "times" and lowered[lowered.index("times") + 1] != "as":
        return None
    if not (measured or is_plural(phrase[-1]) or (len(words) == 1 and _GERMAN_PLURAL.fullmatch(words[0]))):
        return None
    return [singular(word) for word in phrase]


def _asian(words: list[str]) -> list[str] | None:
    """Counters: 个, 人, 本; they have no plural."""
    if len(words) > 2 or any(len(word) > 6 or set(word) & _ASIAN_REFUSED for word in words):
        return None
    if any(_HIRAGANA.search(word) and len(word) > 1 for word in words):
        return None  # verbs and particles: ではない
    if any(word in _KOREAN_BOUNDS for word in words):
        return None
    if any(_HANGUL.search(word) for word in words) and (len(words) > 1 or len(words[0]) > 3):
        return None  # 5가 아닙니다
    return words
