"""format: whether a response has the required shape, whatever its content says."""

from __future__ import annotations

import json
import re

from grpo_kit.types import Score

from .base import VerifierError
from .cases import Case
from .final_answer import after_reasoning, boxes
from .final_answer.limits import MAX_RESPONSE
from .register import verifier

SHAPES = ("think_answer", "think", "answer", "boxed", "json")
MAX_JSON_DEPTH = 100


def _cases() -> list[Case]:
    return [
        Case("<think>2 + 2 = 4</think>\n<answer>4</answer>", expected=1.0),
        Case("<answer>4</answer>", expected=0.0),
        Case("<think>a</think><think>b</think><answer>4</answer>", expected=0.0),
        Case("<think>a</think><answer>4</answer> and more", expected=0.0),
        Case("<answer>4</answer><think>a</think>", expected=0.0),
        Case("<think></think><answer></answer>", expected=0.0),
        Case("so \\boxed{4}", options={"shape": "boxed"}, expected=1.0),
        Case("so \\boxed{4", options={"shape": "boxed"}, expected=0.0),
        Case('<think>x</think>```json\n{"a": 1}\n```', options={"shape": "json"}, expected=1.0),
        Case('{"a": 1', options={"shape": "json"}, expected=0.0),
    ]


@verifier(name="format", timeout=2.0, cases=_cases)
def format_shape(response: str, shape: str = "think_answer", template_opens_thinking: bool = False) -> Score:
    """1 when the response has the shape, else 0 and what is missing.

    Args:
        shape: ``think_answer`` (``<think>..</think><answer>..</answer>`` and nothing else), ``think`` (reasoning, then
            text), ``answer`` (one answer tag), ``boxed`` (one closed box after the reasoning), ``json``.
        template_opens_thinking: the chat template already wrote ``<think>``, so the response starts inside it.
    """
    if shape not in SHAPES:
        raise VerifierError(f"format: there is no shape {shape!r}; there are {', '.join(SHAPES)}")
    if not isinstance(response, str) or len(response) > MAX_RESPONSE:
        return Score(0.0, reason="empty or longer than a response can be")
    text = f"<think>{response}" if template_opens_thinking else response
    reason = _CHECKS[shape](text)
    return Score(float(reason is None), reason=reason or "")


def _single(text: str, tag: str) -> str | None:
    """Complaint about ``tag`` not being there exactly once, closed and with content."""
    if text.count(f"<{tag}>") != 1 or text.count(f"</{tag}>") != 1:
        return f"<{tag}> must be opened once and closed once"
    inner = text.partition(f"<{tag}>")[2].partition(f"</{tag}>")
    return None if inner[1] and inner[0].strip() else f"<{tag}> is empty or closed before it is opened"


def _think_answer(text: str) -> str | None:
    complaint = _single(text, "think") or _single(text, "answer")
    if complaint:
        return complaint
    whole = re.match(r"\s*<think>[^\0]*</think>\s*<answer>[^\0]*</answer>\s*\Z", text)
    return None if whole else "something stands outside <think>...</think><answer>...</answer>"


def _think(text: str) -> str | None:
    complaint = _single(text, "think")
    if complaint:
        return complaint
    if not text.lstrip().startswith("<think>"):
        return "the response does not begin with <think>"
    return None if after_reasoning(text).strip() else "nothing follows the reasoning"


def _answer(text: str) -> str | None:
    return _single(text, "answer")


def _boxed(text: str) -> str | None:
    found = boxes(after_reasoning(text))
    return None if len(found) == 1 and found[0] else f"{len(found)} closed boxes after the reasoning, wanted 1"


def _json(text: str) -> str | None:
    found = read_json(text)
    return None if isinstance(found, ParsedJson) else found


class ParsedJson:
    """A JSON value that was found in a response."""

    def __init__(self, value: object) -> None:
        self.value = value


_JSON_FENCE = re.compile(r"(?:```|~~~)")
_JSON_LABEL = re.compile(
    r"[`~]*[ \t]*(?:(?:json[c5l]?|javascript|text|\{\.?json\})(?=[\s\[{\"0-9-]|$))?[ \t]*", re.IGNORECASE
)


def _fenced_json(text: str) -> str | None:
    """What the one fence of a text encloses; None if it has none. Behind it nothing may stand, before it a sentence."""
    first = _JSON_FENCE.search(text)
    if first is None:
        return None
    inner = text[first.end() :]
    label = _JSON_LABEL.match(inner)
    if label is None or not inner.rstrip().endswith(first[0]):
        return None
    body = inner[label.end() :].rstrip()
    while body.endswith(first[0][0]):
        body = body[:-1]
    return None if "\n" + first[0] in body else body.strip()  # several blocks are no one value


def read_json(response: str) -> ParsedJson | str:
    """The JSON value that a response is (a code fence around it is fine), or the complaint about it."""
    text = after_reasoning(response).strip()
    if text[:1] not in ("{", "[", '"'):
        inner = _fenced_json(text)
        if inner is not None:
            text = inner
    depth = deepest = 0
    for character in text:
        depth += (character in "[{") - (character in "]}")
        deepest = max(deepest, depth)
    if deepest > MAX_JSON_DEPTH:
        return f"nested deeper than {MAX_JSON_DEPTH} levels"
    try:
        return ParsedJson(json.loads(text, parse_constant=_no_constant))
    except ValueError as error:
        return f"not JSON: {str(error)[:200]}"


def _no_constant(name: str) -> None:
    raise ValueError(f"{name} is not JSON")


_CHECKS = {"think_answer": _think_answer, "think": _think, "answer": _answer, "boxed": _boxed, "json": _json}
