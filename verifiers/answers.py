"""Finding the final answer in a response: boxes, answer tags, and the sentences that announce one.

Plain scanning in linear time with bounds, because the text is a model's output. When a response gives two different
final answers of the same kind, it has none: accepting either would reward guessing.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

MAX_CHARACTERS = 1_000_000
MAX_ANSWER = 2_000

_BRACE = re.compile(r"\\(?:boxed|fbox)\s{0,8}\{|\\[{}]|[{}]")
_TAG = re.compile(r"<answer>(.*?)</answer>", re.DOTALL | re.IGNORECASE)
_GSM = re.compile(r"^[ \t]*####[ \t]*(.+)$", re.MULTILINE)
_SAID = re.compile(
    r"\b(?:final\s{1,4})?answer\b(?:\s{1,4}choice)?\s{0,4}(?:is|:|=)\s{0,4}:?\s{0,4}([^\n]{1,200})", re.IGNORECASE
)
_THINKING = "</think>"


@dataclass(frozen=True)
class Found:
    """``text`` is the final answer, or None; then ``reason`` says why there is none."""

    text: str | None
    reason: str = ""


def after_thinking(response: str) -> str:
    """What follows the last ``</think>``: an answer inside the reasoning is not given yet."""
    return response.rpartition(_THINKING)[2]


def boxes(text: str) -> list[str]:
    """The contents of every ``\\boxed{...}``, outermost only, braces balanced; unclosed and huge ones are left out.

    One pass over the text, whatever it holds: a scan per box would be quadratic on a response made of boxes.
    """
    closed: list[tuple[int, int]] = []
    opened: list[int] = []  # per open brace, where its box's content starts, or -1 for a plain brace
    for match in _BRACE.finditer(text):
        if match[0] in ("\\{", "\\}"):
            continue
        if match[0] != "}":
            opened.append(match.end() if match[0] != "{" else -1)
        elif opened and (start := opened.pop()) >= 0:
            closed.append((start, match.start()))
    found: list[str] = []
    reached = 0
    for start, end in sorted(closed):
        if start >= reached:
            reached = end
            if end - start <= MAX_ANSWER:
                found.append(text[start:end].strip())
    return found


def tagged(text: str) -> list[str]:
    """The contents of every ``<answer>...</answer>``."""
    return [match.strip() for match in _TAG.findall(text) if len(match) <= MAX_ANSWER]


def final_answer(response: object) -> Found:
    """The one final answer of a response.

    Looked for, strongest first: answer tags, boxes, a ``####`` line, a sentence such as "the answer is ..."; failing
    these, a response that is one short line is its own answer.
    """
    if not isinstance(response, str):
        return Found(None, "the response is not text")
    if len(response) > MAX_CHARACTERS:
        return Found(None, f"the response is longer than {MAX_CHARACTERS:,} characters")
    text = after_thinking(response)
    for kind, candidates in (
        ("<answer> tags", [_unboxed(inner) for inner in tagged(text)]),
        ("boxes", boxes(text)),
        ("#### lines", [match.strip() for match in _GSM.findall(text)]),
    ):
        distinct = set(candidates)
        if len(distinct) > 1:
            return Found(None, f"{len(distinct)} different answers in {kind}")
        if candidates:
            return Found(candidates[-1])
    if said := _SAID.findall(text):
        return Found(said[-1].strip().rstrip(".").strip("*$ "))
    line = text.strip()
    if line and "\n" not in line and len(line) <= 200:
        return Found(line)
    return Found(None, "no final answer: no box, no answer tag, no sentence that gives one")


def _unboxed(text: str) -> str:
    inner = boxes(text)
    return inner[0] if len(inner) == 1 else text
