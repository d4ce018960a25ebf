"""What a run writes down and shows of itself: metrics, responses, evaluations, the page and the curve."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from grpo_kit.config import Config
from grpo_kit.evaluate.outcome import Outcome
from grpo_kit.objective.algorithms import Algorithm
from grpo_kit.observe.clock import Clock, rates, where_time_went
from grpo_kit.observe.console import RunConsole
from grpo_kit.observe.run_directory import RunDirectory
from grpo_kit.observe.sinks import open_sinks, samples_of
from grpo_kit.report import write_report
from grpo_kit.report.curve import draw_learning_curve
from grpo_kit.report.terminal import show_evaluation, show_examples
from grpo_kit.runtime import ranks
from grpo_kit.types import Group

from .batch import rollout_metrics
from .checkpoint import save_model
from .data_sets import data_set_metrics
from .evaluator import Evaluator
from .guards import check_trained
from .keeper import Keeper
from .learner import Learned, Trained
from .progress import Progress
from .sources.base import GroupSource
from .watched import WatchedRun, of_record

REPORT_COMPLETIONS = 2000  # in the page written while training; `grpo-kit report` shows more
STEPS_SHOWN = 4  # of whose responses a person sees some


class Recorder:
    """Writes a run's record into its folder, and tells a person.

    Args:
        machine_rate: floating-point operations per second that the machines of all ranks can do.
    """

    def __init__(
        self,
        config: Config,
        objective: Algorithm,
        run: RunDirectory,
        console: RunConsole,
        clock: Clock,
        watch: WatchedRun,
        machine_rate: float,
    ) -> None:
        self.config, self.objective, self.run, self.console = config, objective, run, console
        self.clock, self.watch, self.machine_rate = clock, watch, machine_rate

    def open_sinks(self, step: int) -> None:
        """step: the last one that a resumed run keeps."""
        if ranks.first():
            self.run.sinks = open_sinks(self.config, self.run.path, step, self.console.warn)

    def record_step(
        self, progress: Progress, groups: list[Group], learned: Learned, source: GroupSource
    ) -> dict[str, Any]:
        """Write down what a step came to; returns its metrics."""
        step, train = progress.step, self.config.train
        # What is replayed was recorded and counted in its own step.
        fresh = [(g, a) for g, a in zip(groups, learned.advantages, strict=True) if g.replayed is None]
        sampled, advantages = [group for group, _ in fresh], [of_group for _, of_group in fresh]
        with self.clock.phase("log"):
            if not source.recorded and step % train.log_rollouts_every == 0:
                worth = learned.values and [
                    v for g, v in zip(groups, learned.values, strict=True) if g.replayed is None
                ]
                written = self.run.log_rollouts(step, sampled, advantages, worth)
                if not written:
                    self.console.warn(f"step {step}: its rollouts could not be written (no space?)")
            if step % max(1, train.steps // STEPS_SHOWN) == 0:
                show_examples(self.console, step, sampled)
                if self.run.sinks and not source.recorded:
                    samples = samples_of(step, sampled, advantages)
                    for sink in self.run.sinks:
                        sink.log_samples(step, samples)
        tokens = sum(len(c.token_ids) for g in sampled for c in g.completions)
        metrics: dict[str, Any] = {
            "step": step,
            **rollout_metrics(sampled, advantages, learned.dropped),
            **data_set_metrics(sampled),
            **source.statistics(),
            **learned.metrics,
            "policy_version": progress.policy_version,
            "tokens": tokens,
        }
        metrics |= of_record(metrics, self.objective) | self.clock.finish()
        metrics |= rates(metrics, tokens, self.machine_rate)
        self.watch.log(metrics)
        return metrics

    def record_evaluation(self, step: int, outcome: Outcome) -> dict[str, Any]:
        """Write down how good the weights of a step are; returns the line of metrics."""
        show_evaluation(self.console, "before" if step == 0 else f"step {step}", outcome)
        metrics: dict[str, Any] = {"step": step, **outcome.as_metrics()}
        self.watch.log(metrics)
        self._write_report()
        return metrics

    def _write_report(self) -> None:
        if not ranks.first():
            return
        with self.clock.phase("report"):
            try:
                write_report(self.run.path, limit=REPORT_COMPLETIONS)
            except Exception as error:  # a picture of the run must not end the run
                self.console.warn(f"report.html could not be written: {error!r}")

    def _draw_curve(self, name: str) -> Path | None:
        title = f"{self.config.algorithm} on {data_name(self.config)}"
        try:
            return draw_learning_curve(self.run.read_metrics(), self.run.path / name, title)
        except Exception as error:  # as above: matplotlib may be missing where nothing was installed
            self.console.warn(f"{name} could not be drawn: {error!r}")
            return None

    def finish(self, trained: Trained, progress: Progress, keeper: Keeper, evaluator: Evaluator) -> None:
        """Write the model, the page and the curve, and say how it went.

        Raises:
            RunFailed: the disk refused the model, or no step moved the weights.
        """
        whole = trained.whole()
        if not ranks.first():
            return
        save_model(whole, self.run.path / "model", self.config.train.shard_gb)
        self._write_report()
        curve = self._draw_curve("curve.svg")
        if self.run.sinks and (picture := self._draw_curve("curve.png")) is not None:
            for sink in self.run.sinks:
                sink.log_image(progress.step, "curve", picture)
        if (best := keeper.best()) is not None and self.config.train.keep_best:
            self.console.say(f"highest held-out accuracy of a checkpoint: that of step {best}")
        self.watch.say_in_the_end(evaluator.outcomes, evaluator.answers)
        # The last evaluation belongs to no step.
        spent = where_time_went([*self.run.read_metrics(), self.clock.finish()])
        self.console.say(f"time of the steps and evaluations: {spent}")
        self.console.say(f"run: {self.run.path}\nmodel: {self.run.path / 'model'}\nlearning curve: {curve or 'none'}")
        check_trained(progress.step, progress.trained_steps, self.run.metrics_path)


def data_name(config: Config) -> str:
    if config.only_set is None:
        return ", ".join(entry.called for entry in config.mixture)
    return config.only_set.task or Path(str(config.only_set.path)).stem
