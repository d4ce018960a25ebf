"""wordle: find a word of five letters in six guesses."""

from __future__ import annotations

import re
from typing import Any

from grpo_kit.types import Task

from ..base import Done, Say, ToolError
from ..cases import Case
from ..register import environment

_WORD = re.compile(r"(?<![A-Za-z])[A-Za-z]{5}(?![A-Za-z])")
RULES = (
    "Find a word of five letters. After each guess you are told of every letter: G, it stands in the right place; Y, the word "
    "has it elsewhere; -, the word does not have it. Say one word, for example: crane"
)
# Plain words, each with letters that many others share.
_LISTED = (
    "about above actor adult after agent album alert apple april arena beach begin bench birth black blade blank "
    "blood board brain brand bread break brick bring brown brush build cable candy chain chair chalk cheap chest "
    "chief child clean clear climb clock cloud coast coral court cover crane cream crowd crown dance depth dream "
    "dress drink drive early earth eight empty enjoy equal event field fifth final flame flash fleet floor flour "
    "focus frame fresh front fruit glass globe grain grand grape grass green group guest guide happy heart heavy "
    "honey horse hotel house human image juice knife large laugh learn lemon level light limit lunch magic maple "
    "march match metal model money month mouse mouth music night noise north ocean olive onion order paint panel "
    "paper party peace pearl phone piano pilot place plane plant plate point pound power price pride prize proud "
    "queen quick quiet radio raise reach ready river robin round salad scale score shade shape sharp sheep shelf "
    "shine shirt shore short sleep slice small smile smoke snake solid sound south space spoon sport staff stage "
    "stair stamp stand start steam steel stick stone storm story sugar sweet table teach thick three tiger toast "
    "tower track trade train treat truck trust uncle under union visit voice waste watch water wheat wheel white "
    "whole woman world write yield young youth "
)
WORDS = tuple(_LISTED.split())


def _cases() -> list[Case]:
    told: dict[str, Any] = {"answer": "bread", "prompt": "Play.", "reward": 1.0}
    return [
        Case(("crane", "brand", "bread"), ("crane -GY-Y", "brand GGY-G"), label="found", **told),
        Case(("I do not know", "It is bread"), ("one word",), label="no word", **told),
    ]


@environment(name="wordle", timeout=2.0, turns=6, cases=_cases)
class Wordle:
    """Find a word of five letters. The last such word of a turn is the guess; the right one pays 1.

    The word is the task's answer, or drawn from a list of plain ones. Of what the option ``shaped`` says, each letter in its
    place pays a fifth in the turn that finds it, and the word the rest.
    """

    def __init__(self, shaped: float = 0.0) -> None:
        self.shaped = shaped
        self.best = 0

    def begin(self, task: Task, random: Any) -> str:
        self.secret = random.choice(WORDS) if task.answer is None else str(task.answer).lower()
        return RULES

    def reply(self, response: str) -> Any:
        found = _WORD.findall(response[-2000:])
        if not found:
            raise ToolError("Say one word of five letters.")
        guess = found[-1].lower()
        if guess == self.secret:
            return Done(1.0 - self.shaped * self.best / 5)
        told = marks(guess, self.secret)
        known = told.count("G")
        reward, self.best = self.shaped * max(0, known - self.best) / 5, max(known, self.best)
        return Say(f"{guess} {told}", reward)


def marks(guess: str, secret: str) -> str:
    """One sign for each letter; a letter that the word has once is marked once, where it is right before elsewhere."""
    left = [b for a, b in zip(guess, secret, strict=True) if a != b]
    signs = []
    for a, b in zip(guess, secret, strict=True):
        if a == b:
            signs.append("G")
        elif a in left:
            left.remove(a)
            signs.append("Y")
        else:
            signs.append("-")
    return "".join(signs)
