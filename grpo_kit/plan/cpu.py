"""How long a run takes on this machine's CPU, stage by stage, from what a `trial` of its model's shape took."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from grpo_kit.config import Config
from grpo_kit.objective.rows import Algorithm
from grpo_kit.runtime.threads import choose_threads

from .cost import Work
from .shape import ModelShape
from .trial import Pace, measure

REMADE = 1.0 / 3.0  # of a pass with a gradient: the forward part that gradient checkpointing does twice


@dataclass(frozen=True, slots=True)
class Forecast:
    """Seconds of a run.

    Attributes:
        sampling, logprobs, update, optimizer: of one step. Log-probabilities are those before the updates and of a reference;
            update is forward and backward.
        evaluation: of one evaluation, of which there are ``evaluations``.
        warm_start: of all of its steps.
    """

    pace: Pace
    steps: int
    sampling: float
    logprobs: float
    update: float
    optimizer: float
    evaluation: float
    evaluations: int
    warm_start: float

    @property
    def step(self) -> float:
        return self.sampling + self.logprobs + self.update + self.optimizer

    @property
    def total(self) -> float:
        return self.warm_start + self.steps * self.step + self.evaluations * self.evaluation

    def stages(self) -> list[tuple[str, float, int]]:
        """(what, seconds each time, how many times), those that take time."""
        found = [
            ("warm start", self.warm_start, 1),
            ("sampling", self.sampling, self.steps),
            ("log-probabilities", self.logprobs, self.steps),
            ("forward and backward", self.update, self.steps),
            ("optimizer", self.optimizer, self.steps),
            ("evaluation", self.evaluation, self.evaluations),
        ]
        return [stage for stage in found if stage[1] * stage[2] > 0.0]


def forecast(config: Config, objective: Algorithm, shape: ModelShape, work: Work, lengths: np.ndarray) -> Forecast:
    """Time pieces of the model for a second or two, and say how long the run takes.

    Args:
        work: of one step.
        lengths: [sequences] tokens of the responses of one step.
    """
    context = int(work.context)
    pace = measure(
        shape,
        half=config.model.dtype == "bfloat16",
        threads=config.threads or choose_threads(),
        rows=min(work.sequences, _slots(config)),
        context=context,
    )
    return of_pace(pace, config, objective, work, lengths)


def of_pace(pace: Pace, config: Config, objective: Algorithm, work: Work, lengths: np.ndarray) -> Forecast:
    """The forecast of a machine that keeps this pace. Arguments as `forecast` has them."""
    sampled = not objective.recorded
    optimizer_steps = config.train.updates_per_batch * config.train.epochs_per_batch
    evaluation = config.evaluation
    evaluations = 0
    if evaluation is not None:
        steps = config.train.steps
        evaluations = 2 + ((steps - 1) // evaluation.every if evaluation.every else 0)
    return Forecast(
        pace=pace,
        steps=config.train.steps,
        sampling=_sampling(pace, config, work, lengths) if sampled else 0.0,
        logprobs=work.forwards * _forward(pace, work, shared=config.train.share_prompts and not objective.recorded),
        update=work.updates * _train(pace, work, shared=config.train.share_prompts and not objective.recorded),
        optimizer=optimizer_steps * pace.optimizer,
        evaluation=_evaluation(pace, config, work, lengths),
        evaluations=evaluations,
        warm_start=_warm_start(pace, config, work),
    )


def _slots(config: Config) -> int:
    return max(config.rollout.max_rows, config.rollout.group_size)


def _sampling(pace: Pace, config: Config, work: Work, lengths: np.ndarray) -> float:
    """Prompts once each, and what an environment inserts; then every token costs its row, and every decoding step what it costs
    beside its rows.

    There are as many steps as the longest response has tokens, or more where not all have a slot.
    """
    tokens = float(lengths.sum())
    steps = max(float(lengths.max(initial=0.0)), tokens / _slots(config))
    read = work.prompts * work.prompt_tokens + len(lengths) * work.inserted_tokens
    return read * pace.forward + steps * pace.decode_step + tokens * pace.decode_row


def _forward(pace: Pace, work: Work, shared: bool) -> float:
    answers = work.sequences * work.completion_tokens
    return _passed(work, shared) * pace.forward + answers * pace.head_forward


def _train(pace: Pace, work: Work, shared: bool) -> float:
    layers = pace.train * (1.0 + (REMADE if work.checkpointing else 0.0))
    return _passed(work, shared) * layers + work.sequences * work.completion_tokens * pace.head_train


def _passed(work: Work, shared: bool) -> float:
    """Tokens that go through the layers. shared: a prompt once for all of its responses."""
    prompts = min(work.prompts, work.sequences) if shared else work.sequences
    return prompts * work.prompt_tokens + work.sequences * (work.completion_tokens + work.inserted_tokens)


def _evaluation(pace: Pace, config: Config, work: Work, lengths: np.ndarray) -> float:
    """Each held-out problem is answered so many times, and once greedily. Pairs of a reward model are only passed through."""
    if config.evaluation is None:
        return 0.0
    tasks, samples = config.evaluation.tasks, config.evaluation.samples
    one = replace(work, prompts=tasks)
    return sum(_sampling(pace, config, one, np.resize(lengths, tasks * n)) for n in (samples, 1))


def _warm_start(pace: Pace, config: Config, work: Work) -> float:
    if config.warm_start is None:
        return 0.0
    batch = replace(work, sequences=config.warm_start.batch_size)
    return config.warm_start.steps * (_train(pace, batch, shared=False) + pace.optimizer)
