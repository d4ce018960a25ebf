"""THE LOOP: sample and score (or read what was recorded), learn, sync, record. Every algorithm goes through it."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any

import torch

from grpo_kit.config import Config
from grpo_kit.data.datasets import TaskSource, training_source
from grpo_kit.data.sampler import TaskSampler
from grpo_kit.data.tasks import ProceduralSource
from grpo_kit.evaluate.judge import find_judge
from grpo_kit.evaluate.outcome import Outcome, outcome_of
from grpo_kit.evaluate.run import Judged
from grpo_kit.generate.base import Generator
from grpo_kit.generate.engines import open_generator
from grpo_kit.objective.algorithms import Algorithm, resolve_objective
from grpo_kit.observe.clock import Clock, rates, run_by
from grpo_kit.observe.console import RunConsole
from grpo_kit.observe.run_directory import RunDirectory
from grpo_kit.observe.sinks import open_sinks
from grpo_kit.policy.distributed import shard_policy
from grpo_kit.policy.flops import product_rate
from grpo_kit.policy.lora import attach_lora
from grpo_kit.policy.models import Policy
from grpo_kit.report import write_report
from grpo_kit.report.curve import draw_learning_curve
from grpo_kit.report.terminal import show_evaluation, show_examples
from grpo_kit.runtime import ranks
from grpo_kit.runtime.interrupt import Interrupted, StopRequest, StopStep
from grpo_kit.types import Group

from . import prepare
from .ahead import GroupsAhead
from .batch import rollout_metrics
from .checkpoint import load_state, save_model, set_aside_after
from .guards import Guard, check_trained
from .keeper import Keeper
from .learner import Learned, Learner
from .learners import open_learner
from .offline import warm_start
from .randomness import random_state, set_random_state
from .rollouts import GroupSource, SampledGroups
from .watchdog import watch
from .watched import WatchedRun, of_record

REPORT_COMPLETIONS = 2000  # in the page written while training; `grpo-kit report` shows more


class OnlineTrainer:
    """Everything a run needs, made from its config; `train` is the algorithm."""

    def __init__(self, config: Config, run: RunDirectory, console: RunConsole, stop: StopRequest | None = None) -> None:
        self.config, self.run, self.console = config, run, console
        self.stop = stop or StopRequest()
        self.objective: Algorithm = resolve_objective(config.algorithm, config.objective_overrides(), config.sampled_by)
        torch.manual_seed(config.seed)
        if config.threads:
            torch.set_num_threads(config.threads)
        self.policy: Policy = self._spread(prepare.prepare_policy(config))
        self.source: TaskSource = training_source(config)
        self.sampler = TaskSampler(
            self.source, self.policy.tokenizer, seed=config.seed, max_prompt_tokens=config.data.max_prompt_tokens
        )
        self.evaluation = prepare.prepare_evaluation(config, self.objective, self.policy)
        self.judge = find_judge(config, self.source)
        self.scorer = prepare.open_scorer(config, run.path, judge=self.judge)
        self.clock = run_by(Clock())
        self.keeper = Keeper(run.checkpoints, config.train, console.warn)
        self.guard = Guard(run, console.warn, console.say)
        judge = None if self.objective.scores_responses else self.judge
        self.watch = WatchedRun(run, console, config.limits, judge)
        self.evaluations: list[tuple[int, Outcome]] = []
        self.last_judged: list[Judged] = []
        self.step = 0
        rate = product_rate(self.policy.device, self.policy.autocast)
        self.machine_rate = ranks.total([rate], "adding up the rates of the devices")[0]
        self.trained_steps = 0  # those that moved the weights
        self.policy_version = 0

    # --- the algorithm -------------------------------------------------------------------------------------------

    def train(self, checkpoint: Path | None = None, resumed: list[str] | None = None) -> None:
        """Run all steps, after those of ``checkpoint``; raises Interrupted after saving when a signal asks for it.

        Args:
            resumed: where an earlier process began this run, what changed in the recipe since.
        """
        with watch(self.clock, self.config.limits, self.run.path, self.stop):
            learner = self._open(checkpoint, resumed)
            try:
                with self.console.stage(self.config.algorithm, self.config.train.steps, self.step) as bar:
                    self.clock.finish()
                    self._evaluate_if_due(learner)
                    while self.step < self.config.train.steps:
                        groups = self._next_groups()
                        self.step += 1
                        metrics = self.learn(groups, learner)
                        bar.advance(self.step, prepare.headline(metrics))
                        self._evaluate_if_due(learner)
                        self._save_if_due(learner)
                        if self.watch.asks_to_end():
                            self._save(learner)
                            self.watch.end(self.step, self.keeper.saved)
                        self.stop.check()
            except StopStep:
                if self.step < self.config.train.steps or self._evaluation_is_due():
                    self._save(learner)
                    raise Interrupted(self.step, self.keeper.saved) from None
            self._finish(learner)

    def learn(self, groups: list[Group], learner: Learner) -> dict[str, Any]:
        """Turn scored groups into one or more optimizer steps and hand the new weights to the generator."""
        with self.clock.phase("update"):
            learner.trained.model.train()
            learned = self.guard.learn(self.step, groups, learner)
        with self.clock.phase("sync"):
            self.policy_version += 1
            self.generator.sync(self.policy.whole().model, self.policy_version)
        return self._record(groups, learned)

    # --- rooms around it -----------------------------------------------------------------------------------------

    def _open(self, checkpoint: Path | None, resumed: list[str] | None) -> Learner:
        """Everything up to the first step: the starting policy, the engine, the state to go on from."""
        try:
            with self.stop.abandonable(), self.clock.phase("start"):
                self._start()
                self.generator: Generator = open_generator(self.config, self.policy.whole(), self.run.path)
                self.rollouts = self._group_source()
                learner = open_learner(self.config, self.objective, self.policy)
                if checkpoint is not None:
                    self._restore(checkpoint, learner)
                elif resumed is not None:
                    self.run.drop_after(-1)
                    self.console.say("nothing was saved yet: the run begins again")
                if resumed is not None:
                    self.run.note_resume(self.step, resumed)
                    self.run.write_config(self.config)
                self.generator.sync(self.policy.whole().model, self.policy_version)
        except StopStep:
            raise Interrupted(self.step, self.keeper.saved) from None
        whole, state = learner.trained.whole(), self._state(learner)
        if ranks.first():
            self.run.sinks = open_sinks(self.config, self.run.path, self.step, self.console.warn)
            self.keeper.check_space(whole, state)
        return learner

    def _start(self) -> None:
        """Make the policy that training starts from, or take the one that an earlier process of this run made."""
        warm = self.run.path / "warm_start"
        if warm.is_dir():
            self.policy.load_weights(warm)
        elif self.config.warm_start is not None:
            assert isinstance(self.source, ProceduralSource)
            with self.console.stage("warm start", self.config.warm_start.steps) as bar:

                def report(step: int, loss: float) -> None:
                    bar.advance(step, {"loss": f"{loss:.3f}"})
                    self.clock.touch()

                warm_start(
                    self.policy,
                    self.source,
                    self.config.warm_start,
                    token_budget=self.config.train.token_budget,
                    report=report,
                )
            whole = self.policy.whole()
            if ranks.first():
                save_model(whole, warm)
        torch.manual_seed(self.config.seed)  # what comes must not depend on whether the warm start was made just now
        self._adapt()

    def _next_groups(self) -> list[Group]:
        """The groups of the next step; a stop abandons them, and leaves everything as it was before."""
        position, randomness = self.sampler.state_dict(), random_state()
        try:
            with self.stop.abandonable():
                return self.rollouts.next(self.step + 1, self.config.rollout.prompts_per_step)
        except StopStep:
            if not isinstance(self.rollouts, GroupsAhead):  # those go on from what was not used yet
                self.sampler.load_state_dict(position)
            set_random_state(randomness)
            raise

    def _adapt(self) -> None:
        """Train adapters instead of the weights, where the recipe says so: from here on, the weights are the base."""
        if self.config.model.lora is not None:
            self.policy = self._spread(attach_lora(self.policy.whole(), self.config.model.lora))

    def _spread(self, policy: Policy) -> Policy:
        """The policy over all ranks. TRPO's is whole on each: FSDP2 has no second derivatives."""
        if self.config.parallel.gradient_checkpointing:
            policy.model.gradient_checkpointing_enable({"use_reentrant": False})
        return policy if self.objective.step == "natural_gradient" else shard_policy(policy, self.config.parallel)

    def _group_source(self) -> GroupSource:
        if self.objective.data == "recorded":
            return prepare.prepare_records(self.config, self.objective, self.policy)
        sampling = prepare.sampling_params(self.config, self.policy)
        refills, ahead = self.config.rollout.max_refills, self.config.rollout.max_staleness
        clock = Clock() if ahead else self.clock
        groups = SampledGroups(
            self.sampler, self.generator, self.scorer, sampling, self.objective, clock, max_refills=refills
        )
        if not ahead:
            return groups
        return GroupsAhead(groups, ahead, self.config.train.steps, lambda: self.policy_version, self.clock)

    def _record(self, groups: list[Group], learned: Learned) -> dict[str, Any]:
        with self.clock.phase("log"):
            if not self.rollouts.recorded and self.step % self.config.train.log_rollouts_every == 0:
                written = self.run.log_rollouts(self.step, groups, learned.advantages)
                if not written:
                    self.console.warn(f"step {self.step}: its rollouts could not be written (no space?)")
            if self.step % max(1, self.config.train.steps // 4) == 0:
                show_examples(self.console, self.step, groups)
        tokens = sum(len(c.token_ids) for g in groups for c in g.completions)
        metrics: dict[str, Any] = {
            "step": self.step,
            **rollout_metrics(groups, learned.advantages, learned.dropped),
            **self.rollouts.statistics(),
            **learned.metrics,
        }
        metrics |= {"policy_version": self.policy_version, "tokens": tokens}
        metrics["prompts_too_long"] = self.sampler.skipped_long
        metrics |= of_record(metrics, self.objective) | self.clock.finish()
        metrics |= rates(metrics, tokens, self.machine_rate)
        self.watch.log(metrics)
        self.trained_steps += any(name.endswith("grad_norm") for name in learned.metrics)
        self.guard.look(self.step, metrics, self.objective)
        return metrics

    def _evaluation_is_due(self) -> bool:
        if self.evaluation is None or (self.evaluations and self.evaluations[-1][0] == self.step):
            return False
        assert self.config.evaluation is not None
        every = self.config.evaluation.every
        return self.step in (0, self.config.train.steps) or (every is not None and self.step % every == 0)

    def _evaluate_if_due(self, learner: Learner) -> None:
        if not self._evaluation_is_due():
            return
        assert self.evaluation is not None
        with self.clock.phase("evaluate"), self.stop.abandonable(), self._engine_to_itself():
            result, self.last_judged = self.evaluation.measure(learner, self.generator, self.scorer, str(self.judge))
            self.scorer.statistics()
        self.evaluations.append((self.step, result))
        show_evaluation(self.console, "before" if self.step == 0 else f"step {self.step}", result)
        self.watch.log({"step": self.step, **result.as_metrics()})
        self._write_report()

    def _engine_to_itself(self) -> AbstractContextManager[None]:
        return self.rollouts.paused() if isinstance(self.rollouts, GroupsAhead) else nullcontext()

    def _write_report(self) -> None:
        if not ranks.first():
            return
        with self.clock.phase("report"):
            try:
                write_report(self.run.path, limit=REPORT_COMPLETIONS)
            except Exception as error:  # a picture of the run must not end the run
                self.console.warn(f"report.html could not be written: {error!r}")

    def _accuracy(self) -> float | None:
        """Held-out accuracy of the present weights, where it was measured."""
        return next((result.accuracy for step, result in self.evaluations[-1:] if step == self.step), None)

    def _save_if_due(self, learner: Learner) -> None:
        due = self.keeper.due(self.step, self._accuracy())
        if self.step == self.config.train.steps or ranks.from_first(due, "asking whether to save"):
            self._save(learner)

    def _save(self, learner: Learner) -> None:
        with self.clock.phase("save"):
            whole, state = learner.trained.whole(), self._state(learner)
            if ranks.first():
                self.keeper.save(self.step, whole, state, self._accuracy())
            self.keeper.saved = ranks.from_first(self.keeper.saved, f"the checkpoint of step {self.step}")

    def _state(self, learner: Learner) -> dict[str, Any]:
        """All that decides the future of the run, beside the weights."""
        return {
            "step": self.step,
            "trained_steps": self.trained_steps,
            "policy_version": self.policy_version,
            "learner": learner.state_dict(),
            "guard": self.guard.state_dict(),
            "watch": self.watch.state_dict(),
            "sampler": self.rollouts.position(self.step)
            if isinstance(self.rollouts, GroupsAhead)
            else self.sampler.state_dict(),
            "verifiers": self.scorer.versions(),
            "random": random_state(),
        }

    def _restore(self, checkpoint: Path, learner: Learner) -> None:
        state = load_state(checkpoint)
        if self.run.forked_at() != state["step"]:
            prepare.check_verifiers(state["verifiers"], self.scorer.versions(), f"{self.run.path}@{state['step']}")
            self.sampler.load_state_dict(state["sampler"])
        elif state["sampler"]["fingerprint"] == self.sampler.source.fingerprint:
            self.sampler.load_state_dict(state["sampler"])
        else:
            self.console.say("the data is not that of the run this one was forked from: it is read from its beginning")
        learner.trained.load_weights(checkpoint / "model")
        learner.load_state_dict(state["learner"])
        self.guard.load_state_dict(state["guard"])
        self.watch.load_state_dict(state.get("watch"))
        self.step, self.policy_version = state["step"], state["policy_version"]
        self.trained_steps = state["trained_steps"]
        self.keeper.restored(self.step)
        for path in set_aside_after(self.run.checkpoints, self.step) if ranks.first() else ():
            self.console.warn(f"{path} is of a later step and was set aside: the run goes on from step {self.step}")
        self.run.drop_after(self.step)
        done = [(m["step"], found) for m in self.run.read_metrics() if (found := outcome_of(m))]
        self.evaluations = ranks.from_first(done, "reading what was evaluated")
        set_random_state(state["random"])
        self.console.say(f"resumed after step {self.step} from {checkpoint}")

    def _finish(self, learner: Learner) -> None:
        whole = learner.trained.whole()
        if not ranks.first():
            return
        save_model(whole, self.run.path / "model", self.config.train.shard_gb)
        self._write_report()
        name = f"{self.config.algorithm} on {prepare.data_name(self.config)}"
        curve = draw_learning_curve(self.run.read_metrics(), self.run.path / "curve.svg", name)
        if (best := self.keeper.best()) is not None and self.config.train.keep_best:
            self.console.say(f"highest held-out accuracy of a checkpoint: that of step {best}")
        self.watch.say_in_the_end(self.evaluations, self.last_judged)
        self.console.say(f"run: {self.run.path}\nmodel: {self.run.path / 'model'}\nlearning curve: {curve}")
        check_trained(self.step, self.trained_steps, self.run.metrics_path)

    def close(self) -> None:
        rollouts = getattr(self, "rollouts", None)
        if isinstance(rollouts, GroupsAhead):
            rollouts.close()
        if hasattr(self, "generator"):
            self.generator.close()
        self.scorer.close()
