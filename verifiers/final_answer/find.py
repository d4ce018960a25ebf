"""Where the final answer of a response stands: tag, box, statement, the whole text, and at last its last expression."""

from __future__ import annotations

import re

from .box import boxes, final_box
from .kinds import FinalAnswer, Kind
from .last import last_expression_of
from .limits import MAX_LINE, MAX_RESPONSE
from .markers import announced_at_start
from .marks import bare, without_gloss, without_marks
from .statement import last_statement
from .tag import tags
from .text import TEXT
from .visible import visible

UNMARKED = "nothing marks a final answer"
_SENTENCES = re.compile(r"[.!?]\s{1,4}\S|\n\s{0,9}\S")
_LEAD = re.compile(r"^\s{0,9}(?:so|thus|hence|therefore)\b[\s,:]{1,4}", re.I)
_ARTICLES = ("Therefore, the ", "So the ", "The ", "the ")


def final_answer(response: object, kind: Kind = TEXT, *, last_expression: bool = False) -> FinalAnswer:
    """The one final answer of a response, of the kind that the caller can judge.

    Looked for in this order: an ``<answer>`` tag; the last box; a later or only statement ("the answer is", "####",
    "A:"); a response that is nothing but an answer; at last, where it is allowed, the last expression of the text.

    Args:
        response: the model's text; anything else has no answer.
        kind: what is looked for (`TEXT`, `LETTER`, or a kind of the caller's).
        last_expression: whether to fall back on the last expression of the text when nothing marks an answer; right
            for the evaluation of base models, wrong for rewards, where it pays for an answer never given.
    """
    if not isinstance(response, str):
        return FinalAnswer(None, "none", "the response is not text")
    text, thinking = visible(response[-MAX_RESPONSE:])
    if not text.strip():
        return FinalAnswer(None, "none", thinking or "the response is empty")
    contents = [content for content in tags(text) if content]
    if len(set(contents)) > 1:
        return FinalAnswer(None, "none", "several <answer> tags that differ")
    if contents:
        return _tagged(contents[-1], kind)
    box = final_box(text)
    if box is not None and not box[0]:
        corrected = last_statement(text, kind, after=box[1])
        return corrected if corrected is not None else FinalAnswer(None, "none", box[2])
    stated = last_statement(text, kind, after=box[1], standing=box[0]) if box else last_statement(text, kind, after=-1)
    if stated is not None:
        return stated
    if box is not None:
        return _boxed(box[0], box[2], kind)
    alone = kind.alone(bare(text)) if len(text.strip()) <= 10 * MAX_LINE else None
    if alone is not None:
        return FinalAnswer(alone, "whole", "the response is nothing but an answer")
    if not last_expression:
        return FinalAnswer(None, "none", UNMARKED)
    last = last_expression_of(text, kind)
    if last is None:
        return FinalAnswer(None, "none", "no answer was found")
    return FinalAnswer(last, "last", "the last expression of the response")


def _boxed(content: str, reason: str, kind: Kind) -> FinalAnswer:
    while (inner := boxes(content)) and content.lstrip().startswith("\\") and content.rstrip().endswith("}"):
        if len(inner) > 1 or len(inner[0]) + 16 < len(content.strip()):
            break
        content = inner[0]  # a box in a box
    content = _announced_inside(without_marks(content.strip()), kind)
    read = kind.read(content)
    if read is None and kind is not TEXT and content.endswith((")", "}")):
        read = kind.read(without_gloss(content))
    if read is None and kind.name == "letter":
        return FinalAnswer(None, "none", f"the box holds no single letter: {content[:40]!r}")
    return FinalAnswer(content if read is None else read, "box", reason)


def _tagged(content: str, kind: Kind) -> FinalAnswer:
    box = final_box(content)
    if box is not None:
        return _boxed(box[0], "the box in the <answer> tag", kind) if box[0] else FinalAnswer(None, "none", box[2])
    plain = without_marks(bare(_LEAD.sub("", content)))
    if kind is TEXT:
        plain = content
        sentence = _without_article(content)
        if (at := announced_at_start(sentence)) >= 0:
            reading = kind.stated(sentence[at:], kind)
            plain = reading.text if reading and reading.text else content
        return FinalAnswer(plain, "tag", "the <answer> tag")
    stated = last_statement(content, kind, after=-1)
    if stated is not None:
        return stated if stated.text is None else FinalAnswer(stated.text, "tag", "stated in the <answer> tag")
    plain = without_gloss(plain)
    read = kind.read(plain)
    if read is not None:
        return FinalAnswer(read, "tag", "the <answer> tag")
    several = _SENTENCES.search(content) is not None
    reading = None if several else kind.stated(content, kind)
    if reading is None or (reading.text is not None and kind.read(reading.text) is None):
        reading = kind.sentence(content, kind) or reading
    if reading is not None and (reading.text is None or kind.read(reading.text) is not None):
        return FinalAnswer(reading.text, "tag" if reading.text else "none", reading.reason or "the <answer> tag")
    return FinalAnswer(None if kind.name == "letter" else plain, "tag", "the <answer> tag")


def _announced_inside(content: str, kind: Kind) -> str:
    """``\\text{The answer is } 3`` in a box: what the statement says."""
    plain = content.replace("\\text{", "", 1).replace("}", "", 1) if content.startswith("\\text{") else content
    sentence = _without_article(plain)
    at = announced_at_start(sentence)
    if at < 0:
        return content
    reading = kind.stated(sentence[at:], kind)
    return reading.text if reading is not None and reading.text else content


def _without_article(text: str) -> str:
    for article in _ARTICLES:
        text = text.removeprefix(article)
    return text
