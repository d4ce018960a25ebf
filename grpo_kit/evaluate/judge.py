"""Who says what is right: the verifier that `evaluation.verifier` names, or one that fits the data.

A reward is what a run is paid for. Where nobody else looks, a run that learned to please it looks like one that learned.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from grpo_kit.config import Config, DataConfig, VerifierConfig
from grpo_kit.data.datasets import training_sets
from grpo_kit.data.mixture import DataSet, unnamed
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
        of_sets: of several data sets, who judges each; the rest is then of what none of them has.
    """

    spec: VerifierSpec | None
    name: str
    is_reward: bool
    chosen: bool
    of_rows: bool = False
    of_sets: Mapping[str, Judge] = field(default_factory=dict)

    def __str__(self) -> str:
        if self.of_sets:
            sets: dict[str, list[str]] = {}
            for data_set, judge in self.of_sets.items():
                sets.setdefault(str(judge), []).append(data_set)
            several = (f"{judge} ({', '.join(names)})" for judge, names in sets.items())
            return next(iter(sets)) if len(sets) == 1 else " and ".join(several)
        if self.of_rows:
            return f"each row's own verifier, else {self.name}"
        known = self.name in SHIPPED if self.spec is None else self.spec.name in VERDICTS
        return f"your reward ({self.name})" if self.is_reward and not known else self.name


def find_judge(config: Config, sets: Sequence[DataSet] | None = None) -> Judge:
    """The judge of a recipe: the one it names; else the first verifier of the reward that tells right from wrong; else a
    shipped one that fits the data; else the reward's first. Each of several data sets has its own.

    Args:
        sets: what is trained on, where it is open already.

    Raises:
        UserError: the named one cannot be found.
    """
    if config.mixture:
        sets = sets or training_sets(config)
        parts = {entry.called: (config.of_set(entry), part) for entry, part in zip(config.mixture, sets, strict=True)}
        of_sets = {
            name: find_judge(alone, [replace(part, source=unnamed(part.source))])
            for name, (alone, part) in parts.items()
        }
        judges = list(of_sets.values())
        first, chosen = judges[0], all(judge.chosen for judge in judges)
        spec = first.spec if chosen else next(iter(_of_reward(config)), None)
        paid = any(judge.is_reward for judge in judges)
        return Judge(spec, first.name, paid, chosen, any(judge.of_rows for judge in judges), of_sets)
    wanted = config.evaluation.verifier if config.evaluation else None
    if wanted is not None:
        return _judge(VerifierSpec(wanted.name, 1.0, wanted.options, wanted.timeout), config, chosen=True)
    paid_by = outcome_of(config.environment)
    if paid_by is not None and not config.verifiers:
        return Judge(None, paid_by[0], is_reward=True, chosen=False)
    assert config.only_set is not None
    tasks = _sample(config, config.only_set, sets)
    spec, *_ = _of_reward(config)
    found = _judge(spec if spec.name in VERDICTS else _natural(config.only_set, tasks) or spec, config)
    if any(task.meta.get(TASK_KEY) is not None for task in tasks):
        return replace(found, is_reward=True, of_rows=True)
    return found


def _of_reward(config: Config) -> list[VerifierSpec]:
    """The recipe's verifiers, those that tell right from wrong first."""
    return sorted(map(spec_of, config.verifiers), key=lambda spec: spec.name not in VERDICTS)


def _sample(config: Config, data: DataConfig, sets: Sequence[DataSet] | None) -> list[Task]:
    """The first rows of a dataset whose columns a recipe maps; other data says by its kind what judges it."""
    if data.task is not None or data.format != "columns":
        return []
    source = (sets or training_sets(config))[0].source
    return [source.task(i) for i in range(min(LOOKED_AT, source.size or LOOKED_AT))]


def spec_of(entry: VerifierConfig) -> VerifierSpec:
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
