"""vLLM in the trainer's process: weights pushed live, groups handed on as soon as they are complete."""

from __future__ import annotations

import contextlib
import os
import tempfile
import warnings
from collections import deque
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from grpo_kit.config import RolloutConfig
from grpo_kit.errors import RunFailed, UserError
from grpo_kit.observe.measure import Measure, Measures
from grpo_kit.policy.models import Policy
from grpo_kit.policy.network import Network
from grpo_kit.policy.weights import exported_weights
from grpo_kit.runtime import ranks
from grpo_kit.types import Completion, Prompt

from .base import Replies, SamplingParams, UnderWay, check_prompts
from .episode import OpenEpisodes
from .probe import Probe
from .vllm_adapters import Adapters, adapter_options, save_base
from .vllm_options import engine_options, save_architecture
from .vllm_request import Request, Sample, first_requests, hand_over, next_request
from .vllm_status import require_vllm


class VllmEngine:
    """Samples with ``vllm.LLM`` (see `generate.base.Generator`).

    The engine starts with random weights, so `sync` must come before the first `generate`.

    Args:
        policy: gives the architecture, the tokenizer and, for the probe, the trainer's own log-probabilities.
        longest: tokens of the longest prompt and response that will be asked for.

    Raises:
        UserError: vLLM is not usable here, or cannot serve this model.
    """

    def __init__(self, policy: Policy, config: RolloutConfig, longest: int) -> None:
        require_vllm(policy.device.type)
        self.policy = policy
        self.probe = Probe(policy, config.temperature, config.vllm.probe_tolerance)
        self.longest = min(max(longest, self.probe.length), policy.context_length)
        self.max_sequences = config.vllm.max_sequences
        self.can_sleep = config.vllm.sleep and policy.device.type == "cuda"
        self.asleep = False
        self._adapters = Adapters() if config.vllm.adapters else None
        self._llm = _load(policy, config, self.longest)
        self._version: int | None = None
        self._statistics = Measures()

    @property
    def policy_version(self) -> int:
        if self._version is None:
            raise RuntimeError("the engine has no weights yet: call sync first")
        return self._version

    def sync(self, model: Network, version: int) -> None:
        """See `Generator.sync`. Raises RunFailed when the engine does not compute what the trainer computes."""
        self._wake()
        self._statistics.add("sync/bytes", Measure.last(self._give(model, version)))
        self._forget_prefixes()
        self._llm.llm_engine.set_weight_version(str(version))
        self._version = version
        (completions,) = self.generate([self.probe.prompt], self.probe.sampling)
        self._statistics.add("mismatch/probe", Measure.max(self.probe.check(completions, version, "vLLM")))

    def _give(self, model: Network, version: int) -> int:
        """Hand over what has changed; returns its bytes."""
        if self._adapters is not None:
            return self._adapters.give(self._llm.llm_engine, model, version)
        weights = _Counted(exported_weights(model))
        self._llm.collective_rpc("reload_weights", kwargs={"weights_iterator": weights})
        return weights.bytes

    def weights_stable(self, stable: bool) -> None:
        """See `Generator.weights_stable`. Nothing happens here while the trainer works."""

    def _forget_prefixes(self) -> None:
        """Keys and values computed with older weights must not meet new ones."""
        if not self._llm.reset_prefix_cache():
            raise RunFailed("vLLM could not reset its prefix cache: requests are still running in it")

    def statistics(self) -> Measures:
        statistics, self._statistics = self._statistics, Measures()
        return statistics

    def close(self) -> None:
        if self._adapters is not None:
            self._adapters.close()
        self._llm.llm_engine.engine_core.shutdown()

    def generate(
        self,
        prompts: Sequence[Prompt],
        sampling: SamplingParams,
        under_way: UnderWay | None = None,
        replies: Replies | None = None,
    ) -> Iterator[list[Completion]]:
        """See `Generator.generate`.

        Raises:
            UserError: a prompt and ``max_tokens`` exceed the engine's context.
            RunFailed: an episode exceeds it with what was inserted.
        """
        check_prompts(prompts, sampling, self.longest)
        _ = self.policy_version
        return self._run(prompts, OpenEpisodes(sampling, replies, self.longest))

    def _run(self, prompts: Sequence[Prompt], episodes: OpenEpisodes) -> Iterator[list[Completion]]:
        self._wake()
        engine = self._llm.llm_engine
        waiting = deque(request for prompt in prompts for request in first_requests(prompt, episodes))
        asked: dict[str, Request] = {}
        try:
            while waiting or asked or episodes.away:
                # What vLLM is given waits in the order in which it came: an episode that goes on comes before those that have
                # not begun, or all would be open at once.
                while waiting and (episodes.replies is None or len(asked) < self.max_sequences):
                    self._ask(waiting.popleft(), asked)
                for output in engine.step() if asked else ():
                    if output.finished:
                        request = asked.pop(output.request_id)
                        hand_over(episodes, request, self._samples(request, output), self.policy.tokenizer)
                for episode in episodes.replied(wait=not waiting and not asked):
                    self._ask(next_request(episode), asked)
                yield from episodes.groups()
        finally:
            if asked:  # the consumer stopped early
                engine.abort_request(list(asked))
            self._sleep()

    def _ask(self, request: Request, asked: dict[str, Request]) -> None:
        import vllm

        whole = vllm.sampling_params.RequestOutputKind.FINAL_ONLY  # one output for each request, when it is complete
        settings = vllm.SamplingParams(**request.fields, output_kind=whole, flat_logprobs=True)
        prompt = vllm.TokensPrompt(prompt_token_ids=request.token_ids)
        adapters = None if self._adapters is None else self._adapters.request
        self._llm.llm_engine.add_request(request.name, prompt, settings, lora_request=adapters)
        asked[request.name] = request

    def _samples(self, request: Request, output: Any) -> list[Sample]:
        samples = []
        for sample in sorted(output.outputs, key=lambda o: o.index):
            versions = {span.version for span in sample.weight_versions or ()}
            if len(versions) != 1:
                raise RunFailed(f"vLLM sampled a completion of {request.task_id} with weights {sorted(versions)}")
            version = int(versions.pop())
            samples.append(Sample(sample.token_ids, sample.logprobs.logprobs, sample.finish_reason, [(0, version)]))
        return samples

    def _sleep(self) -> None:
        """Hand the device's memory to the trainer; the weights wait in the host's memory."""
        if self.can_sleep and not self.asleep:
            self._llm.sleep(level=1)
            self.asleep = True

    def _wake(self) -> None:
        if self.asleep:
            torch.cuda.empty_cache()
            self._llm.wake_up()
            self.asleep = False


class _Counted:
    """Named weights on their way, and the bytes of those that have passed."""

    def __init__(self, weights: Iterator[tuple[str, Tensor]]) -> None:
        self.weights, self.bytes = weights, 0

    def __iter__(self) -> Iterator[tuple[str, Tensor]]:
        for name, tensor in self.weights:
            self.bytes += tensor.nbytes
            yield name, tensor


def _load(policy: Policy, config: RolloutConfig, longest: int) -> Any:
    # In one process the trainer's tensors are the engine's to read: no copy through a socket or a disk.
    os.environ["VLLM_ENABLE_V1_MULTIPROCESSING"] = "0"
    os.environ.setdefault("VLLM_LOGGING_LEVEL", "ERROR")
    on_cpu = policy.device.type == "cpu"
    with _trainer_undisturbed(), warnings.catch_warnings(), tempfile.TemporaryDirectory() as folder:
        warnings.simplefilter("ignore", FutureWarning)
        import vllm

        options = engine_options(policy, config, longest)
        if config.vllm.adapters:
            options |= adapter_options(policy)
            save_base(policy, Path(folder))
        else:
            save_architecture(policy, Path(folder))
        if on_cpu:
            _check_head_size(policy)
        try:
            return vllm.LLM(
                folder,
                load_format="auto" if config.vllm.adapters else "dummy",  # `sync` brings what is learned
                enable_sleep_mode=config.vllm.sleep and not on_cpu,
                # Every rank has an engine of its own, in the process group that torchrun's processes have joined.
                distributed_executor_backend="external_launcher" if ranks.together() else None,
                **options,
            )
        except (ValueError, RuntimeError, NotImplementedError) as error:
            raise UserError(f"rollout.engine vllm: vLLM could not load the model: {error}") from error


@contextlib.contextmanager
def _trainer_undisturbed() -> Iterator[None]:
    """vLLM seeds the process's random state and, on a CPU, replaces ``torch.set_num_threads``: both are the trainer's."""
    set_threads, threads = torch.set_num_threads, torch.get_num_threads()
    with torch.random.fork_rng():
        try:
            yield
        finally:
            torch.set_num_threads = set_threads
            torch.set_num_threads(threads)


def _check_head_size(policy: Policy) -> None:
    from vllm.v1.attention.backends.cpu_attn import CPUAttentionBackend

    config = policy.model.config
    size = getattr(config, "head_dim", None) or config.hidden_size // config.num_attention_heads
    sizes = CPUAttentionBackend.get_supported_head_sizes()
    if size not in sizes:
        raise UserError(
            f"rollout.engine vllm: the model's heads have {size} dimensions; on a CPU vLLM knows "
            f"{', '.join(map(str, sizes))}. Use rollout.engine=torch, or another model shape."
        )
