"""THE TABLE: each algorithm is a row of choices along the same axes. No torch is imported here."""

from __future__ import annotations

import inspect
import runpy
import traceback
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from grpo_kit.errors import UserError

from .rows import Algorithm, Objective, added_function

_PLAIN: dict[str, Any] = {
    "baseline": "none",
    "scale": "none",
    "surrogate": "policy_gradient",
    "aggregation": "token_mean",
}

_VALUES: dict[str, Any] = {
    "baseline": "none",
    "scale": "none",
    "aggregation": "token_mean",
    "value_temperature": 0.005,
}

ALGORITHMS: dict[str, Algorithm] = {
    # --- online: the policy samples, a verifier judges -----------------------------------------------------------
    "reinforce": Algorithm(
        paper="Williams 1992", summary="score-function gradient, moving-average baseline, discounted reward-to-go",
        baseline="moving_average", scale="none", returns="reward_to_go", surrogate="policy_gradient",
        aggregation="sequence_sum",
    ),
    "rloo": Algorithm(
        paper="arXiv:2402.14740", summary="leave-one-out baseline, ratio of the whole response, KL in the reward",
        baseline="leave_one_out", scale="none", ratio_level="sequence_product", kl_place="reward", kl_estimator="k1",
        beta=0.05,
    ),
    "remax": Algorithm(
        paper="arXiv:2310.10505", summary="the greedy response's reward as baseline",
        baseline="greedy", scale="none", surrogate="policy_gradient", aggregation="sequence_sum",
    ),
    "reinforce++": Algorithm(
        paper="arXiv:2501.03262", summary="no group: returns normalised over the batch, clipped, KL in the reward",
        baseline="batch_mean", scale="batch_std", returns="reward_to_go", aggregation="token_mean", kl_place="reward",
        kl_estimator="k1", beta=0.01,
    ),
    "grpo": Algorithm(
        paper="arXiv:2402.03300", summary="standard score within the group, clipped token ratio, KL in the loss",
        beta=0.04,
    ),
    "dr_grpo": Algorithm(
        paper="arXiv:2503.20783", summary="GRPO without its length and difficulty biases",
        scale="none", aggregation="constant_length",
    ),
    "bnpo": Algorithm(
        paper="arXiv:2506.02864", summary="scale from a Beta distribution fitted to the groups' success rates",
        scale="beta_density", aggregation="token_mean",
    ),
    "dapo": Algorithm(
        paper="arXiv:2503.14476",
        summary="higher upper clip, mean over tokens, groups that agree are resampled, truncated ones masked",
        aggregation="token_mean", clip_high=0.28, dynamic_sampling=True, mask_truncated=True,
    ),
    "lite_ppo": Algorithm(
        paper="arXiv:2508.08221", summary="the group's mean, the batch's deviation, mean over tokens: two tricks, no more",
        scale="batch_std", aggregation="token_mean",
    ),
    "opo": Algorithm(
        paper="arXiv:2505.23585", summary="mean of the group weighted by length as baseline, exactly on policy",
        baseline="length_weighted_mean", scale="none", surrogate="policy_gradient", aggregation="token_mean",
    ),
    "maxrl": Algorithm(
        paper="arXiv:2602.02710", summary="divided by the group's success rate: the gradient of log p in place of p",
        scale="group_mean", aggregation="token_mean",
    ),
    "gdpo": Algorithm(
        paper="arXiv:2601.05242", summary="each verifier standardised within the group, their sum within the batch",
        combine="decoupled", baseline="batch_mean", scale="batch_std", aggregation="token_mean",
    ),
    "pass_at_k": Algorithm(
        paper="arXiv:2508.10751", summary="the success of sets of k responses is what counts: hard prompts and variety",
        shape="pass_at_k", scale="bernoulli_std", aggregation="token_mean",
    ),
    "scalerl": Algorithm(
        paper="arXiv:2510.13786", summary="CISPO, mean over prompts, the batch's deviation, groups that agree left out",
        scale="batch_std", surrogate="cispo", aggregation="group_token_mean", clip_low=1.0, clip_high=4.0,
        drop_agreeing=True,
    ),
    "clip_cov": Algorithm(
        paper="arXiv:2505.22617", summary="a few tokens that would end exploration have no gradient",
        aggregation="token_mean", tokens="clip_cov",
    ),
    "kl_cov": Algorithm(
        paper="arXiv:2505.22617", summary="the tokens that would end exploration pay for moving; no clip",
        surrogate="importance", aggregation="token_mean", tokens="kl_cov",
    ),
    "gspo": Algorithm(
        paper="arXiv:2507.18071", summary="ratio and clip of the whole sequence, length-normalised",
        ratio_level="sequence", clip_low=3e-4, clip_high=4e-4,
    ),
    "gspo_token": Algorithm(
        paper="arXiv:2507.18071", summary="GSPO's ratio with each token's own gradient and advantage",
        ratio_level="sequence_token", clip_low=3e-4, clip_high=4e-4,
    ),
    "luspo": Algorithm(
        paper="arXiv:2602.05261", summary="GSPO with each response weighted by its length, which it would lose",
        ratio_level="sequence", aggregation="sequence_sum", clip_low=3e-4, clip_high=4e-4,
    ),
    "gmpo": Algorithm(
        paper="arXiv:2507.20673", summary="geometric mean of clipped token ratios in place of the arithmetic one",
        surrogate="geometric_clip", clip_low=0.4, clip_high=0.4,
    ),
    "cispo": Algorithm(
        paper="arXiv:2506.13585", summary="clips the importance weight, keeps every token's gradient",
        surrogate="cispo", aggregation="token_mean", clip_low=1.0, clip_high=4.0,
    ),
    "sapo": Algorithm(
        paper="arXiv:2511.20347", summary="a soft gate on the ratio in place of the clip",
        surrogate="sapo",
    ),
    "dppo": Algorithm(
        paper="arXiv:2602.04879",
        summary="masks tokens whose probability left the trust region around the policy that sampled",
        surrogate="divergence_mask", aggregation="token_mean", correction="in_ratio",
    ),
    "dppo_kl": Algorithm(
        paper="arXiv:2602.04879", summary="DPPO with the region measured by the KL of this token against any other",
        surrogate="divergence_mask", divergence="kl", divergence_limit=0.05, aggregation="token_mean",
        correction="in_ratio",
    ),
    "vespo": Algorithm(
        paper="arXiv:2602.10693", summary="a smooth weight of the whole response's ratio that fades on both sides",
        ratio_level="sequence_product", surrogate="vespo", aggregation="token_mean", correction="in_ratio",
    ),
    "aspo": Algorithm(
        paper="arXiv:2510.06062", summary="the ratio flipped where the advantage is positive, so that rare tokens rise",
        surrogate="aspo", aggregation="token_mean", dual_clip=3.0,
    ),
    "ppo": Algorithm(
        paper="arXiv:1707.06347", summary="critic, generalised advantages, clipped ratio and value, KL in the reward",
        baseline="critic", scale="batch_std", returns="gae", aggregation="token_mean", kl_place="reward",
        kl_estimator="k1", beta=0.02,
    ),
    "ppo_penalty": Algorithm(
        paper="arXiv:1707.06347", summary="PPO with an adaptive penalty on KL(old || new) in place of the clip",
        baseline="critic", scale="batch_std", returns="gae", surrogate="kl_penalty", aggregation="token_mean",
        penalty_target=0.01,
    ),
    "a2c": Algorithm(
        paper="arXiv:1602.01783", summary="actor and critic: the return beyond what the critic promised, one update, no clip",
        baseline="critic", scale="batch_std", returns="gae", trace=1.0, surrogate="policy_gradient",
        aggregation="token_mean", value_clip=None,
    ),
    "trpo": Algorithm(
        paper="arXiv:1502.05477", summary="natural gradient within a KL trust region; for small models or LoRA",
        surrogate="importance", aggregation="token_mean", step="natural_gradient",
    ),
    "rft": Algorithm(
        paper="arXiv:2308.01825",
        summary="rejection sampling: sample, keep the verified, fine-tune, repeat (ReST, arXiv:2308.08998)",
        selection="verified", **_PLAIN,
    ),
    "online_dpo": Algorithm(
        paper="arXiv:2402.04792", summary="DPO on the best against the worst response of each fresh group",
        family="pairs", beta=0.1, per_prompt=1,
    ),
    # --- action values: the logits say what each token is worth -----------------------------------------------------
    "sarsa": Algorithm(
        paper="Rummery & Niranjan 1994", summary="a token is worth what the sampling policy gets after it",
        family="values", bootstrap="sampled", **_VALUES,
    ),
    "q_learning": Algorithm(
        paper="Watkins 1989", summary="a token is worth what the best tokens would get after it, whoever samples",
        family="values", bootstrap="max", trace=1.0, **_VALUES,
    ),
    "dqn": Algorithm(
        paper="arXiv:1509.06461", summary="Q-learning with a target network, double maximum and Huber loss (arXiv:1312.5602)",
        family="values", bootstrap="double_max", target_rate=0.2, huber=0.5, trace=1.0, **_VALUES,
    ),
    "soft_q": Algorithm(
        paper="arXiv:2106.07704", summary="entropy is paid: consistent along any path, whoever sampled it (arXiv:1702.08892)",
        family="values", bootstrap="soft", trace=1.0, **_VALUES,
    ),
    "sac": Algorithm(
        paper="arXiv:1910.07207",
        summary="a policy that follows the smaller of twin values, and is paid for entropy (arXiv:1801.01290)",
        family="values", bootstrap="soft", action_values="twins", target_rate=0.2, trace=1.0, policy_steps=8, **_VALUES,
    ),
    # --- a stronger model teaches: its opinion of what the policy itself samples -----------------------------------
    "on_policy_distillation": Algorithm(
        paper="Lu 2025", summary="the teacher's log-ratio of each sampled token as its advantage (GKD, arXiv:2306.13649)",
        baseline="none", scale="none", aggregation="token_mean", teacher="sampled", reward_weight=0.0,
    ),
    # --- offline: groups come from files or from recorded rollouts -----------------------------------------------
    "sft": Algorithm(
        paper="arXiv:2203.02155", summary="maximum likelihood of demonstrations, or of the right responses of a record",
        data="recorded", selection="right", **_PLAIN,
    ),
    "dpo": Algorithm(
        paper="arXiv:2305.18290", summary="logistic loss on preference pairs",
        family="pairs", data="recorded", beta=0.1, per_prompt=1,
    ),
    "ipo": Algorithm(
        paper="arXiv:2310.12036", summary="squared loss on preference pairs, with a finite optimum",
        family="pairs", data="recorded", beta=0.1, pair_loss="ipo", per_prompt=1,
    ),
    "kto": Algorithm(
        paper="arXiv:2402.01306", summary="single responses, each good or bad",
        family="labels", data="recorded", beta=0.1,
    ),
    "reward_model": Algorithm(
        paper="arXiv:2203.02155", summary="Bradley-Terry on preference pairs; a verifier and a critic's start",
        family="reward_model", data="recorded",
    ),
    "iql": Algorithm(
        paper="arXiv:2110.06169", summary="imitates tokens, each weighed by what it is worth beyond an optimistic critic's state",
        family="values", data="recorded", bootstrap="expectile", action_values="returns",
        **(_VALUES | {"value_temperature": 0.2}),
    ),
    "offline_pg": Algorithm(
        paper="arXiv:1205.4839", summary="policy gradient on recorded rollouts with capped importance weights",
        data="recorded", surrogate="cispo", aggregation="token_mean", clip_low=1.0, clip_high=1.0,
    ),
}  # fmt: skip


def resolve_objective(name: str, overrides: Objective | Mapping[str, Any], sampled_by: str = "itself") -> Algorithm:
    """A row of the table, or of a file (``path/file.py:row``), with a recipe's overrides.

    Args:
        overrides: the recipe's section, or its keys and values; what is not set keeps the row's value.
        sampled_by: what samples: the policy ``itself``, an ``engine`` that rounds otherwise, or an engine with
            ``older_weights``. It decides the correction where neither row nor recipe does.

    Raises:
        UserError: the file or its row is not there, it cannot be run, or the row holds what no recipe may set.
    """
    row = ALGORITHMS[name] if name in ALGORITHMS else _row_of_file(name)
    section = Objective.model_validate(overrides)
    row = row.model_copy(update={key: getattr(section, key) for key in section.model_fields_set})
    return row.model_copy(update=_as_it_samples(row, section, sampled_by))


def _as_it_samples(row: Algorithm, section: Objective, sampled_by: str) -> dict[str, Any]:
    """What neither row nor recipe sets of the correction, as the sampler, the ratio and the rejection have it."""
    found: dict[str, Any] = {}
    if "correction" not in section.model_fields_set and row.correction == "none":
        found["correction"] = _default_correction(row, sampled_by)
    if "correction_level" not in row.model_fields_set:
        found["correction_level"] = "token" if row.ratio_level == "token" else "sequence"
    for key, bound in zip(("rejection_low", "rejection_high"), _BANDS.get(row.rejection, ()), strict=False):
        if key not in row.model_fields_set:
            found[key] = bound
    return found


# IcePop's band of a token; a response's product and its geometric mean are held more closely.
_BANDS = {"token": (0.5, 5.0), "sequence": (0.5, 2.0), "geometric": (0.99, 1.01)}


def _default_correction(row: Algorithm, sampled_by: str) -> str:
    if sampled_by == "older_weights" and row.ratio_level == "token" and row.bounds_ratio:
        return "in_ratio"
    # A bound on the ratio of a whole response would be filled by the engine's rounding before anything is learned.
    return "none" if sampled_by == "itself" else "truncated"


def _row_of_file(name: str) -> Algorithm:
    """Import the file (which may add functions to the axes) and take the row from it."""
    path, _, attribute = name.rpartition(":")
    if not Path(path).is_file():
        raise UserError(f"algorithm: {name!r} is no row of the table, and there is no file {path}")
    try:
        row = runpy.run_path(path).get(attribute)
        # Checked again: a copy of a row with other values (model_copy) has been checked by nobody.
        # What it does not set stays unset, for the sampler to decide.
        if isinstance(row, Algorithm):
            row = type(row).model_validate({key: getattr(row, key) for key in row.model_fields_set})
            _takes_what_it_is_given(row, name)
        else:
            row = None
    except UserError:
        raise
    except ValidationError as error:
        listed = "; ".join(f"{'.'.join(map(str, e['loc']))} is {e['input']!r}: {e['msg']}" for e in error.errors())
        raise UserError(f"algorithm: {name}: {listed}") from error
    except Exception as error:
        lines = [frame.lineno for frame in traceback.extract_tb(error.__traceback__) if frame.filename == path]
        where = f"{path}:{lines[-1]}" if lines else path
        raise UserError(
            f"algorithm: {where}: {type(error).__name__}: {error}. How a row is written: docs/algorithms.md"
        ) from error
    if row is None:
        raise UserError(f"algorithm: {path} has no Algorithm called {attribute!r}")
    return row


def _takes_what_it_is_given(row: Algorithm, name: str) -> None:
    function = added_function("surrogate", row.surrogate)
    given = ("logprobs", "log_ratio", "advantages", "sequence_index", "row")
    if function is not None and len(inspect.signature(function).parameters) != len(given):
        raise UserError(
            f"algorithm: {name}: the surrogate {row.surrogate} takes {', '.join(inspect.signature(function).parameters)}, and is "
            f"given {', '.join(given)}; sequence_index says to which response of the micro-batch a token belongs"
        )
