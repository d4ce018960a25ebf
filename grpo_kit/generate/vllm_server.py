"""Any number of vLLM servers behind one generator: the least loaded one gets the next group, a dead one costs time only."""

from __future__ import annotations

import contextlib
import itertools
import queue
import threading
import time
from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from grpo_kit.config import RolloutConfig
from grpo_kit.errors import RunFailed
from grpo_kit.observe.measure import Measures
from grpo_kit.policy.models import Policy
from grpo_kit.policy.network import Network
from grpo_kit.runtime import ranks
from grpo_kit.types import Completion, Prompt

from .base import Replies, SamplingParams, UnderWay, check_prompts
from .episode import OpenEpisodes
from .probe import Probe
from .vllm_fleet import SECONDS_BETWEEN_LOOKS, Fleet
from .vllm_http import ServerLost, VllmServer
from .vllm_request import Request, Sample, first_requests, hand_over, next_request
from .vllm_upkeep import Follower, Owner, Upkeep

_Answer = tuple[Request, list[Sample] | BaseException] | None  # None: an environment has replied


class VllmServers:
    """Samples on vLLM's OpenAI servers (see `generate.base.Generator`).

    Weights travel as `generate.transfer` says. A group is one request, and so is a turn of an episode; when its server is lost,
    the same request with the same seed goes to another one. Servers that come back get the current weights before any request.

    Of several training processes each sends its own requests; rank 0 starts the servers, gives them weights and looks after
    them (`generate.vllm_upkeep`).

    Args:
        policy: gives tokenizer, weights and, for the probe, the trainer's own log-probabilities.
        longest: tokens of the longest prompt and response that will be asked for.
        folder: for weights and the logs of the servers that we start.

    Raises:
        UserError: the servers cannot be started.
    """

    def __init__(self, policy: Policy, config: RolloutConfig, longest: int, folder: Path) -> None:
        self.policy, self.config = policy, config
        probe = Probe(policy, config.temperature, config.vllm.probe_tolerance)
        self.longest = min(max(longest, probe.length), policy.context_length)
        self.fleet = Fleet(policy, config, probe)
        self._updating = threading.Lock()  # one thread at a time gives weights to servers
        self._weights_stable = True
        self._closed = threading.Event()
        self._failure: BaseException | None = None
        self._calls = itertools.count()
        self._unsent: dict[int, int] = {}  # by call of `generate`: requests that no server has been asked yet
        folder = Path(config.vllm.weights_folder or folder / "engine").absolute()
        self.upkeep: Upkeep = (
            Owner(self.fleet, policy, config, self.longest, folder) if ranks.first() else Follower(self.fleet)
        )
        # Sampling ahead, threads that ask come and go, and a server ends with the thread that started it.
        self._cared_for = config.max_staleness > 0
        if self._cared_for:
            threading.Thread(target=self._care, name="care", daemon=True).start()

    # --- what every generator offers ---------------------------------------------------------------------------------

    @property
    def policy_version(self) -> int:
        if self.fleet.version is None:
            raise RuntimeError("the servers have no weights yet: call sync first")
        return self.fleet.version

    def sync(self, model: Network, version: int) -> None:
        """See `Generator.sync`. Raises RunFailed if no server is left or one does not compute what the trainer computes."""
        with self._updating:
            self.fleet.retire(version)
            ranks.barrier("the end of what is being sampled")
            self.upkeep.renew(model, version)

    def weights_stable(self, stable: bool) -> None:
        """See `Generator.weights_stable`. Waits for a server that is being brought back."""
        with self._updating:
            self._weights_stable = stable

    def generate(
        self,
        prompts: Sequence[Prompt],
        sampling: SamplingParams,
        under_way: UnderWay | None = None,
        replies: Replies | None = None,
    ) -> Iterator[list[Completion]]:
        """See `Generator.generate`. A turn has the weights of its request, so that later turns may have newer ones.

        Raises:
            RunFailed: no server comes back within ``rollout.vllm.timeout``, or an episode exceeds the engine's context.
        """
        check_prompts(prompts, sampling, self.longest)
        _ = self.policy_version
        return self._run(prompts, OpenEpisodes(sampling, replies, self.longest))

    def statistics(self) -> Measures:
        """See `Fleet.statistics`."""
        return self.fleet.statistics()

    def close(self) -> None:
        self._closed.set()  # a thread that still samples gives up
        self.upkeep.close()

    # --- generation --------------------------------------------------------------------------------------------------

    def _run(self, prompts: Sequence[Prompt], episodes: OpenEpisodes) -> Iterator[list[Completion]]:
        waiting = deque(request for prompt in prompts for request in first_requests(prompt, episodes))
        each = 1 if episodes.replies is not None else episodes.sampling.n
        # As many requests on their way to a server as keep it busy, so that a slow one is given fewer.
        limit = max(1, 2 * self.config.vllm.max_sequences // (each * ranks.world_size()))
        most = min(len(waiting), limit * len(self.fleet.servers)) or 1
        workers, stop = ThreadPoolExecutor(most, "grpo-kit-vllm"), threading.Event()
        answers: queue.SimpleQueue[_Answer] = queue.SimpleQueue()
        if episodes.replies is not None:
            episodes.replies.watch(lambda: answers.put(None))
        with self.fleet.changed:
            call = next(self._calls)
            self._unsent[call] = len(waiting)
        asked, look = 0, time.monotonic()
        try:
            while waiting or asked or episodes.away:
                while waiting and (episodes.replies is None or asked < most):
                    workers.submit(self._answer, waiting.popleft(), limit, stop, call, answers)
                    asked += 1
                found = [come for come in _come(answers) if come is not None] if asked else []
                if not self._cared_for and time.monotonic() >= look:
                    self._bring_back()
                    look = time.monotonic() + SECONDS_BETWEEN_LOOKS
                for request, answer in found:
                    asked -= 1
                    if isinstance(answer, BaseException):
                        raise answer
                    hand_over(episodes, request, answer, self.policy.tokenizer)
                going_on = [next_request(e) for e in episodes.replied(wait=not waiting and not asked)]
                with self.fleet.changed:
                    self._unsent[call] += len(going_on)
                waiting.extendleft(reversed(going_on))  # before episodes that have not begun
                yield from episodes.groups()
            if not self._cared_for:
                for _ in ranks.polled_barrier("sampling", SECONDS_BETWEEN_LOOKS):
                    self.upkeep.find_lost()
                    self._bring_back()
        finally:
            stop.set()
            with self.fleet.changed:
                del self._unsent[call]
                self.fleet.changed.notify_all()
            workers.shutdown(wait=True, cancel_futures=True)

    def _care(self) -> None:
        """Bring servers back all the time."""
        try:
            while not self._closed.wait(SECONDS_BETWEEN_LOOKS):
                self.upkeep.find_lost()
                self._bring_back()
        except BaseException as error:
            self._failure = error  # for those who wait for a server

    def _bring_back(self) -> None:
        if self.fleet.missing and self._updating.acquire(blocking=False):
            try:
                if self._weights_stable:
                    self.upkeep.bring_up()
            finally:
                self._updating.release()

    def _answer(
        self, request: Request, limit: int, stop: threading.Event, call: int, answers: queue.SimpleQueue[_Answer]
    ) -> None:
        """Of a thread for each request."""
        try:
            answers.put((request, self._samples(request, limit, stop, call)))
        except BaseException as error:
            answers.put((request, error))

    def _samples(self, request: Request, limit: int, stop: threading.Event, call: int) -> list[Sample]:
        """What was asked for, from whichever server can give it."""
        lost_at = 0
        while True:
            server = self._take(limit, stop, call)
            try:
                return self.fleet.ask(server, request)
            except ServerLost as lost:
                lost_at += 1
                with self.fleet.changed:
                    if call in self._unsent:
                        self._unsent[call] += 1
                    self.fleet.counts["retries"] += 1
                    self.fleet.lost(server, str(lost))
                if lost_at > 3 * len(self.fleet.servers):
                    raise RunFailed(f"the request of {request.task_id} failed on {lost_at} servers: {lost}") from lost
                stop.wait(min(0.1 * 2**lost_at, 5.0))
            finally:
                with self.fleet.changed:
                    server.in_flight -= 1
                    self.fleet.changed.notify_all()

    def _take(self, limit: int, stop: threading.Event, call: int) -> VllmServer:
        """The ready server with the fewest requests in flight; waits for one, and lets earlier calls go first."""
        deadline = time.monotonic() + self.config.vllm.timeout
        with self.fleet.changed:
            while not stop.is_set() and not self._closed.is_set():
                if self._failure is not None:
                    raise self._failure
                ready = self.fleet.ready
                free = [s for s in ready if s.in_flight < limit]
                if free and not any(left for earlier, left in self._unsent.items() if earlier < call):
                    chosen = min(free, key=lambda s: s.in_flight)
                    chosen.in_flight += 1
                    self._unsent[call] -= 1
                    self.fleet.changed.notify_all()
                    return chosen
                if ready:  # busy is not lost
                    deadline = time.monotonic() + self.config.vllm.timeout
                elif time.monotonic() > deadline:
                    raise RunFailed(f"no server came back: {self.fleet.complaints()}")
                self.fleet.changed.wait(SECONDS_BETWEEN_LOOKS)
        raise RunFailed("generation was stopped")


def _come(answers: queue.SimpleQueue[_Answer]) -> Iterator[_Answer]:
    """The answers that have come; waits a while for the first."""
    with contextlib.suppress(queue.Empty):
        yield answers.get(timeout=SECONDS_BETWEEN_LOOKS)
        while True:
            yield answers.get_nowait()
