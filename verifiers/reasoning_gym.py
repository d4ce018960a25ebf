"""reasoning_gym: tasks and scores of the reasoning-gym library (optional extra ``reasoning-gym``)."""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from grpo_kit.types import Score

from .base import VerifierError
from .final_answer import final_answer
from .foreign import evaluation_in
from .register import verifier

if TYPE_CHECKING:
    from grpo_kit.types import Task


def _library() -> Any:
    try:
        import reasoning_gym
    except ModuleNotFoundError as error:
        if error.name != "reasoning_gym":
            raise
        raise VerifierError("this needs the reasoning-gym library: pip install 'grpo-kit[reasoning-gym]'") from error
    return reasoning_gym


def tasks(dataset: str, size: int = 500, seed: int = 0, **configuration: Any) -> Iterator[Task]:
    """Tasks of a reasoning-gym dataset; ``meta`` holds the whole entry, which the verifier needs."""
    from grpo_kit.types import Task

    scorer_of(dataset)
    for index, entry in enumerate(_library().create_dataset(dataset, size=size, seed=seed, **configuration)):
        message = {"role": "user", "content": entry["question"]}
        meta = {"dataset": dataset, "entry": entry, "verifier": "reasoning_gym"}
        yield Task(f"{dataset}-{seed}-{index}", (message,), entry["answer"], meta)  # type: ignore[arg-type]


@lru_cache(maxsize=256)
def scorer_of(dataset: str) -> Any:
    """The dataset's own ``score_answer``.

    Raises:
        VerifierError: it evaluates text as code: a response could run anything with the trainer's rights, and decide
            its own score.
    """
    scorer = _library().get_score_answer_fn(dataset)
    if where := evaluation_in(scorer):
        raise VerifierError(
            f"reasoning_gym: the scorer of the dataset {dataset!r} evaluates text as code ({where}), so that a response "
            f"could run anything on this machine; it is not used. {_INSTEAD.get(dataset, _OTHERWISE)}"
        )
    return scorer


_OTHERWISE = "Write a verifier of your own for its tasks, or leave them out"
_INSTEAD = {
    "countdown": "Use the verifier 'countdown', which has a grammar of its own",
    "puzzle24": "Use the verifier 'countdown' with the target 24, which has a grammar of its own",
    "polynomial_multiplication": "Use the verifier 'math', which parses expressions without evaluating text",
    "bitwise_arithmetic": "Use the verifier 'exact'",
}


@verifier(name="reasoning_gym", timeout=30.0)
def reasoning_gym(response: str, meta: Any = None, dataset: str = "") -> Score:
    """The score of the dataset's own ``score_answer`` for the final answer found in the response.

    Datasets whose scorer evaluates text as code are refused (`scorer_of`).

    Args:
        dataset: name of the reasoning-gym dataset; ``meta["dataset"]`` comes first.
    """
    entry = meta.get("entry") if isinstance(meta, dict) else None
    if not isinstance(entry, dict):
        raise ValueError(
            "reasoning_gym needs the dataset's entry in meta['entry']; make tasks with reasoning_gym.tasks"
        )
    name = meta.get("dataset") or entry.get("metadata", {}).get("source_dataset") or dataset
    if not name:
        raise ValueError("reasoning_gym needs the dataset's name in meta['dataset'] or as the option 'dataset'")
    found = final_answer(response)
    return Score(float(scorer_of(name)(found.text, entry)), extracted=found.text, reason=found.reason)
