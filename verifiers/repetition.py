"""repetition: a penalty for saying the same thing again and again."""

from __future__ import annotations

from grpo_kit.types import Score

from .base import VerifierError
from .cases import Case
from .register import verifier

MAX_WORDS = 200_000


def _cases() -> list[Case]:
    return [
        Case("Every word of this sentence stands here only once, as it should.", expected=0.0),
        Case("", expected=0.0),
        Case("go " * 1000, expected=-(1 - 1 / 998)),
        Case("one two three one two three", expected=-0.25),
        Case("ab" * 600, options={"max_penalty": 2.0}, expected=-2 * (1 - 2 / 1188)),
    ]


@verifier(name="repetition", timeout=5.0, cases=_cases)
def repetition(response: str, n: int = 3, max_penalty: float = 1.0) -> Score:
    """``-max_penalty`` times the share of word n-grams that occurred before (arXiv:2502.03373, repetition penalty).

    Text without blanks (many scripts, or a run of characters without end) is counted in characters, n-grams of 13.
    """
    if n < 1 or max_penalty < 0:
        raise VerifierError(f"repetition needs n >= 1 and max_penalty >= 0, got n {n} and max_penalty {max_penalty}")
    if not isinstance(response, str):
        return Score.abstain("the response is not text")
    words: list[str] | str = response[: 10 * MAX_WORDS].casefold().split()[:MAX_WORDS]
    if words and max(map(len, words)) > 200:
        words, n = response[:MAX_WORDS], 13
    grams = len(words) - n + 1
    if grams <= 0:
        return Score(0.0, metrics={"repeated": 0.0})
    if isinstance(words, str):
        distinct = len({words[i : i + n] for i in range(grams)})
    else:
        distinct = len(set(zip(*(words[i:] for i in range(n)), strict=False)))
    repeated = 1.0 - distinct / grams
    return Score(-max_penalty * repeated if repeated else 0.0, metrics={"repeated": repeated})
