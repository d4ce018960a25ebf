"""What a run does with the watch: every line of metrics goes through it, and what it sees is said, and may end the run."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, NoReturn

from grpo_kit.config import LimitsConfig
from grpo_kit.config.signs import Sign
from grpo_kit.errors import RunFailed
from grpo_kit.evaluate.judge import Judge
from grpo_kit.evaluate.outcome import Outcome
from grpo_kit.evaluate.records import Record
from grpo_kit.objective.rows import Algorithm
from grpo_kit.observe.console import RunConsole
from grpo_kit.observe.run_directory import RunDirectory
from grpo_kit.observe.watch import Watch
from grpo_kit.report.terminal import show_comparison, show_solutions
from grpo_kit.runtime import ranks

ANSWERS_SHOWN = 3


class WatchedRun:
    """The watch of one run, with its voice."""

    def __init__(self, run: RunDirectory, console: RunConsole, limits: LimitsConfig, judge: Judge | None) -> None:
        """judge: None where what is trained writes nothing that could be judged."""
        self.run, self.console, self.limits, self.judge = run, console, limits, judge
        self.watch = Watch()
        self.alarm: Sign | None = None

    def log(self, metrics: dict[str, Any]) -> None:
        """Write a line of metrics, and say at once what the watch sees in it."""
        if self.judge is not None:
            self._name_the_judge(int(metrics["step"]))
            metrics |= {"evaluation/judge": str(self.judge), "judge/is_reward": float(self.judge.is_reward)}
        fresh = self.watch.see(metrics)
        self.run.log_metrics(metrics | self.watch.metrics())
        for sign in fresh:
            if sign.severity != "note":
                self.console.warn(f"step {sign.step}: {sign.name}: {sign.sentence}")
            if self.limits.stops_at(sign):
                self.alarm = self.alarm or sign

    def _name_the_judge(self, step: int) -> None:
        """A resumed or forked run may be judged by another one from here on."""
        before = self.watch.judge
        if before is not None and before != str(self.judge):
            self.console.warn(
                f"from step {step} on right is what {self.judge} says; before it was {before}. Accuracies of the two are not to "
                "be compared, and the watch begins anew with them."
            )

    def asks_to_end(self) -> bool:
        """Whether a sign that `limits.hacking` names has fired; the same on every rank."""
        return bool(self.limits.hacking) and ranks.broadcast(self.alarm is not None, "asking the watch")

    def end(self, step: int, saved: int | None) -> NoReturn:
        """Raises RunFailed with the sign, the checkpoint and the way on."""
        sign = self.alarm
        said = f"{sign.name}: {sign.sentence}" if sign else "a sign that the first rank saw."
        raise RunFailed(
            f"ended after step {step} by limits.hacking: {said} The checkpoint of step {saved} is saved; to go on all the "
            "same: --resume with limits.hacking=false."
        )

    def say_in_the_end(self, evaluations: Sequence[tuple[int, Outcome]], answers: Sequence[Record]) -> None:
        """The last lines: accuracy before and after, some of the last greedy answers, every sign and whether it holds."""
        if len(evaluations) >= 2:
            ends = (evaluations[0], evaluations[-1])
            show_comparison(self.console, [(f"after step {step}", result) for step, result in ends])
            show_solutions(self.console, answers[:ANSWERS_SHOWN], str(self.judge))
        spoken = [sign for sign in self.watch.signs if sign.severity != "note"]
        for sign in spoken:
            since = f"since step {sign.step}" if sign.holds else f"at step {sign.step}, no longer at the end"
            self.console.warn(f"{sign.name}, {since}: {sign.sentence}")
        notes = [sign.sentence for sign in self.watch.signs if sign.severity == "note" and sign.holds]
        if notes or not spoken:
            self.console.say(f"watch: {'; '.join(notes or ['no sign of trouble'])}")

    def failures(self) -> list[Sign]:
        return self.watch.failures()

    def state_dict(self) -> dict[str, Any]:
        return self.watch.state_dict()

    def load_state_dict(self, state: Mapping[str, Any] | None) -> None:
        """state: None of a checkpoint from before there was a watch."""
        if state is not None:
            self.watch.load_state_dict(state)


def of_record(metrics: Mapping[str, Any], objective: Algorithm) -> dict[str, float]:
    """What is to be known of a step that learned from recorded data."""
    if not objective.recorded:
        return {}
    imitates = objective.imitates and "loss" in metrics
    return {"data/recorded": 1.0} | ({"perplexity": math.exp(min(metrics["loss"], 100.0))} if imitates else {})
