"""What plays episodes: worker processes here, or those on the nodes of a Ray cluster."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from grpo_kit.observe.measure import Measures
from grpo_kit.scoring.processes import Importable

from .pool import EpisodePool, Heard

Told = Any  # an episode, as whoever plays it keeps it


@dataclass(frozen=True)
class Wanted:
    """What is to be played, and in what. See `EpisodePool`; on a cluster it is so on every node."""

    workers: int
    memory_mb: int
    address: Importable
    timeout: float
    options: Mapping[str, Any]
    environment: Sequence[str] = ()

    def open(self) -> EpisodePool:
        return EpisodePool(self.workers, self.memory_mb, self.address, self.timeout, self.options, self.environment)


class Players(Protocol):
    """`EpisodePool` and `ClusterEpisodes`; what their methods do is said there.

    Attributes:
        failure: why nothing can be played any more.
        replaced: workers that were. replayed: calls that were made again.
    """

    failure: BaseException | None

    @property
    def replaced(self) -> int: ...

    @property
    def replayed(self) -> int: ...

    def begin(
        self, content: bytes, seed: int, deliver: Callable[[Heard], None], heard: Sequence[bytes] = ()
    ) -> Told: ...

    def say(self, line: Told, text: str, raw: str) -> None: ...

    def end(self, line: Told) -> None: ...

    def settle(self) -> None: ...

    def statistics(self) -> Measures: ...

    def close(self) -> None: ...
