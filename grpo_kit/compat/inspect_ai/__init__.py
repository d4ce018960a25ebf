"""inspect_ai: checkpoints on its tasks, and our verifiers as its scorers."""

from __future__ import annotations

from typing import Any

from grpo_kit.errors import UserError


def scorer(verifier: str, **options: Any) -> Any:
    """A verifier as a scorer of inspect_ai's, with accuracy and its standard error.

        from grpo_kit.compat.inspect_ai import scorer

        @task
        def sums():
            return Task(dataset=json_dataset("sums.jsonl"), solver=generate(), scorer=scorer("math"))

    The target of a sample is the gold answer, its metadata are the other columns. A verifier that abstains leaves the sample
    unscored, with its reason; one that crashes is an error of the sample, and never a zero.

    Args:
        verifier: a name, ``package.module:function`` or ``path/file.py:function``.
        options: of the verifier.

    Raises:
        UserError: inspect_ai is not installed; there is no such verifier, or it lacks an option.
    """
    try:
        from .scoring import verdict
    except ModuleNotFoundError as missing:
        if (missing.name or "").partition(".")[0] != "inspect_ai":
            raise
        raise UserError('inspect-ai is not installed: pip install "grpo-kit[inspect]"') from missing
    return verdict(verifier, **options)
