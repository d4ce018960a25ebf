"""How far a run has come, and what it takes to go on from there."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from grpo_kit.config import Config
from grpo_kit.data.sampler import OtherData
from grpo_kit.errors import UserError
from grpo_kit.observe.clock import Clock
from grpo_kit.observe.console import RunConsole
from grpo_kit.observe.run_directory import RunDirectory
from grpo_kit.runtime import ranks

from .checkpoint import load_state, set_aside_after
from .evaluator import Evaluator
from .guards import Guard
from .keeper import Keeper
from .learner import Learner
from .randomness import random_state, set_random_state
from .sources.base import GroupSource
from .watched import WatchedRun


@dataclass
class Progress:
    """Counts of a run.

    Attributes:
        step: the one that is learned from, or was last.
        trained_steps: those that moved the weights.
        policy_version: of the weights that the generator has.
    """

    step: int = 0
    trained_steps: int = 0
    policy_version: int = 0


@dataclass
class RunState:
    """All that decides the future of a run, beside its weights and what it reads: whatever is not here is not resumed.

    Attributes:
        versions: of what marks and answers the policy: verifiers, and the environment.
    """

    progress: Progress
    learner: Learner
    guard: Guard
    watch: WatchedRun
    groups: GroupSource
    versions: Mapping[str, str]

    def state_dict(self) -> dict[str, Any]:
        return {
            **asdict(self.progress),
            "learner": self.learner.state_dict(),
            "guard": self.guard.state_dict(),
            "watch": self.watch.state_dict(),
            "sampler": self.groups.position(self.progress.step),
            "verifiers": dict(self.versions),
            "random": random_state(),
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """All but the groups, the verifiers and the random numbers, of which a run that goes on decides."""
        self.learner.load_state_dict(state["learner"])
        self.guard.load_state_dict(state["guard"])
        self.watch.load_state_dict(state.get("watch"))
        self.progress.step, self.progress.policy_version = state["step"], state["policy_version"]
        self.progress.trained_steps = state["trained_steps"]


@dataclass
class Saver:
    """Saves a run, and takes it up again."""

    config: Config
    run: RunDirectory
    console: RunConsole
    clock: Clock
    keeper: Keeper
    evaluator: Evaluator
    state: RunState

    def check_space(self) -> None:
        """Warn where not even one checkpoint would fit."""
        whole, state = self.state.learner.trained.whole(), self.state.state_dict()
        if ranks.first():
            self.keeper.check_space(whole, state)

    def save_if_due(self) -> None:
        step = self.state.progress.step
        due = self.keeper.due(step, self.evaluator.accuracy(step))
        if step == self.config.train.steps or ranks.broadcast(due, "asking whether to save"):
            self.save()

    def save(self) -> None:
        step = self.state.progress.step
        with self.clock.phase("save"):
            whole, state = self.state.learner.trained.whole(), self.state.state_dict()
            if ranks.first():
                self.keeper.save(step, whole, state, self.evaluator.accuracy(step))
            self.keeper.saved = ranks.broadcast(self.keeper.saved, f"the checkpoint of step {step}")

    def go_on(self, checkpoint: Path | None, resumed: list[str] | None) -> None:
        """Begin where the run stands, and note in its folder that it goes on.

        Args:
            checkpoint: None for a run of which nothing was saved.
            resumed: where an earlier process began this run, what changed in the recipe since.
        """
        if checkpoint is not None:
            self._restore(checkpoint)
        elif resumed is not None:
            self.run.drop_after(-1)
            self.console.say("nothing was saved yet: the run begins again")
        if resumed is not None:
            self.run.note_resume(self.state.progress.step, resumed)
            self.run.write_config(self.config)

    def _restore(self, checkpoint: Path) -> None:
        state = load_state(checkpoint)
        self._restore_groups(state)
        self.state.learner.trained.load_weights(checkpoint / "model")
        self.state.load_state_dict(state)
        step = self.state.progress.step
        self.keeper.restored(step)
        for path in set_aside_after(self.run.checkpoints, step) if ranks.first() else ():
            self.console.warn(f"{path} is of a later step and was set aside: the run goes on from step {step}")
        self.run.drop_after(step)
        self.evaluator.recall(self.run.read_metrics())
        set_random_state(state["random"])
        self.console.say(f"resumed after step {step} from {checkpoint}")

    def _restore_groups(self, state: dict[str, Any]) -> None:
        """A resumed run must be what it was; a forked one may have other data and other verifiers."""
        forked = self.run.forked_at() == state["step"]
        if not forked:
            check_verifiers(state["verifiers"], self.state.versions, f"{self.run.path}@{state['step']}")
        try:
            self.state.groups.restore(state["sampler"])
        except OtherData:
            if not forked:
                raise
            self.console.say("the data is not that of the run this one was forked from: it is read from its beginning")


def check_verifiers(then: Mapping[str, str], now: Mapping[str, str], here: str) -> None:
    """Raises UserError if a verifier is not of the version that a checkpoint was trained with. here: RUN@STEP, to fork."""
    changed = {name: (version, now[name]) for name, version in then.items() if now.get(name, version) != version}
    if changed:
        shown = ", ".join(f"{name}: version {before} then, {after} now" for name, (before, after) in changed.items())
        raise UserError(
            f"--resume: the verifiers changed ({shown}), so the rewards would not mean the same. Go back to that version, "
            f"or begin a new run from here: --fork {here}"
        )
