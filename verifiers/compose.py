"""compose: one score from several verifiers: weighted sum, product, or a gate before what counts."""

from __future__ import annotations

import json
from functools import lru_cache
from typing import Any

from grpo_kit.types import Score

from .base import Verifier, VerifierError
from .cases import Case
from .register import verifier

MODES = ("sum", "product", "gate")
Parts = list[Any]


def _cases() -> list[Case]:
    gate = {"mode": "gate", "parts": [{"name": "format", "options": {"shape": "boxed"}}, "number"]}
    mean = {"mode": "sum", "parts": [{"name": "number", "weight": 0.8}, {"name": "format", "weight": 0.2}]}
    return [
        Case(r"\boxed{4}", 4, options=gate, expected=1.0),
        Case("The answer is 4.", 4, options=gate, expected=0.0),
        Case(r"\boxed{5}", 4, options=gate, expected=0.0),
        Case("<think>a</think><answer>4</answer>", 4, options=mean, expected=1.0),
        Case("<answer>4</answer>", 4, options=mean, expected=0.8),
        Case(r"\boxed{4}", 4, options=gate | {"mode": "product"}, expected=1.0),
    ]


@verifier(name="compose", timeout=30.0, cases=_cases)
def compose(
    response: str,
    answer: Any = None,
    prompt: Any = None,
    meta: Any = None,
    completion_ids: Any = None,
    messages: Any = None,
    mode: str = "gate",
    parts: Parts | None = None,
    threshold: float = 1.0,
    gated_value: float = 0.0,
) -> Score:
    """Combine verifiers; each part is a name or ``{name, weight, options}``.

    Args:
        mode: ``sum`` (weighted), ``product``, or ``gate``: every part but the last must reach ``threshold``, then the
            last one's value counts; otherwise ``gated_value``.
        parts: at least two, in order. A part that abstains is left out; in a gate it closes nothing.
    """
    members = _members(json.dumps(parts or [], sort_keys=True))
    if mode not in MODES or len(members) < 2:
        raise VerifierError(
            f"compose needs a mode of {', '.join(MODES)} and two parts or more; got {mode!r}, {parts!r}"
        )
    available = {
        "response": response, "answer": answer, "prompt": prompt, "meta": meta,
        "completion_ids": completion_ids, "messages": messages,
    }  # fmt: skip
    if mode == "gate":
        return _gate(members, available, threshold, gated_value)
    scores = [(label, weight, member(**available)) for label, weight, member in members]
    return _join(mode, scores)


def _join(mode: str, scores: list[tuple[str, float, Score]]) -> Score:
    failed = next(((label, score) for label, _, score in scores if score.status in ("error", "timeout")), None)
    if failed is not None:
        return Score(status=failed[1].status, reason=f"{failed[0]}: {failed[1].reason}")
    counted = [(label, weight, score) for label, weight, score in scores if score.counts]
    if not counted:
        return Score.abstain("every part abstains")
    value = 0.0 if mode == "sum" else 1.0
    for _, weight, score in counted:
        value = value + weight * score.value if mode == "sum" else value * score.value
    return Score(
        value,
        extracted=next((score.extracted for _, _, score in counted if score.extracted is not None), None),
        reason=", ".join(f"{label} {score.value:g}" for label, _, score in counted),
        metrics={label: score.value for label, _, score in counted},
    )


def _gate(
    members: list[tuple[str, float, Verifier]], available: dict[str, Any], threshold: float, gated_value: float
) -> Score:
    passed: list[tuple[str, float, Score]] = []
    for label, weight, member in members[:-1]:
        score = member(**available)
        if score.status in ("error", "timeout"):
            return Score(status=score.status, reason=f"{label}: {score.reason}")
        if score.counts and score.value < threshold:
            reason = f"gated by {label} ({score.value:g} < {threshold:g}): {score.reason}"
            return Score(gated_value, reason=reason, metrics={label: score.value})
        passed.append((label, weight, score))
    label, weight, member = members[-1]
    last = member(**available)
    if not last.counts:
        return last
    metrics = {name: score.value for name, _, score in passed if score.counts} | {label: last.value}
    return Score(weight * last.value, extracted=last.extracted, reason=last.reason, metrics=metrics | last.metrics)


@lru_cache(maxsize=64)
def _members(text: str) -> list[tuple[str, float, Verifier]]:
    from .lookup import get_verifier

    members: list[tuple[str, float, Verifier]] = []
    for part in json.loads(text):
        entry: dict[str, Any] = {"name": part} if isinstance(part, str) else dict(part)
        unknown = set(entry) - {"name", "weight", "options"}
        if unknown or "name" not in entry:
            raise VerifierError(f"compose: a part is a name or {{name, weight, options}}, got {part!r}")
        found = get_verifier(entry["name"])
        if found.group or found.in_process:
            raise VerifierError(
                f"compose: {found.name!r} needs {'a whole group' if found.group else 'the trainer process'}; list it "
                "beside compose as a verifier of its own"
            )
        label = found.name if all(found.name != other for other, _, _ in members) else f"{found.name}_{len(members)}"
        members.append((label, float(entry.get("weight", found.weight)), found.with_options(entry.get("options", {}))))
    return members
