"""The exact value of a written number."""

from __future__ import annotations

from fractions import Fraction

from .limits import MAX_DIGITS, LimitExceeded
from .values import Number


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
