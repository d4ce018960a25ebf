"""What a run is made of, from its recipe: how it samples, what it is evaluated on, who scores."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from grpo_kit.config import Config
from grpo_kit.data.chat import render, stop_token_ids, use_arguments
from grpo_kit.data.datasets import evaluation_tasks
from grpo_kit.data.records import RecordedGroups, open_records
from grpo_kit.errors import UserError
from grpo_kit.evaluate.judge import Judge
from grpo_kit.evaluate.outcome import Outcome
from grpo_kit.evaluate.run import Judged, evaluate
from grpo_kit.generate.base import Generator, SamplingParams
from grpo_kit.objective.algorithms import Algorithm
from grpo_kit.observe.watch import mean_of_verifier
from grpo_kit.policy.models import Policy, load_policy, pick_device
from grpo_kit.scoring import Cluster, Scorer, VerifierSpec
from grpo_kit.types import Prompt, Task

from .held_out_pairs import prepare_pairs
from .learner import Learner


class Evaluation(Protocol):
    """What a run is evaluated on, made once."""

    def measure(
        self, learner: Learner, generator: Generator, scorer: Scorer, judge: str
    ) -> tuple[Outcome, list[Judged]]:
        """How good the present weights are, and the greedy answers that tell it, where there are any."""
        ...


@dataclass
class AnswersEvaluation:
    """Held-out tasks that the policy answers."""

    tasks: list[tuple[Task, Prompt]]
    sampling: SamplingParams

    def measure(
        self, learner: Learner, generator: Generator, scorer: Scorer, judge: str
    ) -> tuple[Outcome, list[Judged]]:
        return evaluate(generator, scorer, self.tasks, self.sampling, judge)


def sampling_params(config: Config, policy: Policy) -> SamplingParams:
    rollout = config.rollout
    return SamplingParams(
        n=rollout.group_size,
        temperature=rollout.temperature,
        max_tokens=rollout.max_tokens,
        stop=tuple(rollout.stop),
        stop_token_ids=stop_token_ids(policy.model, policy.tokenizer),
        seed=config.seed,
    )


def prepare_policy(config: Config) -> Policy:
    """The policy of a recipe on its device, its tokenizer with the recipe's arguments of the chat template."""
    policy = load_policy(config.model, pick_device(config.device), config.seed)
    use_arguments(policy.tokenizer, config.chat.arguments)
    return policy


def prepare_records(config: Config, objective: Algorithm, policy: Policy) -> RecordedGroups:
    """What an algorithm learns from that does not sample."""
    pairs = objective.family != "policy_gradient"
    return open_records(config, policy.tokenizer, pairs, policy.context_length, objective.scores_responses)


def prepare_evaluation(config: Config, objective: Algorithm, policy: Policy) -> Evaluation | None:
    """Held-out pairs for a model that scores; for one that answers held-out tasks, rendered once."""
    settings = config.evaluation
    if settings is None:
        return None
    if objective.scores_responses:
        return prepare_pairs(config, policy.tokenizer, policy.context_length, objective.per_prompt)
    data = settings.data or config.data
    tasks = evaluation_tasks(config)
    sampling = SamplingParams(
        n=settings.samples,
        temperature=config.rollout.temperature,
        max_tokens=config.rollout.max_tokens,
        stop=tuple(config.rollout.stop),
        stop_token_ids=stop_token_ids(policy.model, policy.tokenizer),
        seed=config.seed,
    )
    rendered = [(task, render(task, policy.tokenizer)) for task in tasks]
    return AnswersEvaluation([r for r in rendered if len(r[1].token_ids) <= data.max_prompt_tokens], sampling)


def open_scorer(
    config: Config, traceback_dir: Path | None = None, workers: int | None = None, judge: Judge | None = None
) -> Scorer:
    specs = [VerifierSpec(v.name, v.weight, v.options, v.timeout) for v in config.verifiers]
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
        judge_all=judge is not None and judge.chosen,
        environment=scoring.environment,
    )


def data_name(config: Config) -> str:
    return config.data.task or Path(str(config.data.path)).stem


def check_verifiers(then: dict[str, str], now: dict[str, str], here: str) -> None:
    """Raises UserError if a verifier is not of the version that a checkpoint was trained with. here: RUN@STEP, to fork."""
    changed = {name: (version, now[name]) for name, version in then.items() if now.get(name, version) != version}
    if changed:
        shown = ", ".join(f"{name}: version {before} then, {after} now" for name, (before, after) in changed.items())
        raise UserError(
            f"--resume: the verifiers changed ({shown}), so the rewards would not mean the same. Go back to that version, "
            f"or begin a new run from here: --fork {here}"
        )


def headline(metrics: dict[str, Any]) -> dict[str, str]:
    """The handful of numbers that tell whether a run is well; which they are depends on what is learned."""
    shown = _preference(metrics) or _imitation(metrics) or _reinforcement(metrics)
    return shown | {"tok/s": f"{metrics['tokens_per_second']:.0f}"}


def _preference(metrics: dict[str, Any]) -> dict[str, str]:
    """Of pairs (DPO, IPO, reward models) and of labelled responses (KTO)."""
    if "pairs/accuracy" in metrics:
        numbers = {"pair accuracy": "pairs/accuracy", "margin": "pairs/margin"}
    elif "kto/baseline" in metrics:
        numbers = {"good": "kto/good_margin", "bad": "kto/bad_margin"}
    else:
        return {}
    shown = {"loss": f"{metrics['loss']:.4f}"} if "loss" in metrics else {}
    if not metrics.get("data/recorded"):
        shown |= {"reward": f"{metrics['reward/mean']:.3f}"}
    return shown | {name: f"{metrics[key]:.3f}" for name, key in numbers.items() if key in metrics}


def _imitation(metrics: dict[str, Any]) -> dict[str, str]:
    if "perplexity" not in metrics:
        return {}
    return {"loss": f"{metrics['loss']:.4f}", "perplexity": f"{metrics['perplexity']:.3f}"}


def _reinforcement(metrics: dict[str, Any]) -> dict[str, str]:
    shown = {"reward": f"{metrics['reward/mean']:.3f}"}
    verifiers = {n.split("/")[1]: v for n, v in metrics.items() if mean_of_verifier(n)}
    if len(verifiers) > 1:
        shown |= {name: f"{value:.2f}" for name, value in verifiers.items()}
    elif "judge/right" in metrics and metrics["reward/mean"] != metrics["judge/right"]:
        shown["right"] = f"{metrics['judge/right']:.1%}"
    shown["length"] = f"{metrics['length/mean']:.1f}"
    names = {
        "critic loss": "critic/loss",
        "explained": "critic/explained_variance",
        "entropy": "entropy",
        "kl": "kl/reference",
        "clip": "clip/high",
    }
    shown |= {name: f"{metrics[key]:.3f}" for name, key in names.items() if key in metrics}
    if metrics.get("critic/warmup"):
        shown["critic warm-up"] = "the policy rests"
    return shown
