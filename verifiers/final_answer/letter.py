"""The letter of an option: "B", "(B)", "\\textbf{(B)} 42", "B. Paris", "option B"; never one of several."""

from __future__ import annotations

import re

from .doubt import CONDITION, IGNORANCE, NEGATED, doubted
from .kinds import Kind, Reading
from .sentence import answer_and_aside, first_sentence

MAX_OPTION = 2_000  # characters of an option with its text
_LOOK = re.compile(
    r"\\(?:text|math|bf|rm|sf|it|cal|scr|frak|bb|bold|em|tt|under|over)[a-zA-Z]{0,12}\s?(?=\{)|\\(?:bf|rm|sf|it|cal|tt)\s|\\(?:mbox|hbox|boxed|fbox|framebox|emph|bm)\s?(?=\{)"
    r"|\\(?:left|right|big|Big|displaystyle|quad|qquad)(?![a-zA-Z])|\\[,;:! ()\[\]]|[${}*_`~\"“”„'‘’«»「」『』]"
)
_LEAD = re.compile(
    r"(?:[\s:：=→⇒➜>✓✔✅☑\ufe0f,–—-]|\b(?:option|choice|answer|letter|alternative|statement|the|"
    r"(?:for\s)?sure|definitely|certainly|clearly|simply|therefore|thus|hence|just|indeed|actually|also|probably|likely|"
    r"maybe|most|to|be|then|still|again|now|correct|right|is|la|el|le|a letra|"
    r"letra|opción|opção|lettre|lettera|buchstabe|вариант)\b|选项|選項|項|第)*+",
    re.I,
)
_LETTER = re.compile(
    r"(?P<left>[(\[<（【]?)\s?(?P<letter>[A-Za-z])(?![A-Za-z0-9])\s?(?P<right>[)\]>）】]?[.:：．。)]?)"
)
_CONNECTED = re.compile(
    r"\s{1,4}(?:because|since|as|is|and|or|not|with|by|while|which|but|due|for|so|in|at|from|if|when|instead|rather|est|ist|es|é|è)\b|\s*$",
    re.I,
)
# Another letter right behind: "A or B", "A/B", "A; B", "(A) (B)", "A: B".
_JOINS = r"[\s,;/|¦&+<>=~→⇒∨∧()\[\].:：、，和或及与-]"
_ANOTHER = re.compile(
    rf"{_JOINS}{{0,6}}(?:(?:or|and|to|ou|oder|und|et|o|y|e|или|и|even|possibly|maybe|perhaps|either|또는|または|或者?)"
    rf"(?=[\s(\[])){{0,3}}{_JOINS}{{0,4}}"
    r"(?:(?:option|choice|possibly|maybe|perhaps)\s)?[(\[]?(?!I\s|A\s[a-z])[A-Z](?![A-Za-z0-9'])",
)
_OPTION_MARK = re.compile(r"(?:^|(?<=[\s,;/|(\[]))[(\[]?[A-J][)\].:](?=\s|$)")
_HEDGE = re.compile(
    r"\b(?:maybe|perhaps|possibly|alternatively|or else|might be|could be)\b|^[\s,;(]{0,4}(?:or|oder|ou|或)\b", re.I
)
_SHARE = re.compile(r"\s{0,3}[:(=-]{0,2}\s{0,3}\d{1,3}(?:\.\d{1,4})?\s?%")
_DENIED = re.compile(
    r"\W{0,4}(?:(?:that|which)\s)?(?:is|are|was|isn't|wasn't|can't|cannot|seems|looks|must)\b"
    r"[^.\n]{0,30}\b(?:not|n't|wrong|incorrect|false|out|impossible|eliminated|excluded)\b"
    r"|\W{0,4}(?:isn't|wasn't|can't|cannot)\b|[\W가이은는がは]{0,4}(?:不对|错误|不正确|不是|ではな|아니|아닙)",
    re.I,
)  # fmt: skip


def read_letter(text: str) -> str | None:
    """The letter that a text as a whole is, with or without the text of its option."""
    if len(text) > MAX_OPTION:
        return None
    return _at_start(_LOOK.sub("", text).strip(), whole=True)[0]


def read_line(text: str) -> str | None:
    """A response that is a letter, begins with one and says why, or ends in one that is no part of a list of options."""
    lines = [line for line in text.strip()[-MAX_OPTION:].splitlines() if line.strip()]
    if not lines or len(lines[-1]) > 400:
        return None
    if len(lines) > 1 and len(lines[0]) <= 400 and (first := _set_off(lines[0])):
        # "D" and then why: the letter of the first line, where no other line is one.
        return first if all(_set_off(line[:400]) in (None, first) for line in lines[1:]) else None
    letter = _set_off(lines[-1])
    if letter is not None and len(lines) > 1 and (_set_off(lines[-2]) or letter) != letter:
        return None
    return letter


def _set_off(line: str) -> str | None:
    """The letter of a line that is nothing else, or that sets it off from the option's text."""
    plain = _LOOK.sub("", line).strip()
    if len(plain) == 1 and plain.isalpha() and plain.isascii():
        return plain.upper()
    letter, marked = _at_start(plain, whole=True)
    return letter if marked or len(plain) <= 2 else None


def stated_letter(rest: str, kind: Kind) -> Reading | None:
    """The letter at the beginning of what follows "the answer is"."""
    rest = rest.lstrip(" \t\n\r*_`:：#")[:MAX_OPTION]
    sentence, after = first_sentence(rest)
    if sentence.rstrip(" *_$)\"'").endswith(("?", "？")):
        return None
    if NEGATED.match(sentence):
        return Reading(None, "the answer is denied")
    if IGNORANCE.search(sentence):
        return Reading(None, "the response says that it does not know")
    line = rest.partition("\n")[0]
    plain = _LOOK.sub("", line if len(sentence) <= 8 else sentence).strip()
    if len(sentence) <= 8 and not _ANOTHER.match(_LOOK.sub("", after[:8])):
        plain = _LOOK.sub("", sentence).strip()
    main, aside = answer_and_aside(plain)
    letter, _ = _at_start(main, whole=False)
    if letter is None:
        return Reading(None, "no single letter is stated") if _begins_with_letter(main) else None
    if doubted(aside):
        return Reading(None, "the response hedges what it states")
    return Reading(letter)


def sentence_letter(text: str, kind: Kind) -> Reading | None:
    """The letter of a sentence in a place that is marked as the answer."""
    letter = read_line(text)
    return Reading(letter) if letter else None


def _begins_with_letter(plain: str) -> bool:
    lead = _LEAD.match(plain)
    match = _LETTER.match(plain, lead.end() if lead else 0)
    return match is not None and match["letter"].isupper()


def _at_start(plain: str, whole: bool) -> tuple[str | None, bool]:
    """The single letter at the beginning, and whether it is set off from what follows."""
    lead = _LEAD.match(plain)
    start = lead.end() if lead else 0
    match = _LETTER.match(plain, start)
    if match is None:
        return None, False
    letter, tail, behind = match["letter"], plain[match.end() :], plain[match.end("letter") :]
    marked = bool(match["left"] or match["right"]) or not tail.strip(" .。")
    if letter.islower() and not (marked and (match["left"] or match["right"] or not whole or start)):
        return None, False
    if whole and not marked and not re.match(r"\s{0,2}(?:[-–—=]|\()", tail):
        return None, False
    if not marked and letter in "AI" and not _CONNECTED.match(behind) and re.match(r"\s[a-z]", behind):
        return None, False
    if not marked and re.match(r"\s?[=^*+/_<>]|['#]|-(?=\w)", behind):
        return None, False  # A = πr²
    guesses = _ANOTHER.match(plain, match.end("letter")) or _SHARE.match(tail) or _DENIED.match(tail)
    if guesses or _HEDGE.search(tail) or _OPTION_MARK.search(tail) or (not whole and CONDITION.search(tail)):
        return None, False
    return letter.upper(), marked


LETTER = Kind("letter", read_letter, read_line, stated_letter, sentence_letter)

# "(B) is correct", "B is the right answer": the letter stands before the verdict.
VERDICT = re.compile(
    r"(?<![\w'’.(-])(?P<left>[(\[*$]{0,3})(?P<letter>[A-Z])[)\]*$]{0,3}\s{1,3}(?:is|must be|seems|appears to be)\s{1,3}"
    r"(?:(?:therefore|thus|clearly|the|my|our|indeed|definitely)\s{1,3}){0,2}(?:only\s{1,3})?(?:correct|right|best|(?:(?:final|correct)\s)?(?:answer|choice)\b)(?!\s{1,3}(?:if|when|only|but)|\s?\?)"
    r"|(?P<zh>[A-Z])\s?(?:选项)?(?:正确|是正确|是正确的|이 정답|가 정답|が正解|が正しい)"
)
