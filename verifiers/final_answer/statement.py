"""Find the final answer in a response, and say where it was found.

Order: an ``<answer>`` tag; the last box; a later or only statement ("the answer is", "####", "A:", "Final Answer:");
a response that is nothing but an answer; at last, when it is allowed, the last expression of the text.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import pairwise

from .box import final_box
from .kinds import TEXT, FinalAnswer, Kind
from .limits import MAX_RESPONSE

_TAG = re.compile(r"</?answer>", re.I)
_WINDOW = 60_000  # characters at the end in which a statement is looked for
_TAIL = re.compile(r"<\|(?:im_end|im_start|endoftext|eot_id|end|end_of_text|user|assistant)\|>|</s>|<end_of_turn>")
_STATEMENT = re.compile(
    r"####[ \t]{0,9}"
    r"|(?:\bfinal[ \t]{1,3})?\banswers?\b(?:[ \t]{1,3}(?:to|for)\b[^.\n:$]{1,80}?)?[ \t*_`]{0,9}"
    r"(?:\b(?:is|are|was|equals|(?:must|should|would|will) be)\b|[:：=])[ \t]{0,9}[:：]?"
    r"|\bfinal answer\b[ \t*#]{0,6}\n"
    r"|^[ \t*]{0,6}(?-i:A|Ans)[ \t]?[:：]"
    r"|(?:答案|答え|정답)[ \t]{0,3}(?:[:：]|是|为|は|은)"
    r"|(?:\bRespuesta|\bRéponse|\bAntwort|\bОтвет|\bRisposta|\bResposta)[ \t*]{0,6}[:：]",
    re.I | re.M,
)
# After a box only a new verdict counts: "the correct answer is 7", "**Answer: D**"; not "we check our answer: ...".
_DECISIVE = re.compile(
    r"####|\bfinal\b|\bcorrect\b|\bthe answers?\b|答案|(?:^|\n)[^\w\n]{0,12}(?:answers?|A|Ans)\b[^\n]*$", re.I
)
_DENIAL = re.compile(
    r"\b(?:cannot|can't|could not|couldn't|unable to|do not|don't)\b[^.!?]{0,30}"
    r"\b(?:determine|find|answer|solve|know|say)\b"
    r"|\banswers? (?:isn't|is not|aren't|are not|cannot be|can't be)\b[^.!?]{0,80}[.!?]?\s*$",
    re.I,
)
_NEGATED = re.compile(r"[\s*_$]*(?:not\b|n't\b|never\b|neither\b|incorrect\b|wrong\b)", re.I)
_MATH = re.compile(r"\$\$(.+?)\$\$|\$(.+?)\$|\\\((.+?)\\\)|\\\[(.+?)\\\]", re.DOTALL)
_SENTENCE_END = re.compile(
    r"\.(?=\s|$|\*)|[!?](?=\s|$)|\n|。"
    r"|,? (?:because|since|which|as (?:required|desired|we)|I hope|instead of|rather than|but|however|so that)\b"
    r"|,? not (?=[\d$\\(A-Z-])|, (?:so|it|and (?:the|it|this|we))\b",
)
_LEAD = re.compile(
    r"^(?:[\s*_`>:：=#✅✔️-]{0,9}(?<![-])|(?:"
    r"for sure|definitely|certainly|clearly|simply|therefore|thus|hence|just|exactly|"
    r"approximately|about|roughly|equal to|given by|option|choice|probably|likely|now|obviously|indeed|actually|also|"
    r"still|then|again|the (?:number|value|point|fraction|set|interval|pair|ordered pair)|letter)\b[\s,:]*)+",
    re.I,
)
_NUMBER = re.compile(
    r"(?<![\w.,])-?[$€£]?(?:\d{1,3}(?:,\d{3})+|\d+)?(?:\.\d+)?(?:(?<=\d)/\d+)?(?<=\d)(?:\s?(?:\\?%|percent\b|pct\b))?"
)
_CHOICE = re.compile(r"[(]?[A-J](?:\)|[.:])\s+\S")
_BOLD = re.compile(r"\*\*([^*\n]{1,200})\*\*|__([^_\n]{1,200})__")


def final_answer(response: object, kind: Kind = TEXT, *, last_expression: bool = False) -> FinalAnswer:
    """The final answer of a response.

    Args:
        response: the model's text.
        last_expression: whether to fall back on the last expression of the text when nothing marks an answer; right
            for the evaluation of base models, wrong for rewards, where it pays for an answer never given.
    """
    if not isinstance(response, str):
        return FinalAnswer(None, "none", "the response is not text")
    text = response[-MAX_RESPONSE:]
    text, thinking = visible(text)
    if not text.strip():
        return FinalAnswer(None, "none", thinking or "the response is empty")
    tagged, hedged = between_tags(text)
    if hedged:
        return FinalAnswer(None, "none", "several <answer> tags that differ")
    if tagged:
        inner = final_box(tagged)
        return FinalAnswer(inner[0] if inner else tagged, "tag", "the <answer> tag")
    box = final_box(text)
    if box is not None and not box[0]:
        return FinalAnswer(None, "none", box[2])
    stated = last_statement(text, kind, after=box[1] if box else -1)
    if stated is not None and (box is None or stated.source == "statement"):
        return stated
    if box is not None:
        return FinalAnswer(without_lead(box[0].strip(), kind), "box", box[2])
    if is_whole(text, kind):
        return FinalAnswer(bare(text), "whole", "the response is nothing but an answer")
    if not last_expression:
        return FinalAnswer(None, "none", "nothing marks a final answer")
    last = None if _DENIAL.search(text[-300:]) else last_of(text, kind)
    if last is None:
        return FinalAnswer(None, "none", "no answer was found")
    return FinalAnswer(last, "last", "the last expression of the response")


def without_lead(content: str, kind: Kind) -> str:
    """``\\text{The answer is } 3`` in a box: what the statement says."""
    plain = content.replace("\\text{", "").replace("}", "", 1) if content.startswith("\\text{") else content
    match = _STATEMENT.match(plain.removeprefix("The ").removeprefix("the ").removeprefix("Therefore, the "))
    return statement_content(match.string[match.end() :], kind) if match else content


def after_reasoning(response: str) -> str:
    """What of a response is judged: the text behind the reasoning, without chat markers."""
    return visible(response)[0]


def visible(text: str) -> tuple[str, str]:
    """The text after the reasoning, without chat markers; the second value says why nothing is left."""
    if "</think>" in text:
        text = text.rpartition("</think>")[2]
        reason = "nothing after the reasoning"
    elif "<think>" in text:
        return "", "the reasoning was never closed"
    else:
        reason = ""
    for match in _TAIL.finditer(text):
        if text[: match.start()].strip():
            return text[: match.start()], reason
        return text[match.end() :].removeprefix("assistant"), reason
    return text, reason


def tags(text: str) -> list[str]:
    """The contents of every ``<answer>...</answer>``, in order."""
    found, opened = [], -1
    for match in _TAG.finditer(text):
        if match[0][1] != "/":
            opened = match.end()
        elif opened >= 0:
            found.append(text[opened : match.start()].strip())
            opened = -1
    return found


def between_tags(text: str) -> tuple[str, bool]:
    """What stands in the last ``<answer>...</answer>``, and whether another such tag says something else."""
    contents = tags(text)
    return (contents[-1], len(set(contents)) > 1) if contents else ("", False)


def last_statement(text: str, kind: Kind, after: int) -> FinalAnswer | None:
    """The last "the answer is ..."; after a box only one whose content is mathematics can overrule it."""
    offset = max(0, len(text) - _WINDOW)
    window = text[offset:]
    matches = [m for m in _STATEMENT.finditer(window) if offset + m.start() > after]
    if after >= 0:
        matches = [m for m in matches if _DECISIVE.search(window[max(0, m.start() - 30) : m.end()])]
    for match in reversed(matches[-8:]):
        rest = window[match.end() : match.end() + 4_000]
        if _NEGATED.match(rest):
            continue
        content = statement_content(rest, kind)
        if not content:
            continue
        if after < 0 or kind.reads(content):
            if after >= 0 and "\\boxed" in content:
                continue
            return FinalAnswer(content, "statement", f"stated after {match[0].strip()[:40]!r}")
    return None


def statement_content(rest: str, kind: Kind) -> str:
    """The answer at the beginning of what follows "the answer is"."""
    rest = rest.lstrip(" \t\n\r*_`:：#")
    sentence = first_sentence(rest)
    if _CHOICE.match(sentence):
        return bare(sentence)
    for candidate in candidates(sentence):
        if kind.reads(candidate):
            return candidate
    formulas = [match for match in _MATH.finditer(sentence) if not _is_money(match[0])]
    if formulas:  # a formula that cannot be read stays whole; its numbers are not the answer
        return bare(formulas[-1][0])
    numbers = [match[0] for match in _NUMBER.finditer(sentence) if match[0].strip("$-")]
    if len(numbers) == 1 and len(sentence.split()) > 3:
        return numbers[0]
    return bare(_LEAD.sub("", sentence)) or bare(sentence)


def first_sentence(rest: str) -> str:
    """Up to the end of the sentence or line, ignoring what lies within mathematics."""
    covered = [(m.start(), m.end()) for m in _MATH.finditer(rest[:3_000]) if not _is_money(m[0])]
    for match in _SENTENCE_END.finditer(rest):
        if not any(start < match.start() < end for start, end in covered):
            return rest[: match.start()] if match.start() else rest[:1]
    return rest


def _is_money(text: str) -> bool:
    """``$5 and then $`` is two prices, not mathematics."""
    return bool(re.match(r"\$\d[\d,.]*\s+[a-z]{2,}", text)) and "\\" not in text


def candidates(sentence: str) -> Iterator[str]:
    """Readings of a sentence, the most complete first."""
    whole = bare(sentence)
    yield whole
    led = bare(_LEAD.sub("", sentence))
    if led != whole:
        yield led
    maths = [m for m in _MATH.finditer(sentence) if not _is_money(m[0])]
    if maths:
        inner = [next(group for group in m.groups() if group is not None) for m in maths]
        between = [sentence[a.end() : b.start()] for a, b in pairwise(maths)]
        if all(re.fullmatch(r"\s*(?:,|;|and|or|,\s*and|,\s*or|)\s*", gap) for gap in between):
            yield ", ".join(inner)
        yield inner[-1] if "=" in sentence[: maths[-1].start()][-3:] else inner[0]
    for mark in (",", ";", "("):
        head, found, _ = led.partition(mark)
        if found and head.strip():
            yield head.strip()
    for match in _BOLD.finditer(sentence):
        yield bare(match[1] or match[2])
    number = _NUMBER.match(led)
    if number and re.match(r"[A-Za-z0-9^*/(\\{]|\s*[*^]", led[number.end() :]):
        number = None  # a piece of a larger expression
    if not maths and number and number[0].strip("$-") and not re.match(r"\s*(?:or|and)\b", led[number.end() :]):
        yield number[0]


def bare(text: str) -> str:
    """Without the marks around an answer: dollars, brackets of display maths, bold, code ticks, a final full stop."""
    text = text.strip().strip("*`").strip().removesuffix("__")
    for _ in range(4):
        before = text
        for left, right in (
            ("$$", "$$"),
            ("$", "$"),
            ("\\(", "\\)"),
            ("\\[", "\\]"),
            ("**", "**"),
            ("__", "__"),
            ("`", "`"),
        ):
            inner = text[len(left) : len(text) - len(right)]
            if len(text) > len(left + right) and text.startswith(left) and text.endswith(right) and left not in inner:
                text = inner.strip()
        text = text.rstrip(".,;:").rstrip() if not text.endswith(("...", "\\,", "\\;", "\\:", "m.")) else text
        if text == before:
            break
    return text


def is_whole(text: str, kind: Kind) -> bool:
    """Whether the response is one line of mathematics and nothing else."""
    stripped = text.strip()
    if len(stripped) > 2_000:
        return False
    return kind.alone(bare(stripped))


def last_of(text: str, kind: Kind) -> str | None:
    """The last formula, bold text or number of the last lines that have one."""
    tail = text.strip()[-3_000:]
    found: list[tuple[int, str]] = []
    maths = [m for m in _MATH.finditer(tail) if not _is_money(m[0])]
    if maths:
        last = maths[-1]
        inner = next(group for group in last.groups() if group is not None)
        if len(maths) > 1 and re.fullmatch(r"\s*(?:,|and|or|,\s*and|,\s*or)\s*", tail[maths[-2].end() : last.start()]):
            before = next(group for group in maths[-2].groups() if group is not None)
            inner = f"{before}, {inner}"
        found.append((last.end(), inner.strip()))
    for match in list(_BOLD.finditer(tail))[-1:]:
        content = re.sub(r"^[A-Za-z ]{1,40}[:=]\s*", "", match[1] or match[2])
        if kind.reads(bare(content)):
            found.append((match.end(), bare(content)))
    for match in reversed(list(_NUMBER.finditer(tail))):
        if any(c.isdigit() for c in match[0]):
            found.append((match.end(), number_with_unit(tail, match, kind)))
            break
    clause = last_clause(tail, kind)
    if clause is not None:
        found.append((len(tail), clause))
    return max(found, key=lambda pair: pair[0])[1] if found else None


def number_with_unit(tail: str, match: re.Match[str], kind: Kind) -> str:
    unit = re.match(r"\s?[a-zA-Zµ°²³^/]{1,12}\d?", tail[match.end() :])
    text = match[0].strip()
    if unit and kind.reads(text + unit[0]) and unit[0].strip() != "x":
        return text + unit[0]
    return text


def last_clause(tail: str, kind: Kind) -> str | None:
    """What follows the last "is", "are", "=" or ":" of the last sentence, when it is mathematics."""
    sentence = re.split(r"(?<=[.!?])\s+|\n", tail.rstrip(" .*"))[-1]
    pieces = re.split(r"\b(?:is|are|equals|be)\b|:\s|(?<![<>!])=", sentence)
    last = bare(pieces[-1]) if len(pieces) > 1 else ""
    return last if last and kind.reads(last) else None
