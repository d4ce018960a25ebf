"""THE MAPPING: what each field of TRL's configurations is in a recipe, or why it is not carried over.

A field whose value stands in a recipe as it is, or by itself after a conversion, says so here; what several fields make
together (batch sizes, the loss, the engine) names its keys here, and `grpo_kit.compat.trl.together` computes them. Defaults
are those of TRL 1.16, so that it need not be installed; a test compares them with TRL's own.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

CONFIGS = {
    "grpo": "GRPOConfig",
    "dpo": "DPOConfig",
    "sft": "SFTConfig",
    "kto": "KTOConfig",
    "reward": "RewardConfig",
}
METHODS = tuple(CONFIGS)
# Positional arguments of the trainers, as far as anybody gives them so.
TRAINERS = {
    "GRPOTrainer": ("grpo", ("model", "reward_funcs", "args", "train_dataset", "eval_dataset")),
    "DPOTrainer": ("dpo", ("model", "ref_model", "args", "data_collator", "train_dataset", "eval_dataset")),
    "SFTTrainer": ("sft", ("model", "args", "data_collator", "train_dataset", "eval_dataset")),
    "KTOTrainer": ("kto", ("model", "ref_model", "args", "data_collator", "train_dataset", "eval_dataset")),
    "RewardTrainer": ("reward", ("model", "args", "data_collator", "train_dataset", "eval_dataset")),
}
PREFERENCES = ("dpo", "kto")


@dataclass(frozen=True)
class Field:
    """A field of TRL.

    Attributes:
        name: TRL's.
        keys: what it decides in a recipe; empty where nothing here stands for it.
        why: how the value is turned into the key's, or why it is not carried over.
        default: TRL's; of each method where they differ.
        convert: the key's value from the field's; None where several fields make it together.
        methods: whose configuration has it.
        matters: TRL's default is written into the recipe where this kit's is another one.
        needless: nothing is lost without it.
        older: TRL 1.16 has it no more, and scripts for earlier versions do.
    """

    name: str
    keys: tuple[str, ...] = ()
    why: str = ""
    default: Any = None
    convert: Callable[[Any], Any] | None = None
    methods: tuple[str, ...] = METHODS
    matters: bool = False
    needless: bool = False
    older: bool = False

    def default_of(self, method: str) -> Any:
        return self.default[method] if isinstance(self.default, dict) else self.default


def _same(value: Any) -> Any:
    return value


def _yes(value: Any) -> bool:
    if not isinstance(value, bool):
        raise ValueError("it is true or false")
    return value


def _schedule(value: Any) -> str:
    name = str(getattr(value, "value", value))
    if name not in ("constant", "constant_with_warmup", "linear", "cosine"):
        raise ValueError("this kit has constant, constant_with_warmup, linear and cosine")
    return name


def _precision(value: Any) -> str:
    return "auto" if value is None else "bfloat16" if _yes(value) else "float32"


def _head(value: Any) -> str:
    return "float32" if _yes(value) else "same"


def _one(name: str, key: str, default: Any, why: str = "", **more: Any) -> Field:
    return Field(name, (key,), why, default, more.pop("convert", _same), **more)


def _lost(name: str, default: Any, why: str, **more: Any) -> Field:
    return Field(name, (), why, default, **more)


def _needless(name: str, default: Any, why: str, **more: Any) -> Field:
    return Field(name, (), why, default, needless=True, **more)


GRPO = ("grpo",)
OWN_FIELDS = (
    # --- how long, and in what pieces ----------------------------------------------------------------------------
    Field(
        "per_device_train_batch_size", ("rollout.prompts_per_step",),
        "GRPO: completions, here prompts: the generation batch divided by num_generations; others: rows of an update. Of one "
        "process: with several, multiply", 8, matters=True,
    ),
    Field(
        "gradient_accumulation_steps", ("rollout.prompts_per_step",),
        "a part of the batch: micro-batches are made by train.token_budget", 1,
    ),
    Field(
        "steps_per_generation", ("rollout.prompts_per_step", "train.updates_per_batch"),
        "steps_per_generation / gradient_accumulation_steps updates of each batch", None, methods=GRPO,
    ),
    Field("generation_batch_size", ("rollout.prompts_per_step", "train.updates_per_batch"), "the same, given whole", None,
          methods=GRPO),
    _one("num_iterations", "train.epochs_per_batch", 1, methods=GRPO),
    Field("max_steps", ("train.steps",), "a step here samples once; TRL counts optimizer steps", -1),
    Field("num_train_epochs", ("train.steps",), "epochs times rows, divided by the rows of a step", 3.0),
    _one("seed", "seed", 42, "the same number draws other samples", matters=True),
    # --- the optimizer -------------------------------------------------------------------------------------------
    _one("learning_rate", "optimizer.learning_rate",
         {"grpo": 1e-6, "dpo": 1e-6, "sft": 2e-5, "kto": 1e-6, "reward": 1e-4}, matters=True),
    _one("lr_scheduler_type", "optimizer.schedule", "linear", matters=True, convert=_schedule),
    Field("warmup_steps", ("optimizer.warmup_steps",), "below 1 it is a share of all updates", 0),
    Field("warmup_ratio", ("optimizer.warmup_steps",), "a share of all updates", None, older=True),
    _one("weight_decay", "optimizer.weight_decay", 0.0, "here of matrices alone"),
    Field("adam_beta1", ("optimizer.betas",), "", 0.9),
    Field("adam_beta2", ("optimizer.betas",), "", 0.999),
    _one("adam_epsilon", "optimizer.epsilon", 1e-8),
    _one("max_grad_norm", "optimizer.max_grad_norm", 1.0),
    # --- the network ---------------------------------------------------------------------------------------------
    _one("bf16", "model.dtype", None, "of matrix products; weights stay float32", convert=_precision),
    _one("gradient_checkpointing", "parallel.gradient_checkpointing", True,
         "the same gradient with less memory, in more time", matters=True, convert=_yes),
    _one("torch_compile", "model.compile", False, convert=_yes),
    _one("cast_lm_head_to_fp32", "model.head_dtype", False, convert=_head, methods=GRPO),
    _one("use_cpu", "device", False, convert=lambda value: "cpu" if _yes(value) else "auto"),
    # --- what is sampled -----------------------------------------------------------------------------------------
    _one("num_generations", "rollout.group_size", 8, methods=GRPO, matters=True),
    _one("max_completion_length", "rollout.max_tokens", 512, methods=GRPO, matters=True),
    _one("max_prompt_length", "data.max_prompt_tokens", None,
         "longer prompts are left out here, and were cut there", methods=("grpo", "dpo", "kto"), older=True),
    _one("temperature", "rollout.temperature", 1.0, methods=GRPO, matters=True),
    _one("chat_template_kwargs", "chat.arguments", None, methods=GRPO, convert=lambda v: dict(v or {})),
    Field("use_vllm", ("rollout.engine",), "vllm, or vllm_server as vllm_mode says", False, methods=GRPO),
    Field("vllm_mode", ("rollout.engine",), "colocate: vllm; server: vllm_server", "colocate", methods=GRPO),
    Field("vllm_server_base_url", ("rollout.vllm.servers",), "servers of this kit, not `trl vllm-serve`: docs/vllm.md", None,
          methods=GRPO),
    Field("vllm_server_host", ("rollout.vllm.servers",), "a part of the URL", "0.0.0.0", methods=GRPO),
    Field("vllm_server_port", ("rollout.vllm.servers",), "a part of the URL", 8000, methods=GRPO),
    Field("vllm_gpu_memory_utilization", ("rollout.vllm.memory_fraction",), "with use_vllm", 0.3, methods=GRPO),
    Field("vllm_enable_sleep_mode", ("rollout.vllm.sleep",), "with use_vllm", False, methods=GRPO),
    # --- the loss ------------------------------------------------------------------------------------------------
    Field("loss_type", ("objective.aggregation", "objective.surrogate", "objective.ratio_level",
                        "objective.clip_low", "algorithm"),
          "GRPO: grpo, dr_grpo, bnpo, dapo, cispo, sapo, luspo, vespo; DPO: sigmoid, ipo; SFT: nll; KTO: kto. Every other one "
          "is refused by name",
          {"grpo": "dapo", "dpo": ("sigmoid",), "sft": "nll", "kto": "kto"}, methods=("grpo", "dpo", "sft", "kto")),
    _one("beta", "objective.beta", {"grpo": 0.0, "dpo": 0.1, "kto": 0.1}, methods=("grpo", "dpo", "kto"), matters=True),
    Field("use_bias_correction_kl", ("objective.kl_weighted",), "where beta is above 0", True, methods=GRPO),
    Field("epsilon", ("objective.clip_low", "objective.clip_high"), "", 0.2, methods=GRPO),
    Field("epsilon_high", ("objective.clip_high",), "cispo: the cap of the weight, which is 1 + clip_high here", None,
          methods=GRPO),
    Field("delta", ("objective.dual_clip",), "with the losses that clip", None, methods=GRPO),
    Field("scale_rewards", ("objective.scale",), "group: group_std, batch: batch_std, none: none. TRL adds 1e-4 to the "
          "deviation, this kit 1e-6", "group", methods=GRPO),
    Field("multi_objective_aggregation", ("objective.combine", "objective.baseline", "objective.scale"),
          "sum_then_normalize: sum; normalize_then_sum: decoupled, as in `gdpo`", "sum_then_normalize", methods=GRPO),
    Field("importance_sampling_level", ("objective.ratio_level",), "token, sequence", "token", methods=GRPO),
    Field("reward_weights", ("verifiers.0.weight",), "in their order; 1 each where there are none", None, methods=GRPO),
    _one("mask_truncated_completions", "objective.mask_truncated", False, methods=GRPO, convert=_yes),
    _one("top_entropy_quantile", "objective.entropy_share", 1.0, "the covered tokens are chosen over the step", methods=GRPO),
    Field("entropy_coef", ("objective.entropy_bonus",), "TRL takes the mean over a micro-batch, this kit over the step", 0.0,
          methods=GRPO),
    Field("use_adaptive_entropy", ("objective.entropy_target",), "with entropy_target", False, methods=GRPO),
    Field("entropy_target", ("objective.entropy_target",), "with use_adaptive_entropy", 0.2, methods=GRPO),
    Field("entropy_coef_delta", ("objective.entropy_step",), "with use_adaptive_entropy", 0.005, methods=GRPO),
    Field("sapo_temperature_pos", ("objective.gate_positive",), "with sapo", 1.0, methods=GRPO),
    Field("sapo_temperature_neg", ("objective.gate_negative",), "with sapo", 1.05, methods=GRPO),
    Field("vespo_k_pos", ("objective.gamma_power_positive",), "with vespo", 2.0, methods=GRPO),
    Field("vespo_k_neg", ("objective.gamma_power_negative",), "with vespo", 3.0, methods=GRPO),
    Field("vespo_lambda_pos", ("objective.gamma_decay_positive",), "with vespo", 3.0, methods=GRPO),
    Field("vespo_lambda_neg", ("objective.gamma_decay_negative",), "with vespo", 2.0, methods=GRPO),
    Field("vllm_importance_sampling_correction", ("objective.correction",), "with use_vllm", True, methods=GRPO),
    Field("vllm_importance_sampling_mode",
          ("objective.correction", "objective.correction_level", "objective.rejection"),
          "truncate: a weight with a cap; mask: a weight, and what leaves the band is left out", "sequence_mask", methods=GRPO),
    Field("vllm_importance_sampling_clip_max", ("objective.correction_cap", "objective.rejection_high"), "with use_vllm", 3.0,
          methods=GRPO),
    Field("vllm_importance_sampling_clip_min", ("objective.rejection_low",), "with use_vllm, in the modes that mask", None,
          methods=GRPO),
    Field("off_policy_mask_threshold", ("objective.rejection", "objective.rejection_limit"), "rejection off_policy", None,
          methods=GRPO),
    _one("desirable_weight", "objective.good_weight", 1.0, methods=("kto",)),
    _one("undesirable_weight", "objective.bad_weight", 1.0, methods=("kto",)),
    Field("completion_only_loss", ("examples.learned",),
          "True: response, False: all; where it is not given, all of rows that have no column prompt", None, methods=("sft",)),
    # --- what is kept and told -----------------------------------------------------------------------------------
    Field("save_steps", ("train.save_every",), "optimizer steps there, steps here", 500),
    _one("save_total_limit", "train.keep_last", None),
    Field("report_to", ("logging.sinks",), "tensorboard, wandb, trackio, mlflow", "none"),
    _one("project", "logging.project", "huggingface"),
    Field("max_tool_calling_iterations", ("environment.turns",), "one turn more: the answer after the last call", None,
          methods=GRPO),
)  # fmt: skip

NOT_CARRIED = (
    _lost("top_p", 1.0, "a cut distribution is not the policy's, and every ratio would be wrong", methods=GRPO),
    _lost("top_k", 0, "a cut distribution is not the policy's, and every ratio would be wrong", methods=GRPO),
    _lost("min_p", None, "a cut distribution is not the policy's, and every ratio would be wrong", methods=GRPO),
    _lost("repetition_penalty", 1.0, "the sampled distribution would not be the policy's; the verifier `repetition` punishes it",
          methods=GRPO),
    _lost("generation_kwargs", None, "sampling has no settings but those of the section rollout", methods=GRPO),
    _lost("num_generations_eval", None, "evaluation.samples says it for held-out problems", methods=GRPO),
    _lost("vllm_tensor_parallel_size", 1, "rollout.vllm.tensor_parallel, of servers that the kit starts", methods=GRPO),
    _lost("vllm_max_model_length", None, "it follows from the longest prompt and response", methods=GRPO),
    _lost("vllm_structured_outputs_regex", None, "constrained sampling is not the policy's distribution", methods=GRPO),
    _lost("vllm_importance_sampling_cap", None, "deprecated there: vllm_importance_sampling_clip_max", methods=GRPO),
    _lost("entropy_coef_min", 0.0, "the adaptive bonus is bounded by 0 alone", methods=GRPO),
    _lost("entropy_coef_max", 1.0, "the adaptive bonus is bounded by 0 alone", methods=GRPO),
    _lost("sync_ref_model", False, "TRL mixes the policy into the reference; reference.refresh puts it in its place",
          methods=("grpo", "dpo", "kto")),
    _lost("ref_model_mixup_alpha", 0.6, "with sync_ref_model", methods=("grpo", "dpo", "kto")),
    _lost("ref_model_sync_steps", 512, "with sync_ref_model", methods=("grpo", "dpo", "kto")),
    _lost("router_aux_loss_coef", None, "no loss of a router is added", methods=("grpo", "dpo", "sft", "kto")),
    _lost("loss_weights", None, "losses of pairs are not mixed", methods=("dpo",)),
    _lost("label_smoothing", 0.0, "the loss of a pair knows no smoothing", methods=("dpo",)),
    _lost("f_divergence_type", "reverse_kl", "the loss is that of the reverse KL", methods=("dpo",)),
    _lost("f_alpha_divergence_coef", 0.5, "with f_divergence_type", methods=("dpo",)),
    _lost("ld_alpha", None, "the whole response counts", methods=("dpo",)),
    _lost("use_weighting", False, "pairs are not weighted (WPO)", methods=("dpo",)),
    _lost("discopop_tau", 0.05, "there is no discopop loss", methods=("dpo",)),
    _lost("center_rewards_coefficient", None, "the loss is Bradley and Terry's alone", methods=("reward",)),
    _lost("max_length", 1024, "nothing is cut: what is longer than the model's context is left out, and counted",
          methods=("dpo", "sft", "kto", "reward")),
    _lost("truncation_mode", "keep_start", "nothing is cut", methods=("dpo", "sft")),
    _lost("assistant_only_loss", False, "the last message of a conversation is learned; earlier ones are its prompt",
          methods=("sft",)),
    _lost("dataset_text_field", "text", "a column of whole texts is called text: rename it", methods=("sft",)),
    _lost("dataset_kwargs", None, "rows are read as they are", methods=("sft",)),
    _lost("eval_strategy", "no", "accuracy on held-out problems takes its place: an evaluation section (docs/evaluation.md)"),
    _lost("eval_steps", None, "evaluation.every"),
    _lost("optim", "adamw_torch_fused", "the optimizer is AdamW"),
    _lost("optim_args", None, "the optimizer is AdamW"),
    _lost("lr_scheduler_kwargs", None, "a schedule falls to 0 at the end"),
    _lost("neftune_noise_alpha", None, "no noise is added to embeddings"),
    _lost("label_smoothing_factor", 0.0, "there is no smoothing"),
    _lost("fp16", False, "float16 is not offered: bfloat16 or float32"),
    _lost("model_init_kwargs", None, "models are loaded in float32; model.dtype says what they are multiplied in"),
    _lost("trust_remote_code", False, "code that comes with a model is not executed"),
    _lost("chat_template_path", None, "the template is the tokenizer's: save it there", methods=("sft", "reward")),
    _lost("eos_token", None, "the end of a turn is the tokenizer's", methods=("sft", "reward")),
    _lost("pad_token", None, "nothing is padded", methods=("dpo", "sft", "reward")),
    _lost("deepspeed", None, "weights are spread by FSDP2 over the processes of torchrun: docs/scaling.md"),
    _lost("fsdp", None, "weights are spread by FSDP2 over the processes of torchrun: docs/scaling.md"),
    _lost("fsdp_config", None, "weights are spread by FSDP2 over the processes of torchrun: docs/scaling.md"),
    _lost("load_best_model_at_end", False, "train.keep_best keeps the best of evaluations"),
    _lost("resume_from_checkpoint", None, "a run of TRL cannot be gone on with"),
    _lost("push_to_hub", False, "nothing is uploaded"),
)  # fmt: skip

SAME_WITHOUT = "it changes no number that is learned"
NEEDLESS = (
    _needless("output_dir", None, "--run-dir says where a run is written"),
    _needless("run_name", None, "a run is named by its folder"),
    _needless("logging_steps", 10, "every step is logged"),
    _needless("logging_strategy", "steps", "every step is logged"),
    _needless("logging_first_step", False, "every step is logged"),
    _needless("log_completions", False, "every response is recorded in rollouts/", methods=GRPO),
    _needless("num_completions_to_print", None, "every response is recorded in rollouts/", methods=GRPO),
    _needless("log_unique_prompts", False, "every response is recorded in rollouts/", methods=GRPO),
    _needless("save_strategy", "steps", "a checkpoint is left at the end in any case"),
    _needless("per_device_eval_batch_size", 8, SAME_WITHOUT),
    _needless("dataloader_num_workers", 0, SAME_WITHOUT),
    _needless("dataloader_drop_last", False, "the rows of an epoch's end go on into the next"),
    _needless("dataset_num_proc", None, SAME_WITHOUT, methods=("dpo", "sft", "kto", "reward")),
    _needless("remove_unused_columns", {m: m != "grpo" for m in METHODS}, "columns reach the verifier in any case"),
    _needless("gradient_checkpointing_kwargs", None, SAME_WITHOUT),
    _needless("packing", False, "micro-batches are packed always, and responses do not see each other", methods=("sft",)),
    _needless("padding_free", False, "micro-batches are packed always", methods=("dpo", "sft")),
    _needless("precompute_ref_log_probs", False, SAME_WITHOUT, methods=PREFERENCES),
    _needless("activation_offloading", False, SAME_WITHOUT, methods=("dpo", "sft", "kto", "reward")),
    _needless("use_liger_kernel", False, "the head is chunked: [tokens, vocabulary] is never held"),
    _needless("disable_dropout", {m: m in ("dpo", "kto", "reward") for m in METHODS if m != "sft"},
              "there is no dropout in training", methods=("grpo", "dpo", "kto", "reward")),
    _needless("shuffle_dataset", {"grpo": True, "sft": False}, "every epoch is shuffled anew", methods=("grpo", "sft")),
    _needless("tf32", None, SAME_WITHOUT),
    _needless("log_level", "passive", SAME_WITHOUT),
    _needless("disable_tqdm", None, SAME_WITHOUT),
    _needless("ddp_find_unused_parameters", None, SAME_WITHOUT),
    _needless("hub_model_id", None, "nothing is uploaded"),
)  # fmt: skip

FIELDS = (*OWN_FIELDS, *NOT_CARRIED, *NEEDLESS)

# peft.LoraConfig, and what TRL's command line calls the same.
LORA = {
    "r": "model.lora.rank",
    "lora_alpha": "model.lora.alpha",
    "target_modules": "model.lora.targets",
}
LORA_OF_THE_CLI = {"lora_r": "r", "lora_alpha": "lora_alpha", "lora_target_modules": "target_modules"}
LORA_LOST = {
    "lora_dropout": "adapters have no dropout",
    "bias": "biases stay as they are",
    "modules_to_save": "nothing but adapters is trained",
    "use_rslora": "an adapter is scaled by alpha / rank",
    "use_dora": "adapters are plain low-rank ones",
    "init_lora_weights": "adapters begin as in the paper",
    "rank_pattern": "all adapters have one rank",
    "alpha_pattern": "all adapters have one alpha",
    "layers_to_transform": "all layers have adapters",
}


def fields_of(method: str) -> dict[str, Field]:
    """The fields that the table has for a method's configuration."""
    return {field.name: field for field in FIELDS if method in field.methods}
