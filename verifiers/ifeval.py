"""ifeval: whether a response follows instructions that can be checked (IFEval, arXiv:2311.07911)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from grpo_kit.types import Score

from .base import VerifierError
from .cases import Case
from .final_answer import after_reasoning
from .instructions import follows, read_row
from .register import verifier

MAX_CHARACTERS = 1_000_000
SHOWN = 500  # characters of what was judged, for a person


def _row(*instructions: tuple[str, dict[str, Any]]) -> dict[str, Any]:
    return {"instruction_id_list": [name for name, _ in instructions], "kwargs": [entry for _, entry in instructions]}


def _cases() -> list[Case]:
    no_comma: tuple[str, dict[str, Any]] = ("punctuation:no_comma", {})
    words = ("length_constraints:number_words", {"num_words": 3, "relation": "at least"})
    title: tuple[str, dict[str, Any]] = ("detectable_format:title", {})
    return [
        Case("Three plain words.", meta=_row(no_comma, words), expected=1.0),
        Case("<think>Well, no comma.</think>Three plain words.", meta=_row(no_comma, words), expected=1.0),
        Case("Three, plain words.", meta=_row(no_comma, words), expected=0.0),
        Case("Three, plain words.", meta=_row(no_comma, words), options={"reward": "fraction"}, expected=0.5),
        Case("Here you are, as asked:\n<<Plain>> words only", meta=_row(no_comma, title), expected=0.0),
        Case(
            "Here you are, as asked:\n<<Plain>> words",
            meta=_row(no_comma, title),
            options={"loose": True},
            expected=1.0,
        ),
        Case("", meta=_row(no_comma), expected=0.0),
    ]


@verifier(name="ifeval", timeout=5.0, demonstrable=False, cases=_cases)
def ifeval(response: str, answer: Any = None, meta: Any = None, reward: str = "all", loose: bool = False) -> Score:
    """1 when every instruction of the row is followed, in the public columns ``instruction_id_list`` and ``kwargs``.

    They stand in the answer (a dict, or the list of instructions alone) or among the task's other columns. Judged is
    what follows the reasoning. The metrics hold ``strict_all``, ``strict_fraction``, ``loose_all``, ``loose_fraction`` and
    each instruction by its name.

    Args:
        reward: ``all``: 1 or 0. ``fraction``: the share of the instructions that are followed.
        loose: an instruction counts as followed, too, when it is without the first line, the last line or asterisks
            (the paper's loose accuracy).
    """
    if reward not in ("all", "fraction"):
        raise VerifierError(f"ifeval: reward must be 'all' or 'fraction', got {reward!r}")
    columns = dict(meta) if isinstance(meta, Mapping) else {}
    if isinstance(answer, Mapping):
        columns = dict(answer)
    elif isinstance(answer, (list, tuple)):  # the first of the two columns, named as the answer
        columns["instruction_id_list"] = list(answer)
    row = read_row(columns)
    if not isinstance(response, str) or len(response) > MAX_CHARACTERS:
        return Score(0.0, reason=f"not text of at most {MAX_CHARACTERS:,} characters")
    text = after_reasoning(response).strip()
    strict = [follows(name, text, arguments) for name, arguments in row]
    variants = _variants(text)
    free = [
        done or any(follows(name, variant, arguments) for variant in variants)
        for done, (name, arguments) in zip(strict, row, strict=True)
    ]
    metrics = {
        "strict_all": float(all(strict)),
        "strict_fraction": sum(strict) / len(row),
        "loose_all": float(all(free)),
        "loose_fraction": sum(free) / len(row),
    }
    judged = free if loose else strict
    for (name, _), done in zip(row, judged, strict=True):
        metrics[name] = min(float(done), metrics.get(name, 1.0))
    broken = [name for (name, _), done in zip(row, judged, strict=True) if not done]
    value = float(all(judged)) if reward == "all" else sum(judged) / len(row)
    reason = f"not followed: {', '.join(broken)}" if broken else ""
    return Score(value, extracted=text[:SHOWN] or None, reason=reason, metrics=metrics)


def _variants(text: str) -> list[str]:
    """The text without its first line, its last line or both, and each of these without asterisks."""
    lines = text.split("\n")
    cut = [text, "\n".join(lines[1:]), "\n".join(lines[:-1]), "\n".join(lines[1:-1])]
    stripped = [part.strip() for part in cut]
    return [*stripped[1:], *(part.replace("*", "") for part in stripped)]
