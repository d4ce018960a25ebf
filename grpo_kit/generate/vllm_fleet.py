"""The vLLM servers of a run: which of them have the current weights, and requests whose answers are checked."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from grpo_kit.config import RolloutConfig
from grpo_kit.errors import UserError
from grpo_kit.observe.measure import Measure, Measures
from grpo_kit.policy.models import Policy

from .episode import OpenEpisodes
from .probe import Probe
from .vllm_adapters import ADAPTERS
from .vllm_http import ServerLost, VllmServer
from .vllm_request import Request, Sample, first_requests, hand_over

SECONDS_BETWEEN_LOOKS = 1.0  # at servers that are down, while others work


class Fleet:
    """Servers by what can be asked of them.

    A server is ready from the moment that it answers the probe with the current weights until it is lost. How it comes by
    these weights is not known here: `admit` is told.

    Attributes:
        changed: guards states and counts, and is notified when one changes.
        version: of the weights that a ready server has; None before the first.
        coming: of the weights that a server may have already.
    """

    def __init__(self, policy: Policy, rollout: RolloutConfig, probe: Probe) -> None:
        self.tokenizer, self.probe = policy.tokenizer, probe
        self.adapters = rollout.vllm.adapters
        self.in_flight_updates = rollout.vllm.update == "in_flight"
        self.servers = [VllmServer(url, rollout.vllm.timeout, self.in_flight_updates) for url in rollout.vllm.servers]
        self.changed = threading.Condition()
        self.version: int | None = None
        self.coming = 0
        self.counts: Counter[str] = Counter()
        self._statistics = Measures()

    @property
    def ready(self) -> list[VllmServer]:
        return [s for s in self.servers if s.state == "ready"]

    @property
    def missing(self) -> list[VllmServer]:
        return [s for s in self.servers if s.state != "ready"]

    def complaints(self) -> str:
        return "; ".join(f"{s.url}: {s.last_error}" for s in self.missing)

    def statistics(self) -> Measures:
        """Probe, servers at work, and what went wrong since the last call.

        Ranks share servers and each notices a loss for itself, so of several ranks the one that noticed most speaks.
        """
        statistics, self._statistics = self._statistics, Measures()
        statistics.add("engine/retries", Measure.sum(self.counts["retries"]))
        statistics.add("engine/servers_lost", Measure.max(self.counts["servers_lost"]))
        statistics.add("engine/servers_returned", Measure.max(self.counts["servers_returned"]))
        statistics.add("engine/servers", Measure.min(len(self.ready)))
        self.counts.clear()
        return statistics

    def brought(self, size: int | None) -> None:
        """Each server is about to be given so many bytes; None: nobody counted them."""
        if size is not None:
            self._statistics.add("sync/bytes", Measure.last(size))

    def retire(self, version: int) -> None:
        """Begin nothing more with the weights of before, and wait for what is under way: another thread may be sampling.

        Groups end with the weights that they began with, unless in_flight lets them go on with newer ones.
        """
        self.coming = version
        with self.changed:
            for server in self.servers:
                server.state = "down"  # until it has these weights
            while not self.in_flight_updates and any(s.in_flight for s in self.servers):
                self.changed.wait(SECONDS_BETWEEN_LOOKS)

    def lost(self, server: VllmServer, reason: str) -> None:
        with self.changed:
            self.counts["servers_lost"] += server.state == "ready"
            server.lost(reason)

    def answering(self) -> list[VllmServer]:
        """Servers that are missing and answer again."""
        return [s for s in self.missing if s.healthy()]

    def admit(self, servers: list[VllmServer], load: Callable[[VllmServer], None]) -> None:
        """Make servers ready that have the current weights after ``load``, and answer the probe with them.

        Args:
            load: of a thread for each server. Raises ServerLost.

        Raises:
            RunFailed: one does not compute what the trainer computes.
        """
        if not servers:
            return

        def loads(server: VllmServer) -> bool:
            try:
                load(server)
            except ServerLost as lost:
                server.lost(str(lost))
                return False
            return True

        with ThreadPoolExecutor(len(servers)) as pool:
            loaded = list(pool.map(loads, servers))
        for server in (s for s, ok in zip(servers, loaded, strict=True) if ok):
            self._check(server)

    def _check(self, server: VllmServer) -> None:
        episodes = OpenEpisodes(self.probe.sampling, None, self.probe.length)
        (request,) = first_requests(self.probe.prompt, episodes)
        try:
            hand_over(episodes, request, self.ask(server, request), self.tokenizer)
        except ServerLost as lost:
            server.lost(str(lost))
            return
        (completions,) = episodes.groups()
        assert self.version is not None
        difference = self.probe.check(completions, self.version, server.url)
        self._statistics.add("mismatch/probe", Measure.max(difference))
        with self.changed:
            self.counts["servers_returned"] += server.was_lost
            server.state, server.was_lost = "ready", False
            self.changed.notify_all()

    def ask(self, server: VllmServer, request: Request) -> list[Sample]:
        """What one server samples. Raises ServerLost, also for an answer of weights that no ready server has."""
        begun = self.version
        assert begun is not None
        answer = self._answer(server, {"token_ids": request.token_ids, "sampling_params": request.fields})
        samples = []
        for choice in sorted(answer["choices"], key=lambda c: c["index"]):
            if choice["finish_reason"] == "abort":
                raise ServerLost("it gave up the request: another rank found it lost and gave it weights")
            spans = choice["weight_versions"] or ()
            versions = {span["version"] for span in spans}
            allowed = {str(v) for v in range(begun, self.coming + 1)}
            if not versions or not versions <= allowed:
                raise ServerLost(f"it sampled with weights {sorted(versions)}, not {self.version}: was it restarted?")
            changes = [(span["start"], int(span["version"])) for span in spans]
            logprobs = [position["logprob"] for position in choice["logprobs"]["content"]]
            samples.append(Sample(choice["token_ids"], logprobs, choice["finish_reason"], changes))
        return samples

    def _answer(self, server: VllmServer, body: dict[str, Any]) -> Any:
        if not self.adapters:
            return server.call("/inference/v1/generate", body)
        try:
            return server.call("/inference/v1/generate", body | {"model": ADAPTERS})
        except UserError as error:
            if f"`{ADAPTERS}`" not in str(
                error
            ):  # it has no such path; where the adapters are missing it says their name
                raise
            raise ServerLost(f"it has no adapters: was it restarted? ({error})") from error
