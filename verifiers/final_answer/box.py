"""Finding \\boxed{} answers: balanced braces, and several boxes that together are the answer."""

from __future__ import annotations

import re
from dataclasses import dataclass

from .doubt import another_follows, bounded, framed, taken_back
from .limits import MAX_ANSWER, MAX_ITEMS

_BRACE = re.compile(
    r"\\{1,2}(?P<box>boxed|fbox|framebox)\s{0,4}(?:\[[^\]\n]{0,20}\]\s{0,2})?(?P<open>\{|(?=[0-9A-Za-z]))|\\.|[{}]",
    re.DOTALL,
)

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
    r"(?:\bnot(?: be| equal to)?|n't(?: be)?|\bnever|\\neq?|≠|(?<![\w)}])!=|\b(?:exclud|reject|discard|eliminat)\w{0,4}"
    r"|\brul\w{1,3} out|\b(?:wrong|incorrect|false)\b)[\s$:]*(?:\\\(|\\\[)?\s*$",
    re.I,
)
_ANNOUNCED = re.compile(
    r"(?:\banswers?\s{1,3}(?:is|was|are|must be|should be|would be|equals|:|=)"
    r"|\b(?:it|this|that)(?:'s|\s{1,3}(?:is|was|should be|must be)))"
    r"[\s$:]{0,6}(?:\\\(|\\\[)?\s{0,3}$",
    re.I,
)
_ASKED = re.compile(r"\s{0,2}(?:\$|\\\))?\s{0,2}\?")
_ALSO = re.compile(
    r"[\s$)\].,;*]{0,6}(?:\\[)\]])?[\s,(]{0,4}(?:or|maybe|perhaps|possibly|alternatively|or (?:maybe|possibly|perhaps))\s{1,3}"
    r"(?:it is |it's |else )?\$?(?:[-\d\\]|(?-i:[A-J])(?=[).,;?!*\n]|\s{0,3}$))",
    re.I,
)
_CONDITIONAL = re.compile(
    r"[\s$)\],]{0,6}(?:\\[)\]])?\s{0,3}(?:if|when|for)\b[^.\n]{1,80}\b(?:otherwise|else|(?:and|or|but)\b[^.\n]{1,40}\b(?:if|when|for))\b",
    re.I,
)


@dataclass(frozen=True, slots=True)
class Box:
    start: int
    end: int
    content: str


def find_boxes(text: str) -> tuple[list[Box], bool]:
    """The closed boxes of a text, outermost ones only, and whether the last one was never closed or too long.

    One pass over the text, whatever it holds: a scan for each box would be quadratic on a response made of boxes.
    """
    closed: list[tuple[int, int, int]] = []  # start, start of the content, end of the content
    opened: list[tuple[int, int]] = []  # per open brace: where its box and the content start, or -1 for a plain brace
    last = -1
    for match in _BRACE.finditer(text):
        if match["box"] is not None:
            last = match.start()
            if match["open"]:
                opened.append((match.start(), match.end()))
            else:
                closed.append((match.start(), match.end(), match.end() + 1))
        elif match[0] == "{":
            opened.append((-1, -1))
        elif match[0] == "}" and opened and (top := opened.pop())[0] >= 0:
            closed.append((*top, match.start()))
    outermost: list[tuple[int, int, int]] = []
    reached, last_closed = 0, -1
    for start, inner, end in sorted(closed):
        if end - inner <= 2 * MAX_ANSWER:
            last_closed = max(last_closed, start)
        if start >= reached:
            reached = end
            outermost.append((start, inner, end))
    found = [
        Box(start, end + (text[inner - 1] == "{"), text[inner:end])
        for start, inner, end in outermost[-MAX_ITEMS:]
        if end - inner <= 2 * MAX_ANSWER
    ]
    return found, last > last_closed


def boxes(text: str) -> list[str]:
    """The contents of every closed box, outermost ones only, in order."""
    return [box.content.strip() for box in find_boxes(text)[0]]


def final_box(text: str) -> tuple[str, int, str] | None:
    """(answer, end, why) of the last box, or of the last several boxes when they form one answer.

    Repeated boxes of a running text are restatements, so that only different ones side by side make a list.
    """
    if "box" not in text:
        return None
    found, broken = find_boxes(text)
    found = [box for box in found if box.content.strip() and not _is_blank(box.content)]
    kept = [box for box in found if not _rejected(text, box)]
    if broken:
        return "", len(text), "the last box is never closed or too long"
    if not kept:
        return ("", found[-1].end, "the only box says what the answer is not") if found else None
    if doubt := _doubt_behind(text[kept[-1].end : kept[-1].end + 400]):
        return "", kept[-1].end, doubt
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
        return contents[-1], kept[-1].end, "last box"
    names = [_name_before(text, box) for box in group]
    joined = ", ".join(name + content for name, content in zip(names, contents, strict=True))
    return joined, kept[-1].end, f"{len(group)} boxes side by side, read as one answer"


def _rejected(text: str, box: Box) -> bool:
    """Whether a box is said not to be the answer."""
    before = text[max(0, box.start - 160) : box.start]
    if _REJECTED.search(before[-40:]) or bounded(before):
        return True
    announced = _ANNOUNCED.search(before[-50:])
    if announced and framed(before[: len(before[:-50]) + announced.start()]):
        return True
    after = text[box.end : box.end + 120]
    return taken_back(after, later=False) or _ASKED.match(after) is not None


def _doubt_behind(after: str) -> str:
    """What follows the last box and takes it back or adds another guess; empty when nothing does."""
    if taken_back(after):
        return "the boxed answer is taken back"
    if _ALSO.match(after) or another_follows(after):
        return "another guess follows the box"
    return "the box holds under a condition only" if _CONDITIONAL.match(after) else ""


def with_context(text: str, box: Box) -> str:
    """The content with the sign or percent that stands outside of the box."""
    content = box.content
    if text.startswith(("\\%", "%"), box.end) and not content.rstrip().endswith("%"):
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
    return bool(re.fullmatch(r"(?:\\h?phantom\{[^{}]*\}|\\?_|\\(?:q?quad|[ ,;])|\.(?=\.)|(?<=\.)\.|\?|\s)*+", content))
