"""The bounds that make every loop of the checker finite and short.

A response is hostile text: whatever exceeds a bound is judged wrong, with the bound named in the reason, before any
work that grows with it. The numbers are far above what a person writes as an answer.
"""

from __future__ import annotations

MAX_ANSWER = 32_000  # characters of one answer that are parsed
MAX_TOKENS = 16_000
MAX_DEPTH = 24  # nested brackets, fractions, roots, exponents; some 15 Python frames each
MAX_HEIGHT = 80  # operators around one another, so that no tree is too high for recursion
MAX_DIGITS = 4_000  # of one written number (CPython refuses int() beyond 4,300)
MAX_ITEMS = 5_000  # members of one list, set or matrix
MAX_BITS = 80_000  # of an exact numerator or denominator
MAX_EXACT_STEPS = 20_000  # arithmetic steps of one exact evaluation
MAX_STEPS = 4_000  # nodes visited by one numeric evaluation
MAX_WORK = 100_000  # nodes visited by all numeric evaluations of one judgement
MAX_LOG2 = 2.0**40  # magnitude of a numeric value: |log2 x|
MAX_ANGLE = 10**12  # argument of a trigonometric function
MAX_FACTORIAL = 5_000
MAX_TERMS = 2_000  # of a finite sum or product
MAX_UNORDERED = 40  # members matched pairwise when they cannot be sorted
MAX_PLUS_MINUS = 6  # signs expanded in one value
DECIMAL_DIGITS = 60  # working precision of numeric comparison
MAX_MAGNITUDE = 1_000  # decimal magnitude up to which that precision is raised


class LimitExceeded(ValueError):
    """A value or text lies beyond one of the bounds above; the message names it."""


class ParseError(ValueError):
    """The text is not a mathematical answer of the grammar."""
