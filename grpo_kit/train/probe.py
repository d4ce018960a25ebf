"""Will it learn? The start policy answers some of the training prompts, its answers are judged, and its longest micro-batch is
run once. Nothing is learned and nothing stays on the disk."""

from __future__ import annotations

import math
import random
import resource
import tempfile
import time
from collections.abc import Generator, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from statistics import fmean

import torch

from grpo_kit.config import Config
from grpo_kit.data.datasets import as_one, training_sets
from grpo_kit.data.sampler import Sampler
from grpo_kit.data.samplers import open_sampler
from grpo_kit.environments.episodes import Episodes, play
from grpo_kit.evaluate.judge import find_judge
from grpo_kit.generate.base import SamplingParams, sample_seed
from grpo_kit.generate.torch_engine import TorchEngine
from grpo_kit.objective.rows import Algorithm
from grpo_kit.observe.clock import Clock
from grpo_kit.observe.console import RunConsole
from grpo_kit.plan.cpu import of_pace
from grpo_kit.plan.lengths import Lengths
from grpo_kit.plan.memory import MASTER
from grpo_kit.plan.shape import ModelShape
from grpo_kit.plan.trial import Pace, measure
from grpo_kit.plan.work import work_of
from grpo_kit.policy.lora import attach_lora
from grpo_kit.policy.models import Policy
from grpo_kit.policy.packing import TrainingSequence, micro_batches
from grpo_kit.runtime.threads import choose_threads
from grpo_kit.scoring import Scorer
from grpo_kit.types import Completion, Group, Prompt, Task

from .assemble import longer_of, open_episodes, open_scorer, prepare_policy, prepare_setting, sampling_params
from .prospect import LongestBatch, Probed, least_wrong, teaching
from .warm_start import start_warm

SAMPLING_SECONDS = 90.0  # in which samples are asked for; the fewest that mean anything are asked for all the same
BATCH_SECONDS = 40.0  # that the longest micro-batch may take
FEWEST_PROMPTS = 16
ENOUGH = 8  # prompts answered, to stop when the time is over


def probe(config: Config, objective: Algorithm, shape: ModelShape, prompts: int, console: RunConsole) -> Probed:
    """Sample, judge, and run the longest micro-batch.

    Args:
        prompts: so many at most; fewer where the device is slow.
        console: says how far it is.
    """
    config = config.model_copy(update={"threads": config.threads or choose_threads()})
    with tempfile.TemporaryDirectory(prefix="probe-") as folder:
        policy = prepare_policy(config)
        sets = training_sets(config)
        setting = prepare_setting(config, policy.tokenizer, as_one(sets))
        start_warm(policy, config, Path(folder), console, Clock(), setting)
        torch.manual_seed(config.seed)
        if config.model.lora is not None:
            policy = attach_lora(policy, config.model.lora)
        episodes = open_episodes(config, setting, policy.context_length, Path(folder))
        scorer = open_scorer(config, Path(folder), judge=find_judge(config, sets))
        try:
            sampler = open_sampler(config, sets, policy.tokenizer, longer_of(setting))
            tasks = _first_prompts(sampler, prompts, config.rollout.prompts_per_step)
            pace = _pace(config, policy, shape, tasks)
            with console.stage("probe", 1) as bar:
                begun = time.perf_counter()
                groups, hurried = _sampled(config, policy, episodes, scorer, tasks, pace)
                seconds = time.perf_counter() - begun
                batch = _longest_batch(config, objective, policy, pace)
                bar.advance(1, {})
        finally:
            scorer.close()
            if episodes is not None:
                episodes.close()
    return _probed(config, objective, policy, groups, len(tasks), hurried, seconds, batch, pace)


def _first_prompts(sampler: Sampler, prompts: int, at_once: int) -> list[tuple[Task, Prompt]]:
    """So many prompts, or all that there are: more than a step asks for at once, some data set may not have."""
    first = sampler.next(min(prompts, at_once))
    more = prompts - len(first)
    return first + (sampler.next(more, {task.id for task, _ in first}) if more else [])


def _probed(
    config: Config,
    objective: Algorithm,
    policy: Policy,
    groups: list[Group],
    asked: int,
    hurried: bool,
    seconds: float,
    batch: LongestBatch,
    pace: Pace | None,
) -> Probed:
    lengths = [len(c.token_ids) for group in groups for c in group.completions]
    prompt = fmean(len(group.prompt.token_ids) for group in groups)
    found = Lengths(prompt, fmean(lengths), config.rollout.max_tokens, tuple(lengths))
    work = work_of(config, objective, found.prompt, found.mean)
    forecast = None if pace is None else of_pace(pace, config, objective, work, found.draw(1, work.sequences)[0])
    if forecast is not None:
        step = forecast.step
    else:  # by what was measured: sampling, and passes by the rate of the longest micro-batch
        passed = work.sequences * (work.prompt_tokens + work.completion_tokens)
        rate = 0.0 if batch.seconds is None else batch.seconds / batch.tokens
        step = seconds * work.sequences / len(lengths) + passed * rate * (work.updates + work.forwards / 3.0)
    return Probed(
        groups=groups,
        asked=asked,
        hurried=hurried,
        group_size=config.rollout.group_size,
        limit=config.rollout.max_tokens,
        context=policy.context_length,
        teaching=teaching(groups, objective),
        seconds=seconds,
        batch=batch,
        forecast=forecast,
        step_seconds=step,
        warmed=config.warm_start is not None,
        compares=objective.needs_comparison or objective.learns_from_pairs,
        least_wrong=least_wrong(objective),
    )


def _pace(config: Config, policy: Policy, shape: ModelShape, tasks: Sequence[tuple[Task, Prompt]]) -> Pace | None:
    """What the model's pieces take on this CPU; None on a GPU."""
    if policy.device.type != "cpu":
        return None
    prompt = fmean(len(prompt.token_ids) for _, prompt in tasks)
    rows = min(len(tasks), max(config.rollout.max_rows, config.rollout.group_size))
    half = config.model.dtype == "bfloat16"
    return measure(
        shape, half=half, threads=config.threads or 1, rows=rows, context=int(prompt + config.rollout.max_tokens)
    )


def _sampled(
    config: Config,
    policy: Policy,
    episodes: Episodes | None,
    scorer: Scorer,
    tasks: list[tuple[Task, Prompt]],
    pace: Pace | None,
) -> tuple[list[Group], bool]:
    """Groups with their scores: a sample or two of each prompt, then as many more of each as there is time for.

    Returns:
        the groups, and whether the time was over before the first samples of all prompts had ended.
    """
    engine = TorchEngine(policy, config.rollout.max_rows)
    sampling = sampling_params(config, policy)
    wanted, tasks = _affordable(sampling, tasks, pace, config.rollout.max_rows)
    if episodes is not None:
        tasks = episodes.prepare(tasks)
    begun, rounds, hurried = time.perf_counter(), 0, False
    made: dict[str, list[Completion]] = {}
    while wanted:
        asked = replace(sampling, n=wanted, seed=sample_seed(sampling.seed, "probe", rounds))
        came, whole = _until(begun + SAMPLING_SECONDS, play(engine, tasks, asked, episodes))
        if not rounds:
            made, hurried = came, not whole
        elif whole:  # of a round that was cut short the longest are missing: it would say that responses are short
            for id, more in came.items():
                made[id] += [replace(c, sample_index=len(made[id]) + i) for i, c in enumerate(more)]
        rounds += 1
        done, spent = len(next(iter(made.values()))), time.perf_counter() - begun
        wanted = max(0, min(sampling.n - done, int((SAMPLING_SECONDS - spent) / spent * done))) if whole else 0
    groups = [Group(task, prompt, made[task.id]) for task, prompt in tasks if task.id in made]
    scored = {group.task.id: group for group in scorer.score_groups(iter(groups))}
    return [scored[group.task.id] for group in groups], hurried


def _until(deadline: float, stream: Iterator[list[Completion]]) -> tuple[dict[str, list[Completion]], bool]:
    """What comes before the deadline, and until there is enough to say something; and whether that is all of it."""
    came: dict[str, list[Completion]] = {}
    for completions in stream:
        came[completions[0].task_id] = completions
        if time.perf_counter() > deadline and len(came) >= ENOUGH:
            break
    else:
        return came, True
    if isinstance(stream, Generator):
        stream.close()
    return came, False


def _affordable(
    sampling: SamplingParams, tasks: list[tuple[Task, Prompt]], pace: Pace | None, most_rows: int
) -> tuple[int, list[tuple[Task, Prompt]]]:
    """How many samples of how many prompts fit into the time even where every response is as long as it may be."""
    samples = min(2, sampling.n)
    if pace is None:
        return samples, tasks
    count = len(tasks)

    def seconds(prompts: int) -> float:
        rows = prompts * samples
        waves = math.ceil(rows / max(most_rows, sampling.n))
        tokens = sum(len(prompt.token_ids) for _, prompt in tasks[:prompts])
        decoding = sampling.max_tokens * (waves * pace.decode_step + rows * pace.decode_row)
        return tokens * pace.forward + decoding

    if seconds(count) > SAMPLING_SECONDS:
        samples = 1
    while count > FEWEST_PROMPTS and seconds(count) > SAMPLING_SECONDS:
        count = max(FEWEST_PROMPTS, count * 3 // 4)
    return samples, tasks[:count]


def _longest_batch(config: Config, objective: Algorithm, policy: Policy, pace: Pace | None) -> LongestBatch:
    """Sequences of full length, as many as the token budget holds, through the policy and back."""
    length = config.longest_sequence() if config.environment else config.longest_prompt + config.rollout.max_tokens
    sampled = config.rollout.prompts_per_step * config.rollout.group_size
    count = max(1, min(config.train.token_budget // length, -(-sampled // config.train.updates_per_batch)))
    tokens = count * length
    held = sum(p.numel() for p in policy.model.parameters() if p.requires_grad)
    whole = sum(p.nbytes for p in policy.model.parameters())
    reference = objective.needs_reference and config.model.lora is None and config.reference.path is None
    beside = MASTER * 2 * held + (whole if reference else 0)
    if pace is not None:
        answers = count * config.rollout.max_tokens
        expected = tokens * pace.train + answers * pace.head_train
        if expected > BATCH_SECONDS:
            return LongestBatch(tokens, count, beside=beside, why=f"about {expected:.0f} s here, and was not run")
    chosen = random.Random(0)
    vocabulary = int(policy.model.config.vocab_size)
    prompt = length - config.rollout.max_tokens
    sequences = [
        TrainingSequence(
            [chosen.randrange(vocabulary) for _ in range(prompt)],
            [chosen.randrange(vocabulary) for _ in range(config.rollout.max_tokens)],
            1.0,
            1.0 / (count * config.rollout.max_tokens),
        )
        for _ in range(count)
    ]
    begun = time.perf_counter()
    if policy.device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(policy.device)
    policy.model.train()
    try:
        for batch in micro_batches(sequences, tokens, policy.device):
            logprobs, _ = policy.logprobs(batch, config.rollout.temperature, objective.uses_entropy)
            (-(logprobs * batch.weights).sum()).backward()
    except torch.OutOfMemoryError:
        return LongestBatch(tokens, count, beside=beside, why="more than the device has: it ran out of memory")
    finally:
        policy.model.zero_grad(set_to_none=True)
    return LongestBatch(tokens, count, time.perf_counter() - begun, _peak(policy.device), beside)


def _peak(device: torch.device) -> int:
    if device.type == "cuda":
        return int(torch.cuda.max_memory_allocated(device))
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
