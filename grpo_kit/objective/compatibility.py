"""Combinations of choices that cannot mean anything, each with the reason and the way out."""

from __future__ import annotations

from .rows import Objective

NARROW_CLIP = 0.01  # bf16 against float32 moves a sequence's mean log-ratio by about 0.002


def refusals(row: Objective, *, group_size: int, updates: int = 1) -> list[str]:
    """Why this row cannot be trained; empty when it can.

    Args:
        group_size: samples of each prompt.
        updates: optimizer steps made from one batch.
    """
    if row.family != "policy_gradient":
        return [*_sampled_pairs(row, group_size), *_teacher(row)]
    found = [*_returns(row), *_ratio(row, updates), *_groups(row, group_size), *_step(row), *_kl(row)]
    return [*found, *_teacher(row)]


def _sampled_pairs(row: Objective, group_size: int) -> list[str]:
    if row.data == "sampled" and group_size < 2:
        return ["rollout.group_size 1 leaves nothing to compare a response with: there is no pair; use at least 2"]
    return []


def _returns(row: Objective) -> list[str]:
    found = []
    if (row.baseline == "critic") != (row.returns == "gae"):
        found.append(
            f"objective.returns {row.returns} with baseline {row.baseline}: generalised advantages (gae) and a critic "
            "need each other; set both or neither"
        )
    if row.per_token and row.ratio_level in ("sequence", "sequence_product"):
        found.append(
            f"objective.ratio_level {row.ratio_level} compares whole responses, and returns {row.returns} gives every token "
            "its own advantage; use ratio_level token or sequence_token, or returns response"
        )
    if row.scale == "beta_density" and row.baseline != "group_mean":
        found.append("objective.scale beta_density is derived for the baseline group_mean")
    if row.baseline == "critic" and row.scale not in ("none", "batch_std"):
        found.append(f"objective.scale {row.scale}: advantages from a critic are scaled over the batch or not at all")
    return found


def _ratio(row: Objective, updates: int) -> list[str]:
    found = []
    if row.surrogate in ("kl_penalty", "divergence_mask") and row.ratio_level != "token":
        found.append(f"objective.surrogate {row.surrogate} measures each token's own move; it needs ratio_level token")
    if row.surrogate == "policy_gradient" and row.ratio_level != "token":
        found.append("objective.surrogate policy_gradient uses no ratio; leave ratio_level at token")
    if row.correction == "in_ratio" and row.surrogate in ("policy_gradient", "importance"):
        found.append(
            f"objective.correction in_ratio (the default with rollout.max_staleness) with surrogate {row.surrogate}, which "
            "bounds no ratio; use correction truncated or masked, or a surrogate such as ppo_clip"
        )
    if (
        row.correction == "in_ratio"
        and 0.0 < max(row.clip_low, row.clip_high) < NARROW_CLIP
        and row.surrogate == "ppo_clip"
    ):
        found.append(
            f"objective.correction in_ratio with clip_low {row.clip_low:g} and clip_high {row.clip_high:g}: the engine's "
            "rounding alone moves the ratio further than that, so most of a batch would be clipped before any update; use "
            "correction truncated or masked"
        )
    biased = row.surrogate == "policy_gradient" and row.selection == "all" and row.data == "sampled"
    if biased and updates > 1:
        found.append(
            f"objective.surrogate policy_gradient is right for the policy that sampled, and {updates} updates per batch "
            "leave it after the first; use one update, or a surrogate with a ratio such as ppo_clip"
        )
    return found


def _groups(row: Objective, group_size: int) -> list[str]:
    found = []
    if group_size < 2 and row.data == "sampled" and (row.needs_comparison or row.dynamic_sampling):
        found.append(
            "rollout.group_size 1 leaves nothing to compare a response with: every advantage would be 0; use at least 2, "
            "or a baseline that needs no group (moving_average, greedy, batch_mean, critic)"
        )
    if row.data == "recorded" and row.needs_greedy:
        found.append(
            "objective.baseline greedy needs a greedy response to each prompt, which recorded data does not hold"
        )
    if row.data == "recorded" and row.dynamic_sampling:
        found.append("objective.dynamic_sampling samples again, and this algorithm learns from recorded data")
    if row.dynamic_sampling and row.selection != "all":
        found.append(
            f"objective.dynamic_sampling drops the groups that are all right, which selection {row.selection} would keep"
        )
    return found


def _kl(row: Objective) -> list[str]:
    """Estimators of the KL to the reference, judged by the gradient they give where they stand (`objective.kl`)."""
    found = []
    if row.kl_in_loss and row.kl_estimator == "k1":
        found.append(
            "objective.kl_estimator k1 in the loss has a gradient of zero in expectation: it would only add noise; use k2 (the "
            "gradient of KL(policy || reference)), k3 (as GRPO), or kl_place reward"
        )
    if row.kl_in_reward and row.kl_estimator != "k1":
        found.append(
            f"objective.kl_estimator {row.kl_estimator} in the reward does not give the gradient of the KL; use k1 there, or "
            "kl_place loss"
        )
    return found


def _teacher(row: Objective) -> list[str]:
    found = []
    if row.teacher == "none":
        if row.reward_weight != 1.0:
            found.append("objective.reward_weight weighs rewards against a teacher, and objective.teacher is none")
        return found
    if row.family != "policy_gradient":
        return [
            f"objective.teacher {row.teacher}: a teacher is offered for policy gradients, not for family {row.family}"
        ]
    if row.ratio_level in ("sequence", "sequence_product") and row.teacher == "sampled":
        found.append(
            f"objective.ratio_level {row.ratio_level} compares whole responses, and teacher sampled gives every token its "
            "own advantage; use ratio_level token or sequence_token, or teacher vocabulary"
        )
    if row.selects:
        found.append(
            f"objective.teacher with selection {row.selection}, which imitates what it keeps; use selection all"
        )
    if row.recorded:
        found.append("objective.teacher judges what the policy samples, and this algorithm learns from recorded data")
    if row.natural_gradient:
        found.append(
            "objective.teacher with step natural_gradient, whose trust region knows no teacher; use step gradient"
        )
    if row.needs_critic:
        found.append("objective.teacher with baseline critic: the critic learns rewards alone; use another baseline")
    return found


def _step(row: Objective) -> list[str]:
    found = []
    if row.step == "natural_gradient" and row.surrogate != "importance":
        found.append(
            f"objective.step natural_gradient with surrogate {row.surrogate}: the trust region bounds the step already; "
            "use surrogate importance"
        )
    if row.surrogate == "importance" and row.step != "natural_gradient":
        found.append(
            "objective.surrogate importance has no bound of its own; use step natural_gradient, or surrogate ppo_clip"
        )
    if row.penalty_target is not None and row.surrogate != "kl_penalty":
        found.append("objective.penalty_target adapts the weight of surrogate kl_penalty, which is not used here")
    if row.kl_target is not None and not row.beta > 0.0:
        found.append("objective.kl_target adapts beta, which is 0; give beta a first value")
    return found
