"""What a run is made of, from its recipe."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import torch

from grpo_kit.config import Config
from grpo_kit.data.chat import render, stop_token_ids, use_arguments
from grpo_kit.data.datasets import as_one, evaluation_tasks, training_sets
from grpo_kit.data.records import Records, open_records
from grpo_kit.data.samplers import open_sampler
from grpo_kit.data.source import TaskSource
from grpo_kit.environments.episodes import Episodes
from grpo_kit.environments.opening import Setting, check_calls_end, check_pays, find_setting, outcome_of
from grpo_kit.evaluate.judge import Judge, find_judge, spec_of
from grpo_kit.generate.base import Generator, SamplingParams
from grpo_kit.generate.engines import open_generator
from grpo_kit.objective.algorithms import resolve_objective
from grpo_kit.objective.rows import Algorithm
from grpo_kit.observe.clock import Clock
from grpo_kit.observe.console import RunConsole
from grpo_kit.policy.distributed import shard_policy
from grpo_kit.policy.flops import product_rate
from grpo_kit.policy.layers import checkpoint_layers, compile_layers
from grpo_kit.policy.lora import attach_lora
from grpo_kit.policy.models import Policy, load_policy, pick_device
from grpo_kit.policy.narrow import narrow
from grpo_kit.runtime import ranks
from grpo_kit.runtime.deterministic import use_deterministic_kernels
from grpo_kit.scoring import Cluster, OfDataSet, Scorer
from grpo_kit.types import Task

from .evaluator import AnswersEvaluation, Evaluation
from .held_out_pairs import prepare_pairs
from .learner import Learner
from .learners import open_learner
from .longest import try_longest
from .progress import Progress
from .sources.ahead import GroupsAhead
from .sources.base import GroupSource
from .sources.recorded import RecordedGroups
from .sources.replay_buffer import ReplayBuffer
from .sources.replayed import ReplayedGroups
from .sources.rounds import SamplingSetup
from .sources.sampled import SampledGroups
from .warm_start import start_warm

REHEARSED = 4  # tasks with which an environment is tried before anything is learned


class Opened(NamedTuple):
    """What a run works with from its first step on."""

    policy: Policy
    generator: Generator
    groups: GroupSource
    learner: Learner


class Assembly:
    """What a recipe names: made here before anything is learned, and opened with the weights that training starts from.

    Args:
        folder: of the run.

    Attributes:
        tasks: what is trained on.
        evaluation: what is evaluated on; None where the recipe says nothing of it.
        judge: who says what is right.
        setting: the environment; None where a response is one turn. ``episodes``: what plays it.
        apart: why a prompt goes through the model once for each of its completions, though the recipe would share it.
        machine_rate: floating-point operations per second of a large matrix product, the sum over all ranks.
    """

    def __init__(self, config: Config, folder: Path) -> None:
        self.config, self.folder = config, folder
        self.objective = resolve_objective(config.algorithm, config.objective, config.sampled_by)
        self._open = ExitStack()
        # Of the process, which may have more to do than this run.
        self._open.callback(torch.use_deterministic_algorithms, torch.are_deterministic_algorithms_enabled())
        policy = prepare_policy(config)
        self.apart = policy.apart
        self.policy = spread(policy, config, self.objective)
        sets = training_sets(config)
        self.tasks = as_one(sets)
        self.setting = prepare_setting(config, self.policy.tokenizer, self.tasks)
        self.episodes = open_episodes(config, self.setting, self.policy.context_length, folder)
        if self.episodes is not None:
            self._open.callback(self.episodes.close)
            self.episodes.rehearse([self.tasks.task(n) for n in range(min(self.tasks.size or REHEARSED, REHEARSED))])
        self.sampler = open_sampler(config, sets, self.policy.tokenizer, longer_of(self.setting))
        self.evaluation = prepare_evaluation(config, self.objective, self.policy, self.episodes, self.sampler.told)
        self.judge = find_judge(config, sets)
        self.scorer = open_scorer(config, folder, judge=self.judge)
        self._open.callback(self.scorer.close)
        rate = product_rate(self.policy.device, self.policy.autocast)
        self.machine_rate = ranks.all_reduce_sum([rate], "adding up the rates of the devices")[0]

    def open(self, progress: Progress, console: RunConsole, clock: Clock) -> Opened:
        """Make the policy that training starts from, and what samples from it and learns."""
        config = self.config
        if self.apart is not None:
            console.say(f"every completion is trained on with its prompt alone: {self.apart}")
        start_warm(self.policy, config, self.folder, console, clock, self.setting)
        torch.manual_seed(config.seed)  # what comes must not depend on whether the warm start was made just now
        if config.model.lora is not None:  # from here on the weights are the base, and adapters are what is trained
            self.policy = spread(attach_lora(self.policy.whole(), config.model.lora), config, self.objective)
        scores = self.objective.scores_responses
        if self.policy.device.type == "cuda" and not (scores or self.objective.natural_gradient):
            try_longest(self.policy, config, self.objective)
        rollout = config.rollout.model_copy(update={"engine": "torch"}) if scores else config.rollout
        generator = open_generator(rollout, config.longest_sequence(), self.policy.whole(), self.folder)
        self._open.callback(generator.close)
        groups = self._group_source(generator, progress, clock)
        self._open.callback(groups.close)
        learner = open_learner(config, self.objective, self.policy)
        if scores:  # what learns began as a copy, and nobody answers anything
            self.policy.let_go()
        return Opened(self.policy, generator, groups, learner)

    def _group_source(self, generator: Generator, progress: Progress, clock: Clock) -> GroupSource:
        rollout = self.config.rollout
        if self.objective.recorded:
            return RecordedGroups(prepare_records(self.config, self.objective, self.policy), self.sampler)
        sampling = sampling_params(self.config, self.policy)
        setup = SamplingSetup(
            self.sampler, generator, self.scorer, sampling, self.objective, rollout.max_refills, self.episodes
        )
        source: GroupSource = SampledGroups(setup, clock)
        if rollout.max_staleness:
            source = GroupsAhead(
                setup,
                clock,
                max_staleness=rollout.max_staleness,
                steps=self.config.train.steps,
                version=lambda: progress.policy_version,
            )
        buffer = open_buffer(self.config, self.folder)
        return source if buffer is None else ReplayedGroups(source, buffer, clock, lambda: progress.policy_version)

    def versions(self) -> dict[str, str]:
        """Of what marks and answers the policy, by name: a run goes on with the same ones."""
        played = (
            {}
            if self.setting is None
            else {f"environment {self.setting.environment.name}": self.setting.environment.version}
        )
        return self.scorer.versions() | played

    def close(self) -> None:
        """Close what was opened, the last first."""
        self._open.close()


def spread(policy: Policy, config: Config, objective: Algorithm) -> Policy:
    """The policy over all ranks. TRPO's is whole on each: FSDP2 has no second derivatives."""
    if config.parallel.gradient_checkpointing:
        checkpoint_layers(policy.model)
    return policy if objective.natural_gradient else shard_policy(policy, config.parallel)


def prepare_policy(config: Config) -> Policy:
    """The policy of a recipe on its device, its tokenizer with the recipe's arguments of the chat template."""
    torch.manual_seed(config.seed)
    if config.deterministic:
        use_deterministic_kernels()
    if config.threads:
        torch.set_num_threads(config.threads)
    policy = load_policy(config.model, pick_device(config.device), config.seed)
    if config.train.share_prompts:
        policy.share_prompts()
    if config.model.weight_dtype == "bfloat16":
        narrow(policy.model)
    if config.model.compile:  # what is said of it by a few tokens was not worth a compilation
        compile_layers(policy.model)
    use_arguments(policy.tokenizer, config.chat.arguments)
    return policy


def prepare_records(config: Config, objective: Algorithm, policy: Policy) -> Records:
    """What an algorithm learns from that does not sample."""
    return open_records(
        config, policy.tokenizer, objective.learns_preferences, policy.context_length, objective.scores_responses
    )


def open_buffer(config: Config, folder: Path) -> ReplayBuffer | None:
    """What a run replays from; None where it learns from every group once. folder: of the run."""
    if config.replay is None:
        return None
    count = config.replay.groups(config.rollout.prompts_per_step)
    return ReplayBuffer(folder, config.replay, count=count, seed=config.seed)


def sampling_params(config: Config, policy: Policy) -> SamplingParams:
    rollout = config.rollout
    return SamplingParams(
        n=rollout.group_size,
        temperature=rollout.temperature,
        epsilon=rollout.epsilon,
        max_tokens=rollout.max_tokens,
        stop=tuple(rollout.stop),
        stop_token_ids=stop_token_ids(policy.model, policy.tokenizer),
        seed=config.seed,
        turn_tokens=config.environment.turn_tokens if config.environment else None,
        fresh=config.environment is not None and config.environment.fresh,
    )


def prepare_setting(config: Config, tokenizer: Any, source: TaskSource) -> Setting | None:
    """The environment of a recipe, tried on its first task. Raises UserError as `find_setting` does."""
    if config.environment is None:
        return None
    if not config.verifiers:
        check_pays(config.environment)
    setting = find_setting(config.environment, tokenizer, source.task(0).messages)
    check_calls_end(config.rollout.stop, setting)
    return setting


def open_episodes(config: Config, setting: Setting | None, context: int, folder: Path | None) -> Episodes | None:
    """What plays the episodes of a run, where it has any. context: tokens of the model's."""
    scoring = config.scoring
    if setting is None:
        return None
    cluster = Cluster(scoring.ray_address) if setting.settings.executor == "ray" else None
    # vLLM holds no more than it is told at its start; the embedded engine all that the model does.
    longest = context if config.rollout.engine == "torch" else min(config.longest_sequence(), context)
    return setting.open(
        config.seed,
        scoring.environment,
        scoring.max_error_rate,
        scoring.error_patience,
        folder,
        cluster,
        longest - config.rollout.max_tokens - config.inserted,
    )


def longer_of(setting: Setting | None) -> Callable[[Task], int] | None:
    """By how many tokens an environment makes the prompt of a task longer."""
    return None if setting is None else setting.longer


def prepare_evaluation(
    config: Config, objective: Algorithm, policy: Policy, episodes: Episodes | None = None, told: int = 0
) -> Evaluation | None:
    """Held-out pairs for a model that scores; for one that answers held-out tasks, rendered once.

    Args:
        told: tokens that every prompt is going to be longer by.
    """
    settings = config.evaluation
    if settings is None:
        return None
    if objective.scores_responses:
        return prepare_pairs(config, policy.tokenizer, policy.context_length, objective.per_prompt)
    rendered = [(task, render(task, policy.tokenizer)) for task in evaluation_tasks(config)]
    tasks = [(t, prompt) for t, prompt in rendered if len(prompt.token_ids) + told <= longest_evaluated(config, t)]
    return AnswersEvaluation(tasks, replace(sampling_params(config, policy), n=settings.samples, epsilon=0.0), episodes)


def longest_evaluated(config: Config, task: Task) -> int:
    """Tokens of the longest prompt that is evaluated, of the data set that the task is of."""
    own = config.evaluation.data if config.evaluation else None
    of_set = next((entry for entry in config.mixture if entry.called == task.data_set), None)
    return (own or of_set or config.only_set or config.sets[0]).max_prompt_tokens


def open_scorer(
    config: Config, traceback_dir: Path | None = None, workers: int | None = None, judge: Judge | None = None
) -> Scorer:
    specs = [spec_of(entry) for entry in config.verifiers]
    own = {
        entry.called: OfDataSet(
            [spec_of(v) for v in entry.verifiers or config.verifiers],
            judge.of_sets[entry.called].spec if judge else None,
        )
        for entry in config.mixture
    }
    scoring = config.scoring
    workers = scoring.workers if workers is None else workers
    return Scorer(
        specs,
        workers=workers,
        memory_mb=scoring.memory_mb,
        cluster=Cluster(scoring.ray_address) if scoring.executor == "ray" and workers else None,
        max_error_rate=scoring.max_error_rate,
        error_patience=scoring.error_patience,
        traceback_dir=traceback_dir,
        judge=judge.spec if judge else None,
        outcome=outcome_of(config.environment),
        judge_all=judge is not None and judge.chosen,
        environment=scoring.environment,
        data_sets=own,
    )
