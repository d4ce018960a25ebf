"""How responses are sampled, and by which engine."""

from __future__ import annotations

import re
from typing import Annotated, Any, Literal

from pydantic import Field, PositiveFloat, PositiveInt, model_validator

from grpo_kit.runtime.strict import Fraction, PathText, Strict

from .marks import SAFE_ON_RESUME


class VllmConfig(Strict):
    """How vLLM runs, in process or as servers; see docs/vllm.md."""

    memory_fraction: Annotated[float, Field(gt=0.0, lt=1.0)] = Field(
        0.4, description="share of a GPU's memory for the engine's weights and key-value cache"
    )
    cache_gb: PositiveFloat = Field(1.0, description="key-value cache on a CPU, in GiB")
    max_sequences: PositiveInt = Field(256, description="sequences decoded side by side")
    sleep: bool = Field(True, description="free the engine's GPU memory while the trainer works (in process)")
    adapters: bool = Field(
        False, description="give the engine the adapters of model.lora alone, unmerged, after its start"
    )
    probe_tolerance: PositiveFloat | None = Field(
        None, description="largest mean |logprob difference| of the probe; default: 1e-4 in float32, 0.1 in bfloat16"
    )
    servers: Annotated[tuple[str, ...], SAFE_ON_RESUME] = Field(
        (), description="base URLs, one per server: http://host:port"
    )
    launch: Annotated[bool, SAFE_ON_RESUME] = Field(
        False, description="start a server at each of the URLs, which must be of this machine"
    )
    devices: Annotated[tuple[str, ...], SAFE_ON_RESUME] = Field(
        (), description="CUDA_VISIBLE_DEVICES of each launched server"
    )
    tensor_parallel: PositiveInt = Field(
        1, description="devices that each launched server is spread over, for a model that one does not hold"
    )
    transfer: Literal["auto", "folder", "nccl"] = Field(
        "auto", description="how weights reach servers; auto: NCCL from a CUDA device, a folder otherwise"
    )
    weights_folder: Annotated[PathText | None, SAFE_ON_RESUME] = Field(
        None, description="where weights are handed over; every server must see it. Default: inside the run directory"
    )
    update: Literal["wait", "in_flight"] = Field(
        "wait",
        description="when weights change, wait for the requests under way, or have them go on with the new weights "
        "(needs rollout.max_staleness)",
    )
    timeout: Annotated[PositiveFloat, SAFE_ON_RESUME] = Field(
        600.0, description="seconds for one request, or for a server to come up"
    )

    @model_validator(mode="after")
    def _servers_fit(self) -> VllmConfig:
        bad = [u for u in self.servers if not re.fullmatch(r"https?://[^/\s]+:\d+/?", u)]
        if bad:
            raise ValueError(f"servers: {bad[0]!r} is not of the form http://host:port")
        if len(set(self.servers)) != len(self.servers):
            raise ValueError("servers: the same URL stands there twice")
        if self.launch and not self.servers:
            raise ValueError("launch needs servers: one URL for each server to start, such as http://127.0.0.1:8001")
        if self.devices and len(self.devices) != len(self.servers):
            raise ValueError(
                f"devices has {len(self.devices)} entries for {len(self.servers)} servers; give one for each"
            )
        if self.tensor_parallel > 1 and not self.launch:
            raise ValueError(
                f"tensor_parallel {self.tensor_parallel} is for servers that the kit starts: set launch: true, or start yours "
                "with --tensor-parallel-size"
            )
        few = [d for d in self.devices if len(d.split(",")) != self.tensor_parallel]
        if few:
            raise ValueError(f"devices: {few[0]!r} does not name {self.tensor_parallel} devices (tensor_parallel)")
        return self


LOWEST_VLLM_TEMPERATURE = 0.01


# What a sampling server offers and a policy gradient cannot use: the sampled distribution would not be the policy's.
REFUSED_ROLLOUT_KEYS = ("repetition_penalty", "presence_penalty", "frequency_penalty", "logit_bias", "logprobs_mode")


class RolloutConfig(Strict):
    """How responses are sampled. Batch sizes are in prompts and samples, never per device."""

    engine: Literal["torch", "vllm", "vllm_server"] = Field(
        "torch", description="torch (in this process, on any device), vllm (in this process) or vllm_server (others)"
    )
    prompts_per_step: PositiveInt = Field(32, description="prompts that are sampled in each step, over all processes")
    group_size: PositiveInt = Field(8, description="responses to each prompt, which are compared with each other")
    temperature: PositiveFloat = Field(
        1.0, description="of sampling, and of the log-probabilities that are learned from"
    )
    epsilon: Fraction = Field(
        0.0,
        description="share of tokens that are drawn from the whole vocabulary, all alike (family values, engine torch)",
    )
    top_p: Annotated[float, Field(gt=0.0, le=1.0)] = Field(
        1.0, description="must stay 1: a cut distribution is not the policy's"
    )
    top_k: Annotated[int, Field(ge=0)] = Field(
        0, description="must stay 0 (off): a cut distribution is not the policy's"
    )
    min_p: Fraction = Field(0.0, description="must stay 0 (off): a cut distribution is not the policy's")
    max_tokens: PositiveInt = Field(
        512, description="sampled tokens of a response at most; of an episode, in all of its turns"
    )
    stop: tuple[Annotated[str, Field(min_length=1)], ...] = Field((), description="texts that end a response")
    max_rows: PositiveInt = Field(256, description="sequences decoded side by side by the embedded engine")
    max_refills: PositiveInt = Field(4, description="rounds of sampling that dynamic sampling may add to a step")
    max_staleness: Annotated[int, Field(ge=0)] = Field(
        0, description="policy versions that sampling may run behind the weights it trains; 0 is synchronous"
    )
    vllm: VllmConfig = Field(VllmConfig(), description="how vLLM runs, where it is the engine")

    @model_validator(mode="before")
    @classmethod
    def _refuse_what_changes_the_distribution(cls, values: Any) -> Any:
        found = [key for key in REFUSED_ROLLOUT_KEYS if isinstance(values, dict) and key in values]
        if found:
            raise ValueError(
                f"{', '.join(found)} is not offered: the trainer computes the log-probabilities of softmax(logits / "
                "temperature), and the engine has to sample from, and report, that same distribution; remove it"
            )
        return values

    @model_validator(mode="after")
    def _engine_is_described(self) -> RolloutConfig:
        if self.max_staleness and self.engine != "vllm_server":
            raise ValueError(
                f"max_staleness {self.max_staleness} lets sampling go on while the trainer works, which needs an engine with "
                "devices of its own: set engine: vllm_server, or max_staleness: 0"
            )
        if self.vllm.update == "in_flight" and not self.max_staleness:
            raise ValueError(
                "vllm.update in_flight is for requests that are under way while weights change, and max_staleness 0 has none: "
                "set max_staleness to 1 or more, or vllm.update: wait"
            )
        if self.engine == "vllm_server" and not self.vllm.servers:
            raise ValueError(
                "engine vllm_server needs vllm.servers, for example [http://127.0.0.1:8001], and vllm.launch: true if "
                "nobody started them"
            )
        if self.engine != "torch" and self.epsilon:
            raise ValueError(
                f"epsilon {self.epsilon:g} mixes the policy with the uniform distribution, which vLLM does not sample from; use "
                "engine: torch, or explore by temperature"
            )
        if self.engine != "torch" and self.temperature < LOWEST_VLLM_TEMPERATURE:
            raise ValueError(
                f"temperature {self.temperature:g} is not what vLLM would sample with: it raises anything below "
                f"{LOWEST_VLLM_TEMPERATURE} to that; use a higher one, or engine: torch"
            )
        return self

    @model_validator(mode="after")
    def _policy_is_what_was_sampled(self) -> RolloutConfig:
        cut = [k for k, off in (("top_p", 1.0), ("top_k", 0), ("min_p", 0.0)) if getattr(self, k) != off]
        if cut:
            raise ValueError(
                f"{', '.join(cut)} cuts the distribution that is sampled, so the recorded log-probabilities would not be "
                "the policy's and every importance ratio would be wrong; leave it at its default for training "
                "(evaluation has its own sampling settings)"
            )
        return self
