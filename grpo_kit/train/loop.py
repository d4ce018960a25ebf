"""THE LOOP: sample and score (or read what was recorded), learn, sync, record. Every algorithm goes through it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from grpo_kit.config import Config
from grpo_kit.observe.clock import Clock, run_by
from grpo_kit.observe.console import RunConsole, Stage
from grpo_kit.observe.run_directory import RunDirectory
from grpo_kit.runtime.interrupt import Interrupted, StopRequest, StopStep
from grpo_kit.types import Group

from .assemble import Assembly
from .evaluator import Evaluator
from .guards import Guard
from .headline import headline
from .keeper import Keeper
from .listener import Listener
from .progress import Progress, RunState, Saver
from .randomness import unless_abandoned
from .recorder import Recorder
from .watchdog import watch
from .watched import WatchedRun


class OnlineTrainer:
    """A run of a recipe; `train` is the algorithm. What it is made of, and the weights it starts from: `assemble`."""

    def __init__(
        self,
        config: Config,
        run: RunDirectory,
        console: RunConsole,
        stop: StopRequest | None = None,
        listener: Listener | None = None,
    ) -> None:
        self.config, self.run, self.console, self.stop = config, run, console, stop or StopRequest()
        self.listener = listener or Listener()
        self.parts = parts = Assembly(config, run.path)
        self.clock = run_by(Clock())
        self.progress = Progress()
        self.keeper = Keeper(run.checkpoints, config.train, console.warn)
        self.guard = Guard(run, console.warn, console.say)
        judge = None if parts.objective.scores_responses else parts.judge
        self.watch = WatchedRun(run, console, config.limits, judge)
        self.evaluator = Evaluator(config, parts.evaluation, parts.scorer, parts.judge)
        self.recorder = Recorder(
            config, parts.objective, run, console, self.clock, self.watch, machine_rate=parts.machine_rate
        )

    def train(self, checkpoint: Path | None = None, resumed: list[str] | None = None) -> None:
        """Run all steps, after those of ``checkpoint``; raises Interrupted after saving when a signal asks for it.

        Args:
            resumed: where an earlier process began this run, what changed in the recipe since.
        """
        progress, steps = self.progress, self.config.train.steps
        with watch(self.clock, self.config.limits, self.run.path, self.stop):
            self._open(checkpoint, resumed)
            try:
                with self.console.stage(self.config.algorithm, steps, progress.step) as bar:
                    self.clock.finish()
                    self._evaluate_if_due(bar)
                    while progress.step < steps:
                        groups = self._next_groups()
                        progress.step += 1
                        metrics = self.learn(groups)
                        bar.advance(progress.step, headline(metrics))
                        self._evaluate_if_due(bar)
                        self.saver.save_if_due()
                        if self.watch.asks_to_end():
                            self.saver.save()
                            self.watch.end(progress.step, self.keeper.saved)
                        self.listener.after_step(metrics, self.stop)
                        self.stop.check()
            except StopStep:
                if progress.step < steps or self.evaluator.is_due(progress.step):
                    self.saver.save()
                    raise Interrupted(progress.step, self.keeper.saved) from None
            self.recorder.finish(self.learner.trained, progress, self.keeper, self.evaluator)

    def learn(self, groups: list[Group]) -> dict[str, Any]:
        """Turn scored groups into one or more optimizer steps and hand the new weights to the generator."""
        progress = self.progress
        with self.clock.phase("update"):
            self.learner.trained.model.train()
            learned = self.guard.learn(progress.step, groups, self.learner)
        with self.clock.phase("sync"):
            progress.policy_version += 1
            self.generator.sync(self.policy.whole().model, progress.policy_version)
        metrics = self.recorder.record_step(progress, groups, learned, self.groups)
        self.groups.learned(progress.step, groups, learned.advantages)
        progress.trained_steps += any(name.endswith("grad_norm") for name in learned.metrics)
        self.guard.look(progress.step, metrics, self.parts.objective)
        return metrics

    def close(self) -> None:
        self.parts.close()

    # --- each of them may be stopped -----------------------------------------------------------------------------

    def _open(self, checkpoint: Path | None, resumed: list[str] | None) -> None:
        """Everything up to the first step: the starting policy, the engine, the state to go on from."""
        config, run = self.config, self.run
        try:
            with self.stop.abandonable(), self.clock.phase("start"):
                opened = self.parts.open(self.progress, self.console, self.clock)
                self.policy, self.generator, self.groups, self.learner = opened
                versions = self.parts.versions()
                state = RunState(self.progress, self.learner, self.guard, self.watch, self.groups, versions)
                self.saver = Saver(config, run, self.console, self.clock, self.keeper, self.evaluator, state)
                self.saver.go_on(checkpoint, resumed)
                self.generator.sync(self.policy.whole().model, self.progress.policy_version)
        except StopStep:
            raise Interrupted(self.progress.step, self.keeper.saved) from None
        self.recorder.open_sinks(self.progress.step)
        self.saver.check_space()

    def _next_groups(self) -> list[Group]:
        """The groups of the next step; a stop abandons them, and leaves everything as it was before."""
        with unless_abandoned(StopStep), self.stop.abandonable():
            return self.groups.next(self.progress.step + 1, self.config.rollout.prompts_per_step)

    def _evaluate_if_due(self, bar: Stage) -> None:
        step = self.progress.step
        if self.evaluator.is_due(step):
            with self.clock.phase("evaluate"), self.stop.abandonable(), self.groups.paused():
                outcome = self.evaluator.measure(self.learner, self.generator, bar)
            self.evaluator.outcomes.append((step, outcome))
            self.listener.after_evaluation(self.recorder.record_evaluation(step, outcome), self.stop)
