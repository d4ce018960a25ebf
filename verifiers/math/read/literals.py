"""Written numbers: where one ends in a text, and the exact value that it denotes.

What a comma or point between digits means is decided here, once: ``1{,}200`` and ``1,\\!200`` are thousands, ``12{,}5``
and ``1.234,56`` can only be decimals, and ``1,200`` is what the caller says (`read_number`).
"""

from __future__ import annotations

import re
from fractions import Fraction

from ..limits import MAX_DIGITS, LimitExceeded
from ..values import Number

_SMALL = r"(?:\\[!,; ]|\s)"
# Separators of thousands that are nothing else, not even inside brackets.
_SURE = rf"(?:\{{,\}}{_SMALL}*|\\text\s*\{{,\}}{_SMALL}*|,\s*(?:\\!\s*)+|\\!|\\,|\\ |~|\{{\\,\}}|\\;|\\:|')"
_FRACTION = (
    r"(?:(?:\.|\{\.\})(?P<frac>[0-9]*)"
    r"(?P<rep>\\(?:overline|bar|dot)\s*(?:\{[0-9]+\}|[0-9])(?:[0-9]*\\dot\s*(?:\{[0-9]\}|[0-9]))?|\([0-9]+\))?)?"
)
_TAIL = r"(?P<dots>\s*(?:\\ldots|\\dots|\\cdots|\.\.\.))?(?P<exp>[eE][+-]?[0-9]+(?![\d.]))?"
_SURE_INT = rf"(?!0)[0-9]{{1,3}}(?:{_SURE}[0-9]{{3}})+(?![0-9])"
_COMMA_INT = r"(?!0)[0-9]{1,3}(?:,(?:\s*(?:\\!\s*)+)?[0-9]{3})+(?![0-9])|(?!0)[0-9]{1,3}(?:,\\,\s*[0-9]{3})+(?![0-9])"
_SPACE_INT = r"(?!0)[0-9]{1,3}(?: [0-9]{3})+(?![0-9/^]| ?\\?frac|,[0-9])"
_POINTED = re.compile(
    r"(?!0)(?P<whole>[0-9]{1,3}(?:(?:\.[0-9]{3}){1,30}|(?:(?: |\\,|~)[0-9]{3}){1,30})),(?P<part>[0-9]+)(?![0-9,]|\.[0-9])"
    r"|(?!0)(?P<int>[0-9]{1,3}(?:\.[0-9]{3}){2,30})(?![0-9.])"
)
_SURE_COMMA = re.compile(r"(?P<int>[0-9]+)(?:\{,\}|\\text\s*\{,\})(?P<frac>[0-9]+)(?![0-9])")
_PLAIN_COMMA = re.compile(r"(?P<int>[0-9]+),(?P<frac>[0-9]+)(?![0-9,])")
_NUMBERS = {
    (commas, spaces): re.compile(
        "(?P<int>"
        + "|".join(
            [_SURE_INT]
            + ([_COMMA_INT] if commas == "thousands" else [])
            + ([_SPACE_INT] if spaces else [])
            + ["[0-9]*"]
        )
        + ")"
        + _FRACTION
        + _TAIL
    )
    for commas in ("thousands", "list", "decimal")
    for spaces in (True, False)
}


def read_number(text: str, start: int, commas: str, spaces: bool) -> tuple[Number, str, int]:
    """The number at ``start``, its digits when it was written as a bare whole number, and where it ends.

    Args:
        commas: ``thousands``, ``list`` or ``decimal``: the meaning of a comma that no mark tells.
        spaces: whether blanks may group thousands: outside brackets and scripts.
    """
    special = _decimal_comma(text, start, commas, outside=spaces)
    if special is not None:
        return special
    match = _NUMBERS[commas, spaces].match(text, start)
    assert match is not None
    whole = match["int"]
    if " " in whole and "\\" not in whole and text[match.end("int") : match.end("int") + 1] == "/":
        match = _NUMBERS[commas, False].match(text, start)
        assert match is not None
        whole = match["int"]
    fraction, repeating = match["frac"], match["rep"]
    if not fraction and not repeating and (fraction == "" or match["dots"] or not match["exp"]):
        end = match.end("int")  # "5." ends a sentence, and "5, ..." goes on as a list
        return number_of(whole, "", "", False, ""), whole if whole.isdigit() else "", end
    value = number_of(whole, fraction or "", repeating or "", bool(match["dots"]), match["exp"] or "")
    return value, "", match.end()


def _decimal_comma(text: str, start: int, commas: str, outside: bool) -> tuple[Number, str, int] | None:
    pointed = _POINTED.match(text, start) if outside else None
    if pointed is not None:  # 1.234.567, 1.234,56 and 1 234,56: points and blanks are thousands
        whole = "".join(filter(str.isdigit, pointed["int"] or pointed["whole"]))
        return number_of(whole, pointed["part"] or "", "", False, ""), "", pointed.end()
    sure = _SURE_COMMA.match(text, start)
    if sure is not None and (len(sure["frac"]) != 3 or len(sure["int"]) > 3 or sure["int"].startswith("0")):
        return number_of(sure["int"], sure["frac"], "", False, ""), "", sure.end()
    if commas == "decimal":
        plain = _PLAIN_COMMA.match(text, start)
        if plain is not None:
            return number_of(plain["int"], plain["frac"], "", False, ""), "", plain.end()
    return None


def number_of(whole: str, fraction: str, repeating: str, dots: bool, exponent: str) -> Number:
    """The exact value of a written number; a repeating decimal is the fraction that it denotes.

    Raises:
        LimitExceeded: for more digits, or a larger exponent, than the bounds.
    """
    digits = "".join(c for c in whole if c.isdigit()) if not whole.isdigit() else whole
    if len(digits) + len(fraction) + len(repeating) > MAX_DIGITS:
        raise LimitExceeded(f"a number of more than {MAX_DIGITS} digits")
    if not (fraction or repeating or exponent):
        return Number(Fraction(int(digits or "0")))
    value = Fraction(int((digits + fraction) or "0"), 10 ** len(fraction))
    significant: int | None = len((digits + fraction).lstrip("0")) or 1
    if dots and not repeating:
        fraction, repeating = _split_period(fraction)
    if repeating:
        period = "".join(c for c in repeating if c.isdigit())
        shift = 10 ** len(fraction)
        value = Fraction(int(digits + fraction or "0"), shift) + Fraction(int(period), (10 ** len(period) - 1) * shift)
        significant = None
    if exponent:
        power = int(exponent[1:]) if len(exponent) < 8 else MAX_DIGITS + 1
        if abs(power) > MAX_DIGITS:
            raise LimitExceeded(f"a decimal exponent beyond {MAX_DIGITS}")
        value *= Fraction(10) ** power
    if not fraction:
        significant = None
    return Number(value, significant, len(fraction))


def _split_period(fraction: str) -> tuple[str, str]:
    """``1666`` -> (``1``, ``6``) and ``142857142857`` -> (``""``, ``142857``); no period when nothing repeats.

    A single digit must stand three times and a longer block twice: 3.14159... shows no period.
    """
    fraction = fraction[:100]
    for start in range(max(0, min(4, len(fraction) - 2))):
        tail = fraction[start:]
        for length in range(1, len(tail) // 2 + 1):
            if len(tail) >= (3 if length == 1 else 2 * length) and (tail[:length] * len(tail))[: len(tail)] == tail:
                return fraction[:start], tail[:length]
    return fraction, ""
