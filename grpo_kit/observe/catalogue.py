"""THE LIST of metrics: what each number of metrics.jsonl is, its unit, and which values are well or worrying.

Names are made where they are measured; a test runs tiny runs and finds every name that they log here.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from grpo_kit.errors import UserError
from grpo_kit.runtime.suggest import closest


@dataclass(frozen=True)
class Metric:
    """One name, or all names of a pattern.

    Attributes:
        pattern: ``*`` stands for one part of a name, such as a verifier's.
        unit: ``share`` is from 0 to 1.
        healthy, worrying: values or courses; empty where the number alone says nothing.
    """

    pattern: str
    what: str
    unit: str = ""
    healthy: str = ""
    worrying: str = ""

    def fits(self, name: str) -> bool:
        return re.fullmatch(re.escape(self.pattern).replace(r"\*", "[^/]+"), name) is not None


_M = Metric
CATALOGUE: tuple[Metric, ...] = (
    # --- what was sampled and what it earned
    _M("step", "steps taken so far, from 1; of an evaluation, the step that it follows", "steps"),
    _M("reward/mean", "mean total reward of the step's responses that a verifier scored", "reward", "rises",
       "flat from the beginning, or falls after it had risen"),
    _M("reward/std", "spread of these rewards over all responses", "reward", "above 0", "0: nothing can be compared"),
    _M("reward/group_mean_std", "spread of the groups' mean rewards: how much harder some prompts are", "reward"),
    _M("advantage/mean_abs", "mean size of the advantages", "", "above 0", "0: no response is preferred to another"),
    _M("judge/right", "responses that the judge calls right, of those it judged", "share", "rises with reward/mean",
       "stays or falls while reward/mean rises: the reward is being hacked"),
    _M("judge/unjudged", "responses without a verdict (abstained, error, timeout)", "share", "0", "above a few percent"),
    _M("judge/is_reward", "1 where the judge is the training reward itself, so that it cannot tell hacking", "0 or 1", "0"),
    _M("evaluation/judge", "who says what is right", "name"),
    _M("groups/tied", "groups whose rewards all agree, which teach nothing", "share", "below 0.5",
       "near 1: prompts are too easy or too hard, or group_size is too small"),
    _M("groups/tied_at_maximum", "groups that agree at the step's highest reward", "share", "",
       "near 1: harder prompts are the next thing to learn"),
    _M("groups/all_right", "groups in which every judged response is right", "share", "", "near 1: too easy"),
    _M("groups/all_wrong", "groups in which no judged response is right", "share", "", "near 1: too hard, or never scored"),
    _M("completions/alike", "the most frequent response text among all responses to different prompts", "share", "near 0",
       "rises towards 1: one text answers everything"),
    _M("length/mean", "mean sampled tokens of a response", "tokens", "changes slowly", "doubles, or falls to a few tokens"),
    _M("length/max", "longest response", "tokens", "below rollout.max_tokens"),
    _M("length/right", "mean length of the right responses", "tokens"),
    _M("length/wrong", "mean length of the wrong responses", "tokens"),
    _M("length/truncated", "responses that the length limit cut", "share", "below 0.1", "rises: raise rollout.max_tokens"),
    _M("length/inserted", "mean tokens that the environment wrote into an episode", "tokens"),
    _M("dropped/*", "responses that took no part in the step, by reason", "responses"),
    _M("prompts_too_long", "prompts passed over so far, longer than data.max_prompt_tokens", "prompts", "0",
       "grows: raise data.max_prompt_tokens"),
    # --- of each data set of a mixture, and of the prompts that are asked next
    _M("data/*/prompts", "prompts of this data set in the step", "prompts", "in proportion to its weight",
       "0 again and again: a small weight, or all of its prompts are passed over"),
    _M("data/*/reward", "mean reward of the responses to its prompts", "reward", "rises"),
    _M("data/*/right", "responses to its prompts that its judge calls right, of those it judged", "share", "rises",
       "stays while the others rise: raise its weight, or choose its prompts by curriculum.sampler"),
    _M("data/*/length", "mean sampled tokens of the responses to its prompts", "tokens"),
    _M("data/*/mixed_groups", "of its groups, those with a right and a wrong response", "share", "above 0.3",
       "near 0: its prompts are too easy or too hard"),
    _M("data/*/curriculum/mean_posterior", "mean posterior of success over its prompts", "share", "rises"),
    _M("data/*/curriculum/*", "its prompts that are unseen, too hard, too easy or between", "share"),
    _M("curriculum/unseen", "prompts that were not met yet, or so long ago that it counts no more", "share", "falls"),
    _M("curriculum/hard", "prompts of which at most curriculum.hard of the responses were right", "share", "falls",
       "near 1: easier prompts, or a warm start"),
    _M("curriculum/between", "prompts that are neither too hard nor too easy", "share", "above 0.3"),
    _M("curriculum/easy", "prompts of which at least curriculum.easy of the responses were right", "share", "rises",
       "near 1: harder prompts are the next thing to learn"),
    _M("curriculum/mean_posterior", "mean posterior of success over all prompts", "share", "rises"),
    _M("data/recorded", "1 where the step learned from records instead of samples", "0 or 1"),
    _M("examples", "records that the step learned from", "examples"),
    _M("perplexity", "exp(loss) of imitated text", "", "falls", "rises"),
    _M("tokens", "sampled tokens of the step", "tokens"),
    # --- verifiers and environments
    _M("verifier/*/mean", "mean value that this verifier gave", "reward", "rises", "only one of several rises: look at it"),
    _M("verifier/*/std", "spread of its values", "reward", "above 0", "0: it tells no responses apart"),
    _M("verifier/*/count", "responses that it was given", "responses"),
    _M("verifier/*/abstain", "responses on which it had no opinion", "responses"),
    _M("verifier/*/error", "responses on which it crashed", "responses", "0", "above 0: see its traceback in the run's folder"),
    _M("verifier/*/timeout", "responses on which it was too slow", "responses", "0", "above 0: raise its timeout"),
    _M("verifier/*/latency_p50", "seconds of a call, the middle one", "s"),
    _M("verifier/*/latency_p95", "seconds of a call, the slowest twentieth", "s", "", "near the verifier's timeout"),
    _M("verifier/*/*", "a number that the verifier itself reports, its mean"),
    _M("scoring/nodes", "Ray nodes that score", "nodes"),
    _M("scoring/lost_nodes", "Ray nodes lost since the last step", "nodes", "0"),
    _M("scoring/moved_groups", "groups that were scored on another node because theirs was lost", "groups", "0"),
    _M("scoring/*", "completions scored by a node", "completions"),
    _M("turns/mean", "mean turns of an episode", "turns"),
    _M("turns/max", "most turns of an episode", "turns"),
    _M("turns/ended_done", "episodes that the environment ended", "share", "rises"),
    _M("turns/ended_*", "episodes that ended for this reason", "share", "", "ended_error above 0; ended_length near 1"),
    _M("turns/misread", "turns that called nothing and were not understood", "share", "falls", "above 0.5"),
    _M("calls/mean", "mean tool calls of an episode", "calls", "", "falls to 0: the tools are not used"),
    _M("calls/invalid", "calls that could not be understood", "share", "falls", "above 0.5: see environment.format"),
    _M("calls/failed", "calls that the tool refused (ToolError)", "share"),
    _M("environment/reward", "mean of what the environment paid for an episode", "reward", "rises"),
    _M("environment/seconds", "mean seconds that an episode's calls took", "s"),
    _M("environment/count", "calls since the last step", "calls"),
    _M("environment/error", "calls in which the environment crashed", "calls", "0", "above 0: see its traceback"),
    _M("environment/timeout", "calls that were too slow", "calls", "0"),
    _M("environment/latency_p50", "seconds of a call, the middle one", "s"),
    _M("environment/latency_p95", "seconds of a call, the slowest twentieth", "s"),
    _M("environment/restarts", "workers that had to be replaced", "workers", "0"),
    _M("environment/replayed", "episodes that were told their turns again in a new worker", "episodes", "0"),
    _M("environment/nodes", "Ray nodes that play", "nodes"),
    _M("environment/lost_nodes", "Ray nodes lost since the last step", "nodes", "0"),
    _M("environment/moved_episodes", "episodes whose call was made again on another node", "episodes", "0"),
    # --- the update
    _M("loss", "mean loss of the step's updates", "", "of a policy gradient near 0, its sign says nothing",
       "of imitation or pairs: rises"),
    _M("grad_norm", "length of the gradient before it is clipped, mean over updates", "", "steady",
       "0: nothing is learned; many times optimizer.max_grad_norm: lower optimizer.learning_rate"),
    _M("learning_rate", "of the last update", ""),
    _M("skipped_updates", "updates left out because the gradient was not finite", "updates", "0", "above 0"),
    _M("entropy", "mean entropy of the policy at the sampled tokens", "nats per token", "falls slowly",
       "near 0 early on (it stops trying), or rises without end"),
    _M("clip/low", "tokens clipped at the lower bound of the ratio", "share", "below 0.2", "above 0.5"),
    _M("clip/high", "tokens clipped at the upper bound of the ratio", "share", "below 0.2", "above 0.5"),
    _M("clip/unmoved", "tokens already clipped before the batch moved the policy", "share", "0",
       "above 0: engine and trainer disagree"),
    _M("ratio/max", "largest importance ratio of a token (or sequence)", "", "1 to 2", "above 10"),
    _M("ratio/min", "smallest importance ratio", "", "0.5 to 1", "near 0"),
    _M("ratio/squared_log", "mean squared log-ratio of a token (objective.ratio_penalty)", "", "near 0", "rises without end"),
    _M("tokens/held_back", "tokens that objective.tokens holds back", "share", "near objective.covariance_share"),
    _M("tokens/covariance", "mean covariance of a token's advantage and its log-probability", "nats"),
    _M("reference/age", "steps since the reference was refreshed", "steps", "below reference.refresh"),
    _M("teacher/reverse_kl", "KL of the policy to the teacher", "nats per token", "falls", "rises"),
    _M("teacher/agreement", "chance that policy and teacher, asked for the next token, draw the same one", "share", "rises"),
    _M("kl/reference", "KL of the policy to the reference, by objective.kl_estimator", "nats per token", "below 1",
       "rises without end: raise objective.beta"),
    _M("kl/old", "KL of the policy that sampled to the one after the step", "nats per token", "below 0.1"),
    _M("beta", "present weight of the KL to the reference, where it adapts to objective.kl_target"),
    _M("penalty", "present weight of the KL to the old policy, where it adapts to objective.penalty_target"),
    _M("mismatch/mean_logprob_difference", "mean |difference| between the engine's log-probabilities and the trainer's",
       "nats", "below 0.02 in bfloat16, 1e-4 in float32", "above 0.1"),
    _M("mismatch/max_logprob_difference", "largest of these differences", "nats", "", "above 5"),
    _M("mismatch/kl", "KL of the trainer's policy to the engine's, at the sampled tokens", "nats per token", "below 0.01",
       "above 0.1"),
    _M("mismatch/chi2", "chi-square divergence of the trainer's policy from the engine's, at the sampled tokens", "",
       "below 0.01", "above 0.1"),
    _M("mismatch/chi2_response", "the same of whole responses, which grows with their length", "", "below 0.1",
       "above 1: a few responses carry all the weight of a correction by responses"),
    _M("mismatch/probe", "largest mean difference when new weights were probed in the engine", "nats",
       "below rollout.vllm.probe_tolerance"),
    _M("sync/bytes", "what an engine, or each server, was given when the weights last changed (not by NCCL)", "bytes"),
    _M("correction/weight", "mean weight of a token against the engine's log-probability", "", "near 1"),
    _M("correction/capped", "tokens whose weight met objective.correction_cap", "share", "near 0", "above 0.1"),
    _M("correction/rejected", "tokens that objective.rejection leaves out", "share", "near 0", "above 0.1"),
    _M("correction/rejected_responses", "responses with a token that it leaves out", "share", "near 0", "above 0.5"),
    _M("values/td_error", "mean |difference| of a token's value and what it is to become", "reward", "falls"),
    _M("values/mean", "mean value of the sampled tokens, before they were learned from", "reward"),
    _M("values/promised", "mean value of the first token: the return that is promised", "reward", "near values/realised"),
    _M("values/realised", "mean discounted return that came, with what soft values pay for entropy", "reward", "rises"),
    _M("values/overestimation", "promised minus realised, mean over all tokens", "reward", "near 0",
       "above 0 and rising: bootstrap double_max, or a slower target network"),
    _M("values/weight", "mean weight of an imitated token (action_values returns)", "", "near 1 to 10",
       "near 100, its bound: raise value_temperature"),
    _M("values/temperature", "what a nat of entropy is paid (action_values twins)", "reward",
       "falls where the entropy is above objective.entropy_target, and rises below"),
    _M("critic/loss", "the critic's loss", "", "falls"),
    _M("critic/explained_variance", "how much of the returns' spread the critic foresaw", "", "rises towards 1",
       "below 0: worse than a constant"),
    _M("critic/grad_norm", "length of the critic's gradient before it is clipped"),
    _M("critic/learning_rate", "of the critic's last update"),
    _M("critic/skipped_updates", "critic updates left out because the gradient was not finite", "updates", "0", "above 0"),
    _M("critic/warmup", "1 while only the critic learns", "0 or 1"),
    _M("trust_region/kl", "KL(old || new) that the natural step took", "nats per token", "below objective.trust_region"),
    _M("trust_region/improvement", "how much the loss fell along the step", "", "above 0"),
    _M("trust_region/share", "share of the full natural step that was taken", "share", "above 0", "0: no step was taken"),
    _M("pairs/accuracy", "pairs in which the chosen response is ranked above the rejected one", "share", "rises", "0.5: chance"),
    _M("pairs/margin", "mean reward margin between chosen and rejected", "", "rises"),
    _M("pairs/chosen_logprob", "log-probability of chosen responses", "nats", "", "falls fast together with the rejected one"),
    _M("pairs/rejected_logprob", "log-probability of rejected responses", "nats", "falls"),
    _M("kto/good_margin", "mean margin of good responses to the reference", "", "rises"),
    _M("kto/bad_margin", "mean margin of bad responses to the reference", "", "falls"),
    _M("kto/good_logprob", "log-probability of good responses", "nats"),
    _M("kto/bad_logprob", "log-probability of bad responses", "nats"),
    _M("kto/baseline", "KTO's reference point", "nats"),
    _M("kto/mismatched_pairs", "pairs of prompt and foreign response that the reference point is made of", "pairs", "above 0",
       "0: the reference point is unknown"),
    _M("kto/good_share_of_weight", "share of good responses in the loss, by weight", "share", "0.4 to 0.6"),
    _M("policy_version", "how often the engine has been given new weights", "versions"),
    # --- where the step's groups came from
    _M("refill/rounds", "rounds of sampling that replaced agreeing groups", "rounds", "", "rollout.max_refills: never enough"),
    _M("refill/discarded_groups", "agreeing groups that were thrown away", "groups"),
    _M("refill/agreeing_groups_used", "agreeing groups taken all the same, for want of others", "groups", "0"),
    _M("refill/discarded_tokens", "sampled tokens of what was thrown away", "tokens"),
    _M("refill/reward_of_all", "mean reward of all that was sampled, with what was thrown away", "reward", "rises"),
    _M("refill/right_of_all", "right responses of all that was sampled", "share", "rises"),
    _M("staleness/mean", "policy versions that the sampled tokens lag behind, mean", "versions", "below rollout.max_staleness"),
    _M("staleness/max", "the oldest token's lag", "versions"),
    _M("staleness/mixed_completions", "responses sampled by more than one version", "responses"),
    _M("staleness/dropped_groups", "groups dropped because they were too old", "groups", "0"),
    _M("staleness/steps_ready", "steps' worth of groups that wait to be learned from", "steps"),
    _M("replay/groups", "groups of earlier steps that the step learned from again", "groups"),
    _M("replay/tokens", "sampled tokens of these groups", "tokens"),
    _M("replay/candidates", "groups that they were drawn from", "groups"),
    _M("replay/too_old", "groups of the last replay.steps left out because they are older than replay.max_age", "groups"),
    _M("replay/age_mean", "policy versions that the replayed tokens lag behind, mean", "versions", "below replay.max_age"),
    _M("replay/age_max", "the oldest replayed token's lag", "versions"),
    _M("replay/weight", "mean factor of a replayed group's loss", "", "1 where groups are replayed uniformly"),
    _M("engine/servers", "vLLM servers at work", "servers"),
    _M("engine/servers_lost", "servers lost so far", "servers", "0"),
    _M("engine/servers_returned", "servers that came back", "servers"),
    _M("engine/retries", "requests that were sent again", "requests", "0"),
    # --- evaluation
    _M("eval/problems", "held-out problems asked", "problems"),
    _M("eval/samples", "sampled answers to each", "answers"),
    _M("eval/sampled", "held-out accuracy of sampled answers (avg@n)", "share", "rises", "falls while reward/mean rises"),
    _M("eval/sampled_error", "its standard error, clustered by problem", "share"),
    _M("eval/sampled_low", "lower end of its 95 % interval", "share"),
    _M("eval/sampled_high", "upper end of its 95 % interval", "share"),
    _M("eval/greedy", "held-out accuracy of greedy answers", "share", "rises"),
    _M("eval/truncated", "held-out answers that the length limit cut", "share", "below 0.1"),
    _M("eval/unscored", "held-out answers that no verifier would judge", "share", "0"),
    _M("eval/mean_length", "mean tokens of a held-out answer", "tokens"),
    _M("eval/right_unmarked", "held-out answers that would be right but mark no answer as one", "share", "near 0",
       "above 0.1: the prompt should say how an answer is marked"),
    _M("eval/pairs_prompts", "held-out prompts with pairs", "prompts"),
    _M("eval/pairs_count", "held-out pairs", "pairs"),
    _M("eval/pairs_accuracy", "held-out pairs ranked right; a tie counts a half", "share", "rises above 0.5"),
    _M("eval/pairs_error", "its standard error, clustered by prompt", "share"),
    _M("eval/pairs_low", "lower end of its 95 % interval", "share"),
    _M("eval/pairs_high", "upper end of its 95 % interval", "share"),
    _M("eval/pairs_margin", "mean score of the better response minus that of the worse one", "score", "rises"),
    _M("eval/*/*", "the number that is called so without the name in the middle, of this data set alone"),
    _M("watch/failures", "signs of the watch that are failures and hold now", "signs", "0", "above 0: docs/evaluation.md"),
    _M("watch/*", "1 while a sign that once fired holds, 0 when it does no more", "0 or 1", "0"),
    # --- time
    _M("seconds/total", "the whole step, or the evaluation", "s"),
    _M("seconds/unaccounted", "the part of it that no phase claims", "s", "a few percent"),
    _M("seconds/*", "time in this phase of the step", "s"),
    _M("seconds/*/*", "time in this part of a phase", "s"),
    _M("seconds/*/*/*", "time in this part of a phase", "s"),
    _M("update/flops", "floating-point operations of the step's training passes", "operations"),
    _M("tokens_per_second", "sampled tokens by the time of the whole step", "tokens/s"),
    _M("utilisation", "update/flops by the time of the passes, of what the machine can do", "share", "0.2 to 0.6 on a GPU"),
)  # fmt: skip


def metric_of(name: str) -> Metric | None:
    """The entry of a name, the exact one before a pattern; None where there is none."""
    return next((metric for metric in CATALOGUE if metric.fits(name)), None)


def find_metrics(wanted: str) -> list[Metric]:
    """The entry of a name, or all entries of its beginning (``kl``).

    Raises:
        UserError: there is none, with the one that was meant.
    """
    exact = [metric for metric in CATALOGUE if metric.pattern == wanted] or [m for m in [metric_of(wanted)] if m]
    below = [metric for metric in CATALOGUE if metric.pattern.startswith(f"{wanted.rstrip('/')}/")]
    if exact or below:
        return below if "/" not in wanted and below else exact or below
    names = [metric.pattern for metric in CATALOGUE]
    near = closest(wanted, names)
    hint = f"Did you mean {near}?" if near else "`grpo-kit metrics` lists all of them."
    raise UserError(f"no metric is called {wanted!r:.80}. {hint}")
