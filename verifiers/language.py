"""language: the share of letters that belong to the wanted script."""

from __future__ import annotations

import re
from functools import lru_cache

from grpo_kit.types import Score

from .base import VerifierError
from .cases import Case
from .register import verifier

# Letters of each script; ranges from the Unicode block list (Blocks.txt).
SCRIPTS = {
    "latin": "A-Za-z\u00aa\u00ba\u00c0-\u00d6\u00d8-\u00f6\u00f8-\u024f\u1e00-\u1eff",
    "greek": "\u0370-\u03ff\u1f00-\u1fff",
    "cyrillic": "\u0400-\u052f\u1c80-\u1c8f",
    "hebrew": "\u0590-\u05ff",
    "arabic": "\u0600-\u06ff\u0750-\u077f\u08a0-\u08ff",
    "devanagari": "\u0900-\u097f",
    "bengali": "\u0980-\u09ff",
    "tamil": "\u0b80-\u0bff",
    "thai": "\u0e00-\u0e7f",
    "hangul": "\u1100-\u11ff\u3130-\u318f\uac00-\ud7af",
    "kana": "\u3040-\u30ff\u31f0-\u31ff",
    "han": "\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0002fa1f",
}
MAX_CHARACTERS = 1_000_000
# Formulas and code are written in Latin letters in every language; they say nothing about it.
_NEUTRAL = re.compile(r"\$\$[^$]{0,5000}\$\$|\$[^$\n]{0,500}\$|\\[A-Za-z]{1,40}|```[^`]{0,20000}```|</?[a-z]{1,20}>")


def _cases() -> list[Case]:
    return [
        Case("The answer is forty-two: 42.", expected=1.0),
        Case("Ответ: сорок два", options={"scripts": ["cyrillic"]}, expected=1.0),
        Case("日本語のテキスト", options={"scripts": ["han", "kana"]}, expected=1.0),
        Case("abcd абвг", expected=0.5),
        Case("答案是四十二", expected=0.0),
        Case("Значение $x + \\alpha$ равно <answer>4</answer>", options={"scripts": ["cyrillic"]}, expected=1.0),
        Case("1 + 1 = 2", expected=None),
    ]


@verifier(name="language", timeout=2.0, cases=_cases)
def language(response: str, scripts: list[str] | tuple[str, ...] = ("latin",), minimum_letters: int = 1) -> Score:
    """Share of the response's letters, outside formulas, code and tags, that are of the wanted scripts (0 to 1).

    Abstains when there are fewer than ``minimum_letters`` letters to judge by. Scripts: latin, greek, cyrillic,
    hebrew, arabic, devanagari, bengali, tamil, thai, hangul, kana, han.
    """
    if not isinstance(response, str):
        return Score.abstain("the response is not text")
    wanted = _pattern(tuple([scripts] if isinstance(scripts, str) else scripts))
    text = _NEUTRAL.sub(" ", response[:MAX_CHARACTERS])
    letters = sum(map(str.isalpha, text))
    if letters < max(1, minimum_letters):
        return Score.abstain(f"{letters} letters are too few to tell the language")
    matching = sum(character.isalpha() for character in wanted.findall(text))
    return Score(matching / letters, metrics={"letters": float(letters)})


@lru_cache(maxsize=16)
def _pattern(scripts: tuple[str, ...]) -> re.Pattern[str]:
    unknown = [script for script in scripts if script not in SCRIPTS]
    if unknown or not scripts:
        raise VerifierError(f"language: scripts must be of {', '.join(SCRIPTS)}; got {list(scripts)!r}")
    return re.compile(f"[{''.join(SCRIPTS[script] for script in scripts)}]")
