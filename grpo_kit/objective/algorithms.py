"""THE TABLE: each algorithm is a row of choices along the same axes."""

from __future__ import annotations

import runpy
from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

from grpo_kit.errors import UserError

from .advantages import BASELINES, SCALES
from .correction import CORRECTIONS
from .kl import KL_ESTIMATORS
from .losses import AGGREGATIONS, RATIO_LEVELS
from .names import NULLABLE
from .preference import PAIR_LOSSES
from .surrogates import SURROGATES, SurrogateSettings


@dataclass(frozen=True, slots=True)
class Algorithm:
    """What distinguishes one algorithm from another. Every choice can be overridden by a recipe.

    Attributes:
        paper, summary: where it comes from, and what it is in one line.
        family: what kind of loss: of a token and its advantage, of a pair, of a labelled response, of a reward model.
        data: ``sampled`` from the policy in the loop, or ``recorded`` (files and rollouts of earlier runs).
        selection: which responses of a group are learned from: all, the ``right`` ones, or the ``verified``: right ones, each
            text once and at most ``per_prompt``. What is selected is imitated: its advantage is 1.
        baseline, scale: how rewards become advantages (`objective.advantages`).
        returns: one advantage for the whole response, or per token: ``reward_to_go``, ``gae`` (`objective.returns`).
        discount, trace: gamma and lambda of the returns.
        average_decay: decay of the moving average that is a baseline.
        ratio_level, aggregation, surrogate: how advantages become a loss (`objective.losses`, `objective.surrogates`).
        clip_low .. ratio_cap, penalty: see `SurrogateSettings`; ``penalty_target`` adapts the penalty.
        correction, correction_cap: weight of a token against the engine's own log-probability (`objective.correction`).
        kl_place, kl_estimator, beta: where the KL to the reference stands, how it is estimated, its weight (0 needs no
            reference); in a preference loss beta is the loss's own. ``kl_target`` adapts beta.
        entropy_bonus: weight of the entropy, subtracted from the loss.
        entropy_share: share of tokens, those of highest entropy, that carry the policy gradient.
        dynamic_sampling: groups whose rewards all agree are replaced by freshly sampled ones.
        mask_truncated: responses cut by the length limit take no part in the loss.
        value_clip: how far the critic's value may move from the old one; null for no limit.
        step: ``gradient`` (AdamW) or ``natural_gradient`` within ``trust_region`` nats of KL per token.
        pair_loss: loss of a (chosen, rejected) pair; ``good_weight``, ``bad_weight``: of labelled responses (kto).
        per_prompt: at most so many verified responses, or pairs, of one prompt.
    """

    paper: str
    summary: str
    family: str = "policy_gradient"
    data: str = "sampled"
    selection: str = "all"
    baseline: str = "group_mean"
    scale: str = "group_std"
    returns: str = "response"
    discount: float = 1.0
    trace: float = 0.95
    average_decay: float = 0.9
    ratio_level: str = "token"
    surrogate: str = "ppo_clip"
    aggregation: str = "sequence_mean"
    clip_low: float = 0.2
    clip_high: float = 0.2
    dual_clip: float | None = None
    gate_positive: float = 1.0
    gate_negative: float = 1.05
    divergence_limit: float = 0.15
    ratio_cap: float = 20.0
    penalty: float = 1.0
    penalty_target: float | None = None
    correction: str = "none"
    correction_cap: float = 2.0
    kl_place: str = "loss"
    kl_estimator: str = "k3"
    beta: float = 0.0
    kl_target: float | None = None
    entropy_bonus: float = 0.0
    entropy_share: float = 1.0
    dynamic_sampling: bool = False
    mask_truncated: bool = False
    value_clip: float | None = 0.2
    step: str = "gradient"
    trust_region: float = 0.01
    pair_loss: str = "sigmoid"
    good_weight: float = 1.0
    bad_weight: float = 1.0
    per_prompt: int = 4

    @property
    def needs_reference(self) -> bool:
        return self.family in ("pairs", "labels") or (self.family == "policy_gradient" and self.beta > 0.0)

    @property
    def scores_responses(self) -> bool:
        """Whether what is trained gives scores and writes nothing: there are no answers of it to judge."""
        return self.family == "reward_model"

    @property
    def needs_critic(self) -> bool:
        return self.baseline == "critic"

    @property
    def needs_greedy(self) -> bool:
        return self.baseline == "greedy"

    @property
    def kl_in_reward(self) -> bool:
        return self.beta > 0.0 and self.kl_place == "reward"

    @property
    def kl_in_loss(self) -> bool:
        return self.beta > 0.0 and self.kl_place == "loss"

    @property
    def per_token(self) -> bool:
        return self.returns != "response"

    @property
    def needs_comparison(self) -> bool:
        """Whether a response is judged against others to the same prompt, so that one sample says nothing."""
        return self.family == "policy_gradient" and (
            self.baseline in ("group_mean", "leave_one_out") or self.scale in ("group_std", "beta_density")
        )

    @property
    def learns_without_advantage(self) -> bool:
        """Whether a token of advantage zero can still have a part in the step: in its gradient, or in its trust region."""
        return (
            self.kl_in_loss
            or self.entropy_bonus > 0.0
            or self.surrogate == "kl_penalty"
            or self.per_token
            or self.step == "natural_gradient"
        )

    @property
    def imitates(self) -> bool:
        """Whether the loss is the likelihood of text that nobody sampled for it, so that no sampling temperature applies."""
        return self.family == "policy_gradient" and self.data == "recorded" and self.surrogate == "policy_gradient"

    def needs(self) -> tuple[str, ...]:
        """What a run has to hold or do beyond the policy and a verifier."""
        wanted = {
            "reference": self.needs_reference,
            "critic": self.needs_critic,
            "greedy sample": self.needs_greedy,
            "recorded data": self.data == "recorded",
        }
        return tuple(name for name, needed in wanted.items() if needed)

    def surrogate_settings(self, penalty: float | None = None) -> SurrogateSettings:
        """The surrogate's numbers; ``penalty`` replaces the row's, where it adapts."""
        values = {f.name: getattr(self, f.name) for f in fields(SurrogateSettings)}
        return SurrogateSettings(**values if penalty is None else values | {"penalty": penalty})


_PLAIN: dict[str, Any] = {
    "baseline": "none",
    "scale": "none",
    "surrogate": "policy_gradient",
    "aggregation": "token_mean",
}

ALGORITHMS: dict[str, Algorithm] = {
    # --- online: the policy samples, a verifier judges -----------------------------------------------------------
    "reinforce": Algorithm(
        "Williams 1992", "score-function gradient, moving-average baseline, discounted reward-to-go",
        baseline="moving_average", scale="none", returns="reward_to_go", surrogate="policy_gradient",
        aggregation="sequence_sum",
    ),
    "rloo": Algorithm(
        "arXiv:2402.14740", "leave-one-out baseline, ratio of the whole response, KL in the reward",
        baseline="leave_one_out", scale="none", ratio_level="sequence_product", kl_place="reward", kl_estimator="k1",
        beta=0.05,
    ),
    "remax": Algorithm(
        "arXiv:2310.10505", "the greedy response's reward as baseline",
        baseline="greedy", scale="none", surrogate="policy_gradient", aggregation="sequence_sum",
    ),
    "reinforce++": Algorithm(
        "arXiv:2501.03262", "no group: returns normalised over the batch, clipped, KL in the reward",
        baseline="batch_mean", scale="batch_std", returns="reward_to_go", aggregation="token_mean",
        kl_place="reward", kl_estimator="k1", beta=0.01,
    ),
    "grpo": Algorithm("arXiv:2402.03300", "standard score within the group, clipped token ratio, KL in the loss", beta=0.04),
    "dr_grpo": Algorithm(
        "arXiv:2503.20783", "GRPO without its length and difficulty biases",
        scale="none", aggregation="constant_length",
    ),
    "bnpo": Algorithm(
        "arXiv:2506.02864", "scale from a Beta distribution fitted to the groups' success rates",
        scale="beta_density", aggregation="token_mean",
    ),
    "dapo": Algorithm(
        "arXiv:2503.14476", "higher upper clip, mean over tokens, groups that agree are resampled, truncated ones masked",
        aggregation="token_mean", clip_high=0.28, dynamic_sampling=True, mask_truncated=True,
    ),
    "gspo": Algorithm(
        "arXiv:2507.18071", "ratio and clip of the whole sequence, length-normalised",
        ratio_level="sequence", clip_low=3e-4, clip_high=4e-4,
    ),
    "gspo_token": Algorithm(
        "arXiv:2507.18071", "GSPO's ratio with each token's own gradient and advantage",
        ratio_level="sequence_token", clip_low=3e-4, clip_high=4e-4,
    ),
    "cispo": Algorithm(
        "arXiv:2506.13585", "clips the importance weight, keeps every token's gradient",
        surrogate="cispo", aggregation="token_mean", clip_low=1.0, clip_high=4.0,
    ),
    "sapo": Algorithm("arXiv:2511.20347", "a soft gate on the ratio in place of the clip", surrogate="sapo"),
    "dppo": Algorithm(
        "arXiv:2602.04879", "masks tokens whose probability left the trust region around the policy that sampled",
        surrogate="divergence_mask", aggregation="token_mean", correction="in_ratio",
    ),
    "ppo": Algorithm(
        "arXiv:1707.06347", "critic, generalised advantages, clipped ratio and value, KL in the reward",
        baseline="critic", scale="batch_std", returns="gae", aggregation="token_mean", kl_place="reward",
        kl_estimator="k1", beta=0.02,
    ),
    "ppo_penalty": Algorithm(
        "arXiv:1707.06347", "PPO with an adaptive penalty on KL(old || new) in place of the clip",
        baseline="critic", scale="batch_std", returns="gae", surrogate="kl_penalty", aggregation="token_mean",
        penalty_target=0.01,
    ),
    "trpo": Algorithm(
        "arXiv:1502.05477", "natural gradient within a KL trust region; for small models or LoRA",
        surrogate="importance", aggregation="token_mean", step="natural_gradient",
    ),
    "rft": Algorithm(
        "arXiv:2308.01825", "rejection sampling: sample, keep the verified, fine-tune, repeat (ReST, arXiv:2308.08998)",
        selection="verified", **_PLAIN,
    ),
    "online_dpo": Algorithm(
        "arXiv:2402.04792", "DPO on the best against the worst response of each fresh group", family="pairs", beta=0.1,
        per_prompt=1,
    ),
    # --- offline: groups come from files or from recorded rollouts -----------------------------------------------
    "sft": Algorithm(
        "arXiv:2203.02155", "maximum likelihood of demonstrations, or of the right responses of a record", data="recorded",
        selection="right", **_PLAIN,
    ),
    "dpo": Algorithm(
        "arXiv:2305.18290", "logistic loss on preference pairs", family="pairs", data="recorded", beta=0.1, per_prompt=1
    ),
    "ipo": Algorithm(
        "arXiv:2310.12036", "squared loss on preference pairs, with a finite optimum", family="pairs", data="recorded",
        beta=0.1, pair_loss="ipo", per_prompt=1,
    ),
    "kto": Algorithm(
        "arXiv:2402.01306", "single responses, each good or bad", family="labels", data="recorded", beta=0.1
    ),
    "reward_model": Algorithm(
        "arXiv:2203.02155", "Bradley-Terry on preference pairs; a verifier and a critic's start", family="reward_model",
        data="recorded",
    ),
    "offline_pg": Algorithm(
        "arXiv:1205.4839", "policy gradient on recorded rollouts with capped importance weights",
        data="recorded", surrogate="cispo", aggregation="token_mean", clip_low=1.0, clip_high=1.0,
    ),
}  # fmt: skip

AXES: dict[str, Any] = {
    "family": ("policy_gradient", "pairs", "labels", "reward_model"),
    "data": ("sampled", "recorded"),
    "selection": ("all", "right", "verified"),
    "baseline": BASELINES,
    "scale": SCALES,
    "returns": ("response", "reward_to_go", "gae"),
    "ratio_level": RATIO_LEVELS,
    "surrogate": SURROGATES,
    "aggregation": AGGREGATIONS,
    "correction": CORRECTIONS,
    "kl_place": ("loss", "reward"),
    "kl_estimator": KL_ESTIMATORS,
    "step": ("gradient", "natural_gradient"),
    "pair_loss": PAIR_LOSSES,
}


def resolve_objective(name: str, overrides: Mapping[str, Any], sampled_by: str = "itself") -> Algorithm:
    """A row of the table, or of a file (``path/file.py:row``), with a recipe's overrides.

    Args:
        overrides: values of the row's fields. None switches off what can be off, and else keeps the row's value.
        sampled_by: what samples: the policy ``itself``, an ``engine`` that rounds otherwise, or an engine with
            ``older_weights``. It decides the correction where neither row nor recipe does.

    Raises:
        UserError: the file or its row is not there.
    """
    row = ALGORITHMS[name] if name in ALGORITHMS else _row_of_file(name)
    row = replace(row, **{k: v for k, v in overrides.items() if v is not None or k in NULLABLE})
    if overrides.get("correction") is not None or row.correction != "none":
        return row
    return replace(row, correction=_default_correction(row, sampled_by))


def _default_correction(row: Algorithm, sampled_by: str) -> str:
    if sampled_by == "older_weights" and row.ratio_level == "token":
        return "in_ratio"
    # A bound on the ratio of a whole response would be filled by the engine's rounding before anything is learned.
    return "none" if sampled_by == "itself" else "truncated"


def _row_of_file(name: str) -> Algorithm:
    """Import the file (which may add functions to the axes) and take the row from it."""
    path, _, attribute = name.rpartition(":")
    if not Path(path).is_file():
        raise UserError(f"algorithm: {name!r} is no row of the table, and there is no file {path}")
    row = runpy.run_path(path).get(attribute)
    if not isinstance(row, Algorithm):
        raise UserError(f"algorithm: {path} has no Algorithm called {attribute!r}")
    for axis, values in AXES.items():
        if getattr(row, axis) not in values:
            raise UserError(f"algorithm: {name}: {axis} {getattr(row, axis)!r} is none of {', '.join(values)}")
    return row
