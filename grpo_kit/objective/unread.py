"""Choices that a recipe made and that nothing reads, or that can do nothing: no error, and worth a sentence."""

from __future__ import annotations

from collections.abc import Callable, Collection

from .compatibility import NOT_OF_VALUES
from .rows import Objective, values_of

Reads = Callable[[Objective], bool]


def _surrogate(*names: str) -> tuple[Reads, str]:
    # What a file added may read any choice.
    return lambda row: row.surrogate in names or row.surrogate not in values_of("surrogate"), f"surrogate {_or(names)}"


def _or(names: Collection[str]) -> str:
    *others, last = names
    return f"{', '.join(others)} or {last}" if others else last


_CLIPS = _surrogate("ppo_clip", "cispo", "aspo", "geometric_clip")
_VESPO, _SAPO, _MASK = _surrogate("vespo"), _surrogate("sapo"), _surrogate("divergence_mask")
_BAND: tuple[Reads, str] = (
    lambda row: row.rejection in ("token", "sequence", "geometric"),
    "rejection token, sequence or geometric",
)
_REFERENCE: tuple[Reads, str] = lambda row: row.beta > 0.0, "a beta above 0"

# Who reads a choice, as a question to the row and in words. Choices that are not here are read, or refused where they are not, or
# for another engine than that of now (correction_level, correction_cap).
READ_BY: dict[str, tuple[Reads, str]] = {
    "shape": (lambda row: not row.selects, "selection all"),
    "combine": (lambda row: not row.selects, "selection all"),
    "set_size": (lambda row: row.compares_sets, "shape pass_at_k"),
    "discount": (lambda row: row.per_token or row.learns_values, "returns reward_to_go or gae"),
    "trace": (lambda row: row.generalised_advantages or row.learns_values, "returns gae"),
    "average_decay": (lambda row: row.baseline == "moving_average", "baseline moving_average"),
    "clip_low": _CLIPS,
    "clip_high": _CLIPS,
    "dual_clip": _surrogate("ppo_clip", "aspo"),
    "gate_positive": _SAPO,
    "gate_negative": _SAPO,
    "gamma_power_positive": _VESPO,
    "gamma_power_negative": _VESPO,
    "gamma_decay_positive": _VESPO,
    "gamma_decay_negative": _VESPO,
    "divergence": _MASK,
    "divergence_limit": _MASK,
    "ratio_cap": _MASK,
    "penalty": _surrogate("kl_penalty"),
    "rejection_low": _BAND,
    "rejection_high": _BAND,
    "rejection_limit": (lambda row: row.rejection == "off_policy", "rejection off_policy"),
    "kl_place": _REFERENCE,
    "kl_estimator": _REFERENCE,
    "entropy_step": (lambda row: row.entropy_target is not None, "entropy_target"),
    "covariance_share": (lambda row: row.holds_back_tokens, "tokens clip_cov or kl_cov"),
    "covariance_low": (lambda row: row.tokens == "clip_cov", "tokens clip_cov"),
    "covariance_high": (lambda row: row.tokens == "clip_cov", "tokens clip_cov"),
    "covariance_penalty": (lambda row: row.penalises_tokens, "tokens kl_cov"),
    "trust_region": (lambda row: row.natural_gradient, "step natural_gradient"),
}


def unread(row: Objective, changed: Collection[str]) -> list[str]:
    """A sentence for each choice that nothing reads.

    Args:
        row: with a recipe's choices in it.
        changed: the keys that the recipe set to another value than the algorithm has.
    """
    if row.learns_preferences:
        return [
            f"objective.{key} {getattr(row, key)} is of policy gradients, and changes nothing in family {row.family}"
            for key in (*NOT_OF_VALUES, "drop_agreeing", "entropy_bonus", "entropy_target")
            if key in changed
        ]
    return [
        f"objective.{key} {getattr(row, key)} is read by {READ_BY[key][1]} alone, and changes nothing here"
        for key in READ_BY
        if key in changed and not READ_BY[key][0](row)
    ]


def idle(row: Objective, updates: int) -> list[str]:
    """A sentence for each penalty on moving from the old policy that the only update of a batch, which begins there, never meets.

    Args:
        updates: optimizer steps made from one batch.
    """
    if row.family != "policy_gradient" or updates > 1 or row.ratio_to_engine:
        return []
    found = {
        "tokens kl_cov": row.penalises_tokens,
        "ratio_penalty": row.ratio_penalty > 0.0,
        "surrogate kl_penalty": row.uses_penalty,
    }
    return [
        f"objective.{name} holds the policy to that of the beginning of a batch, and does nothing at a batch's only update; set "
        "train.updates_per_batch or train.epochs_per_batch above 1"
        for name, used in found.items()
        if used
    ]
