"""The watch over a run: rules over its metrics that say, in words, when what is learned is not what was wanted.

One implementation for the console, ``metrics.jsonl``, the last lines of a run and the page: `Watch` takes the lines of
``metrics.jsonl`` one by one and remembers a bounded amount of them, `verdicts` gives it all of them.

Two means of a noisy number differ where they are `SURE` standard errors apart. The noise is taken from the differences
of successive steps (von Neumann et al. 1941, "The Mean Square Successive Difference"), which a trend leaves alone.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from statistics import NormalDist
from typing import Any, get_args

from grpo_kit.config.signs import FAILURES, NOTES, Severity, Sign

WINDOW = 5  # steps in the mean of the beginning, and in the moving one
SURE = 4.0  # standard errors; rules are asked at every step of long runs, so two would cry wolf
BOTH_SURE = 3.0  # where two changes have to come together
BY_CHANCE = 0.005  # how often a run whose accuracy stays the same may be said to have fallen, over all its evaluations
SHARE = 0.3  # of the value at the beginning: what is smaller is no matter of concern, however sure
IN_A_ROW = 3
NO_UPDATE = 5
FOLLOW_AFTER = 20
ALL = 0.95
GOOD = 0.9  # accuracy from which on short, sure and equal answers are what was wanted
ENTROPY_LOW, ENTROPY_HIGH, ENTROPY_RISE = 0.1, 4.0, 0.5
LENGTH_LOW, LENGTH_HIGH = 0.25, 3.0
Line = Mapping[str, Any]


@dataclass
class Trend:
    """A number that comes with every step: its mean at the beginning and now, and its noise."""

    first: list[float] = field(default_factory=list)
    last: list[float] = field(default_factory=list)
    count: int = 0
    squares: float = 0.0  # of the differences of successive values

    def see(self, value: float) -> None:
        if self.last:
            self.squares += (value - self.last[-1]) ** 2
        self.count += 1
        if len(self.first) < WINDOW:
            self.first.append(value)
        self.last = [*self.last[1 - WINDOW :], value]

    @property
    def ready(self) -> bool:
        return self.count >= 2 * WINDOW

    @property
    def start(self) -> float:
        return sum(self.first) / len(self.first) if self.first else math.nan

    @property
    def now(self) -> float:
        return sum(self.last) / len(self.last) if self.last else math.nan

    @property
    def error(self) -> float:
        """Standard error of ``now - start``."""
        return math.sqrt(self.squares / (2 * max(1, self.count - 1))) * math.sqrt(2 / WINDOW)

    def fell(self, sure: float, least: float = 0.0) -> bool:
        return self.ready and self.start - self.now > max(sure * self.error, least)

    def rose(self, sure: float, least: float = 0.0) -> bool:
        return self.ready and self.now - self.start > max(sure * self.error, least)

    def lately(self, holds: Callable[[float], bool]) -> bool:
        return self.count >= IN_A_ROW and all(map(holds, self.last[-IN_A_ROW:]))


@dataclass(frozen=True)
class Accuracy:
    """Held-out accuracy after a step. error: half the 95 % interval / 1.96, which is not 0 at 0 % or 100 %."""

    step: int
    value: float
    error: float

    def below(self, other: Accuracy, sure: float) -> bool:
        """The larger of both errors stands for both: of a few problems either may be small by chance."""
        return other.value - self.value > sure * math.sqrt(2.0) * max(self.error, other.error)

    def __str__(self) -> str:
        return f"{self.value:.1%} (step {self.step})"


@dataclass
class HeldOut:
    """One measure of held-out accuracy through a run."""

    first: Accuracy | None = None
    best: Accuracy | None = None
    last: Accuracy | None = None
    count: int = 0

    def see(self, found: Accuracy) -> None:
        self.last = found
        self.count += 1
        self.first = self.first or found
        if self.best is None or found.value > self.best.value:
            self.best = found

    @property
    def sure(self) -> float:
        """Standard errors, by Bonferroni over all pairs of evaluations: the best of many is high by chance."""
        return NormalDist().inv_cdf(1.0 - BY_CHANCE / max(1, self.count * (self.count - 1) // 2))

    def rose(self) -> bool:
        return self.first is not None and self.last is not None and self.first.below(self.last, self.sure)

    def fell(self, then: Accuracy | None) -> bool:
        return then is not None and self.last is not None and self.last.below(then, self.sure)

    def fell_from(self) -> Accuracy | None:
        """The first or the best accuracy, where the last is well below it: surely, and by much."""
        for then in (self.first, self.best):
            if then and self.last and self.fell(then) and self.last.value < (1 - SHARE) * then.value:
                return then
        return None

    @classmethod
    def of(cls, state: Mapping[str, Any]) -> HeldOut:
        places = {name: value and Accuracy(**value) for name, value in state.items() if name != "count"}
        return cls(**places, count=state.get("count", 0))


class Watch:
    """Takes the lines of a run's ``metrics.jsonl`` in order. Its state is small, and goes into every checkpoint."""

    def __init__(self) -> None:
        self.trends: dict[str, Trend] = {}
        self.held_out = {name: HeldOut() for name in MEASURES}
        self.reward_then: dict[str, float] = {}  # moving mean of the reward at the first and the best evaluation
        self.judge: str | None = None
        self.self_judged: bool | None = None
        self.recorded = False
        self.idle = 0  # steps without an update
        self.unscored = 0.0  # share of the last evaluation's responses without a verdict
        self.spread = 0.0  # standard deviation of the rewards of the first batch
        self.fired: dict[str, Sign] = {}

    def see(self, line: Line) -> list[Sign]:
        """What fires for the first time at this line."""
        step = int(line["step"])
        self._remember(step, line)
        found: dict[str, str] = {}
        for rule in RULES:
            found |= rule(self)
        fresh = [Sign(name, severity_of(name), step, text) for name, text in found.items() if name not in self.fired]
        for sign in fresh:
            self.fired[sign.name] = sign
        for name, sign in self.fired.items():  # while it holds, its numbers are those of now
            self.fired[name] = replace(sign, holds=name in found, sentence=found.get(name, sign.sentence))
        return fresh

    def metrics(self) -> dict[str, float]:
        """``watch/NAME``: 1 while a rule that ever fired holds, 0 when it does no more; ``watch/failures`` holding."""
        holding = {f"watch/{name}": float(sign.holds) for name, sign in self.fired.items() if sign.severity != "note"}
        failures = sum(sign.holds and sign.severity == "failure" for sign in self.fired.values())
        return {**holding, "watch/failures": float(failures)}

    @property
    def signs(self) -> list[Sign]:
        return sorted(self.fired.values(), key=lambda sign: sign.step)

    def failures(self) -> list[Sign]:
        """The failures that hold."""
        return [sign for sign in self.signs if sign.severity == "failure" and sign.holds]

    def _remember(self, step: int, line: Line) -> None:
        judge, same = line.get("evaluation/judge"), _number(line, "judge/is_reward")
        if judge and self.judge is not None and str(judge) != self.judge:
            self._forget_verdicts()
        self.judge = str(judge) if judge else self.judge
        self.self_judged = self.self_judged if same is None else bool(same)
        self.recorded = self.recorded or bool(_number(line, "data/recorded"))
        if "reward/mean" in line:
            for name in WATCHED + tuple(n for n in line if mean_of_verifier(n)):
                value = _number(line, name)
                if value is not None:
                    self.trends.setdefault(name, Trend()).see(value)
            if not self.spread:
                self.spread = _number(line, "reward/std") or 0.0
            moved = any(name.endswith(("grad_norm", "skipped_updates")) for name in line)
            self.idle = self.idle + 1 if not moved and ("loss" in line or "groups/tied" in line) else 0
        self.unscored = _number(line, "eval/unscored") or (0.0 if "eval/sampled" in line else self.unscored)
        for name in MEASURES:
            value = _number(line, name)
            if value is not None:
                self._evaluated(name, Accuracy(step, value, _error(line, name, value)))

    def _forget_verdicts(self) -> None:
        """What another judge called right is no measure for what comes."""
        self.held_out = {name: HeldOut() for name in MEASURES}
        self.reward_then = {}
        for name in ("refill/right_of_all", "judge/right", "judge/unjudged"):
            self.trends.pop(name, None)

    def _evaluated(self, name: str, found: Accuracy) -> None:
        self.held_out[name].see(found)
        if name == "eval/sampled" and self.held_out[name].best is found:
            reward = self.trends.get(self.reward_name)
            self.reward_then["best"] = reward.now if reward else math.nan

    # --- what rules ask ------------------------------------------------------------------------------------------

    @property
    def reward_name(self) -> str:
        """Dynamic sampling keeps what the policy is half right about, whose mean reward says nothing of progress."""
        return "refill/reward_of_all" if "refill/reward_of_all" in self.trends else "reward/mean"

    @property
    def sampled(self) -> HeldOut:
        return self.held_out["eval/sampled"]

    @property
    def reward(self) -> Trend:
        return self.trends.get(self.reward_name, Trend())

    @property
    def accuracy(self) -> Trend:
        """The share of the training responses that the judge calls right."""
        return self.trends.get("refill/right_of_all") or self.trends.get("judge/right") or Trend()

    def trend(self, name: str) -> Trend:
        return self.trends.get(name, Trend())

    def good(self) -> bool:
        """Whether nearly all is right: entropy may then be gone, and answers short."""
        return self.accuracy.count > 0 and self.accuracy.now >= GOOD

    def improved(self) -> bool:
        """A higher accuracy on the training responses, or on held-out problems."""
        return self.sampled.rose() or self.accuracy.rose(2.0)

    def reward_rose(self, since: float = math.nan) -> bool:
        """Since the beginning, or, where it is known, since it was ``since``."""
        reward = self.reward
        if math.isnan(since):
            return reward.rose(BOTH_SURE)
        return reward.count >= WINDOW and reward.now - since > BOTH_SURE * reward.error

    def state_dict(self) -> dict[str, Any]:
        return {
            "trends": {name: asdict(trend) for name, trend in self.trends.items()},
            "held_out": {name: asdict(places) for name, places in self.held_out.items()},
            "fired": [asdict(sign) for sign in self.fired.values()],
            **{name: getattr(self, name) for name in _PLAIN},
            "reward_then": dict(self.reward_then),
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        self.trends = {name: Trend(**values) for name, values in state["trends"].items()}
        # Checkpoints from before greedy answers were watched hold the sampled ones' places by themselves.
        then = state.get("held_out") or {"eval/sampled": {name: state[name] for name in ("first", "best", "last")}}
        self.held_out = {name: HeldOut.of(then.get(name, {})) for name in MEASURES}
        self.fired = {values["name"]: Sign(**values) for values in state["fired"]}
        for name in _PLAIN:
            setattr(self, name, state[name])
        self.reward_then = dict(state["reward_then"])


MEASURES = {
    "eval/sampled": "held-out accuracy",
    "eval/greedy": "held-out accuracy of the greedy answers",
    "eval/pairs_accuracy": "held-out pair accuracy",
}
_PLAIN = ("judge", "self_judged", "recorded", "idle", "unscored", "spread")
WATCHED = (
    "reward/mean", "refill/reward_of_all", "refill/right_of_all", "judge/right", "judge/unjudged", "entropy",
    "length/mean", "length/truncated", "completions/alike", "groups/tied",
)  # fmt: skip


def verdicts(metrics: Sequence[Line]) -> list[Sign]:
    """Every sign of a run, in the order of their steps, from the lines of its ``metrics.jsonl``.

    Lines without a step, and values that are no finite numbers, are passed over.
    """
    watch = Watch()
    for line in metrics:
        if isinstance(line.get("step"), (int, float)):
            watch.see(line)
    return watch.signs


def severity_of(name: str) -> Severity:
    if name in get_args(FAILURES):
        return "failure"
    return "note" if name in get_args(NOTES) else "warning"


# --- the rules: each gives the sentences of what holds, by name ------------------------------------------------------

Found = dict[str, str]


def _hacking(watch: Watch) -> Found:
    """The reward rises while the judge's accuracy falls."""
    if watch.self_judged or watch.recorded:
        return {}
    judge, reward, accuracy = watch.judge or "the judge", watch.reward, watch.accuracy
    after = "Look at the completions of high reward that it calls wrong (`grpo-kit rollouts`), and mend the reward."
    if accuracy.fell(BOTH_SURE, SHARE * accuracy.start) and watch.reward_rose():
        return {
            "hacking": f"the reward rose from {reward.start:.3g} to {reward.now:.3g} while {judge} calls "
            f"{accuracy.now:.1%} of the responses right, {accuracy.start:.1%} at the beginning. {after}"
        }
    best, last = watch.sampled.best, watch.sampled.last
    then = watch.reward_then.get("best", math.nan)
    if best and last and watch.sampled.fell(best) and watch.reward_rose(then):
        before = reward.start if math.isnan(then) else then
        return {
            "hacking": f"the reward rose from {before:.3g} to {reward.now:.3g} while held-out accuracy, judged by "
            f"{judge}, fell from {best} to {last}. {after}"
        }
    return {}


def _not_followed(watch: Watch) -> Found:
    """The reward rises by much and accuracy does not."""
    reward, accuracy = watch.reward, watch.accuracy
    if watch.self_judged or watch.recorded or accuracy.count < FOLLOW_AFTER or watch.good():
        return {}
    moved = abs(accuracy.now - accuracy.start) > max(2.0 * accuracy.error, 0.02)
    if moved or watch.improved() or not reward.rose(SURE, 0.5 * watch.spread):
        return {}
    return {
        "not_followed": f"the reward rose from {reward.start:.3g} to {reward.now:.3g} and accuracy did not follow: "
        f"{watch.judge or 'the judge'} calls {accuracy.now:.1%} of the responses right, {accuracy.start:.1%} at the "
        "beginning. Look at which verifier's mean rose (verifier/*/mean), and at its weight."
    }


def _accuracy_fell(watch: Watch) -> Found:
    accuracy, whose = watch.accuracy, f", judged by {watch.judge}," if watch.judge else ""
    other = "other examples" if watch.recorded else "another reward"
    after = f"Go back to an earlier checkpoint (--fork RUN@STEP), with a lower optimizer.learning_rate or {other}."
    for name, words in MEASURES.items():
        places = watch.held_out[name]
        if name == "eval/greedy" and watch.sampled.rose():
            continue  # what is sampled is what is learned from: it became better, at the cost of the likeliest answer
        if (then := places.fell_from()) is not None:
            return {"accuracy_fell": f"{words}{whose} fell from {then} to {places.last}{_beside(watch, name)}. {after}"}
    if not watch.recorded and accuracy.fell(SURE, SHARE * accuracy.start):
        return {
            "accuracy_fell": f"accuracy on the training responses{whose} fell from {accuracy.start:.1%} (the first "
            f"{WINDOW} steps) to {accuracy.now:.1%}. {after}"
        }
    return {}


def _beside(watch: Watch, name: str) -> str:
    """What the sampled answers did, where it is the greedy ones that fell: both at once is the plain case."""
    sampled = watch.sampled
    return f", that of the sampled ones from {sampled.first} to {sampled.last}" if name == "eval/greedy" else ""


def _reward_fell(watch: Watch) -> Found:
    """The run unlearns: nothing that follows a gradient of the reward should lower it for long."""
    reward = watch.reward
    if watch.recorded or not reward.fell(SURE, max(SHARE * abs(reward.start), 0.1 * watch.spread)):
        return {}
    return {
        "reward_fell": f"the reward's mean over {WINDOW} steps fell from {reward.start:.3g} at the beginning to "
        f"{reward.now:.3g}: this run unlearns. Lower optimizer.learning_rate, or raise rollout.prompts_per_step."
    }


def _truncated(watch: Watch) -> Found:
    cut = watch.trend("length/truncated")
    if watch.recorded or not cut.lately(lambda share: share >= ALL):
        return {}
    return {
        "truncated": f"{cut.last[-1]:.0%} of the responses were cut by rollout.max_tokens in {IN_A_ROW} steps in a row. "
        "Raise it, or look at whether the model still ends its answers (`grpo-kit rollouts`)."
    }


def _alike(watch: Watch) -> Found:
    alike = watch.trend("completions/alike")
    if watch.recorded or not alike.lately(lambda share: share >= GOOD):
        return {}
    return {
        "alike": f"{alike.last[-1]:.0%} of a step's responses, to different prompts, are the same text, {IN_A_ROW} steps in "
        "a row: the policy has collapsed. Look at that text (`grpo-kit rollouts`), and at what rewards it."
    }


def _no_update(watch: Watch) -> Found:
    if watch.recorded or watch.idle < NO_UPDATE:
        return {}
    reward, cut = (watch.trend(name).last[-1:] or [0.0] for name in ("reward/mean", "length/truncated"))
    if watch.good():
        return {
            "nothing_left": f"no update in {watch.idle} steps: nearly every response is right and groups agree, so "
            "there is nothing left to learn here. Take harder data."
        }
    return {
        "no_update": f"no update in {watch.idle} steps in a row: every group's rewards agree, so every advantage is 0. "
        f"The reward is {reward[0]:.3f}, {cut[0]:.0%} of the responses are cut by the limit. Look at completions "
        "(`grpo-kit rollouts`): easier data, a longer rollout.max_tokens, a warm start, or an answer format that the "
        "prompt asks for gives it something to reinforce."
    }


def _verifiers_part(watch: Watch) -> Found:
    """One verifier's mean rises while another's falls."""
    trends = {name.split("/")[1]: trend for name, trend in watch.trends.items() if mean_of_verifier(name)}
    rising = [name for name, trend in trends.items() if trend.rose(BOTH_SURE, _much(trend))]
    falling = [name for name, trend in trends.items() if trend.fell(BOTH_SURE, _much(trend))]
    if not rising or not falling:
        return {}
    up, down = (max(names, key=lambda n: abs(trends[n].now - trends[n].start)) for names in (rising, falling))
    return {
        "verifiers_part": f"{up} rose from {trends[up].start:.3g} to {trends[up].now:.3g} while {down} fell from "
        f"{trends[down].start:.3g} to {trends[down].now:.3g}. Their weights decide which one wins: see `verifiers`."
    }


def _much(trend: Trend) -> float:
    return max(0.1, SHARE * abs(trend.start))


def _entropy(watch: Watch) -> Found:
    entropy = watch.trend("entropy")
    if watch.recorded or entropy.count < WINDOW + IN_A_ROW:  # to imitate is to lose it
        return {}
    start, now = entropy.start, entropy.last[-1]
    if entropy.lately(lambda value: value < ENTROPY_LOW * start) and not watch.good():
        return {
            "entropy_collapse": f"entropy fell from {start:.3g} to {now:.3g} nats per token. Look at reward/mean and at "
            "completions (`grpo-kit rollouts`): if they became alike before they became right, try a higher "
            "objective.clip_high, objective.entropy_bonus, or a lower learning rate."
        }
    if entropy.lately(lambda value: value > max(ENTROPY_HIGH * start, start + ENTROPY_RISE)):
        return {
            "entropy_explosion": f"entropy rose from {start:.3g} to {now:.3g} nats per token: the policy is losing its "
            "language. Lower optimizer.learning_rate or objective.entropy_bonus, or raise objective.beta."
        }
    return {}


def _length(watch: Watch) -> Found:
    length = watch.trend("length/mean")
    if watch.recorded or length.count < WINDOW + IN_A_ROW or watch.improved() or watch.good():
        return {}
    start, now = length.start, length.last[-1]
    said = f"the mean response went from {start:.0f} to {now:.0f} tokens and accuracy did not rise with it."
    if length.lately(lambda value: value > LENGTH_HIGH * start):
        return {"length_explosion": f"{said} Look at what the long ones repeat, and at whether the reward pays length."}
    if length.lately(lambda value: value < LENGTH_LOW * start):
        return {"length_collapse": f"{said} Look at whether the reward is had without the reasoning."}
    return {}


def _judge_fails(watch: Watch) -> Found:
    unjudged = watch.trend("judge/unjudged")
    share = watch.unscored if watch.unscored > 0.5 else (unjudged.last[-1:] or [0.0])[0]
    if watch.unscored <= 0.5 and not unjudged.lately(lambda value: value > 0.5):
        return {}
    return {
        "judge_fails": f"{watch.judge or 'the judge'} gave no verdict on {share:.0%} of the responses, so accuracy says "
        "little. Its first failure is in the run's folder; mend it, or name another evaluation.verifier."
    }


def _self_judged(watch: Watch) -> Found:
    if not watch.self_judged:
        return {}
    return {
        "self_judged": f"cannot tell whether the reward is hacked: the reward judges itself ({watch.judge or 'one verifier'}). "
        "Name another judge in evaluation.verifier, or score a finished run with another verifier."
    }


RULES: tuple[Callable[[Watch], Found], ...] = (
    _hacking, _not_followed, _accuracy_fell, _reward_fell, _truncated, _alike, _no_update, _verifiers_part, _entropy,
    _length, _judge_fails, _self_judged,
)  # fmt: skip


def mean_of_verifier(name: str) -> bool:
    """Whether a metric is the mean score of a verifier."""
    parts = name.split("/")
    return len(parts) == 3 and parts[0] == "verifier" and parts[2] == "mean"


def _number(line: Line, name: str) -> float | None:
    value = line.get(name)
    return float(value) if isinstance(value, (int, float)) and math.isfinite(value) else None


def _error(line: Line, name: str, value: float) -> float:
    """Standard error of an accuracy; never 0, because none right of a few says little."""
    stem = "eval/pairs" if name == "eval/pairs_accuracy" else name
    low, high = _number(line, f"{stem}_low"), _number(line, f"{stem}_high")
    if low is not None and high is not None:
        return (high - low) / (2 * 1.96)
    known, problems = _number(line, f"{stem}_error") or 0.0, _number(line, "eval/problems")
    if known or not problems:
        return known
    likely = (value * problems + 2) / (problems + 4)  # one answer each: Agresti and Coull (1998), 95 %
    return math.sqrt(likely * (1 - likely) / (problems + 4))
