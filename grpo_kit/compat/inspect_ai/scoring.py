"""A verifier behind inspect_ai's scorer."""

from __future__ import annotations

from typing import Any

from anyio.to_thread import run_sync
from inspect_ai.scorer import Score, Scorer, Target, accuracy, scorer, stderr
from inspect_ai.solver import TaskState

from grpo_kit.verifiers import get_verifier


@scorer(metrics=[accuracy(), stderr()], name="grpo_kit")
def verdict(verifier: str, **options: Any) -> Scorer:
    """See `grpo_kit.compat.inspect_ai.scorer`."""
    judge = get_verifier(verifier).with_options(options)

    async def score(state: TaskState, target: Target) -> Score:
        answer = target.text if len(target) == 1 else list(target)
        case = {
            "response": state.output.completion, "answer": answer, "prompt": state.input_text, "meta": dict(state.metadata),
            "messages": [{"role": message.role, "content": message.text} for message in state.messages[:-1]],
            "completion_ids": [],
        }  # fmt: skip
        found = await run_sync(lambda: judge(**case))
        if not found.counts:
            return Score(value=float("nan"), explanation=found.reason or found.status)
        return Score(value=float(found.value), answer=found.extracted, explanation=found.reason or None)

    return score
