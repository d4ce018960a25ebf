"""Finding \\boxed{} answers: balanced braces, and several boxes that together are the answer."""

from __future__ import annotations

import re
from dataclasses import dataclass

from .limits import MAX_ANSWER, MAX_BOXES, MAX_ITEMS

_OPEN = re.compile(r"\\(?:boxed|fbox|framebox)\s{0,4}(\{|(?=[0-9A-Za-z]))")
_BRACE = re.compile(r"\\.|[{}]", re.DOTALL)
_SCAN_BUDGET = 500_000  # characters scanned for closing braces in one response

# What may stand between two boxes that are one answer: "and", "or", commas, the next unknown's name.
_FILL = re.compile(
    r"\$+|\\[()\[\],;:! ]|\\(?:q?quad|text|mathrm|textbf|mbox|left|right)(?![a-zA-Z])|[{}\s~*&]|\\\\|"
    r"(?:for )?(?:part ?)?\((?:[a-f]|i{1,3}|iv|[1-6])\):?|respectively"
)
_NAME = r"(?:(?:\([a-z,]+\)|[A-Za-z](?:\([a-z]\))?(?:_\{?\w{1,3}\}?)?)(?:=|\\in))?"
_JOINED = re.compile(r"(?:,|;|and|or|,and|,or|\\land|\\lor|\\vee|\\wedge|&|/|)" + _NAME)
_HEDGE = re.compile(
    r"\b(?:or|maybe|perhaps|alternatively|alternative|possibly|either|could also|might be|another)\b", re.I
)
_REJECTED = re.compile(
    r"(?:\bnot(?: be| equal to)?|n't(?: be)?|\bnever|\\neq?|≠|(?<![\w)}])!=)[\s$:]*(?:\\\(|\\\[)?\s*$"
)


@dataclass(frozen=True, slots=True)
class Box:
    start: int
    end: int
    content: str


def find_boxes(text: str) -> tuple[list[Box], bool]:
    """The closed boxes of a text, outermost ones only, and whether one was too long or never closed at the end."""
    found: list[Box] = []
    budget, broken, covered = _SCAN_BUDGET, False, -1
    opens = list(_OPEN.finditer(text))
    for match in opens[-MAX_ITEMS:]:
        if match.start() < covered:
            continue
        if not match[1]:
            found.append(Box(match.start(), match.end() + 1, text[match.end()]))
            broken = False
            continue
        depth, stop = 1, min(len(text), match.end() + 2 * MAX_ANSWER, match.end() + budget)
        end = -1
        for brace in _BRACE.finditer(text, match.end(), stop):
            depth += {"{": 1, "}": -1}.get(brace[0], 0)
            if depth == 0:
                end = brace.end()
                break
        budget -= (end if end >= 0 else stop) - match.end()
        broken = end < 0
        if end >= 0:
            found.append(Box(match.start(), end, text[match.end() : end - 1]))
            covered = end
        if budget <= 0:
            break
    return found, broken


def boxes(text: str) -> list[str]:
    """The contents of every closed box, outermost ones only, in order."""
    return [box.content.strip() for box in find_boxes(text)[0]]


def final_box(text: str) -> tuple[str, int, str] | None:
    """(answer, position, why) of the last box, or of the last several boxes when they form one answer.

    Repeated boxes of a running text are restatements, so that only different ones side by side make a list.
    """
    if "box" not in text:
        return None
    offset = max(0, len(text) - MAX_BOXES)
    text = text[offset:]
    found, broken = find_boxes(text)
    found = [box for box in found if box.content.strip() and not _is_blank(box.content)]
    kept = [box for box in found if not _REJECTED.search(text, max(0, box.start - 40), box.start)]
    if broken:
        return "", offset + len(text), "the last box is never closed or too long"
    if not kept:
        return ("", offset + len(text), "the only box says what the answer is not") if found else None
    group = [kept[-1]]
    for box in reversed(kept[:-1]):
        gap = text[box.end : group[0].start]
        if len(gap) > 120 or not (
            _is_joint(gap) or (_HEDGE.search(gap) and "." not in gap.strip(" .")[:-1] and len(gap) <= 60)
        ):
            break
        group.insert(0, box)
        if len(group) >= MAX_ITEMS:
            break
    contents = [with_context(text, box) for box in group]
    distinct = list(dict.fromkeys(_squeezed(content) for content in contents))
    if len(distinct) == 1 or len(distinct) < len(contents):
        return contents[-1], offset + kept[-1].start, "last box"
    names = [_name_before(text, box) for box in group]
    joined = ", ".join(name + content for name, content in zip(names, contents, strict=True))
    return joined, offset + group[0].start, f"{len(group)} boxes side by side, read as one answer"


def with_context(text: str, box: Box) -> str:
    """The content with the sign or percent that stands outside of the box."""
    content = box.content
    if text.startswith(("\\%", "%"), box.end):
        content += "\\%"
    before = text[max(0, box.start - 6) : box.start].rstrip()
    if before.endswith(("=-", "= -", "$-", "is -")) and not content.lstrip().startswith("-"):
        content = "-" + (content if content.strip().replace(".", "").isalnum() else "(" + content + ")")
    return content


def _name_before(text: str, box: Box) -> str:
    match = re.search(r"([A-Za-z](?:_\{?\w{1,3}\}?)?)\s*=\s*(?:\$|\\\(|\s)*$", text[max(0, box.start - 24) : box.start])
    return f"{match[1]}=" if match and "=" not in box.content else ""


def _is_joint(gap: str) -> bool:
    return _JOINED.fullmatch(_FILL.sub("", gap)) is not None


def _squeezed(content: str) -> str:
    return "".join(content.split())


def _is_blank(content: str) -> bool:
    return bool(
        re.fullmatch(r"\s*(?:\\h?phantom\{[^{}]*\}|\\?_|\\(?:q?quad|[ ,;])|\.(?=\.)|(?<=\.)\.|\?|\s)*+", content)
    )
