"""The recipe as a typed object. Every field has one reader; unknown keys are errors."""

from __future__ import annotations

import re
from typing import Annotated, Any, Literal, get_args

from pydantic import Field, PositiveFloat, PositiveInt, field_validator, model_validator

from grpo_kit.config_algorithm import (
    CriticConfig,
    ExamplesConfig,
    Fraction,
    LoraConfig,
    ObjectiveConfig,
    OptimizerConfig,
    PathText,
    Strict,
)
from grpo_kit.config_scoring import JudgeConfig, ScoringConfig, VerifierConfig
from grpo_kit.objective.names import ALGORITHMS, RECORDED
from grpo_kit.observe.signs import SIGNS, Sign
from grpo_kit.suggest import did_you_mean


class ScratchModelConfig(Strict):
    """A tiny Qwen2-architecture model over bytes, made from random weights."""

    hidden_size: PositiveInt = 128
    intermediate_size: PositiveInt = 384
    layers: PositiveInt = 3
    heads: PositiveInt = 4
    context_length: PositiveInt = 4096

    @model_validator(mode="after")
    def _heads_divide(self) -> ScratchModelConfig:
        if self.hidden_size % (2 * self.heads):
            raise ValueError(f"hidden_size {self.hidden_size} must be an even multiple of heads {self.heads}")
        return self


class ModelConfig(Strict):
    """Where the policy comes from: ``path`` (a Hugging Face folder, a .gguf file or a hub name) or ``scratch``."""

    path: PathText | None = None
    scratch: ScratchModelConfig | None = None
    dtype: Literal["auto", "float32", "bfloat16"] = Field(
        "auto", description="of matrix products; weights stay float32. auto: bfloat16 on a GPU, float32 on a CPU"
    )
    compile: bool = Field(
        False, description="torch.compile the training passes: a minute at the start, needs a C++ compiler on a CPU"
    )
    lora: LoraConfig | None = None

    @model_validator(mode="before")
    @classmethod
    def _path_replaces_scratch(cls, values: Any) -> Any:
        if isinstance(values, dict) and None not in (values.get("path"), values.get("scratch")):
            raise ValueError(
                "give either path or scratch, not both (an override of one can be paired with scratch=null)"
            )
        return values

    @model_validator(mode="after")
    def _one_source(self) -> ModelConfig:
        if self.path is None and self.scratch is None:
            raise ValueError("needs a path (a Hugging Face folder, a .gguf file or a hub name) or a scratch section")
        return self


class FieldMap(Strict):
    """Which columns of a data file hold what."""

    prompt: str = "prompt"
    answer: str = "answer"
    id: str | None = None


class DataConfig(Strict):
    """Tasks: a procedural ``task``, or a dataset ``path`` (hub name, folder, .jsonl, .json, .parquet or .csv)."""

    task: str | None = None
    level: PositiveInt = 1
    path: PathText | None = None
    subset: str | None = None
    split: str = "train"
    format: Literal["columns", "humaneval", "mbpp", "evalplus", "apps", "taco", "codecontests", "livecodebench"] = (
        Field(
            "columns", description="columns: as `fields` says; the others: rows of that programming dataset, for `code`"
        )
    )
    fields: FieldMap = FieldMap()
    answer_pattern: str | None = Field(
        None, description="regex whose first group is the gold answer in the answer column"
    )
    unmatched: Literal["refuse", "skip"] = Field(
        "refuse",
        description="rows in which answer_pattern finds nothing, or without tests: an error, or left out and counted",
    )
    prompt_columns: tuple[str, ...] = Field((), description="columns that make up the question, joined by a blank")
    system_prompt: str | None = None
    prompt_template: str = Field("{prompt}", description="must contain {prompt}")
    max_prompt_tokens: PositiveInt = 1024
    limit: PositiveInt | None = None

    @model_validator(mode="after")
    def _one_source(self) -> DataConfig:
        if (self.task is None) == (self.path is None):
            raise ValueError("needs exactly one of task (procedural) and path (a dataset)")
        if "{prompt}" not in self.prompt_template:
            raise ValueError(f"prompt_template must contain {{prompt}}, found {self.prompt_template!r}")
        return self


class VllmConfig(Strict):
    """How vLLM runs, in process or as servers; see docs/vllm.md."""

    memory_fraction: Annotated[float, Field(gt=0.0, lt=1.0)] = Field(
        0.4, description="share of a GPU's memory for the engine's weights and key-value cache"
    )
    cache_gb: PositiveFloat = Field(1.0, description="key-value cache on a CPU, in GiB")
    max_sequences: PositiveInt = Field(256, description="sequences decoded side by side")
    sleep: bool = Field(True, description="free the engine's GPU memory while the trainer works (in process)")
    probe_tolerance: PositiveFloat | None = Field(
        None, description="largest mean |logprob difference| of the probe; default: 1e-3 in float32, 0.1 in bfloat16"
    )
    servers: tuple[str, ...] = Field((), description="base URLs, one per server: http://host:port")
    launch: bool = Field(False, description="start a server at each of the URLs, which must be of this machine")
    devices: tuple[str, ...] = Field((), description="CUDA_VISIBLE_DEVICES of each launched server")
    tensor_parallel: PositiveInt = Field(
        1, description="devices that each launched server is spread over, for a model that one does not hold"
    )
    transfer: Literal["auto", "folder", "nccl"] = Field(
        "auto", description="how weights reach servers; auto: NCCL from a CUDA device, a folder otherwise"
    )
    weights_folder: PathText | None = Field(
        None, description="where weights are handed over; every server must see it. Default: inside the run directory"
    )
    update: Literal["wait", "in_flight"] = Field(
        "wait",
        description="when weights change, wait for the requests under way, or have them go on with the new weights "
        "(needs rollout.max_staleness)",
    )
    timeout: PositiveFloat = Field(600.0, description="seconds for one request, or for a server to come up")

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


# What apply_chat_template takes beside arguments of the template: what comes out of it, which is not a recipe's to say.
RENDERING = {
    "conversation",
    "tokenize",
    "add_generation_prompt",
    "continue_final_message",
    "return_dict",
    "return_tensors",
    "return_assistant_tokens_mask",
    "padding",
    "truncation",
    "max_length",
    "tokenizer_kwargs",
}


class ChatConfig(Strict):
    """The chat template, wherever a prompt is rendered: sampling, demonstrations, evaluation."""

    arguments: dict[str, Any] = Field({}, description="what the template is given by name, such as enable_thinking")

    @field_validator("arguments")
    @classmethod
    def _not_our_own(cls, arguments: dict[str, Any]) -> dict[str, Any]:
        taken = sorted(arguments.keys() & RENDERING)
        if taken:
            raise ValueError(f"{', '.join(taken)} is decided by the kit; remove it")
        return arguments


LOWEST_VLLM_TEMPERATURE = 0.01
# What a sampling server offers and a policy gradient cannot use: the sampled distribution would not be the policy's.
REFUSED_ROLLOUT_KEYS = ("repetition_penalty", "presence_penalty", "frequency_penalty", "logit_bias", "logprobs_mode")


class RolloutConfig(Strict):
    """How responses are sampled. Batch sizes are in prompts and samples, never per device."""

    engine: Literal["torch", "vllm", "vllm_server"] = "torch"
    prompts_per_step: PositiveInt = 32
    group_size: PositiveInt = 8
    temperature: PositiveFloat = 1.0
    top_p: Annotated[float, Field(gt=0.0, le=1.0)] = 1.0
    top_k: Annotated[int, Field(ge=0)] = 0
    min_p: Fraction = 0.0
    max_tokens: PositiveInt = 512
    stop: tuple[Annotated[str, Field(min_length=1)], ...] = ()
    max_rows: PositiveInt = Field(256, description="sequences decoded side by side by the embedded engine")
    max_refills: PositiveInt = Field(4, description="rounds of sampling that dynamic sampling may add to a step")
    max_staleness: Annotated[int, Field(ge=0)] = Field(
        0, description="policy versions that sampling may run behind the weights it trains; 0 is synchronous"
    )
    vllm: VllmConfig = VllmConfig()

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


class WarmStartConfig(Strict):
    """Supervised fine-tuning on a procedural task's demonstrations before reinforcement learning begins."""

    steps: PositiveInt = 200
    batch_size: PositiveInt = 64
    mistakes: Fraction = Field(
        0.0, description="share of demonstrations with a mistake that carries through to the answer"
    )
    optimizer: OptimizerConfig = OptimizerConfig(learning_rate=2e-3, schedule="cosine", warmup_steps=20)


class TrainConfig(Strict):
    steps: PositiveInt
    token_budget: PositiveInt = Field(16384, description="padded tokens of one micro-batch")
    updates_per_batch: PositiveInt = Field(
        1, description="the batch's prompts are split into this many optimizer steps"
    )
    epochs_per_batch: PositiveInt = 1
    save_every: PositiveInt | None = Field(None, description="steps between checkpoints; one is always left at the end")
    save_minutes: PositiveFloat | None = Field(
        None, description="also save when this long has passed since the last one"
    )
    keep_last: PositiveInt = 2
    keep_best: Annotated[int, Field(ge=0)] = Field(
        0, description="checkpoints of the highest held-out accuracy that are saved and kept besides the last ones"
    )
    shard_gb: PositiveFloat | None = Field(None, description="largest file of weights in a checkpoint")
    stop_seconds: PositiveFloat = Field(60.0, description="time to save and end in, once a signal asks for it")
    log_rollouts_every: PositiveInt = 1
    profile_steps: Annotated[int, Field(ge=0)] = Field(
        0, description="trace so many steps after the first one, into profile/ of the run directory"
    )


class LimitsConfig(Strict):
    """Minutes that one wait of a phase may last before the run is ended, with the stacks of all threads; and what of the
    watch's signs ends it."""

    start: PositiveFloat = Field(120.0, description="loading the model, opening the engine, the warm start's steps")
    generate: PositiveFloat = 60.0
    score: PositiveFloat = 60.0
    update: PositiveFloat = 60.0
    sync: PositiveFloat = 60.0
    evaluate: PositiveFloat = 240.0
    save: PositiveFloat = 60.0
    other: PositiveFloat = 60.0
    hacking: bool | tuple[str, ...] = Field(
        False,
        description="stop, saved, at these signs of the watch; true: at every failure (docs/evaluation.md, The watch)",
    )

    @field_validator("hacking", mode="before")
    @classmethod
    def _signs_are_known(cls, wanted: Any) -> Any:
        names = [wanted] if isinstance(wanted, str) and wanted.lower() not in ("true", "false") else wanted
        unknown = [n for n in names if n not in SIGNS] if isinstance(names, (list, tuple)) else []
        if unknown:
            hint = did_you_mean(str(unknown[0]), list(SIGNS))
            raise ValueError(f"found {unknown[0]!r}, allowed: true, false, or some of {', '.join(SIGNS)}.{hint}")
        return names

    def minutes(self) -> dict[str, float]:
        """The limits of the phases, by name."""
        return {name: float(value) for name, value in self.model_dump(exclude={"hacking"}).items()}

    def stops_at(self, sign: Sign) -> bool:
        if isinstance(self.hacking, bool):
            return self.hacking and sign.severity == "failure"
        return sign.name in self.hacking


class ParallelConfig(Strict):
    """How a network lives on its devices; how many there are is torchrun's to say. See docs/scaling.md."""

    cpu_offload: bool = Field(
        False, description="keep shards, gradients and optimizer state in the host's memory (CUDA, several processes)"
    )
    gradient_checkpointing: bool = Field(
        False, description="keep one activation per layer and compute the rest again in the backward pass"
    )


class EvaluationConfig(Strict):
    """Held-out accuracy before, during and after training; of a reward model, that of ranking pairs."""

    data: DataConfig | None = Field(None, description="default: tasks held out of data, which training never meets")
    verifier: JudgeConfig | None = Field(
        None,
        description="who judges what is right, as a name or {name, options}; default: the first of `verifiers` that tells "
        "right from wrong, else a shipped one that fits the data",
    )
    tasks: PositiveInt = 256
    samples: PositiveInt = 4
    every: PositiveInt | None = None


class LoggingConfig(Strict):
    """Where metrics go besides metrics.jsonl in the run's folder."""

    sinks: tuple[Literal["tensorboard", "wandb", "trackio"], ...] = ()
    project: str = Field("grpo-kit", description="the project's name in wandb and trackio")


class Config(Strict):
    """A whole recipe."""

    algorithm: str = Field(
        "grpo", description="a row of `grpo-kit algorithms`, or path/file.py:row for one of your own"
    )
    seed: Annotated[int, Field(ge=0, lt=2**63)] = 0
    device: str = "auto"
    threads: PositiveInt | None = Field(
        None, description="torch threads; default: what a trial at the start finds best"
    )
    model: ModelConfig
    warm_start: WarmStartConfig | None = None
    data: DataConfig
    chat: ChatConfig = ChatConfig()
    examples: ExamplesConfig | None = Field(None, description="for offline algorithms: what is learned from")
    verifiers: Annotated[list[VerifierConfig], Field(min_length=1)]
    scoring: ScoringConfig = ScoringConfig()
    rollout: RolloutConfig = RolloutConfig()
    objective: ObjectiveConfig = ObjectiveConfig()
    critic: CriticConfig = CriticConfig()
    optimizer: OptimizerConfig = OptimizerConfig()
    train: TrainConfig
    parallel: ParallelConfig = ParallelConfig()
    evaluation: EvaluationConfig | None = None
    logging: LoggingConfig = LoggingConfig()
    limits: LimitsConfig = LimitsConfig()

    def objective_overrides(self) -> dict[str, Any]:
        """What the objective section sets, null included where a row can do without."""
        return self.objective.model_dump(exclude_unset=True)

    @property
    def sampled_by(self) -> Literal["itself", "engine", "older_weights"]:
        """How far the distribution that samples may be from the one that learns."""
        if self.rollout.engine == "torch":
            return "itself"
        return "older_weights" if self.rollout.max_staleness else "engine"

    def longest_sequence(self) -> int:
        """Tokens of the longest prompt and response that training or evaluation may ask of the engine."""
        evaluated = self.evaluation.data if self.evaluation else None
        prompt = max(d.max_prompt_tokens for d in (self.data, evaluated) if d is not None)
        return prompt + self.rollout.max_tokens

    @field_validator("algorithm")
    @classmethod
    def _algorithm_is_known(cls, name: str) -> str:
        known = get_args(ALGORITHMS)
        if name in known or ":" in name:
            return name
        raise ValueError(
            f"found {name!r}, allowed: {', '.join(known)}, or path/file.py:row.{did_you_mean(name, known)}"
        )

    @model_validator(mode="after")
    def _parts_fit(self) -> Config:
        problems = []
        if self.warm_start and self.data.task is None:
            problems.append("warm_start needs a procedural data.task, whose demonstrations it learns from")
        if self.rollout.prompts_per_step % self.train.updates_per_batch:
            problems.append(
                f"train.updates_per_batch {self.train.updates_per_batch} must divide rollout.prompts_per_step "
                f"{self.rollout.prompts_per_step}"
            )
        data = self.objective.data
        recorded = self.algorithm in RECORDED if data is None else data == "recorded"
        if (data or ":" not in self.algorithm) and recorded != (self.examples is not None):
            problems.append(
                f"algorithm {self.algorithm} "
                + (
                    "learns from recorded data and needs an examples section"
                    if self.examples is None
                    else "samples its own data and takes no examples section"
                )
            )
        if self.rollout.max_staleness and self.objective.correction == "none":
            problems.append(
                "rollout.max_staleness lets older weights sample, so objective.correction must not be none: use "
                "in_ratio, truncated or masked"
            )
        # Whoever writes evaluation: null has decided; where it was forgotten, nothing would ever be the best.
        if self.train.keep_best and self.evaluation is None and "evaluation" not in self.model_fields_set:
            problems.append(
                "train.keep_best keeps the checkpoints of highest held-out accuracy, and there is no evaluation"
            )
        if self.examples and self.examples.demonstrations and self.data.task is None:
            problems.append("examples.demonstrations needs a procedural data.task")
        if problems:
            raise ValueError("; ".join(problems))
        return self
