"""lm-evaluation-harness: checkpoints on its tasks, and our verifiers as the judges of its tasks."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from grpo_kit.verifiers import get_verifier


def process_results(
    verifier: str, *, gold: str = "answer", metric: str = "acc", **options: Any
) -> Callable[[dict[str, Any], Sequence[str]], dict[str, float]]:
    """A verifier as the ``process_results`` of a task file of lm-eval's.

        # judged.py, beside the task file, which says `process_results: !function judged.score`
        from grpo_kit.compat.lm_eval import process_results
        score = process_results("math", gold="answer")

    Args:
        verifier: a name, ``package.module:function`` or ``path/file.py:function``.
        gold: the key of a document that holds the gold answer.
        metric: what the score is called; it counts as the mean over documents.
        options: of the verifier.

    Returns:
        A function of (document, responses), which gives the first response's score, and ``unscored``: 1 where the verifier
        abstained, whose score is 0 then, since a mean of lm-eval's leaves nothing out.

    Raises:
        VerifierError: there is no such verifier, or it lacks an option.
    """
    judge = get_verifier(verifier).with_options(options)

    def score(document: dict[str, Any], responses: Sequence[str]) -> dict[str, float]:
        found = judge(
            response=responses[0], answer=document[gold], prompt="", meta=document, messages=[], completion_ids=[]
        )
        return {metric: float(found.value) if found.counts else 0.0, "unscored": float(not found.counts)}

    return score
