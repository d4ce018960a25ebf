"""Any number of vLLM servers behind one generator: the least loaded one gets the next group, a dead one costs time only."""

from __future__ import annotations

import itertools
import json
import shutil
import threading
import time
import warnings
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from pathlib import Path
from typing import Any

import torch

from grpo_kit.config import RolloutConfig
from grpo_kit.errors import RunFailed, UserError
from grpo_kit.observe.measure import Measure, Measures
from grpo_kit.policy.models import Policy
from grpo_kit.policy.network import Network
from grpo_kit.runtime import ranks
from grpo_kit.types import Completion, Prompt

from .base import SamplingParams, check_prompts
from .probe import Probe
from .transfer import open_transfer
from .vllm_http import ServerLost, ServerProcess, VllmServer, host_and_port
from .vllm_request import CPU_PREFILL_TOKENS, group_of, request_fields
from .vllm_status import require_vllm

LOCAL_HOSTS = ("127.0.0.1", "localhost", "::1")
EVERY_ADDRESS = ("0.0.0.0", "::", "[::]")
SECONDS_BETWEEN_LOOKS = 1.0  # at servers that are down, while others work


class VllmServers:
    """Samples on vLLM's OpenAI servers (see `generate.base.Generator`).

    Weights travel as `generate.transfer` says. A group is one request; when its server is lost, the same
    request with the same seed goes to another one. Servers that come back get the current weights before any request.

    Of several training processes each sends its own requests; rank 0 starts the servers, gives them weights and looks after
    them (`FollowedServers` is what the others have).

    Args:
        policy: gives tokenizer, weights and, for the probe, the trainer's own log-probabilities.
        longest: tokens of the longest prompt and response that will be asked for.
        folder: for weights and the logs of the servers that we start.

    Raises:
        UserError: the servers cannot be started.
    """

    def __init__(self, policy: Policy, config: RolloutConfig, longest: int, folder: Path) -> None:
        self.policy, self.config = policy, config
        self.probe = Probe(policy, config.temperature, config.vllm.probe_tolerance)
        self.longest = min(max(longest, self.probe.length), policy.context_length)
        self.folder = Path(config.vllm.weights_folder or folder / "engine").absolute()
        self.in_flight_updates = config.vllm.update == "in_flight"
        self.servers = [VllmServer(url, config.vllm.timeout, self.in_flight_updates) for url in config.vllm.servers]
        self._room = threading.Condition()
        self._updating = threading.Lock()  # one thread at a time gives weights to servers
        self._counts: Counter[str] = Counter()
        self._statistics = Measures()
        self._version: int | None = None
        self._coming = 0  # the version that servers may have already
        self._weights_stand = True
        self._closed = threading.Event()
        self._failure: BaseException | None = None
        self._calls = itertools.count()
        self._unsent: dict[int, int] = {}  # by call of `generate`: groups that no server has been asked for yet
        self.folder.mkdir(parents=True, exist_ok=True)
        self.transfer = open_transfer(policy, config.vllm.transfer, self.folder, warnings.warn)
        if config.vllm.launch:
            self._launch()
        # Sampling ahead, threads that ask come and go, and a server ends with the thread that started it.
        self._cared_for = config.max_staleness > 0
        if self._cared_for:
            threading.Thread(target=self._care, name="care", daemon=True).start()

    # --- what every generator offers ---------------------------------------------------------------------------------

    @property
    def policy_version(self) -> int:
        if self._version is None:
            raise RuntimeError("the servers have no weights yet: call sync first")
        return self._version

    def sync(self, model: Network, version: int) -> None:
        """See `Generator.sync`. Raises RunFailed if no server is left or one does not compute what the trainer computes."""
        with self._updating:
            self._end_of_older(version)
            self._give(model, version)
        ranks.meet("new weights on the servers")

    def _end_of_older(self, version: int) -> None:
        """Begin nothing more with the weights of before, and wait for what is under way: another thread may be sampling.

        Groups end with the weights that they began with, unless in_flight lets them go on with newer ones.
        """
        self._coming = version
        with self._room:
            for server in self.servers:
                server.state = "down"  # until it has these weights
            while not self.in_flight_updates and any(s.in_flight for s in self.servers):
                self._room.wait(SECONDS_BETWEEN_LOOKS)
        ranks.meet("the end of what is being sampled")

    def _give(self, model: Network, version: int) -> None:
        self.transfer.prepare(model, version)
        first, self._version = self._version is None, version
        deadline = time.monotonic() + self.config.vllm.timeout
        while self._missing() if first else not self._ready():
            self._bring_up()
            if time.monotonic() > deadline:
                raise RunFailed(f"no weights could be given to {self._complaints()}")
            if first and self._missing():
                time.sleep(SECONDS_BETWEEN_LOOKS)
        self._bring_up()
        self.transfer.forget_older()

    def weights_stand(self, stand: bool) -> None:
        """See `Generator.weights_stand`. Waits for a server that is being brought back."""
        with self._updating:
            self._weights_stand = stand

    def generate(self, prompts: Sequence[Prompt], sampling: SamplingParams) -> Iterator[list[Completion]]:
        """See `Generator.generate`. Raises RunFailed when no server comes back within ``rollout.vllm.timeout``."""
        check_prompts(prompts, sampling, self.longest)
        _ = self.policy_version
        return self._run(prompts, sampling)

    def statistics(self) -> Measures:
        """Probe, servers at work, and what went wrong since the last call.

        Ranks share servers and each notices a loss for itself, so of several ranks the one that noticed most speaks.
        """
        statistics, self._statistics = self._statistics, Measures()
        statistics.add("engine/retries", Measure.sum(self._counts["retries"]))
        statistics.add("engine/servers_lost", Measure.max(self._counts["servers_lost"]))
        statistics.add("engine/servers_returned", Measure.max(self._counts["servers_returned"]))
        statistics.add("engine/servers", Measure.min(len(self._ready())))
        self._counts.clear()
        return statistics

    def close(self) -> None:
        self._closed.set()  # a thread that still samples gives up
        for server in self.servers:
            if server.process is not None:
                server.process.stop()
        shutil.rmtree(self.folder / "start", ignore_errors=True)
        self.transfer.close()

    # --- generation --------------------------------------------------------------------------------------------------

    def _run(self, prompts: Sequence[Prompt], sampling: SamplingParams) -> Iterator[list[Completion]]:
        # As many groups on their way to a server as keep it busy, so that a slow one is given fewer.
        limit = max(1, 2 * self.config.vllm.max_sequences // (sampling.n * ranks.world_size()))
        workers = ThreadPoolExecutor(min(len(prompts), limit * len(self.servers)) or 1, "grpo-kit-vllm")
        stop = threading.Event()
        waiting: set[Future[list[Completion]]] = set()
        with self._room:
            call = next(self._calls)
            self._unsent[call] = len(prompts)
        try:
            waiting = {workers.submit(self._group, prompt, sampling, limit, stop, call) for prompt in prompts}
            while waiting:
                done, waiting = wait(waiting, SECONDS_BETWEEN_LOOKS, FIRST_COMPLETED)
                if not self._cared_for:
                    self._bring_back()
                for future in done:
                    yield future.result()
            if not self._cared_for:
                for _ in ranks.meeting("sampling", SECONDS_BETWEEN_LOOKS):
                    self._look_after_the_others()
        finally:
            stop.set()
            with self._room:
                del self._unsent[call]
                self._room.notify_all()
            workers.shutdown(wait=True, cancel_futures=True)

    def _care(self) -> None:
        """Bring servers back all the time."""
        try:
            while not self._closed.wait(SECONDS_BETWEEN_LOOKS):
                self._look_after_the_others()
                self._bring_back()
        except BaseException as error:
            self._failure = error  # for those who wait for a server

    def _bring_back(self) -> None:
        if len(self._ready()) < len(self.servers) and self._updating.acquire(blocking=False):
            try:
                if self._weights_stand:
                    self._bring_up()
            finally:
                self._updating.release()

    def _look_after_the_others(self) -> None:
        """Other ranks are still sampling: a server that is lost to them comes back through this one alone."""
        for server in self._ready():
            if not server.healthy():
                server.lost(server.last_error)
        self._bring_back()

    def _group(
        self, prompt: Prompt, sampling: SamplingParams, limit: int, stop: threading.Event, call: int
    ) -> list[Completion]:
        """One group from whichever server can give it."""
        lost_at = 0
        while True:
            server = self._take(limit, stop, call)
            try:
                return self._ask(server, prompt, sampling)
            except ServerLost as lost:
                lost_at += 1
                with self._room:
                    if call in self._unsent:
                        self._unsent[call] += 1
                    self._counts["retries"] += 1
                    if server.state == "ready":
                        self._counts["servers_lost"] += 1
                    server.lost(str(lost))
                if lost_at > 3 * len(self.servers):
                    raise RunFailed(f"the request of {prompt.task_id} failed on {lost_at} servers: {lost}") from lost
                stop.wait(min(0.1 * 2**lost_at, 5.0))
            finally:
                with self._room:
                    server.in_flight -= 1
                    self._room.notify_all()

    def _take(self, limit: int, stop: threading.Event, call: int) -> VllmServer:
        """The ready server with the fewest requests in flight; waits for one, and lets earlier calls go first."""
        deadline = time.monotonic() + self.config.vllm.timeout
        with self._room:
            while not stop.is_set() and not self._closed.is_set():
                if self._failure is not None:
                    raise self._failure
                free = [s for s in self._ready() if s.in_flight < limit]
                if free and not any(left for earlier, left in self._unsent.items() if earlier < call):
                    chosen = min(free, key=lambda s: s.in_flight)
                    chosen.in_flight += 1
                    self._unsent[call] -= 1
                    self._room.notify_all()
                    return chosen
                if self._ready():  # busy is not lost
                    deadline = time.monotonic() + self.config.vllm.timeout
                elif time.monotonic() > deadline:
                    raise RunFailed(f"no server came back: {self._complaints()}")
                self._room.wait(SECONDS_BETWEEN_LOOKS)
        raise RunFailed("generation was stopped")

    def _ask(self, server: VllmServer, prompt: Prompt, sampling: SamplingParams) -> list[Completion]:
        begun = self.policy_version
        body = {"token_ids": list(prompt.token_ids), "sampling_params": request_fields(sampling, prompt.task_id)}
        answer = server.call("/inference/v1/generate", body)
        samples, changes = [], []
        for choice in sorted(answer["choices"], key=lambda c: c["index"]):
            if choice["finish_reason"] == "abort":
                raise ServerLost("it gave up the request: another rank found it lost and gave it weights")
            spans = choice["weight_versions"] or ()
            versions = {span["version"] for span in spans}
            allowed = {str(v) for v in range(begun, self._coming + 1)}
            if not versions or not versions <= allowed:
                raise ServerLost(f"it sampled with weights {sorted(versions)}, not {self._version}: was it restarted?")
            changes.append([(span["start"], int(span["version"])) for span in spans])
            logprobs = [position["logprob"] for position in choice["logprobs"]["content"]]
            samples.append((choice["token_ids"], logprobs, choice["finish_reason"], changes[-1][0][1]))
        group = group_of(prompt, samples, sampling, self.policy.tokenizer)
        for completion, found in zip(group, changes, strict=False):  # greedy: one sample stands for all
            completion.later_versions = found[1:]
        return group

    # --- weights and health ------------------------------------------------------------------------------------------

    def _ready(self) -> list[VllmServer]:
        return [s for s in self.servers if s.state == "ready"]

    def _missing(self) -> list[VllmServer]:
        return [s for s in self.servers if s.state != "ready"]

    def _complaints(self) -> str:
        return "; ".join(f"{s.url}: {s.last_error}" for s in self._missing())

    def _bring_up(self) -> None:
        """Give the current weights to every server that is down but answers; start again those of ours that ended."""
        healthy = [s for s in self._missing() if s.healthy()]
        for server in self._missing():
            if server.process is not None and not server.process.running:
                server.last_error = f"it ended; the end of {server.process.log}: {server.process.last_words()}"
                server.process.start()
        if not healthy:
            return
        with ThreadPoolExecutor(len(healthy)) as pool:
            loaded = list(pool.map(self._load, healthy))
        for server in (s for s, ok in zip(healthy, loaded, strict=True) if ok):
            self._check(server)

    def _load(self, server: VllmServer) -> bool:
        try:
            self.transfer.give(server)
        except ServerLost as lost:
            server.lost(str(lost))
            return False
        return True

    def _check(self, server: VllmServer) -> None:
        try:
            completions = self._ask(server, self.probe.prompt, self.probe.sampling)
        except ServerLost as lost:
            server.lost(str(lost))
            return
        difference = self.probe.check(completions, self.policy_version, server.url)
        self._statistics.add("mismatch/probe", Measure.max(difference))
        with self._room:
            self._counts["servers_returned"] += server.was_lost
            server.state, server.was_lost = "ready", False
            self._room.notify_all()

    # --- servers of our own ------------------------------------------------------------------------------------------

    def _launch(self) -> None:
        require_vllm(self.policy.device.type)
        if ranks.machines() > 1:
            raise UserError(
                "rollout.vllm.launch starts servers on the machine of rank 0, where the ranks of other machines do not reach "
                "them; start servers yourself (docs/vllm.md) and name them by addresses that every machine reaches"
            )
        start = self.folder / "start"
        self.policy.save(start)
        for index, server in enumerate(self.servers):
            host, port = host_and_port(server.url)
            if host in EVERY_ADDRESS:
                raise UserError(
                    f"rollout.vllm.launch: {server.url} would open the server's development endpoints, by which anybody can "
                    "replace its weights, on every address of this machine; write http://127.0.0.1:PORT"
                )
            if host not in LOCAL_HOSTS:
                raise UserError(f"rollout.vllm.launch: {server.url} is not on this machine; start that server there")
            if server.healthy():
                raise UserError(f"rollout.vllm.launch: a server answers at {server.url} already; choose another port")
            devices = self.config.vllm.devices[index] if self.config.vllm.devices else None
            server.process = ServerProcess(
                self.arguments(start, host, port), devices, self.folder / f"server-{port}.log"
            )
            server.process.start()

    def arguments(self, model: Path, host: str, port: int) -> list[str]:
        """What a server that fits this run is started with."""
        settings = self.config.vllm
        arguments: dict[str, Any] = {
            "model": model,
            "host": host,
            "port": port,
            "dtype": str(self.policy.autocast or torch.float32).removeprefix("torch."),
            "logprobs-mode": "processed_logprobs",
            "generation-config": "vllm",
            "max-model-len": self.longest,
            # A server refuses requests of more samples than it decodes side by side.
            "max-num-seqs": max(settings.max_sequences, self.config.group_size),
            "gpu-memory-utilization": settings.memory_fraction,
            "tensor-parallel-size": settings.tensor_parallel,
        }
        if self.policy.device.type == "cuda":
            arguments["weight-transfer-config"] = json.dumps({"backend": "nccl"})
        flags = ["--enable-scale-out", "--enable-prefix-caching", "--disable-uvicorn-access-log"]
        if self.policy.device.type == "cpu":
            arguments["kv-cache-memory-bytes"] = int(settings.cache_gb * 2**30)
            arguments["max-num-batched-tokens"] = max(CPU_PREFILL_TOKENS, self.longest)
            flags += ["--enforce-eager", "--no-enable-chunked-prefill"]
        return [text for name, value in arguments.items() for text in (f"--{name}", str(value))] + flags


class FollowedServers(VllmServers):
    """The servers as every rank but the first has them: to ask, while rank 0 looks after them.

    A server that this rank lost is taken back once it answers the probe with the current weights, which rank 0 gives it.
    """

    def _launch(self) -> None:
        return None

    def sync(self, model: Network, version: int) -> None:
        """See `VllmServers.sync`. Raises RunFailed if none of the servers that rank 0 began with answers this rank."""
        with self._updating:
            self._end_of_older(version)
            ranks.meet("new weights on the servers")
            first, self._version = self._version is None, version
            self._bring_up()
        # Later on a server may be lost in between: `generate` waits for rank 0 to bring it back.
        if first and not self._ready():
            raise RunFailed(f"rank {ranks.rank()} reaches no server with weights {version}: {self._complaints()}")

    def _load(self, server: VllmServer) -> bool:
        return True

    def _look_after_the_others(self) -> None:
        return None

    def close(self) -> None:
        self._closed.set()
