"""From the text of one answer to its value: spelling, lexer, parser. `parse` is all that others need."""

from __future__ import annotations

from functools import lru_cache

from ..limits import MAX_ANSWER, LimitExceeded, ParseError
from ..values import Value
from .grammar import INFIX, PREFIX
from .lexer import Lexer
from .parser import ANYTHING, END, Parser
from .special import based_number, clock_time
from .spelling import to_ascii, undoubled

__all__ = ["parse", "parse_cached"]


def parse(text: str, commas: str = "thousands") -> Value:
    """Parse one answer.

    Args:
        commas: what a comma between digits means where nothing tells: ``thousands``, ``list`` or ``decimal``.

    Raises:
        ParseError: the text is not mathematics of this grammar; compare it as words.
        LimitExceeded: it is larger than the bounds of limits.py.
    """
    if len(text) > MAX_ANSWER:
        raise LimitExceeded(f"an answer of more than {MAX_ANSWER} characters")
    text = undoubled(to_ascii(text))
    special = based_number(text) or clock_time(text)
    if special is not None:
        return special
    tokens = Lexer(text, commas).run()
    if not tokens:
        raise ParseError("nothing to read")
    parser = Parser(tokens, PREFIX, INFIX)
    value = parser.parse(ANYTHING)
    while parser.accept(".", ",", ";"):
        pass
    if parser.peek() is not END:
        raise ParseError(f"left over: {parser.peek().value!r}")
    return value


@lru_cache(maxsize=4096)
def parse_cached(text: str, commas: str = "thousands") -> Value | ParseError | LimitExceeded:
    """`parse`, remembered; the failure is returned, since an answer that is no mathematics is met as often."""
    try:
        return parse(text, commas)
    except (ParseError, LimitExceeded) as error:
        return error.with_traceback(None)
