"""Combinations of choices that cannot mean anything, each with the reason and the way out."""

from __future__ import annotations

from .rows import Objective

# Families whose loss knows who sampled a token, or does not mind, and what a group weighs.
REPLAYS = ("policy_gradient", "values")
# Choices of policy gradients that family values does not read: they stay at what a row has that says nothing of them.
NOT_OF_VALUES = (
    "returns", "surrogate", "ratio_level", "selection", "shape", "combine", "tokens", "step", "positive_weight",
    "negative_weight", "clip_low", "clip_high", "dual_clip", "ratio_penalty", "rejection", "entropy_share", "penalty_target",
    "kl_target", "kl_weighted", "value_clip",
)  # fmt: skip
# Choices of family values that no other reads.
OF_VALUES = (
    "bootstrap", "action_values", "value_temperature", "bootstrap_steps", "target_rate", "target_every", "huber", "expectile",
    "policy_steps",
)  # fmt: skip
READERS = {"policy_steps": "sac", "expectile": "iql"}  # rows that read what others of family values do not
NARROW_CLIP = 0.01  # bf16 against float32 moves a sequence's mean log-ratio by about 0.002


def refusals(row: Objective, *, group_size: int, updates: int = 1, replays: bool = False) -> list[str]:
    """Why this row cannot be trained; empty when it can.

    Args:
        group_size: samples of each prompt.
        updates: optimizer steps made from one batch.
        replays: whether groups of earlier steps are learned from again.
    """
    return [*_choices(row, group_size, updates), *(_replay(row) if replays else [])]


def _choices(row: Objective, group_size: int, updates: int) -> list[str]:
    if row.learns_values:
        return [*_values(row), *_teacher(row)]
    if row.family != "policy_gradient":
        return [*_no_values(row), *_sampled_pairs(row, group_size), *_teacher(row)]
    return [
        *_no_values(row), *_returns(row), *_reward(row, group_size), *_ratio(row, updates), *_whole(row),
        *_groups(row, group_size), *_step(row), *_kl(row), *_entropy(row), *_teacher(row),
    ]  # fmt: skip


def _replay(row: Objective) -> list[str]:
    """What would take a replayed response for one of the present policy's."""
    if row.recorded:
        return [
            "replay is of what a run samples itself, and this algorithm learns from recorded data: leave replay out"
        ]
    if row.family not in REPLAYS:
        return [
            f"replay with family {row.family}: its loss knows no ratio to the policy that sampled, and no weight of a group; "
            "leave replay out, or use train.epochs_per_batch"
        ]
    if row.learns_values:
        return _replayed_values(row)
    if row.correction == "none":
        return [
            "objective.correction none with replay: the ratio would be taken to the policy of now, as if that had sampled what "
            "older ones did; use in_ratio or truncated, or leave the key out"
        ]
    return []


def _replayed_values(row: Objective) -> list[str]:
    if row.bootstrap != "sampled":
        return []
    return [
        "objective.bootstrap sampled with replay: it learns the values of the policy that samples, and the tokens of older ones "
        "are not what this one would go on with; use bootstrap max, double_max, soft or expectile, or leave replay out"
    ]


def _sampled_pairs(row: Objective, group_size: int) -> list[str]:
    if row.data == "sampled" and group_size < 2:
        return ["rollout.group_size 1 leaves nothing to compare a response with: there is no pair; use at least 2"]
    return []


def _no_values(row: Objective) -> list[str]:
    return [
        f"objective.{key} {getattr(row, key)} is of family values, and family {row.family} does not read it: leave it out, or "
        f"begin with a row that does ({READERS.get(key, 'soft_q, dqn')})"
        for key in OF_VALUES
        if getattr(row, key) != Objective.model_fields[key].default
    ]


def _values(row: Objective) -> list[str]:
    """What a row of action values does not read, or cannot use."""
    found = []
    for key in NOT_OF_VALUES:
        off, is_now = Objective.model_fields[key].default, getattr(row, key)
        if is_now != off:
            needed = "null" if off is None else f"{off:g}" if isinstance(off, float) else off
            found.append(
                f"objective.{key} {is_now} is of policy gradients; family values needs {needed}, as it is by default"
            )
    for key in ("beta", "entropy_bonus"):
        if getattr(row, key) > 0.0:
            found.append(
                f"objective.{key} is of policy gradients; in family values value_temperature with bootstrap soft pays for entropy"
            )
    if row.entropy_target is not None and not row.learns_twins:
        found.append(
            "objective.entropy_target adapts a bonus of policy gradients, or the temperature of action_values twins; leave it out"
        )
    if row.learns_twins and row.bootstrap != "soft":
        found.append(
            f"objective.action_values twins with bootstrap {row.bootstrap}: its policy is paid for entropy, and what a state is "
            "worth is that policy's soft value; use bootstrap soft"
        )
    if row.policy_steps > 1 and not row.learns_twins:
        found.append(
            f"objective.policy_steps {row.policy_steps} is of a policy that follows twins, and action_values {row.action_values} "
            "has none; leave it out, or use action_values twins"
        )
    if row.weighs_by_advantage and not row.learns_expectile:
        found.append(
            f"objective.action_values returns with bootstrap {row.bootstrap}, which reads values of tokens off the logits: "
            "those are a policy's here, which imitates; use bootstrap expectile"
        )
    if row.drop_agreeing:
        found.append("objective.drop_agreeing with family values, which compares no group: leave it false")
    if row.bootstrap == "double_max" and not row.keeps_target:
        found.append(
            "objective.bootstrap double_max asks a second network for the value, and target_rate null keeps none; give "
            "target_rate a value, or use bootstrap max"
        )
    if row.learns_expectile and not row.learns_states:
        found.append(
            "objective.bootstrap expectile needs a critic that learns it; use action_values returns or dueling"
        )
    if row.target_every > 1 and not row.keeps_target:
        found.append("objective.target_every says when the target network follows, and target_rate null keeps none")
    return found


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
    if row.scale in ("group_mean", "bernoulli_std") and row.baseline != "group_mean":
        found.append(
            f"objective.scale {row.scale} is derived for the baseline group_mean, and {row.baseline} is another"
        )
    if row.baseline == "critic" and row.scale not in ("none", "batch_std"):
        found.append(f"objective.scale {row.scale}: advantages from a critic are scaled over the batch or not at all")
    return found


def _reward(row: Objective, group_size: int) -> list[str]:
    """What is made of a reward before it is compared."""
    found = []
    if row.per_token and (row.reads_marks or row.reads_parts):
        name = f"shape {row.shape}" if row.reads_marks else f"combine {row.combine}"
        found.append(
            f"objective.{name} makes one number of a response, and returns {row.returns} gives its tokens what they earned; use "
            "returns response"
        )
    if row.needs_greedy and (row.reads_marks or row.reads_parts):
        name = f"shape {row.shape}" if row.reads_marks else f"combine {row.combine}"
        found.append(
            f"objective.{name} with baseline greedy: the rewards would be on another scale than the greedy response's, which is "
            "no part of the group; use another baseline, or leave it out"
        )
    if row.reads_marks and row.reads_parts:
        found.append(
            f"objective.shape {row.shape} looks at who is right alone, and combine {row.combine} at what every verifier gave; "
            "leave one of them out"
        )
    if row.shape == "pass_at_k" and row.set_size >= group_size:
        found.append(
            f"objective.set_size {row.set_size} with rollout.group_size {group_size}: every set would be the whole group, and "
            "every advantage 0; lower it, or sample more"
        )
    if row.drop_agreeing and not row.compares_in_groups:
        found.append(
            f"objective.drop_agreeing with baseline {row.baseline}: a group that agrees has an advantage there, and leaving it "
            "out would move the baseline; use group_mean, leave_one_out or length_weighted_mean"
        )
    if row.positive_weight == 0.0 and row.negative_weight == 0.0:
        found.append(
            "objective.positive_weight and negative_weight are both 0: nothing would be learned; give one of them"
        )
    if row.selects and (row.positive_weight, row.negative_weight) != (1.0, 1.0):
        found.append(
            f"objective.positive_weight and negative_weight with selection {row.selection}, which gives what it keeps an "
            "advantage of 1; scale the learning rate instead"
        )
    return found


def _whole(row: Objective) -> list[str]:
    """Surrogates that look at whole responses."""
    found = []
    if row.surrogate == "geometric_clip" and row.ratio_level != "token":
        found.append("objective.surrogate geometric_clip clips each token's own ratio; leave ratio_level at token")
    if row.surrogate == "geometric_clip" and row.chooses_tokens:
        found.append(
            "objective.surrogate geometric_clip takes the mean over all tokens of a response; leave entropy_share at 1 and "
            "tokens at all"
        )
    if row.surrogate in ("vespo", "topr") and row.ratio_level != "sequence_product":
        found.append(
            f"objective.surrogate {row.surrogate} weighs by the ratio of the whole response; it needs ratio_level "
            "sequence_product"
        )
    if row.per_token and row.surrogate in ("geometric_clip", "vespo", "topr"):
        found.append(
            f"objective.surrogate {row.surrogate} is of responses, and returns {row.returns} gives every token its own "
            "advantage; use returns response"
        )
    if row.ratio_penalty > 0.0 and row.surrogate == "policy_gradient":
        found.append(
            "objective.ratio_penalty with surrogate policy_gradient, which uses no ratio; use ppo_clip or cispo"
        )
    return found


def _ratio(row: Objective, updates: int) -> list[str]:
    found = []
    if row.surrogate in ("kl_penalty", "divergence_mask", "aspo") and row.ratio_level != "token":
        found.append(f"objective.surrogate {row.surrogate} measures each token's own move; it needs ratio_level token")
    if row.surrogate == "policy_gradient" and row.ratio_level != "token":
        found.append("objective.surrogate policy_gradient uses no ratio; leave ratio_level at token")
    if row.correction == "in_ratio" and not row.bounds_ratio:
        found.append(
            f"objective.correction in_ratio with surrogate {row.surrogate}, which bounds no ratio; use correction truncated, or "
            "a surrogate such as ppo_clip"
        )
    if (
        row.correction == "in_ratio"
        and 0.0 < max(row.clip_low, row.clip_high) < NARROW_CLIP
        and row.surrogate == "ppo_clip"
    ):
        found.append(
            f"objective.correction in_ratio with clip_low {row.clip_low:g} and clip_high {row.clip_high:g}: the engine's "
            "rounding alone moves the ratio further than that, so most of a batch would be clipped before any update; use "
            "correction truncated"
        )
    if row.rejection in ("token", "sequence", "geometric") and row.rejection_low is None and row.rejection_high is None:
        found.append(
            f"objective.rejection {row.rejection} without rejection_low and rejection_high leaves nothing out; give one of them"
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
    if row.dynamic_sampling and row.drop_agreeing:
        found.append("objective.drop_agreeing leaves out what dynamic_sampling would sample again; use one of them")
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


def _entropy(row: Objective) -> list[str]:
    found = []
    if row.entropy_target is not None and row.natural_gradient:
        found.append("objective.entropy_target adapts a bonus in the loss of a gradient step; use step gradient")
    if row.tokens != "all" and (row.imitates or row.selects):
        found.append(
            f"objective.tokens {row.tokens} holds back tokens by their advantage, and imitation gives all the same"
        )
    if row.tokens == "clip_cov" and row.covariance_low >= row.covariance_high:
        found.append(
            f"objective.tokens clip_cov holds back tokens between covariance_low {row.covariance_low:g} and covariance_high "
            f"{row.covariance_high:g}, where none can be; covariance_low must be below covariance_high"
        )
    if row.kl_weighted and not row.kl_in_loss:
        found.append(
            "objective.kl_weighted weighs the KL in the loss, and there is none; give beta a value, and kl_place loss"
        )
    return found


def _teacher(row: Objective) -> list[str]:
    found = []
    if row.teacher == "none":
        if row.reward_weight != 1.0:
            found.append("objective.reward_weight weighs rewards against a teacher, and objective.teacher is none")
        if row.teacher_weight != 1.0:
            found.append("objective.teacher_weight weighs what a teacher says, and objective.teacher is none")
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
    if row.teacher_weight == 0.0:
        found.append(
            "objective.teacher_weight 0 holds a teacher and does not listen to it; give it a weight, or set teacher none"
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
    if row.surrogate == "importance" and row.step != "natural_gradient" and row.tokens != "kl_cov":
        found.append(
            "objective.surrogate importance has no bound of its own; use step natural_gradient, or surrogate ppo_clip"
        )
    if row.penalty_target is not None and row.surrogate != "kl_penalty":
        found.append("objective.penalty_target adapts the weight of surrogate kl_penalty, which is not used here")
    if row.kl_target is not None and not row.beta > 0.0:
        found.append("objective.kl_target adapts beta, which is 0; give beta a first value")
    return found
