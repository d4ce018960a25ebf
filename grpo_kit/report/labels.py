"""What metrics are called where a person reads them."""

from __future__ import annotations

# Why an episode ended (`grpo_kit.types.Ending`).
ENDINGS = {
    "done": "the environment said so",
    "length": "out of tokens of its own",
    "turns": "out of turns",
    "room": "no room for the reply",
    "invalid": "too many invalid calls",
    "deadline": "out of time",
    "error": "the environment failed",
}
LABELS = {
    "reward/mean": "training reward",
    "eval/sampled": "sampled answers",
    "eval/greedy": "greedy answers",
    "eval/truncated": "held-out",
    "eval/mean_length": "held-out, mean",
    "eval/pairs_accuracy": "held-out pairs",
    "length/mean": "mean",
    "length/right": "right answers",
    "length/wrong": "wrong answers",
    "length/truncated": "training",
    "kl/reference": "to the reference",
    "reference/age": "steps since the reference was refreshed",
    "teacher/reverse_kl": "KL of the policy to the teacher",
    "teacher/agreement": "chance that both draw the same token",
    "kl/old": "to the policy that sampled",
    "clip/low": "clipped at the lower bound",
    "clip/high": "clipped at the upper bound",
    "clip/unmoved": "clipped before the batch moved the policy",
    "ratio/max": "largest",
    "ratio/min": "smallest",
    "mismatch/mean_logprob_difference": "mean difference of a token",
    "mismatch/max_logprob_difference": "largest difference of a token",
    "mismatch/kl": "KL divergence",
    "mismatch/chi2": "chi-square divergence of a token",
    "mismatch/chi2_response": "chi-square divergence of a response",
    "correction/weight": "mean weight",
    "correction/capped": "capped tokens",
    "correction/rejected": "rejected tokens",
    "correction/rejected_responses": "responses with a rejected token",
    "grad_norm": "gradient norm",
    "learning_rate": "learning rate",
    "advantage/mean_abs": "mean absolute advantage",
    "groups/tied": "groups with equal rewards",
    "completions/alike": "the most frequent text",
    "judge/right": "training responses that are right",
    "judge/unjudged": "unjudged",
    "critic/loss": "critic loss",
    "critic/explained_variance": "explained variance",
    "critic/grad_norm": "critic gradient norm",
    "critic/learning_rate": "critic learning rate",
    "trust_region/kl": "KL of the step",
    "trust_region/share": "share of the full step",
    "trust_region/improvement": "improvement",
    "values/td_error": "mean absolute error",
    "values/mean": "mean value",
    "values/promised": "promised",
    "values/realised": "came",
    "values/overestimation": "promised minus what came",
    "values/temperature": "temperature",
    "values/weight": "weight of an imitated token",
    "pairs/accuracy": "training pairs",
    "pairs/margin": "margin",
    "pairs/chosen_logprob": "chosen response",
    "pairs/rejected_logprob": "rejected response",
    "kto/good_margin": "good responses",
    "kto/bad_margin": "bad responses",
    "kto/baseline": "reference point",
    "kto/good_logprob": "good responses",
    "kto/bad_logprob": "bad responses",
    "tokens_per_second": "tokens per second",
    "utilisation": "share of the machine's rate",
    "turns/mean": "mean",
    "turns/max": "most",
    **{f"turns/ended_{name}": said for name, said in ENDINGS.items()},
    "turns/misread": "not understood",
    "calls/mean": "calls",
    "calls/invalid": "not understood",
    "calls/failed": "failed in the tool",
    "length/inserted": "inserted tokens",
    "environment/reward": "mean",
    "environment/seconds": "seconds",
    "staleness/mean": "mean",
    "staleness/max": "oldest",
    "replay/age_mean": "mean",
    "replay/age_max": "oldest",
    "refill/rounds": "rounds of sampling",
    "refill/discarded_groups": "discarded groups",
    "refill/agreeing_groups_used": "agreeing groups used",
    "dropped/zero_advantage": "advantage 0",
    "dropped/not_selected": "not selected",
    "dropped/truncated": "cut by the limit",
    "dropped/abstain": "no verifier had an opinion",
    "dropped/error": "verifier failed",
    "dropped/timeout": "verifier too slow",
    "dropped/no_greedy_score": "no greedy score",
    "dropped/agreeing": "all right or all wrong",
    "dropped/no_mark": "nobody says whether it is right",
    "tokens/held_back": "tokens held back",
    "tokens/covariance": "covariance of advantage and log-probability",
    "ratio/squared_log": "squared log-ratio",
    "entropy_bonus": "weight of the entropy",
}

PHASES = {
    "generate": "generate",
    "score": "score",
    "data": "data",
    "gather": "gather from ranks",
    "replay": "read earlier steps",
    "sync": "weights to the engine",
    "update": "update",
    "update/logprob": "update: log-probabilities",
    "update/values": "update: action values",
    "update/forward": "update: forward",
    "update/backward": "update: backward",
    "update/optimizer": "update: optimizer",
    "update/critic/forward": "critic: forward",
    "update/critic/backward": "critic: backward",
    "update/critic/optimizer": "critic: optimizer",
    "evaluate": "evaluate",
    "report": "write this page",
    "save": "save",
    "log": "log",
    "start": "start",
    "unaccounted": "the rest",
}


def label_of(metric: str) -> str:
    """The words for a metric; for one that has none, its own name as words."""
    return LABELS.get(metric) or words(metric.rpartition("/")[2])


def phase_label(phase: str) -> str:
    return PHASES.get(phase) or words(phase.replace("/", ": "))


def words(name: str) -> str:
    return name.replace("_", " ")


ALGORITHMS = {
    "sft": "Supervised fine-tuning",
    "reward_model": "Reward model",
    "rft": "RFT",
    "offline_pg": "Offline policy gradient",
    "lite_ppo": "Lite PPO",
    "maxrl": "MaxRL",
    "pass_at_k": "Pass@k training",
    "scalerl": "ScaleRL",
    "clip_cov": "Clip-Cov",
    "kl_cov": "KL-Cov",
    "dppo_kl": "DPPO by KL",
    "q_learning": "Q-learning",
    "soft_q": "Soft Q-learning",
}


def algorithm_label(name: str) -> str:
    return ALGORITHMS.get(name) or (name if ":" in name else name.replace("_", " ").upper())
