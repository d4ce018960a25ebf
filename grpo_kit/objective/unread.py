"""Choices that a recipe made and that nothing reads, or that can do nothing: no error, and worth a sentence."""

from __future__ import annotations

from collections.abc import Callable, Collection

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
_LABELS: tuple[Reads, str] = lambda row: row.learns_from_labels, "family labels"
_GRADIENTS: tuple[Reads, str] = lambda row: row.family == "policy_gradient", "policy gradients"


def _compared(key: str) -> tuple[Reads, str]:
    def reads(row: Objective) -> bool:
        # That there is none is true wherever nothing is compared, and rows say so.
        return getattr(row, key) == "none" or (row.family == "policy_gradient" and not row.selects)

    return reads, "policy gradients with selection all"


# Who reads a choice, as a question to the row and in words. Choices that are not here are read, or refused where they are not. Of
# policy gradients the correction may be of another engine than that of now.
READ_BY: dict[str, tuple[Reads, str]] = {
    "shape": (lambda row: not row.selects, "selection all"),
    "combine": (lambda row: not row.selects, "selection all"),
    "set_size": (lambda row: row.compares_sets, "shape pass_at_k"),
    "baseline": _compared("baseline"),
    "scale": _compared("scale"),
    "discount": (lambda row: row.per_token or row.learns_values, "returns reward_to_go or gae"),
    "trace": (
        lambda row: row.generalised_advantages or (row.learns_values and row.bootstrap_steps is None),
        "returns gae and family values without bootstrap_steps",
    ),
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
    "correction": _GRADIENTS,
    "correction_level": _GRADIENTS,
    "correction_cap": _GRADIENTS,
    "rejection_low": _BAND,
    "rejection_high": _BAND,
    "rejection_limit": (lambda row: row.rejection == "off_policy", "rejection off_policy"),
    "beta": (lambda row: not row.scores_responses, "a loss with a reference"),
    "kl_place": _REFERENCE,
    "kl_estimator": _REFERENCE,
    "entropy_step": (lambda row: row.entropy_target is not None, "entropy_target"),
    "covariance_share": (lambda row: row.holds_back_tokens, "tokens clip_cov or kl_cov"),
    "covariance_low": (lambda row: row.tokens == "clip_cov", "tokens clip_cov"),
    "covariance_high": (lambda row: row.tokens == "clip_cov", "tokens clip_cov"),
    "covariance_penalty": (lambda row: row.penalises_tokens, "tokens kl_cov"),
    "dynamic_sampling": (lambda row: not row.recorded, "data sampled"),
    "value_clip": (lambda row: row.baseline == "critic", "baseline critic"),
    "trust_region": (lambda row: row.natural_gradient, "step natural_gradient"),
    "pair_loss": (lambda row: row.family == "pairs", "family pairs"),
    "good_weight": _LABELS,
    "bad_weight": _LABELS,
    "per_prompt": (lambda row: row.learns_from_pairs or row.selection == "verified", "pairs and selection verified"),
    "expectile": (lambda row: row.learns_expectile, "bootstrap expectile"),
}
# What losses of preferences read where READ_BY does not say otherwise; all else is of policy gradients, or refused.
OF_PREFERENCES = (
    "family",
    "data",
    "beta",
    "dynamic_sampling",
    "pair_loss",
    "good_weight",
    "bad_weight",
    "per_prompt",
)


def unread(row: Objective, changed: Collection[str]) -> list[str]:
    """A sentence for each choice that nothing reads.

    Args:
        row: with a recipe's choices in it.
        changed: the keys that the recipe set to another value than the algorithm has.
    """
    found = []
    for key in sorted(changed, key=list(Objective.model_fields).index):
        said = f"objective.{key} {getattr(row, key)}"
        if row.learns_preferences and key not in OF_PREFERENCES:
            found.append(f"{said} is of policy gradients, and changes nothing in family {row.family}")
        elif key in READ_BY and not READ_BY[key][0](row):
            found.append(f"{said} is read by {READ_BY[key][1]} alone, and changes nothing here")
    return found


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
