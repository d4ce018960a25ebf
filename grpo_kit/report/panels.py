"""Which charts a run's page has: those of its family, with what they measure and in what unit."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from grpo_kit.evaluate.metrics import wilson_interval

from .chart import Metrics, Panel, Series, Table, Values, Z, band, number, series_shown
from .data_set_panels import data_panels
from .labels import phase_label, words

WINDOW = 3  # steps on either side of an evaluation whose mean reward stands beside it
HEALTH = {"abstain": "no opinion", "error": "errors", "timeout": "timeouts"}
STANDARD = {"count", "mean", "std", "latency_p50", "latency_p95", *HEALTH}


@dataclass(frozen=True)
class Kind:
    """What a run learns by: the loss, and whether its responses were recorded before it began."""

    loss: str  # policy_gradient, likelihood, pairs, labels or reward_model
    recorded: bool

    @property
    def samples(self) -> bool:
        """Whether it learns from rewards of what the policy says."""
        return not self.recorded


def kind_of(algorithm: str, recorded: bool, table: Table) -> Kind:
    """The kind of a run, from its name and what it logged: a row of the user's own is not executed to be looked at."""
    recorded = recorded or any(table.values("data/recorded"))
    if algorithm == "reward_model" or (table.has("pairs/accuracy") and not table.has("pairs/chosen_logprob")):
        return Kind("reward_model", recorded)
    if algorithm in ("dpo", "ipo", "online_dpo") or table.has("pairs/accuracy"):
        return Kind("pairs", recorded)
    if algorithm == "kto" or table.has("kto/baseline"):
        return Kind("labels", recorded)
    return Kind("likelihood" if algorithm == "sft" or table.has("perplexity") else "policy_gradient", recorded)


def run_panels(metrics: Metrics, prompts_per_step: int, kind: Kind | None = None) -> tuple[list[Panel], list[str]]:
    """The charts of a training run, and the titles of those that never left their idle value."""
    table = Table.of(metrics)
    kind = kind or kind_of("", False, table)
    panels = [*_outcome(table, kind, prompts_per_step), *_learning(table, kind)]
    if kind.samples:
        panels += _groups(table)
    panels += [
        *_answers(table, kind),
        *data_panels(table),
        *_conversations(table),
        *_policy(table, kind),
        *_critic(table),
        *_values(table),
        *_trust_region(table),
    ]
    panels += [*_verifiers(table), *_time(table, kind)]
    found = series_shown(panels)
    return [p for p in found if not p.says_nothing], [p.title for p in found if p.says_nothing]


def _chart(table: Table, section: str, title: str, names: Sequence[str], y_label: str, **more: object) -> Panel:
    return Panel(section, title, table.x, table.series(names), y_label=y_label, **more)  # type: ignore[arg-type]


_MISMATCH = ("mismatch/kl", "mismatch/max_logprob_difference", "mismatch/mean_logprob_difference", "mismatch/probe")


def _share(table: Table, section: str, title: str, names: Sequence[str], y_label: str, **more: object) -> Panel:
    return _chart(table, section, title, names, y_label, **{"shown_as": "percent", **more})


# --- what comes out ----------------------------------------------------------------------------------------------


def _outcome(table: Table, kind: Kind, prompts: int) -> list[Panel]:
    panels = []
    if kind.loss != "reward_model":
        panels.append(_accuracy(table))
    if kind.samples:
        panels += [_reward(table, prompts), *_together(table, prompts)]
    return panels


def judged_by(table: Table) -> str:
    judge = table.text("evaluation/judge")
    return f", judged by {judge}" if judge else ""


def _accuracy(table: Table) -> Panel:
    sampled = Series("sampled answers", table.column("eval/sampled"), *accuracy_band(table))
    series = [sampled, Series("greedy answers", table.column("eval/greedy"))]
    note = f"Held-out problems{judged_by(table)}. The band is the 95 % interval, clustered by problem."
    title = "Held-out accuracy"
    return Panel("Outcome", title, table.x, series, y_label="accuracy", shown_as="percent", note=note)


def accuracy_band(table: Table) -> tuple[Values, Values]:
    """The 95 % interval of each evaluation: as it was logged, else Wilson's from the error."""
    low, high = table.column("eval/sampled_low"), table.column("eval/sampled_high")
    for i, (value, error) in enumerate(
        zip(table.column("eval/sampled"), table.column("eval/sampled_error"), strict=True)
    ):
        if value is None or (low[i] is not None and high[i] is not None):
            continue
        row = table.rows[table.steps[i]]
        problems, samples = number(row.get("eval/problems")), number(row.get("eval/samples"))
        if problems is None or error is None:
            margin = Z * (error or 0.0)
            low[i], high[i] = value - margin, value + margin
        elif 0.0 <= value <= 1.0:
            ends = wilson_interval(value, error, int(problems), int(problems * (samples or 1)))
            low[i], high[i] = (number(float(end)) for end in ends)
    return low, high


def _reward(table: Table, prompts: int) -> Panel:
    errors = [None if s is None else s / math.sqrt(max(1, prompts)) for s in table.column("reward/group_mean_std")]
    series = [band("training reward", table.column("reward/mean"), errors)] if table.has("reward/mean") else []
    note = "Mean over the step's completions. The band is the 95 % interval, clustered by problem."
    return Panel("Outcome", "Training reward", table.x, series, y_label="reward", note=note)


def _together(table: Table, prompts: int) -> list[Panel]:
    """Reward and accuracy have different units; how far each has come, in its own standard errors, can be compared."""
    rows = [i for i, v in enumerate(table.column("eval/sampled")) if v is not None]
    if len(rows) < 2 or not table.has("reward/mean"):
        return []
    accuracy, (low, high) = table.column("eval/sampled"), accuracy_band(table)
    reward, spread = table.column("reward/mean"), table.column("reward/group_mean_std")
    come: tuple[Values, Values] = ([None] * len(table.x), [None] * len(table.x))
    first: tuple[tuple[float, float] | None, ...] | None = None
    for i in rows:
        ends = low[i], high[i]
        error = None if ends[0] is None or ends[1] is None else (ends[1] - ends[0]) / (2 * Z)
        now = (None if error is None else (accuracy[i] or 0.0, error), _near(reward, spread, i, prompts))
        first = first or now
        for values, a, b in zip(come, first, now, strict=True):
            if a is not None and b is not None and a[1] + b[1] > 0:
                values[i] = (b[0] - a[0]) / math.hypot(a[1], b[1])
    series = [Series("held-out accuracy", come[0]), Series("training reward", come[1])]
    note = (
        "How far each has come since the first evaluation, in its own standard errors; beyond ±2 is more than chance. Reward "
        "that rises while accuracy falls is earned in another way than the judge's."
    )
    y_label = "change, standard errors"
    return [Panel("Outcome", "Reward and accuracy, since the start", table.x, series, y_label=y_label, note=note)]


def _near(reward: Values, spread: Values, at: int, prompts: int) -> tuple[float, float] | None:
    """Mean of the rewards around a step, and its standard error."""
    near = range(max(0, at - WINDOW), min(len(reward), at + WINDOW + 1))
    pairs = [(r, s or 0.0) for i in near if (r := reward[i]) is not None for s in (spread[i],)]
    if not pairs:
        return None
    error = math.sqrt(sum(s * s for _, s in pairs) / max(1, prompts)) / len(pairs)
    return float(np.mean([r for r, _ in pairs])), error


def _groups(table: Table) -> list[Panel]:
    right, wrong = table.column("groups/all_right"), table.column("groups/all_wrong")
    mixed = [None if r is None or w is None else max(0.0, 1.0 - r - w) for r, w in zip(right, wrong, strict=True)]
    # Colours follow this order, and right and wrong have the same ones in every chart of the page.
    series = [Series("all right", right), Series("all wrong", wrong), Series("mixed", mixed)]
    judged = "By the judge's verdict. " if table.has("groups/tied") else ""
    note = f"{judged}A group whose rewards are all equal teaches nothing: every advantage in it is 0."
    made = series if table.has("groups/all_right") else []
    return [
        Panel("Outcome", "Groups", table.x, made, "stack", y_label="share of groups", shown_as="percent", note=note),
        _share(table, "Outcome", "Groups that teach nothing", ["groups/tied"], "share of groups", idle=(0, 0)),
    ]


# --- the family's own --------------------------------------------------------------------------------------------


def _learning(table: Table, kind: Kind) -> list[Panel]:
    if kind.loss == "likelihood":
        return [_loss(table, "nats per token"), _perplexity(table)]
    if kind.loss == "policy_gradient":
        return []
    panels = [_pair_accuracy(table), _loss(table, "nats")]
    if kind.loss == "reward_model":
        note = "Score of the chosen response minus that of the rejected one."
        return [*panels, _chart(table, "Outcome", "Margin", ["pairs/margin"], "score", note=note)]
    if kind.loss == "pairs":
        note = "Beta times how much further the chosen response has come from the reference than the rejected one."
        both = ["pairs/chosen_logprob", "pairs/rejected_logprob"]
        falls = "Of whole responses. Where both fall, the pair is told apart by making its own words less likely."
        return [
            *panels,
            _chart(table, "Outcome", "Margin", ["pairs/margin"], "nats", note=note),
            _chart(table, "Outcome", "Log-probability of the responses", both, "nats", note=falls),
        ]
    names = ["kto/good_margin", "kto/bad_margin", "kto/baseline"]
    note = "Log-probability against the reference; good responses should rise above the reference point, bad ones fall below."
    both = ["kto/good_logprob", "kto/bad_logprob"]
    return [
        *panels,
        _chart(table, "Outcome", "Margins to the reference", names, "nats", note=note),
        _chart(table, "Outcome", "Log-probability of the responses", both, "nats"),
    ]


def _pair_accuracy(table: Table) -> Panel:
    made = table.series(["pairs/accuracy"])
    note = "Training pairs are judged before the step that learns from them."
    if table.has("eval/pairs_accuracy"):
        band = table.column("eval/pairs_low"), table.column("eval/pairs_high")
        made.append(Series("held-out pairs", table.column("eval/pairs_accuracy"), *band))
        note += " Held-out ones are never learned from; the band is their 95 % interval, clustered by prompt."
    label, shown = "pairs ranked right", "percent"
    return Panel("Outcome", "Pair accuracy", table.x, made, y_label=label, shown_as=shown, note=note)


def _loss(table: Table, unit: str, section: str = "Outcome", note: str = "") -> Panel:
    return Panel(
        section, "Loss", table.x, table.series(["loss"]), y_label=f"loss, {unit}" if unit else "loss", note=note
    )


def _perplexity(table: Table) -> Panel:
    if table.has("perplexity"):
        values = table.column("perplexity")
    else:
        values = [None if v is None or v > 50 else math.exp(v) for v in table.column("loss")]
    note = "Among how many equally likely tokens the model hesitates: the exponential of the loss."
    return Panel("Outcome", "Perplexity", table.x, [Series("perplexity", values)], y_label="tokens", note=note)


def _answers(table: Table, kind: Kind) -> list[Panel]:
    if kind.loss == "reward_model":
        return []
    mine = ["length/right", "length/wrong", "length/mean"] if kind.samples else []
    cut = ["length/truncated"] if kind.samples else []
    shares = [*cut, "eval/truncated"]
    return [
        _chart(table, "Answers", "Response length", [*mine, "eval/mean_length"], "tokens"),
        _share(table, "Answers", "Cut by the length limit", shares, "share of responses", idle=(0, 0)),
        _share(table, "Answers", "Responses alike", ["completions/alike"], "share of responses", idle=(0, 0.01)),
        _share(table, "Answers", "Right in training", ["judge/right"], "share of responses", note=_judge_note(table)),
        _share(table, "Answers", "Without a verdict", ["judge/unjudged"], "share of responses", idle=(0, 0)),
    ]


def _conversations(table: Table) -> list[Panel]:
    turns, calls = ["turns/mean", "turns/max"], ["calls/invalid", "calls/failed"]
    said = "What the environment wrote between the turns; nothing is learned of it."
    return [
        _chart(table, "Conversations", "Turns of an episode", turns, "turns", idle=(1, 0)),
        _share(table, "Conversations", "Why episodes ended", table.names("turns/ended_"), "share of episodes"),
        _share(table, "Conversations", "Turns not understood", ["turns/misread"], "share of turns", idle=(0, 0)),
        _chart(table, "Conversations", "Calls of tools", ["calls/mean"], "calls of an episode", idle=(0, 0)),
        _share(table, "Conversations", "Calls that went wrong", calls, "share of calls", idle=(0, 0)),
        _chart(table, "Conversations", "Reward from the environment", ["environment/reward"], "reward"),
        _chart(table, "Conversations", "Inserted tokens", ["length/inserted"], "tokens of an episode", note=said),
        _chart(table, "Conversations", "Time in the environment", ["environment/seconds"], "seconds of an episode"),
    ]


def _judge_note(table: Table) -> str:
    return f"Completions of the step{judged_by(table)}."


def _values(table: Table) -> list[Panel]:
    """Of runs whose logits are action values."""
    both, note = ["values/promised", "values/realised"], "What the first token of a response was worth, and what came."
    return [
        _chart(table, "Values", "Returns, promised and real", both, "reward", note=note),
        _chart(table, "Values", "Overestimation", ["values/overestimation"], "reward, mean over tokens"),
        _chart(table, "Values", "Temporal-difference error", ["values/td_error"], "reward, mean over tokens"),
        _chart(table, "Values", "Weight", ["values/weight"], "mean over imitated tokens"),
        _chart(table, "Values", "Temperature", ["values/temperature"], "reward for a nat of entropy"),
    ]


def _policy(table: Table, kind: Kind) -> list[Panel]:
    step = [_chart(table, "Policy", "Gradient norm", ["grad_norm"], "norm, before clipping")]
    step.append(_chart(table, "Policy", "Learning rate", ["learning_rate"], "learning rate"))
    if kind.loss == "reward_model":
        return step
    entropy = _chart(table, "Policy", "Entropy", ["entropy"], "nats per token")
    kl = _chart(table, "Policy", "KL divergence", table.names("kl/"), "nats per token", idle=(0, 0))
    if kind.loss != "policy_gradient":
        return [entropy, kl, *step]
    near = "About 0 at the first update of a batch, by construction: watch the reward."
    zero = any(abs(v) < 1e-6 for v in table.values("loss")[:1])
    loss = _loss(table, "", "Policy", near if zero else "")
    loss.idle = (0.0, 1e-6)
    sizes = ["advantage/mean_abs"] if table.has("advantage/mean_abs") else []
    ratios = ["ratio/max", "ratio/min"]
    return [
        entropy,
        kl,
        _chart(table, "Policy", "Distance from the teacher", ["teacher/reverse_kl"], "nats per token"),
        _share(table, "Policy", "Agreement with the teacher", ["teacher/agreement"], "chance to draw the same token"),
        _share(table, "Policy", "Clipped tokens", table.names("clip/"), "share of tokens", idle=(0, 0)),
        _chart(table, "Policy", "Probability ratio, new to old", ratios, "ratio of a token", idle=(1, 1e-3)),
        _chart(table, "Policy", "Engine against trainer", _MISMATCH, "nats", idle=(0, 1e-4)),
        _chart(
            table, "Policy", "Engine against trainer, spread", table.names("mismatch/chi2"), "w² - 1", idle=(0, 1e-3)
        ),
        _chart(table, "Policy", "Engine correction", ["correction/weight"], "weight of a token", idle=(1, 1e-3)),
        _share(table, "Policy", "Engine correction, capped", ["correction/capped"], "share of tokens", idle=(0, 0)),
        _share(table, "Policy", "Left out for differing from the engine", table.names("correction/rejected"), "share"),
        loss,
        *step,
        _chart(table, "Policy", "Advantage", sizes, "mean absolute advantage"),
        _chart(table, "Policy", "Age of the rollouts", ["staleness/mean", "staleness/max"], "policy versions"),
        _chart(table, "Policy", "Age of what is replayed", ["replay/age_mean", "replay/age_max"], "policy versions"),
    ]


def _critic(table: Table) -> list[Panel]:
    note = "1: the critic foresaw the returns; 0: no better than their mean; below 0: worse."
    foreseen = ["critic/explained_variance"]
    return [
        _chart(table, "Critic", "Critic loss", ["critic/loss"], "squared error of the return"),
        _chart(table, "Critic", "Explained variance", foreseen, "share of the returns' variance", note=note),
        _chart(table, "Critic", "Critic gradient norm", ["critic/grad_norm"], "norm, before clipping"),
    ]


def _trust_region(table: Table) -> list[Panel]:
    return [
        _chart(table, "Trust region", "KL of the step", ["trust_region/kl"], "nats per token"),
        _share(table, "Trust region", "Step taken", ["trust_region/share"], "share of the full step"),
        _chart(table, "Trust region", "Improvement", ["trust_region/improvement"], "surrogate"),
    ]


# --- verifiers and time ------------------------------------------------------------------------------------------


def verifier_names(table: Table) -> list[str]:
    """The verifiers that were counted. A path in a name, or a metric of the user's own, may hold slashes as well."""
    counted = [
        n.removeprefix("verifier/").removesuffix("/count") for n in table.names("verifier/") if n.endswith("/count")
    ]
    return [name for name in counted if table.has(f"verifier/{name}/abstain")] or sorted(
        {n.removeprefix("verifier/").rpartition("/")[0] for n in table.names("verifier/") if n.endswith("/mean")}
    )


def _verifiers(table: Table) -> list[Panel]:
    names = verifier_names(table)
    means = [Series(name, table.column(f"verifier/{name}/mean")) for name in names]
    # One verifier alone is the reward, which has its chart.
    panels = [Panel("Verifiers", "Mean score", table.x, means, y_label="score")] if len(names) > 1 else []
    for name in names:
        prefix = f"verifier/{name}/"
        failed = [Series(word, table.column(prefix + key)) for key, word in HEALTH.items() if table.has(prefix + key)]
        panels.append(
            Panel("Verifiers", f"{name}: without a score", table.x, failed, y_label="completions", idle=(0, 0))
        )
        others = [other for other in names if other != name and other.startswith(f"{name}/")]
        for metric in table.names(prefix):
            own = metric.removeprefix(prefix)
            if own not in STANDARD and not any(metric.startswith(f"verifier/{other}/") for other in others):
                series = [Series(words(own), table.column(metric))]
                panels.append(
                    Panel("Verifiers", f"{name}: {words(own)}", table.x, series, y_label="mean over completions")
                )
    return panels


def _time(table: Table, kind: Kind) -> list[Panel]:
    note = (
        "Completions that carry no gradient. Those of groups with equal rewards have the advantage 0: nothing is lost."
    )
    dropped = table.names("dropped/") if kind.loss == "policy_gradient" else []
    return [
        _phases(table),
        _chart(table, "Time", "Throughput", ["tokens_per_second"], "tokens per second"),
        _share(table, "Time", "Use of the machine", ["utilisation"], "share of its full rate"),
        _chart(table, "Time", "Not part of the loss", dropped, "completions", idle=(0, 0), note=note),
    ]


def _phases(table: Table) -> Panel:
    """Phases from the longest to the shortest; one that a step did not have took no time in it."""
    total = table.column("seconds/total")
    columns = {n: table.column(n) for n in table.names("seconds/") if n != "seconds/total"}
    spent = {n: sum(v for v in values if v is not None) for n, values in columns.items()}
    least = 0.002 * sum(spent.values())
    series = [
        Series(
            phase_label(n.removeprefix("seconds/")),
            [None if t is None else max(v or 0.0, 0.0) for v, t in zip(columns[n], total, strict=True)],
        )
        for n in sorted(columns, key=lambda n: -spent[n])
        if spent[n] > least
    ]
    return Panel("Time", "Time of a step", table.x, series, kind="stack", y_label="seconds")
