"""Names on the axes of the table, for config validation without importing torch. A test keeps them equal to the table."""

from typing import Literal

ALGORITHMS = Literal[
    "reinforce", "rloo", "remax", "reinforce++", "grpo", "dr_grpo", "bnpo", "dapo", "gspo", "gspo_token", "cispo", "sapo",
    "dppo", "ppo", "ppo_penalty", "trpo", "rft", "online_dpo", "sft", "dpo", "ipo", "kto", "reward_model", "offline_pg",
]  # fmt: skip
RECORDED = ("sft", "dpo", "ipo", "kto", "reward_model", "offline_pg")  # learn from files, not from samples
FAMILIES = Literal["policy_gradient", "pairs", "labels", "reward_model"]
DATA = Literal["sampled", "recorded"]
SELECTIONS = Literal["all", "right", "verified"]
BASELINES = Literal["none", "moving_average", "group_mean", "leave_one_out", "batch_mean", "greedy", "critic"]
SCALES = Literal["none", "group_std", "batch_std", "beta_density"]
RETURNS = Literal["response", "reward_to_go", "gae"]
RATIO_LEVELS = Literal["token", "sequence", "sequence_token", "sequence_product"]
SURROGATES = Literal["policy_gradient", "importance", "ppo_clip", "cispo", "sapo", "kl_penalty", "divergence_mask"]
AGGREGATIONS = Literal["sequence_mean", "token_mean", "constant_length", "sequence_sum", "group_token_mean"]
CORRECTIONS = Literal["none", "truncated", "masked", "in_ratio"]
KL_PLACES = Literal["loss", "reward"]
KL_ESTIMATORS = Literal["k1", "k2", "k3"]
STEPS = Literal["gradient", "natural_gradient"]
NULLABLE = ("dual_clip", "penalty_target", "kl_target", "value_clip")  # null switches these off
PAIR_LOSSES = Literal["sigmoid", "ipo"]
