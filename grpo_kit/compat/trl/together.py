"""What several fields of TRL make together: the batch, the steps, the loss, the engine, the correction of its samples."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

Values = Mapping[str, Any]
Keys = dict[str, Any]


class CannotCarry(Exception):
    """The settings have no counterpart without which there is no recipe; the message is for a person."""


@dataclass(frozen=True)
class Batches:
    """What a step samples and how often it learns from it.

    Attributes:
        rows: prompts (GRPO) or rows of the file of one step.
        learns: optimizer steps that TRL makes of them.
    """

    rows: int
    updates: int
    epochs: int
    note: str = ""

    @property
    def learns(self) -> int:
        return self.updates * self.epochs


def batches(method: str, values: Values) -> Batches:
    """The batch of one process. Raises CannotCarry where TRL itself would refuse it."""
    one, accumulated = int(values["per_device_train_batch_size"]), int(values["gradient_accumulation_steps"])
    if method != "grpo":
        return Batches(one * accumulated, 1, 1)
    per_generation, whole = values.get("steps_per_generation"), values.get("generation_batch_size")
    if per_generation is not None and whole is not None:
        raise CannotCarry(
            "steps_per_generation and generation_batch_size are both given, which TRL refuses; leave one out"
        )
    steps = Fraction(int(whole), one) if whole is not None else Fraction(int(per_generation or accumulated))
    group = int(values["num_generations"])
    completions = steps * one
    if completions % group:
        raise CannotCarry(
            f"a generation batch of {completions} completions ({steps} times per_device_train_batch_size {one}) is no multiple "
            f"of num_generations {group}. With several processes the product is larger: write per_device_train_batch_size of "
            "all of them together"
        )
    prompts, updates = int(completions // group), steps / accumulated
    note = ""
    if updates.denominator != 1 or prompts % int(updates):
        note = f"{updates} updates of {prompts} prompts cannot be made without splitting a group: one update of all is made"
        updates = Fraction(1)
    return Batches(prompts, int(updates), int(values["num_iterations"]), note)


def steps(values: Values, batch: Batches, rows: int | None) -> int | None:
    """Steps of the kit; None where the number of rows would have to be known."""
    if int(values["max_steps"]) > 0:
        return math.ceil(int(values["max_steps"]) / batch.learns)
    return None if rows is None else max(1, math.ceil(float(values["num_train_epochs"]) * rows / batch.rows))


def warmup(values: Values, updates: int | None) -> tuple[int | None, bool]:
    """Updates of the warm-up, and whether a share was asked for whose whole is not known."""
    asked = float(values["warmup_steps"] or 0)
    share = asked if asked < 1 else 0.0
    share = float(values["warmup_ratio"]) if values.get("warmup_ratio") is not None and asked == 0 else share
    if not share:
        return int(asked), False
    return (None, True) if updates is None else (math.ceil(share * updates), False)


# loss_type -> the choices that differ from those of the row grpo. Each is held to TRL's own loss (tests/parity).
LOSSES: dict[str, Keys] = {
    "grpo": {"aggregation": "sequence_mean"},
    "dr_grpo": {"aggregation": "constant_length"},
    "bnpo": {"aggregation": "token_mean"},
    "dapo": {"aggregation": "token_mean"},
    "cispo": {"aggregation": "token_mean", "surrogate": "cispo", "clip_low": 1.0},
    "sapo": {"aggregation": "sequence_mean", "surrogate": "sapo"},
    "luspo": {"aggregation": "sequence_sum"},
    "vespo": {"aggregation": "token_mean", "surrogate": "vespo", "ratio_level": "sequence_product"},
}
CLIPPED = ("grpo", "dr_grpo", "bnpo", "dapo", "luspo")
SCALES = {"group": "group_std", "batch": "batch_std", "none": "none", "True": "group_std", "False": "none"}
# vllm_importance_sampling_mode -> how the weight is taken and what is left out.
CORRECTIONS: dict[str, Keys] = {
    "token_truncate": {"correction_level": "token"},
    "sequence_truncate": {"correction_level": "sequence"},
    "token_mask": {"correction_level": "token", "rejection": "token"},
    "sequence_mask": {"correction_level": "sequence", "rejection": "sequence"},
}
NO_CAP = 1.0e9  # a mask leaves out, and bounds no weight


def _dual_clip(delta: float, high: float) -> float:
    if delta <= 1.0 + high:
        raise CannotCarry(
            f"delta {delta:g} with epsilon_high {high:g}: TRL's documentation asks for more than 1 + epsilon_high; by one that "
            "is less TRL bounds the ratio of good responses, and not that of bad ones"
        )
    return delta


def grpo_objective(values: Values) -> Keys:
    """The section ``objective`` over the row grpo: every choice in which TRL's loss may differ from it is stated."""
    loss = _known("loss_type", values["loss_type"], LOSSES)
    level = _known("importance_sampling_level", values["importance_sampling_level"], ("token", "sequence"))
    beta, low = float(values["beta"]), float(values["epsilon"])
    high = low if values["epsilon_high"] is None else float(values["epsilon_high"])
    made: Keys = {"surrogate": "ppo_clip", "ratio_level": level, "beta": beta, **LOSSES[loss]}
    if loss in CLIPPED:
        made |= {"clip_low": low, "clip_high": high}
        if values["delta"] is not None:
            made["dual_clip"] = _dual_clip(float(values["delta"]), high)
    elif loss == "cispo":
        if high <= 1.0:
            raise CannotCarry(
                f"loss_type cispo with epsilon_high {high:g}, which bounds the weight of a token below 1, also where the policy "
                "has not moved; TRL's documentation takes 5.0"
            )
        made["clip_high"] = high - 1.0
    elif loss == "sapo":
        made |= {"gate_positive": values["sapo_temperature_pos"], "gate_negative": values["sapo_temperature_neg"]}
    else:
        for sign, ours in (("pos", "positive"), ("neg", "negative")):
            made[f"gamma_power_{ours}"] = values[f"vespo_k_{sign}"]
            made[f"gamma_decay_{ours}"] = values[f"vespo_lambda_{sign}"]
    if beta > 0.0:
        if values["use_bias_correction_kl"] and level == "sequence":
            raise CannotCarry(
                "use_bias_correction_kl with importance_sampling_level sequence weighs the KL by the ratio of the response; "
                "here it is weighed by the token's: set use_bias_correction_kl=False, or beta=0"
            )
        made["kl_weighted"] = bool(values["use_bias_correction_kl"])
    return made | _advantages(values) | _entropy(values) | _engine_correction(values, loss)


def _advantages(values: Values) -> Keys:
    scale = SCALES[_known("scale_rewards", str(values["scale_rewards"]), SCALES)]
    how = _known(
        "multi_objective_aggregation",
        values["multi_objective_aggregation"],
        ("sum_then_normalize", "normalize_then_sum"),
    )
    if how == "sum_then_normalize":
        return {"scale": scale}
    return {"combine": "decoupled", "baseline": "batch_mean", "scale": "batch_std"}


def _entropy(values: Values) -> Keys:
    made: Keys = {}
    if values["entropy_coef"]:
        made["entropy_bonus"] = float(values["entropy_coef"])
    if values["use_adaptive_entropy"]:
        made |= {"entropy_target": values["entropy_target"], "entropy_step": values["entropy_coef_delta"]}
    return made


def _engine_correction(values: Values, loss: str) -> Keys:
    threshold, made = values["off_policy_mask_threshold"], Keys()
    if values["use_vllm"]:
        made = {"correction": "none"}
        if values["vllm_importance_sampling_correction"] and loss == "vespo":
            raise CannotCarry(
                "loss_type vespo with use_vllm multiplies the engine's correction into its weight, bounded by "
                "vllm_importance_sampling_mode, which has no counterpart: set vllm_importance_sampling_correction=False, or "
                "use_vllm=False"
            )
        if values["vllm_importance_sampling_correction"]:
            mode = _known("vllm_importance_sampling_mode", values["vllm_importance_sampling_mode"], CORRECTIONS)
            most, least = values["vllm_importance_sampling_clip_max"], values["vllm_importance_sampling_clip_min"]
            made = {"correction": "truncated", **CORRECTIONS[mode]}
            if "rejection" in made:
                made |= {"correction_cap": NO_CAP, "rejection_low": least, "rejection_high": most}
            else:
                made["correction_cap"] = NO_CAP if most is None else float(most)
    if threshold is not None:
        if "rejection" in made:
            raise CannotCarry(
                "off_policy_mask_threshold beside a vllm_importance_sampling_mode that masks: one of them is left out here by "
                "objective.rejection, not both; take sequence_truncate, or no threshold"
            )
        made |= {"rejection": "off_policy", "rejection_limit": float(threshold)}
    return made


def engine(values: Values) -> Keys:
    """Which engine samples, below ``rollout``."""
    if not values["use_vllm"]:
        return {}
    mode = _known("vllm_mode", values["vllm_mode"], ("colocate", "server"))
    if mode == "server":
        url = values["vllm_server_base_url"] or f"http://{values['vllm_server_host']}:{values['vllm_server_port']}"
        return {"engine": "vllm_server", "vllm.servers": [url.replace("0.0.0.0", "127.0.0.1")]}
    return {
        "engine": "vllm", "vllm.memory_fraction": values["vllm_gpu_memory_utilization"],
        "vllm.sleep": bool(values["vllm_enable_sleep_mode"]),
    }  # fmt: skip


def offline(method: str, values: Values) -> tuple[str, Keys]:
    """The algorithm of a method that learns from a file, and its objective."""
    if method == "dpo":
        kinds = [values["loss_type"]] if isinstance(values["loss_type"], str) else list(values["loss_type"])
        if len(kinds) != 1:
            raise CannotCarry(f"loss_type {kinds}: losses of pairs are not mixed here; take one of them")
        loss = _known("loss_type", kinds[0], ("sigmoid", "ipo"))
        return {"sigmoid": "dpo", "ipo": "ipo"}[loss], {}
    if method == "sft":
        _known("loss_type", values["loss_type"], ("nll",))
    if method == "kto":
        _known("loss_type", values["loss_type"], ("kto",))
    return {"sft": "sft", "kto": "kto", "reward": "reward_model"}[method], {}


def _known(name: str, value: Any, known: Any) -> Any:
    if not isinstance(value, str) or value not in known:
        raise CannotCarry(f"{name} {value!r:.60} has no counterpart here; carried over are {', '.join(known)}")
    return value
