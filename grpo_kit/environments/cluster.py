"""`environment.executor: ray`: a pool of environments on every node of a Ray cluster, behind the interface of the local one.

An episode lives on one node. What was said to it and digests of what it answered are kept here, so that when its node is lost it
is told it all again on another, and its answers are compared.
"""

from __future__ import annotations

import itertools
import threading
from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from grpo_kit.observe.measure import Measure, Measures
from grpo_kit.scoring.channel import MAX_ATTEMPTS
from grpo_kit.scoring.cluster import join_cluster, require_ray
from grpo_kit.scoring.places import SECONDS_TO_START, Place, close_places, open_places
from grpo_kit.types import Score

from .lookup import Address
from .node import Begin, End, EpisodeNode, News, Say
from .players import Wanted
from .pool import EnvironmentFailed, Heard

THREADS = 4  # of a node's actor: one takes what is said, one waits for what is heard


@dataclass(eq=False)
class FarLine:
    """One episode, as the trainer's side keeps it. See `pool.Line`.

    Attributes:
        home: the node that it lives on; None where it has none.
        homes: nodes that it has lived on. lost: those that were lost while it waited for an answer.
    """

    key: int
    content: bytes
    seed: int
    deliver: Callable[[Heard], None]
    heard: list[bytes]
    said: list[tuple[str, str]] = field(default_factory=list)
    home: Spot | None = None
    over: bool = False
    homes: int = 0
    lost: int = 0

    @property
    def waits(self) -> bool:
        return not self.over and len(self.heard) <= len(self.said)


@dataclass(eq=False)
class Spot:
    """A node and the episodes on it.

    Attributes:
        unsaid: what is to be said there, once what was said last has arrived; ``saying``: it has not.
        news: what it counted, when it was last heard.
    """

    place: Place
    lines: dict[int, FarLine] = field(default_factory=dict)
    unsaid: list[Begin | Say | End] = field(default_factory=list)
    saying: bool = False
    news: News = field(default_factory=lambda: News((), 0, 0))

    @property
    def load(self) -> tuple[int, int]:
        return sum(line.waits for line in self.lines.values()), len(self.lines)


class ClusterEpisodes:
    """Plays episodes on every node of a Ray cluster (see `EpisodePool`, whose interface this is).

    A new episode goes to the node where the fewest wait for an answer. Deadlines, isolation and replay after a worker's death are
    those of the node's own pool. Environments that are files travel with their text.

    Args:
        version: of the environment here.
        address: of the cluster; None for RAY_ADDRESS or the one that runs here.

    Raises:
        UserError: Ray is not installed, there is no such cluster, or a node has another version of the kit.
        EnvironmentFailed: a node cannot load the environment, or has another version of it.
    """

    def __init__(self, wanted: Wanted, version: str, address: str | None = None) -> None:
        self.failure: BaseException | None = None
        self._ray = ray = require_ray()
        self._ours = not ray.is_initialized()
        if self._ours:
            join_cluster(ray, address, "scoring.ray_address")
        self._lock = threading.RLock()
        self._keys = itertools.count(1)
        self._counts: Counter[str] = Counter()
        self._gone = [0, 0]  # workers replaced and calls made again, on nodes that were lost or because of it
        self._spots = [Spot(place) for place in open_places(ray, EpisodeNode, (), THREADS, "environment.executor")]
        texts = wanted.address.texts() if isinstance(wanted.address, Address) else {}
        try:
            starts = [spot.place.actor.start.remote(wanted, version, texts) for spot in self._spots]
            ray.get(starts, timeout=SECONDS_TO_START)
        except ray.exceptions.RayTaskError as error:
            self.close()
            raise EnvironmentFailed(f"on a node of the Ray cluster: {error.cause or error}") from error
        except BaseException:
            self.close()
            raise
        for spot in self._spots:
            self._listen(spot)

    # --- the interface of a pool -------------------------------------------------------------------------------------

    @property
    def replaced(self) -> int:
        with self._lock:
            return self._gone[0] + sum(spot.news.replaced for spot in self._spots)

    @property
    def replayed(self) -> int:
        with self._lock:
            return self._gone[1] + sum(spot.news.replayed for spot in self._spots)

    def begin(
        self, content: bytes, seed: int, deliver: Callable[[Heard], None], heard: Sequence[bytes] = ()
    ) -> FarLine:
        line = FarLine(next(self._keys), content, seed, deliver, [*heard])
        with self._lock:
            if line.waits:
                self._settle(line)
        return line

    def say(self, line: FarLine, text: str, raw: str) -> None:
        with self._lock:
            line.said.append((text, raw))
            if line.home is None:
                self._settle(line)
            else:
                self._post(line.home, Say(line.key, text, raw))

    def end(self, line: FarLine) -> None:
        with self._lock:
            line.over = True
            if line.home is not None:
                del line.home.lines[line.key]
                self._post(line.home, End(line.key))
                line.home = None

    def settle(self) -> None:
        """Nothing is put off."""

    def statistics(self) -> Measures:
        """Nodes at work; since the last call: nodes lost, episodes whose call was made again on another."""
        with self._lock:
            found = {
                "environment/lost_nodes": Measure.max(self._counts["lost_nodes"]),  # every rank notices it for itself
                "environment/moved_episodes": Measure.sum(self._counts["moved_episodes"]),
                "environment/nodes": Measure.min(len(self._spots)),
            }
            self._counts.clear()
            return Measures(found)

    def close(self) -> None:
        with self._lock:
            spots, self._spots = self._spots, []
        close_places(self._ray, [spot.place for spot in spots])
        if self._ours:
            self._ray.shutdown()

    # --- to the nodes ------------------------------------------------------------------------------------------------

    def _settle(self, line: FarLine) -> None:
        """Give an episode a home, with all that it was told. Holds the lock."""
        if not self._spots:
            return  # whoever waits finds `failure`
        spot = min(self._spots, key=lambda s: s.load)
        self._gone[1] += len(line.heard) if line.homes else 0
        line.home = spot
        line.homes += 1
        spot.lines[line.key] = line
        self._post(spot, Begin(line.key, line.content, line.seed, tuple(line.heard), tuple(line.said)))

    def _post(self, spot: Spot, each: Begin | Say | End) -> None:
        """Have it said. What comes while something is on its way goes together. Holds the lock."""
        spot.unsaid.append(each)
        self._say_all(spot)

    def _say_all(self, spot: Spot) -> None:
        if spot.saying or not spot.unsaid or spot not in self._spots:
            return
        said, spot.unsaid, spot.saying = spot.unsaid, [], True
        spot.place.actor.tell.remote(said).future().add_done_callback(partial(self._said, spot))

    def _said(self, spot: Spot, answer: Future[Any]) -> None:
        """In a thread of Ray's."""
        if self._came(spot, answer):
            with self._lock:
                spot.saying = False
                self._say_all(spot)

    # --- from the nodes ----------------------------------------------------------------------------------------------

    def _listen(self, spot: Spot) -> None:
        spot.place.actor.hear.remote().future().add_done_callback(partial(self._heard, spot))

    def _heard(self, spot: Spot, answer: Future[Any]) -> None:
        """In a thread of Ray's."""
        if not self._came(spot, answer):
            return
        told: list[tuple[FarLine, Heard]] = []
        with self._lock:
            if spot not in self._spots:
                return
            spot.news = answer.result()
            for key, heard in spot.news.heard:
                line = spot.lines.get(key)
                if line is not None:
                    line.heard.append(heard.digest)
                    told.append((line, heard))
            self._listen(spot)
        for line, heard in told:
            line.deliver(heard)

    def _came(self, spot: Spot, answer: Future[Any]) -> bool:
        """Whether a call of a node was answered."""
        try:
            answer.result()
        except self._ray.exceptions.RayTaskError as error:
            self.failure = self.failure or EnvironmentFailed(f"node {spot.place.name}: {error.cause or error}")
        except self._ray.exceptions.RayError as error:
            self._lost(spot, str(error).splitlines()[0])
        except BaseException as error:
            self.failure = self.failure or error
        else:
            return True
        return False

    def _lost(self, spot: Spot, reason: str) -> None:
        """Have what a lost node was asked answered by the others; what waits for the policy moves when it is next told a turn."""
        hopeless: list[FarLine] = []
        with self._lock:
            if spot not in self._spots:
                return
            self._spots.remove(spot)
            self._counts["lost_nodes"] += 1
            self._gone[0] += spot.news.replaced
            self._gone[1] += spot.news.replayed
            if not self._spots:
                self.failure = EnvironmentFailed(
                    f"every node of the Ray cluster was lost, {spot.place.name} the last: {reason}"
                )
                return
            for line in spot.lines.values():
                line.home = None
                if not line.waits:
                    continue
                line.lost += 1
                self._counts["moved_episodes"] += 1
                if line.lost < MAX_ATTEMPTS:
                    self._settle(line)
                else:
                    line.over = True
                    hopeless.append(line)
        for line in hopeless:
            reason = f"{MAX_ATTEMPTS} nodes were lost while they played this"
            line.deliver(Heard(failure=Score(status="error", reason=reason)))
