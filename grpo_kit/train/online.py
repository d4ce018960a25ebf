"""THE LOOP: sample and score (or read what was recorded), learn, sync, record. Every algorithm goes through it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from grpo_kit import ranks
from grpo_kit.config import Config
from grpo_kit.data.chat import render, stop_token_ids
from grpo_kit.data.datasets import TaskSource, evaluation_tasks, training_source
from grpo_kit.data.records import open_records
from grpo_kit.data.sampler import TaskSampler
from grpo_kit.data.tasks import ProceduralSource
from grpo_kit.errors import UserError
from grpo_kit.evaluate.run import EvalResult, Judged, evaluate
from grpo_kit.generate.base import Generator, SamplingParams
from grpo_kit.generate.engines import open_generator
from grpo_kit.interrupt import Interrupted, stop_on_signal
from grpo_kit.objective.algorithms import Algorithm, resolve_objective
from grpo_kit.observe.clock import Clock
from grpo_kit.observe.console import RunConsole
from grpo_kit.observe.curve import draw_learning_curve
from grpo_kit.observe.report import write_report
from grpo_kit.observe.run_directory import RunDirectory
from grpo_kit.policy.distributed import shard_policy
from grpo_kit.policy.lora import attach_lora
from grpo_kit.policy.models import Policy, load_policy, pick_device
from grpo_kit.scoring import Scorer, VerifierSpec
from grpo_kit.types import Group, Prompt, Task

from .batch import rollout_metrics
from .checkpoint import latest_checkpoint, load_state, save_checkpoint
from .learners import Learned, Learner, open_learner
from .offline import warm_start
from .rollouts import GroupSource, SampledGroups

REPORT_COMPLETIONS = 2000  # in the page written while training; `grpo-kit report` shows more


@dataclass
class Evaluation:
    tasks: list[tuple[Task, Prompt]]
    sampling: SamplingParams


class OnlineTrainer:
    """Everything a run needs, made from its config; `train` is the algorithm."""

    def __init__(self, config: Config, run: RunDirectory, console: RunConsole) -> None:
        self.config, self.run, self.console = config, run, console
        self.objective: Algorithm = resolve_objective(config.algorithm, config.objective_overrides())
        torch.manual_seed(config.seed)
        if config.threads:
            torch.set_num_threads(config.threads)
        self.policy: Policy = self._spread(load_policy(config.model, pick_device(config.device), config.seed))
        source = training_source(config)
        self.source: TaskSource = source
        self.sampler = TaskSampler(
            source, self.policy.tokenizer, seed=config.seed, max_prompt_tokens=config.data.max_prompt_tokens
        )
        self.evaluation = prepare_evaluation(config, self.policy)
        self.scorer = open_scorer(config, run.path)
        self.clock = Clock()
        self.evaluations: list[tuple[int, EvalResult]] = []
        self.last_judged: list[Judged] = []
        self.step = 0
        self.policy_version = 0

    # --- the algorithm -------------------------------------------------------------------------------------------

    def train(self, resume: bool = False) -> None:
        """Run all steps; raises Interrupted after saving when a signal asks for it."""
        checkpoint = self._start(resume)
        self.generator: Generator = open_generator(self.config, self.policy.whole(), self.run.path)
        self.rollouts = self._group_source()
        learner = open_learner(self.config, self.objective, self.policy)
        if checkpoint is not None:
            self._restore(checkpoint, learner)
        else:
            self._sync()
            self._evaluate()
        with (
            stop_on_signal() as stop,
            self.console.stage(self.config.algorithm, self.config.train.steps, self.step) as bar,
        ):
            self.clock.finish()
            while self.step < self.config.train.steps:
                self.step += 1
                groups = self.rollouts.next(self.step, self.config.rollout.prompts_per_step)
                metrics = self.learn(groups, learner)
                bar.advance(self.step, headline(metrics))
                last = self.step == self.config.train.steps
                every = self.config.evaluation.every if self.config.evaluation else None
                if last or (every and self.step % every == 0):
                    self._evaluate(groups)
                stopping = ranks.anyone(stop.requested, "asking whether to stop")
                if last or stopping or self._save_is_due():
                    self._save(learner)
                if stopping and not last:
                    raise Interrupted(self.step)
        self._finish(learner)

    def learn(self, groups: list[Group], learner: Learner) -> dict[str, Any]:
        """Turn scored groups into one or more optimizer steps and hand the new weights to the generator."""
        with self.clock.phase("update"):
            learner.trained.model.train()
            learned = learner.learn(groups)
        with self.clock.phase("sync"):
            self.policy_version += 1
            self._sync()
        return self._record(groups, learned)

    # --- rooms around it -----------------------------------------------------------------------------------------

    def _sync(self) -> None:
        self.generator.sync(self.policy.whole().model, self.policy_version)

    def _spread(self, policy: Policy) -> Policy:
        """The policy over all ranks. TRPO's is whole on each: FSDP2 has no second derivatives."""
        if self.config.parallel.gradient_checkpointing:
            policy.model.gradient_checkpointing_enable({"use_reentrant": False})
        return policy if self.objective.step == "natural_gradient" else shard_policy(policy, self.config.parallel)

    def _start(self, resume: bool) -> Path | None:
        """Find the checkpoint to go on from, or make the policy that training starts from."""
        warm = self.run.path / "warm_start"
        if resume:
            checkpoint = latest_checkpoint(self.run.checkpoints, self.console.warn)
            if warm.is_dir():
                self.policy.load_weights(warm)
            self._adapt()
            return checkpoint
        if self.config.warm_start is not None:
            assert isinstance(self.source, ProceduralSource)
            with self.console.stage("warm start", self.config.warm_start.steps) as bar:
                warm_start(
                    self.policy,
                    self.source,
                    self.config.warm_start,
                    token_budget=self.config.train.token_budget,
                    report=lambda step, loss: bar.advance(step, {"loss": f"{loss:.3f}"}),
                )
            whole = self.policy.whole()
            if ranks.first():
                whole.save(warm)
        self._adapt()
        return None

    def _adapt(self) -> None:
        """Train adapters instead of the weights, where the recipe says so: from here on, the weights are the base."""
        if self.config.model.lora is not None:
            self.policy = self._spread(attach_lora(self.policy.whole(), self.config.model.lora))

    def _group_source(self) -> GroupSource:
        if self.objective.data == "recorded":
            return open_records(self.config, self.policy.tokenizer, pairs=self.objective.family != "policy_gradient")
        sampling = sampling_params(self.config, self.policy)
        refills = self.config.rollout.max_refills
        return SampledGroups(
            self.sampler, self.generator, self.scorer, sampling, self.objective, self.clock, max_refills=refills
        )

    def _record(self, groups: list[Group], learned: Learned) -> dict[str, Any]:
        with self.clock.phase("log"):
            if not self.rollouts.recorded and self.step % self.config.train.log_rollouts_every == 0:
                self.run.log_rollouts(self.step, groups, learned.advantages)
            examples = max(1, self.config.train.steps // 4)
            if self.step % examples == 0:
                self.console.show_examples(self.step, groups)
        tokens = sum(len(c.token_ids) for g in groups for c in g.completions)
        metrics: dict[str, Any] = {
            "step": self.step,
            **rollout_metrics(groups, learned.advantages, learned.dropped),
            **self.rollouts.statistics(),
            **learned.metrics,
        }
        metrics |= {
            "policy_version": self.policy_version,
            "tokens": tokens,
            "prompts_too_long": self.sampler.skipped_long,
        }
        metrics |= self.clock.finish()
        metrics["tokens_per_second"] = tokens / metrics["seconds/total"]
        self.run.log_metrics(metrics)
        return metrics

    def _evaluate(self, groups: list[Group] | None = None) -> None:
        if self.evaluation is None:
            return
        with self.clock.phase("evaluate"):
            result, self.last_judged = evaluate(
                self.generator, self.scorer, self.evaluation.tasks, self.evaluation.sampling
            )
            self.scorer.statistics()
        self.evaluations.append((self.step, result))
        self.run.log_metrics({"step": self.step, **result.as_metrics()})
        self.console.show_evaluation("before" if self.step == 0 else f"step {self.step}", result)
        self._write_report()

    def _write_report(self) -> None:
        if not ranks.first():
            return
        with self.clock.phase("report"):
            try:
                write_report(self.run.path, limit=REPORT_COMPLETIONS)
            except Exception as error:  # a picture of the run must not end the run
                self.console.warn(f"report.html could not be written: {error!r}")

    def _save_is_due(self) -> bool:
        every = self.config.train.save_every
        return every is not None and self.step % every == 0

    def _save(self, learner: Learner) -> None:
        with self.clock.phase("save"):
            state = {
                "step": self.step,
                "policy_version": self.policy_version,
                "learner": learner.state_dict(),
                "sampler": self.sampler.state_dict(),
                "torch_rng": torch.get_rng_state(),
            }
            whole = learner.trained.whole()
            if ranks.first():
                save_checkpoint(self.run.checkpoints, self.step, whole, state, self.config.train.keep_last)
            ranks.meet(f"the checkpoint of step {self.step}")

    def _restore(self, checkpoint: Path, learner: Learner) -> None:
        state = load_state(checkpoint)
        if state["step"] >= self.config.train.steps:
            raise UserError(
                f"--resume: this run is finished: {state['step']} of {self.config.train.steps} steps are done"
            )
        learner.trained.load_weights(checkpoint / "model")
        learner.load_state_dict(state["learner"])
        self.sampler.load_state_dict(state["sampler"])
        torch.set_rng_state(state["torch_rng"])
        self.step, self.policy_version = state["step"], state["policy_version"]
        self._sync()
        self.run.drop_metrics_after(self.step)
        self.console.say(f"resumed after step {self.step} from {checkpoint}")

    def _finish(self, learner: Learner) -> None:
        whole = learner.trained.whole()
        if not ranks.first():
            return
        whole.save(self.run.path / "model")
        self._write_report()
        curve = draw_learning_curve(
            self.run.read_metrics(), self.run.path / "curve.svg", f"{self.config.algorithm} on {data_name(self.config)}"
        )
        if len(self.evaluations) >= 2:
            first, last = self.evaluations[0], self.evaluations[-1]
            self.console.show_comparison([(f"after step {first[0]}", first[1]), (f"after step {last[0]}", last[1])])
            self.console.show_solutions(self.last_judged[:3])
        self.console.say(f"run: {self.run.path}\nmodel: {self.run.path / 'model'}\nlearning curve: {curve}")

    def close(self) -> None:
        if hasattr(self, "generator"):
            self.generator.close()
        self.scorer.close()


def headline(metrics: dict[str, Any]) -> dict[str, str]:
    """The handful of numbers that tell whether a run is well."""
    shown = {"reward": f"{metrics['reward/mean']:.3f}", "length": f"{metrics['length/mean']:.1f}"}
    for name, key in (("entropy", "entropy"), ("kl", "kl/reference"), ("clip", "clip/high")):
        if key in metrics:
            shown[name] = f"{metrics[key]:.3f}"
    return shown | {"tok/s": f"{metrics['tokens_per_second']:.0f}"}


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


def prepare_evaluation(config: Config, policy: Policy) -> Evaluation | None:
    """The held-out tasks, rendered once, and how they are sampled."""
    settings = config.evaluation
    if settings is None:
        return None
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
    return Evaluation([r for r in rendered if len(r[1].token_ids) <= data.max_prompt_tokens], sampling)


def open_scorer(config: Config, traceback_dir: Path | None = None, workers: int | None = None) -> Scorer:
    specs = [VerifierSpec(v.name, v.weight, v.options, v.timeout) for v in config.verifiers]
    scoring = config.scoring
    return Scorer(
        specs,
        workers=scoring.workers if workers is None else workers,
        max_error_rate=scoring.max_error_rate,
        error_patience=scoring.error_patience,
        traceback_dir=traceback_dir,
    )


def data_name(config: Config) -> str:
    return config.data.task or Path(str(config.data.path)).stem
