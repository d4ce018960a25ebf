"""Groups that the present policy is asked for, a step at a time."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any

from grpo_kit.environments.episodes import Episodes, play
from grpo_kit.generate.base import Generator, SamplingParams
from grpo_kit.observe.clock import Clock
from grpo_kit.types import Completion, Group, Prompt, Task

from .rounds import Rounds, SamplingSetup


class WhenNeeded:
    """Requests go out when their completions are needed, and all of a step are of the policy that learns from them."""

    mixes_versions = False

    def __init__(self, generator: Generator, episodes: Episodes | None = None) -> None:
        self.generator, self.episodes = generator, episodes

    def completions(self, tasks: Sequence[tuple[Task, Prompt]], sampling: SamplingParams) -> Iterator[list[Completion]]:
        return play(self.generator, tasks, sampling, self.episodes)

    def before_gathering(self, put_aside: Callable[[], None]) -> None:
        """Nobody else uses the scorer."""


class SampledGroups:
    """A `GroupSource` that samples a step's groups when it is asked for them."""

    recorded = False

    def __init__(self, setup: SamplingSetup, clock: Clock) -> None:
        self.rounds = Rounds(setup, WhenNeeded(setup.generator, setup.episodes), clock)
        self.setup, self.clock = setup, clock
        self._before: dict[int, dict[str, Any]] = {}  # the sampler's state before the step that was asked for last

    def next(self, step: int, count: int) -> list[Group]:
        """See `GroupSource.next`: ``count`` groups, all freshly sampled."""
        self._before = {step: self.setup.sampler.state_dict()}
        try:
            with self.clock.phase("data"):
                begun = self.rounds.begin(step, count)
            return self.rounds.finish(step, count, begun)
        except BaseException:
            self.setup.sampler.load_state_dict(self._before[step])
            raise

    def learned(self, step: int, groups: list[Group], advantages: list[list[float]]) -> None:
        """What came of a step decides nothing of the next."""

    def statistics(self) -> dict[str, float]:
        return self.rounds.statistics() | {"prompts_too_long": self.setup.sampler.skipped_long}

    def position(self, done: int) -> dict[str, Any]:
        return self._before.get(done + 1) or self.setup.sampler.state_dict()

    def restore(self, position: dict[str, Any]) -> None:
        self.setup.sampler.load_state_dict(position)

    def paused(self) -> AbstractContextManager[None]:
        """Nothing is prepared between two calls of `next`."""
        return nullcontext()

    def close(self) -> None:
        """Nothing works in the background."""
