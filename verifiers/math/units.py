"""Units, currencies and counted nouns in canonical form, and when two of them agree.

A unit is a tuple of (name, power), sorted: ``km/h`` and ``kilometres per hour`` are both
``(("hour", -1), ("kilometre", 1))``. Nouns that are no unit (``apples``, ``ways``) count as names of their own.
"""

from __future__ import annotations

import re
from fractions import Fraction


def _words(text: str) -> list[str]:
    return text.split()


Unit = tuple[tuple[str, int], ...]

_SPELLINGS = {
    "metre": "m meter meters metre metres",
    "centimetre": "cm centimeter centimeters centimetre centimetres cms",
    "millimetre": "mm millimeter millimeters millimetre millimetres",
    "kilometre": "km kilometer kilometers kilometre kilometres kms",
    "inch": "in inch inches",
    "foot": "ft foot feet",
    "yard": "yd yard yards yds",
    "mile": "mi mile miles",
    "second": "s sec second seconds secs",
    "minute": "min minute minutes mins",
    "hour": "h hr hour hours hrs",
    "day": "day days d",
    "week": "week weeks wk wks",
    "month": "month months",
    "year": "year years yr yrs",
    "gram": "g gram grams gm gms gramme grammes",
    "kilogram": "kg kilogram kilograms kgs kilo kilos",
    "milligram": "mg milligram milligrams",
    "tonne": "tonne tonnes",
    "ton": "ton tons",
    "pound": "lb lbs pound pounds",
    "ounce": "oz ounce ounces",
    "litre": "l L liter liters litre litres",
    "millilitre": "ml mL milliliter milliliters millilitre millilitres cc",
    "gallon": "gal gallon gallons",
    "quart": "qt quart quarts",
    "pint": "pt pint pints",
    "cup": "cup cups",
    "degree": "deg degree degrees degs",
    "radian": "rad radian radians rads",
    "celsius": "celsius centigrade",
    "fahrenheit": "fahrenheit",
    "dollar": "dollar dollars usd bucks buck",
    "cent": "cent cents",
    "euro": "euro euros eur",
    "pound sterling": "gbp sterling",
    "yuan": "yuan rmb cny",
    "yen": "yen jpy",
    "rupee": "rupee rupees inr",
    "newton": "N newton newtons",
    "joule": "J joule joules",
    "kilojoule": "kJ kilojoule kilojoules",
    "watt": "W watt watts",
    "kilowatt": "kW kilowatt kilowatts",
    "volt": "V volt volts",
    "ampere": "amp amps ampere amperes",
    "ohm": "ohm ohms",
    "pascal": "Pa pascal pascals",
    "hertz": "Hz hertz",
    "mole": "mol mole moles mols",
    "kelvin": "K kelvin kelvins",
    "calorie": "cal calorie calories",
    "unit": "unit units u",
    "person": "person people persons",
    "child": "child children",
    "man": "man men",
    "woman": "woman women",
    "foot-pound": "ft-lb",
}
_NAMES = {spelling: name for name, spellings in _SPELLINGS.items() for spelling in spellings.split()}
_LOWER = {k.lower(): v for k, v in _NAMES.items() if len(k) > 1}
_COMPOUND = {"mph": "mile / hour", "kph": "kilometre / hour", "kmh": "kilometre / hour", "kmph": "kilometre / hour",
             "fps": "foot / second", "rpm": "revolution / minute"}  # fmt: skip
# Words that say nothing about the kind of the answer.
_FILLER = frozenset(
    _words("of the a an different distinct possible total approximately about only exactly more old away")
)
# A number beside one of these is not an amount of something: "5 or more", "3 less than x", "1 of the solutions".
STOP_WORDS = frozenset(
    _words(
        "or and not no than between to is are was were be at least most less greater fewer if when where for with "
        "because since so but which that mod either maybe perhaps wrong incorrect correct impossible one's solution "
        "solutions i we it they he she you this these those all both none only-if true false undefined even odd prime "
        "from by"
    )
)

# Factor to a base of the dimension, for units whose conversion is exact.
_FACTORS: dict[str, tuple[str, Fraction]] = {
    "metre": ("L", Fraction(1)), "centimetre": ("L", Fraction(1, 100)), "millimetre": ("L", Fraction(1, 1000)),
    "kilometre": ("L", Fraction(1000)), "inch": ("L", Fraction(254, 10000)), "foot": ("L", Fraction(3048, 10000)),
    "yard": ("L", Fraction(9144, 10000)), "mile": ("L", Fraction(1609344, 1000)), "second": ("T", Fraction(1)),
    "minute": ("T", Fraction(60)), "hour": ("T", Fraction(3600)), "day": ("T", Fraction(86400)),
    "week": ("T", Fraction(604800)), "gram": ("M", Fraction(1)), "kilogram": ("M", Fraction(1000)),
    "milligram": ("M", Fraction(1, 1000)), "tonne": ("M", Fraction(10**6)), "litre": ("V", Fraction(1)),
    "millilitre": ("V", Fraction(1, 1000)), "dollar": ("$", Fraction(1)), "cent": ("$", Fraction(1, 100)),
}  # fmt: skip

_LENGTHS = frozenset(name for name, (base, _) in _FACTORS.items() if base == "L") | {"unit"}
_POWER_WORDS = {"square": 2, "sq": 2, "squared": 2, "cubic": 3, "cu": 3, "cubed": 3}
_TOKEN = re.compile(r"[A-Za-z][A-Za-z.'’-]*|\^\{?-?\d\}?|/|\*|\bper\b")


def canonical_name(word: str) -> str:
    """The unit that a word names, else the word itself without its plural ending."""
    if word in _NAMES:
        return _NAMES[word]
    lower = word.lower().rstrip(".")
    if lower in _LOWER:
        return _LOWER[lower]
    for ending, instead in (("ies", "y"), ("sses", "ss"), ("ches", "ch"), ("shes", "sh"), ("xes", "x")):
        if lower.endswith(ending) and len(lower) > len(ending) + 2:
            return lower[: -len(ending)] + instead
    return lower[:-1] if lower.endswith("s") and not lower.endswith("ss") and len(lower) > 3 else lower


def parse_unit(text: str) -> Unit | None:
    """The canonical form of a unit or counted noun, or None when the words are no unit."""
    words = _TOKEN.findall(text)
    if not words or len(words) > 12:
        return None
    powers: dict[str, int] = {}
    sign, pending, last = 1, 1, ""
    for word in words:
        lower = word.lower().rstrip(".")
        if lower in ("/", "per"):
            sign, last = -1, ""
        elif lower == "*":
            last = ""
        elif word.startswith("^"):
            if not last:
                return None
            powers[last] += (int(word.strip("^{}")) - 1) * (1 if powers[last] > 0 else -1)
        elif lower in ("squared", "cubed") and last:
            powers[last] *= _POWER_WORDS[lower]
        elif lower in _POWER_WORDS:
            pending = _POWER_WORDS[lower]
        elif lower in _COMPOUND:
            top, _, bottom = _COMPOUND[lower].partition(" / ")
            powers[top] = powers.get(top, 0) + 1
            powers[bottom] = powers.get(bottom, 0) - 1
            last = top
        elif lower in STOP_WORDS:
            return None
        elif lower not in _FILLER:
            last = canonical_name(word)
            powers[last] = powers.get(last, 0) + sign * pending
            sign, pending = 1, 1
    return tuple(sorted((name, power) for name, power in powers.items() if power))


def is_known(unit: Unit) -> bool:
    """Whether every part is a unit of measure or a currency, not just a noun."""
    return bool(unit) and all(name in _SPELLINGS for name, _ in unit)


def agree(first: Unit, second: Unit) -> bool:
    """Whether two units can stand for the same answer.

    An absent unit agrees with any; ``units`` agrees with any length of the same power; nouns agree when one phrase
    holds the other's words (``ways`` and ``different ways``).
    """
    if not first or not second or first == second:
        return True
    if "unit" in (first[0][0], second[0][0]) and len(first) == len(second) == 1:
        names = {first[0][0], second[0][0]}
        return first[0][1] == second[0][1] and names <= _LENGTHS
    names, others = {n for n, _ in first}, {n for n, _ in second}
    if names <= others or others <= names:
        smaller, larger = (dict(first), dict(second)) if names <= others else (dict(second), dict(first))
        return not is_known(tuple(larger.items())) and all(larger[name] == power for name, power in smaller.items())
    return False


def conversion(first: Unit, second: Unit) -> Fraction | None:
    """What one ``first`` is in ``second``, when both have the same dimension and the factor is exact."""
    totals: list[tuple[dict[str, int], Fraction]] = []
    for unit in (first, second):
        dimension: dict[str, int] = {}
        factor = Fraction(1)
        for name, power in unit:
            if name not in _FACTORS or abs(power) > 4:
                return None
            base, scale = _FACTORS[name]
            dimension[base] = dimension.get(base, 0) + power
            factor *= scale**power
        totals.append((dimension, factor))
    return totals[0][1] / totals[1][1] if totals[0][0] == totals[1][0] else None
