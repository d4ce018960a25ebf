"""`scoring.executor: ray`: a pool on every node of a Ray cluster, behind the interface of the local one."""

from __future__ import annotations

import os
import signal
import socket
import threading
from collections import Counter, deque
from collections.abc import Sequence
from concurrent.futures import Future
from typing import Any

from grpo_kit.errors import UserError
from grpo_kit.observe.measure import Measure, Measures

from .channel import MAX_ATTEMPTS
from .node import Node, deliver, fail, remote_of
from .places import Place, close_places, open_places
from .work import ScoringError, Work

# Groups on their way to a node for each of its workers: enough to keep it busy, few to lose with it.
GROUPS_AHEAD = 2
SECONDS_TO_ANSWER = 10.0
THREADS = 64  # of a node's actor; each waits for one group


def require_ray() -> Any:
    """The module. Raises UserError if it is not installed."""
    try:
        import ray
    except ImportError as error:
        raise UserError(
            'Ray is not installed: pip install "grpo-kit[ray]" here and on every node. Without it: scoring.executor local, and '
            "train --nproc or torchrun"
        ) from error
    return ray


def join_cluster(ray: Any, address: str | None, option: str, log_to_driver: bool = False) -> None:
    """Raises UserError if no cluster answers. Ray itself would wait for minutes, and then end the process."""
    wanted = address or os.environ.get("RAY_ADDRESS") or "auto"
    missing = UserError(
        f"{option}: no Ray cluster answers at {'this machine' if wanted == 'auto' else wanted}. Start one with "
        "`ray start --head`"
    )
    host, _, port = wanted.rpartition("//")[2].rpartition(":")
    if host and port.isdigit():
        try:
            socket.create_connection((host, int(port)), timeout=SECONDS_TO_ANSWER).close()
        except OSError as error:
            raise missing from error
    kept = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        ray.init(address=wanted, log_to_driver=log_to_driver, logging_level="warning", configure_logging=False)
    except ConnectionError as error:
        raise missing from error
    finally:
        # Ray answers SIGTERM with an exit of its own, and the run would not be saved.
        if threading.current_thread() is threading.main_thread():
            for number, handler in kept.items():
                signal.signal(number, handler)


class ClusterPool:
    """Scores `Work` on every node of a Ray cluster (see `Pool`, whose interface this is).

    A group goes to the node with the fewest under way and stays whole there; deadlines, isolation and recovery are those of the
    node's own pool. What a lost node had not finished goes to the others. Verifiers that are files travel with their text.

    Args:
        workers, memory_mb: of the pool on each node.
        address: of the cluster; None for RAY_ADDRESS or the one that runs here.

    Raises:
        UserError: Ray is not installed, there is no such cluster, or a node has another version of the kit.
    """

    def __init__(
        self, workers: int, memory_mb: int, address: str | None = None, environment: Sequence[str] = ()
    ) -> None:
        self._environment = tuple(environment)
        self.failure: BaseException | None = None
        self._ray = ray = require_ray()
        self._ours = not ray.is_initialized()
        if self._ours:
            join_cluster(ray, address, "scoring.ray_address")
        self._limit = GROUPS_AHEAD * workers
        self._lock = threading.RLock()
        self._queue: deque[Work] = deque()
        self._texts: dict[int, str | None] = {}
        self._lost_with: Counter[Work] = Counter()
        self._counts: Counter[str] = Counter()
        self._places = open_places(ray, Node, (workers, memory_mb, self._environment), THREADS, "scoring.executor")

    # --- the interface of a pool -------------------------------------------------------------------------------------

    def submit(self, works: Sequence[Work]) -> None:
        with self._lock:
            self._queue.extend(works)
            self._fill()

    def statistics(self) -> Measures:
        """Nodes at work; since the last call: nodes lost, groups that moved to another, completions by node."""
        with self._lock:
            found = {
                "scoring/lost_nodes": Measure.max(self._counts["lost_nodes"]),  # every rank notices it for itself
                "scoring/moved_groups": Measure.sum(self._counts["moved_groups"]),
                "scoring/nodes": Measure.min(len(self._places)),
            }
            of_nodes = {name: n for name, n in self._counts.items() if name.endswith("_count")}
            found |= {f"scoring/{name}": Measure.sum(n) for name, n in of_nodes.items()}
            self._counts.clear()
            return Measures(found)

    def close(self) -> None:
        with self._lock:
            places, self._places, self._queue = self._places, [], deque()
        close_places(self._ray, places)
        if self._ours:
            self._ray.shutdown()

    # --- dispatch ----------------------------------------------------------------------------------------------------

    def _fill(self) -> None:
        """Send what waits to nodes that have room. Holds the lock."""
        while self._queue and self._places:
            place = min(self._places, key=lambda p: len(p.under_way))
            if len(place.under_way) >= self._limit:
                return
            work = self._queue.popleft()
            if work.cancelled:
                continue
            place.under_way.add(work)
            try:
                answer = place.actor.score.remote(remote_of(work, self._texts)).future()
            except (TypeError, ValueError) as error:  # an answer or meta that cannot be sent
                place.under_way.discard(work)
                fail([work], f"the task's answer or meta cannot be sent to a node: {type(error).__name__}: {error}")
                continue
            answer.add_done_callback(lambda done, place=place, work=work: self._ended(place, work, done))

    def _ended(self, place: Place, work: Work, answer: Future[Any]) -> None:
        """In a thread of Ray's."""
        try:
            scored = answer.result()
        except self._ray.exceptions.RayTaskError as error:
            self._give_up(ScoringError(f"node {place.name}: {error.cause or error}"))
            return
        except self._ray.exceptions.RayError as error:
            self._lost(place, str(error).splitlines()[0])
            return
        except BaseException as error:
            self._give_up(error)
            return
        with self._lock:
            place.under_way.discard(work)
            self._counts[f"node_{place.number}_count"] += len(work.responses)
            self._fill()
        deliver(work, scored)

    def _lost(self, place: Place, reason: str) -> None:
        """Give what a lost node had under way to the others."""
        with self._lock:
            if place not in self._places:
                return
            self._places.remove(place)
            self._counts["lost_nodes"] += 1
            self._counts["moved_groups"] += len(place.under_way)
            self._lost_with.update(place.under_way)
            hopeless = [w for w in place.under_way if self._lost_with[w] >= MAX_ATTEMPTS]
            self._queue.extendleft(w for w in place.under_way if w not in hopeless)
            place.under_way = set()
            if self._places:
                self._fill()
            else:
                self._give_up(ScoringError(f"every node of the Ray cluster was lost, {place.name} the last: {reason}"))
        fail(hopeless, f"{MAX_ATTEMPTS} nodes were lost while they scored this")

    def _give_up(self, error: BaseException) -> None:
        self.failure = error
