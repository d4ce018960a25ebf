"""Who says what is right: the verifier that `evaluation.verifier` names, or one that fits the data.

A reward is what a run is paid for. Where nobody else looks, a run that learned to please it looks like one that learned.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from grpo_kit.config import Config, DataConfig, VerifierConfig
from grpo_kit.data.datasets import TaskSource, training_source
from grpo_kit.data.tasks import VERIFIERS
from grpo_kit.environments.lookup import SHIPPED
from grpo_kit.environments.opening import outcome_of
from grpo_kit.errors import UserError
from grpo_kit.scoring import TASK_KEY, VerifierSpec
from grpo_kit.types import Task
from grpo_kit.verifiers import Verifier, get_verifier

# Shipped verifiers whose full mark means that the answer is right; of the others it means that a response has some form.
VERDICTS = ("choice", "code", "countdown", "exact", "ifeval", "math", "number", "reasoning_gym")
LOOKED_AT = 64  # rows of a dataset
CHECKED, ACCEPTED = 16, 0.9  # gold answers, of which a verifier that fits the data accepts this share
LONGEST_ANSWER = 200  # characters of an answer that can be compared as text


@dataclass(frozen=True)
class Judge:
    """Who judges a run's responses.

    Attributes:
        spec: the verifier; None where the environment judges, by what it pays.
        name: as a person knows it.
        is_reward: whether the run is paid for what the judge says, so that it cannot tell when the reward is wrong.
        chosen: whether `evaluation.verifier` names it; it then also judges rows that name a verifier of their own.
        of_rows: whether there are such rows, and their verifiers judge them.
    """

    spec: VerifierSpec | None
    name: str
    is_reward: bool
    chosen: bool
    of_rows: bool = False

    def __str__(self) -> str:
        if self.of_rows:
            return f"each row's own verifier, else {self.name}"
        known = self.name in SHIPPED if self.spec is None else self.spec.name in VERDICTS
        return f"your reward ({self.name})" if self.is_reward and not known else self.name


def find_judge(config: Config, source: TaskSource | None = None) -> Judge:
    """The judge of a recipe: the one it names; else the first verifier of the reward that tells right from wrong; else a
    shipped one that fits the data; else the reward's first.

    Args:
        source: the training tasks, where they are open already.

    Raises:
        UserError: the named one cannot be found.
    """
    wanted = config.evaluation.verifier if config.evaluation else None
    if wanted is not None:
        return _judge(VerifierSpec(wanted.name, 1.0, wanted.options, wanted.timeout), config, chosen=True)
    paid = outcome_of(config.environment)
    if paid is not None and not config.verifiers:
        return Judge(None, paid[0], is_reward=True, chosen=False)
    tasks = _sample(config, source)
    spec = next((_spec(entry) for entry in config.verifiers if entry.name in VERDICTS), None)
    found = _judge(spec or _natural(config.data, tasks) or _spec(config.verifiers[0]), config)
    if any(task.meta.get(TASK_KEY) is not None for task in tasks):
        return replace(found, is_reward=True, of_rows=True)
    return found


def _sample(config: Config, source: TaskSource | None) -> list[Task]:
    """The first rows of a dataset whose columns a recipe maps; other data says by its kind what judges it."""
    if config.data.task is not None or config.data.format != "columns":
        return []
    source = source or training_source(config)
    return [source.task(i) for i in range(min(LOOKED_AT, source.size or LOOKED_AT))]


def _spec(entry: VerifierConfig) -> VerifierSpec:
    return VerifierSpec(entry.name, entry.weight, entry.options, entry.timeout)


def _judge(spec: VerifierSpec, config: Config, *, chosen: bool = False) -> Judge:
    paid = [entry for entry in config.verifiers if entry.weight]
    same = any((e.name, e.options) == (spec.name, spec.options) for e in paid)
    # Beside a verdict of ours the rest of a reward may be hacked, and the verdict tells. A part of the user's own does not.
    is_reward = same and (len(paid) == 1 or spec.name not in VERDICTS)
    return Judge(spec, get_verifier(spec.name).name, is_reward, chosen)


def _natural(data: DataConfig, tasks: Sequence[Task]) -> VerifierSpec | None:
    """The shipped verifier for the tasks of a data section, or None where none is sure to fit."""
    if data.task is not None:
        return VerifierSpec(VERIFIERS[data.task])
    if data.format != "columns":
        return VerifierSpec("code")
    spec = _candidate(data, tasks)
    if spec is None or not _accepts_gold(get_verifier(spec.name).with_options(spec.options), tasks[:CHECKED]):
        return None
    return spec


def _candidate(data: DataConfig, tasks: Sequence[Task]) -> VerifierSpec | None:
    answers = [task.answer for task in tasks]
    if not all(isinstance(a, (str, int, float)) and 0 < len(str(a)) <= LONGEST_ANSWER for a in answers):
        return None
    if not all(any(c.isdigit() or c == "\\" for c in str(answer)) for answer in answers):
        return VerifierSpec("exact")
    # Only where prompts ask for a box does its lack mean a wrong answer.
    asked = "boxed" in f"{data.prompt_template}{data.system_prompt}{tasks[0].prompt}"
    return VerifierSpec("math", options={} if asked else {"last_expression": True})


def _accepts_gold(verifier: Verifier, tasks: Sequence[Task]) -> bool:
    """Whether a verifier calls nearly every gold answer right; that it cannot read one counts against it, and no more."""
    right = 0
    for task in tasks:
        try:
            right += verifier(response=f"\\boxed{{{task.answer}}}", answer=task.answer, meta=task.meta).right
        except (ValueError, TypeError, UserError):
            continue
    return right >= ACCEPTED * len(tasks)
