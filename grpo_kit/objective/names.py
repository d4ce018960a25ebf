"""Names on the axes of the table, for config validation without importing torch. A test keeps them equal to the table."""

from typing import Literal

ALGORITHMS = Literal["grpo", "dr_grpo", "gspo"]
BASELINES = Literal["none", "group_mean", "leave_one_out", "batch_mean"]
SCALES = Literal["none", "group_std", "batch_std"]
RATIO_LEVELS = Literal["token", "sequence"]
SURROGATES = Literal["ppo_clip"]
AGGREGATIONS = Literal["sequence_mean", "token_mean", "constant_length"]
CORRECTIONS = Literal["none", "truncated", "masked"]
KL_ESTIMATORS = Literal["k1", "k2", "k3"]
