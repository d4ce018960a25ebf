"""Chapters of docs/course.md on groups and whole responses: GRPO, GSPO, KL estimators, RFT, old samples, today's recipe."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import torch
from course_draw import lines, table
from course_gradients import estimate
from course_mdp import DTYPE, TokenMDP, generator, paid_at_the_end
from torch import Tensor

from grpo_kit.objective.advantages import Rewards, compute_advantages
from grpo_kit.objective.algorithms import ALGORITHMS
from grpo_kit.objective.correction import CORRECTIONS, LEVELS, spread
from grpo_kit.objective.kl import KL_ESTIMATORS
from grpo_kit.objective.losses import RATIO_LEVELS
from grpo_kit.objective.returns import generalised_advantages, value_loss
from grpo_kit.objective.surrogates import SURROGATES
from grpo_kit.train.batch import SELECTIONS
from grpo_kit.types import Completion, Group, Prompt, Score, Task

Result = dict[str, Any]
LEARN = Path(__file__).parent / "results" / "learn.json"

# --- 6. a group against a critic ----------------------------------------------------------------------------------

BASELINES = ("no baseline", "group_mean", "group_mean / group_std", "critic, learned", "critic, exact")
RATES = (20.0, 60.0)


def group(seeds: int = 3, steps: int = 30) -> Result:
    """Success after as many tokens, by what is subtracted from the reward; each at the better of two step sizes."""
    mdp = paid_at_the_end(prompts=16, vocabulary=3, length=6, needed=[3, 4, 5, 6], seed=0)
    found: Result = {"seeds": seeds, "steps": steps, "tokens_a_step": 64 * mdp.length, "curves": {}, "rates": {}}
    for name in BASELINES:
        curves = {rate: [_learn(mdp, name, rate, seed, steps) for seed in range(seeds)] for rate in RATES}
        best = max(RATES, key=lambda rate: sum(sum(curve) for curve in curves[rate]))
        ends = torch.tensor([curve[-1] for curve in curves[best]], dtype=DTYPE)
        found["rates"][name] = best
        found["curves"][name] = torch.tensor(curves[best], dtype=DTYPE).mean(0).tolist()
        found.setdefault("errors", {})[name] = float(ends.std() / math.sqrt(seeds))
    found["start"] = found["curves"]["group_mean"][0]
    found["learn"] = {r["algorithm"]: r for r in _learned("ppo", "grpo", "rloo")}
    return found


def _learn(mdp: TokenMDP, name: str, rate: float, seed: int, steps: int) -> list[float]:
    """J before each step and after the last: 8 prompts of the 16 a step, 8 responses each."""
    random = generator(seed)
    places = torch.zeros(mdp.prompts, mdp.length, mdp.vocabulary, dtype=DTYPE)
    critic = torch.zeros(mdp.prompts, mdp.rewards.shape[1], dtype=DTYPE)
    curve = [float(mdp.value(mdp.by_place(places)))]
    for _ in range(steps):
        asked = torch.randperm(mdp.prompts, generator=random)[:8].repeat_interleave(8)
        logits = mdp.by_place(places)
        chosen = mdp.sample(logits, asked, random)
        index = asked[:, None], mdp.states[chosen]
        if name.startswith("critic"):
            values = mdp.values(logits) if name.endswith("exact") else critic
            advantages, returns = _generalised(mdp.earned[asked, chosen], values[index])
            # Two passes over the batch at a rate of a half: a table learns faster than a network would.
            for _ in range(2):
                critic = _taught(critic, index, returns)
        else:
            groups = torch.arange(8).repeat_interleave(8)
            rewards = Rewards(mdp.returns[asked, chosen], groups, torch.ones(64, dtype=torch.bool))
            baseline = "none" if name == "no baseline" else "group_mean"
            scale = "group_std" if name.endswith("std") else "none"
            whole = compute_advantages(rewards, baseline=baseline, scale=scale)
            advantages = whole[:, None].expand(-1, mdp.length)
        places = places + rate * estimate(mdp, places, asked, chosen, advantages, by_place=True)
        curve.append(float(mdp.value(mdp.by_place(places))))
    return curve


def _generalised(earned: Tensor, values: Tensor) -> tuple[Tensor, Tensor]:
    pairs = [generalised_advantages(r, v, 1.0, 0.95) for r, v in zip(earned, values, strict=True)]
    return torch.stack([a for a, _ in pairs]), torch.stack([g for _, g in pairs])


def _taught(critic: Tensor, index: tuple[Tensor, Tensor], returns: Tensor) -> Tensor:
    """One step of the critic's own loss, each state by the mean of its visits."""
    moving = critic.clone().requires_grad_()
    (gradient,) = torch.autograd.grad(value_loss(moving[index], critic[index], returns, None).sum(), moving)
    visits = torch.zeros_like(critic).index_put(index, torch.ones_like(returns), accumulate=True)
    return critic - 0.5 * gradient / visits.clamp(min=1)


def _learned(*names: str) -> list[Result]:
    """What benchmarks/learn.py measured of the kit's own runs."""
    runs = {r["algorithm"]: r for r in json.loads(LEARN.read_text())["runs"]}
    kept = ("algorithm", "before", "after", "standard_errors", "tokens", "cpu_seconds")
    return [{key: runs[name][key] for key in kept} for name in names]


def group_table(r: Result) -> str:
    rows = [
        [f"`{n}`" if n.startswith("group") else n, f"{r['rates'][n]:g}", *(f"{c[i]:.3f}" for i in (10, 20)),
         f"{c[30]:.3f} ± {r['errors'][n]:.3f}"]
        for n, c in r["curves"].items()
    ]  # fmt: skip
    header = ["subtracted from the reward", "step size", "J after 10 steps", "after 20", "after 30"]
    runs = [
        [f"`{n}`", f"{run['tokens']:,}", f"{run['before']:.1%}", f"{run['after']:.1%}", f"{run['cpu_seconds']:.0f}"]
        for n, run in r["learn"].items()
    ]
    return (
        f"{r['tokens_a_step']} tokens a step, J {r['start']:.3f} at the start, {r['seeds']} seeds:\n\n"
        + table(header, *rows)
        + "\n\nThe kit's own runs of a 0.7 M parameter model (`benchmarks/learn.py`):\n\n"
        + table(["row", "tokens", "accuracy before", "after", "CPU s"], *runs)
    )


def group_draw(figure: Any, r: Result) -> None:
    tokens = [i * r["tokens_a_step"] / 1000 for i in range(r["steps"] + 1)]
    lines(figure.subplots(), tokens, r["curves"], xlabel="thousand tokens", ylabel="success rate")


# --- 7. the ratio of a response -----------------------------------------------------------------------------------

LENGTHS = (8, 32, 128, 512)
RATIOS = {  # name: (ratio level, row, surrogate)
    "token, `ppo_clip` 0.2 (`grpo`)": ("token", "grpo", "ppo_clip"),
    "sequence, no bound": ("sequence", "gspo", "importance"),
    "sequence, `ppo_clip` 3e-4, 4e-4 (`gspo`)": ("sequence", "gspo", "ppo_clip"),
    "sequence product, no bound": ("sequence_product", "rloo", "importance"),
}


def gspo(sequences: int = 1000) -> Result:
    """How far noise in log-probabilities moves the weight of a token whose policy has not moved, by level and length."""
    found: Result = {"lengths": list(LENGTHS), "noise": [0.02, 0.1], "kinds": {}}
    for name, (level, row, surrogate) in RATIOS.items():
        points = []
        for noise in found["noise"]:
            for length in LENGTHS:
                error, clipped = _noisy(level, row, surrogate, noise, length, sequences)
                points.append({"noise": noise, "length": length, "error": error, "clipped": clipped})
        found["kinds"][name] = points
    return found


def _noisy(level: str, row: str, surrogate: str, noise: float, length: int, sequences: int) -> tuple[float, float]:
    """Root mean square of (d loss / d log pi) / -A - 1, which is 0 without noise, and the share of clipped tokens."""
    random = generator(length)
    index = torch.arange(sequences).repeat_interleave(length)
    old = noise * torch.randn(sequences * length, generator=random, dtype=DTYPE)
    logprobs = torch.zeros_like(old).requires_grad_()
    advantages = (torch.randint(2, (sequences,), generator=random) * 2.0 - 1.0).to(DTYPE)[index]
    result = SURROGATES[surrogate](
        logprobs, RATIO_LEVELS[level](logprobs, old, index), advantages, index, ALGORITHMS[row]
    )
    # A response's ratio is in the loss of each of its tokens: a product gives a token the sum of theirs, a mean their mean.
    shared = length if level == "sequence_product" else 1
    (gradient,) = torch.autograd.grad(result.loss.sum() / shared, logprobs)
    clipped = (result.clipped_low | result.clipped_high).double().mean()
    return float((gradient / -advantages - 1.0).square().mean().sqrt()), float(clipped)


def gspo_table(r: Result) -> str:
    header = ["ratio", *(f"error, {n} tokens" for n in r["lengths"]), *(f"clipped, {n}" for n in (8, 512))]
    parts = []
    for noise in r["noise"]:
        rows = []
        for name, points in r["kinds"].items():
            mine = {p["length"]: p for p in points if p["noise"] == noise}
            errors = [f"{mine[n]['error']:.3f}" for n in r["lengths"]]
            rows.append([name, *errors, *(f"{mine[n]['clipped']:.1%}" for n in (8, 512))])
        parts.append(f"Noise of {noise:g} nats in each log-probability:\n\n" + table(header, *rows))
    return "\n\n".join(parts)


def gspo_draw(figure: Any, r: Result) -> None:
    axes = figure.subplots(1, len(r["noise"]), sharey=True)
    for axis, noise in zip(axes, r["noise"], strict=True):
        curves = {
            name.replace("`", ""): [max(p["error"], 1e-5) for p in points if p["noise"] == noise]
            for name, points in r["kinds"].items()
        }
        lines(axis, r["lengths"], curves, "-o", xscale="log", yscale="log", xlabel="tokens of a response")
        axis.set_title(f"noise {noise:g}", fontsize=9)
    axes[0].set_ylabel("error of a token's weight")


# --- 8. estimators of the KL --------------------------------------------------------------------------------------


def kl() -> Result:
    """Value and gradient of k1, k2 and k3, in the loss and in the reward: exact, over a vocabulary of 8."""
    found: Result = {"pairs": []}
    for apart in (0.2, 1.5):
        logits = torch.randn(8, generator=generator(0), dtype=DTYPE)
        reference = (logits + apart * torch.randn(8, generator=generator(1), dtype=DTYPE)).log_softmax(-1)
        moving = logits.requires_grad_()
        policy = moving.log_softmax(-1)
        p = policy.detach().exp()  # samples are of the policy as it was: no gradient through them
        forward = (policy.exp() * (policy - reference)).sum()
        backward = (reference.exp() * (reference - policy)).sum()
        wanted, other = (torch.autograd.grad(v, moving, retain_graph=True)[0] for v in (forward, backward))
        pair: Result = {"kl": float(forward.detach()), "reverse": float(backward.detach()), "estimators": {}}
        for name, estimator in KL_ESTIMATORS.items():
            each = estimator(policy, reference)
            mean = (p * each.detach()).sum()
            (in_loss,) = torch.autograd.grad((p * each).sum(), moving, retain_graph=True)
            (in_reward,) = torch.autograd.grad((p * each.detach() * policy).sum(), moving, retain_graph=True)
            pair["estimators"][name] = {
                "mean": float(mean),
                "deviation": float((p * (each.detach() - mean).square()).sum().sqrt()),
                "loss_to_kl": _apart(in_loss, wanted),
                "loss_to_reverse": _apart(in_loss, other),
                "reward_to_kl": _apart(in_reward, wanted),
                "loss_length": float(in_loss.norm() / wanted.norm()),
            }
        found["pairs"].append(pair)
    return found


def _apart(one: Tensor, other: Tensor) -> float:
    return round(float((one - other).norm() / other.norm()), 9)


def kl_table(r: Result) -> str:
    header = [
        "",
        "mean",
        "deviation of one token",
        "as a loss: from ∇KL(π‖ref)",
        "from ∇KL(ref‖π)",
        "in the reward: from ∇KL(π‖ref)",
    ]
    parts = []
    for pair in r["pairs"]:
        rows = [
            [
                f"`{n}`",
                f"{e['mean']:.4f}",
                f"{e['deviation']:.3f}",
                *(f"{e[k]:.3f}" for k in ("loss_to_kl", "loss_to_reverse", "reward_to_kl")),
            ]
            for n, e in pair["estimators"].items()
        ]
        parts.append(f"KL(π‖ref) = {pair['kl']:.4f}, KL(ref‖π) = {pair['reverse']:.4f}:\n\n" + table(header, *rows))
    return "\n\n".join(parts)


def kl_draw(figure: Any, r: Result) -> None:
    axes, pair = figure.subplots(1, 2), r["pairs"][1]
    names = list(pair["estimators"])
    for i, name in enumerate(names):
        e = pair["estimators"][name]
        axes[0].errorbar(i, e["mean"], e["deviation"], fmt="o", color="#1f4e79", capsize=4)
        for shift, (key, colour) in enumerate(
            {"loss_to_kl": "#1f4e79", "loss_to_reverse": "#c55a11", "reward_to_kl": "#6aa84f"}.items()
        ):
            axes[1].bar(i + 0.25 * (shift - 1), e[key], 0.22, color=colour, label=_SAID[key] if i == 0 else None)
    axes[0].axhline(pair["kl"], color="black", linewidth=0.8, linestyle="--")
    axes[0].set_title("value: mean and deviation of one token (dashed: the KL)", fontsize=9)
    axes[1].set_title("gradient: relative distance, 0 is the same", fontsize=9)
    axes[1].legend(frameon=False, fontsize=7)
    for axis in axes:
        axis.set_xticks(range(len(names)), names)


_SAID = {
    "loss_to_kl": "loss, from KL(pi||ref)",
    "loss_to_reverse": "loss, from KL(ref||pi)",
    "reward_to_kl": "reward, from KL(pi||ref)",
}

# --- 11. rejection sampling fine-tuning ---------------------------------------------------------------------------


def rft(seeds: int = 4, rounds: int = 30) -> Result:
    """Imitating the right responses: its gradient against that of J, and where rounds of it end, against a baseline."""
    mdp = paid_at_the_end(prompts=16, vocabulary=3, length=6, needed=[3, 4, 5, 6], seed=0)
    found: Result = {"seeds": seeds, "rounds": rounds, "curves": {}, "identity": _imitation(mdp)}
    for name in ("verified", "right", "group_mean"):
        of_rates = {
            rate: torch.tensor([_round(mdp, name, rate, seed, rounds) for seed in range(seeds)], dtype=DTYPE).mean(0)
            for rate in (*RATES, 180.0)
        }
        rate = max(of_rates, key=lambda rate: float(of_rates[rate][:, 0].sum()))
        curves = of_rates[rate]
        found.setdefault("rates", {})[name] = rate
        found["curves"][name] = {"value": curves[:, 0].tolist(), "entropy": curves[:, 1].tolist()}
    return found


def _imitation(mdp: TokenMDP) -> list[Result]:
    """For each of four prompts: the gradient of the mean log-probability of right responses, against that of log J."""
    logits = mdp.start(seed=1)
    rows = []
    for prompt in range(4):
        one = TokenMDP(mdp.rewards[prompt : prompt + 1], mdp.length)
        moving = logits[prompt : prompt + 1].clone().requires_grad_()
        p, logprobs = one.probabilities(moving.detach())[0], one.logprobs(moving).sum(-1)[0]
        right, value = one.returns[0], float(one.value(moving.detach()))
        kinds = {
            "every": p * right,
            "once": (1.0 - (1.0 - p) ** 64) * right,
        }  # in the record of 64 samples at least once
        row: Result = {"success": value}
        (exact,) = torch.autograd.grad(one.value(moving), moving)
        for name, weight in kinds.items():
            (g,) = torch.autograd.grad((weight / weight.sum() * logprobs).sum(), moving, retain_graph=True)
            row[f"{name}_length"] = float(g.norm() / exact.norm())
            row[f"{name}_cosine"] = float((g * exact).sum() / g.norm() / exact.norm())
        rows.append(row)
    return rows


def _round(mdp: TokenMDP, name: str, rate: float, seed: int, rounds: int) -> list[tuple[float, float]]:
    """J and token entropy before each round and after the last."""
    random, points = generator(seed), []
    places = torch.zeros(mdp.prompts, mdp.length, mdp.vocabulary, dtype=DTYPE)
    asked = torch.arange(mdp.prompts).repeat_interleave(8)
    for number in range(rounds + 1):
        logits = mdp.by_place(places)
        entropy = float(-(places.softmax(-1) * places.log_softmax(-1)).sum(-1).mean())
        points.append((float(mdp.value(logits)), entropy))
        if number == rounds:
            break
        chosen = mdp.sample(logits, asked, random)
        rewards = mdp.returns[asked, chosen]
        if name == "group_mean":
            seen = Rewards(rewards, asked, torch.ones_like(asked, dtype=torch.bool))
            whole = compute_advantages(seen, baseline="group_mean", scale="none")
        else:
            whole = _selected(mdp, chosen, rewards, name)
        places = places + rate * estimate(
            mdp, places, asked, chosen, whole[:, None].expand(-1, mdp.length), by_place=True
        )
    return points


def _selected(mdp: TokenMDP, chosen: Tensor, rewards: Tensor, selection: str) -> Tensor:
    """1 for what the kit's selection keeps, scaled so that its sum is as if all were kept. [responses]"""
    kept = torch.zeros_like(rewards)
    for first in range(0, len(chosen), 8):
        members = range(first, first + 8)
        completions = [
            Completion("t", i, mdp.responses[chosen[m]].tolist(), [], "", "stop", 0) for i, m in enumerate(members)
        ]
        scores = [Score(float(rewards[m])) for m in members]
        picked = SELECTIONS[selection](Group(Task("t", (), ""), Prompt("t", (0,)), completions, scores), 4)
        for i in picked or ():
            kept[first + i] = 1.0
    return kept * len(chosen) / kept.sum().clamp(min=1.0)


def rft_table(r: Result) -> str:
    rows = [
        [
            f"{row['success']:.3f}",
            f"{1 / row['success']:.2f}",
            *(f"{row[k]:.3f}" for k in ("every_length", "every_cosine", "once_length", "once_cosine")),
        ]
        for row in r["identity"]
    ]
    header = [
        "success rate J",
        "1 / J",
        "imitating each right sample: length / ∇J",
        "cosine to ∇J",
        "each text once: length / ∇J",
        "cosine",
    ]
    ends = [
        [
            f"`{n}`",
            f"{r['rates'][n]:g}",
            *(f"{c['value'][i]:.3f}" for i in (5, 15, 30)),
            *(f"{c['entropy'][i]:.3f}" for i in (0, 30)),
        ]
        for n, c in r["curves"].items()
    ]
    second = table(
        ["", "step size", "J after 5 rounds", "after 15", "after 30", "token entropy before", "after 30"], *ends
    )
    return table(header, *rows) + "\n\n" + second


def rft_draw(figure: Any, r: Result) -> None:
    left, right = figure.subplots(1, 2)
    x = range(r["rounds"] + 1)
    lines(left, x, {n: c["value"] for n, c in r["curves"].items()}, xlabel="rounds", ylabel="success rate")
    lines(right, x, {n: c["entropy"] for n, c in r["curves"].items()}, xlabel="rounds", ylabel="token entropy, nats")


# --- 16. old samples ----------------------------------------------------------------------------------------------

WEIGHTS = {  # name: (level, correction, cap)
    "none": ("token", "none", 1.0),
    "token, at most 2": ("token", "truncated", 2.0),
    "sequence, at most 2": ("sequence", "truncated", 2.0),
    "sequence, no cap": ("sequence", "truncated", 1e30),
}


def offline() -> Result:
    """Bias and variance of the gradient from another policy's samples, by weight and distance: exact, over every response."""
    mdp = paid_at_the_end(prompts=4, vocabulary=3, length=6, needed=[4], seed=0)
    behaviour = mdp.start(seed=1)
    uphill = 150.0 * mdp.gradient(behaviour)
    found: Result = {"points": []}
    for share in (0.0, 0.1, 0.25, 0.5, 1.0, 2.0):
        policy = behaviour + share * uphill
        baseline = mdp.value(policy)
        log_weight = mdp.logprobs(policy) - mdp.logprobs(behaviour)
        mu = mdp.probabilities(behaviour)
        p = mdp.probabilities(policy)
        chi2 = float((mu * spread(log_weight.sum(-1))).sum() / mdp.prompts)
        divergence = float((p * log_weight.sum(-1)).sum() / mdp.prompts)
        point: Result = {"kl": divergence, "effective": 1.0 / (1.0 + chi2), "value": float(baseline), "weights": {}}
        index = torch.arange(mdp.returns.numel()).repeat_interleave(mdp.length)
        for name, (level, correction, cap) in WEIGHTS.items():
            weight = CORRECTIONS[correction](LEVELS[level](log_weight.flatten(), index), cap).view_as(log_weight)
            advantages = (mdp.returns - baseline)[..., None] * weight
            bias, variance = mdp.moments(policy, mu / mdp.prompts, advantages)
            point["weights"][name] = {"bias": bias, "variance": variance}
        found["points"].append(point)
    return found


def offline_table(r: Result) -> str:
    header = [
        "KL(π‖μ) of a response",
        "samples left of 100",
        *(f"{part}, {n}" for n in WEIGHTS for part in ("bias²", "variance")),
    ]
    rows = []
    for p in r["points"]:
        cells = [
            f"{p['weights'][n][part]:{form}}" for n in WEIGHTS for part, form in (("bias", ".3f"), ("variance", ".0f"))
        ]
        rows.append([f"{p['kl']:.2f}", f"{100 * p['effective']:.0f}", *cells])
    return table(header, *rows)


def offline_draw(figure: Any, r: Result) -> None:
    axes = figure.subplots(1, 2)
    for axis, part in zip(axes, ("bias", "variance"), strict=True):
        curves = {n: [p["weights"][n][part] for p in r["points"]] for n in WEIGHTS}
        said = {"bias": "squared bias", "variance": "variance of one response"}[part]
        lines(axis, [p["kl"] for p in r["points"]], curves, "-o", xlabel="KL(pi || mu) of a response", ylabel=said)
    axes[1].set_yscale("log")


# --- 17. today's recipe -------------------------------------------------------------------------------------------

ROAD = ("reinforce", "ppo", "grpo", "dr_grpo", "dapo", "gspo", "cispo")


def recipe(size: int = 8) -> Result:
    """What a group teaches by how often its prompt is solved: exact over how many of the group are right."""
    rates = [0.02, 0.05, 0.1, 0.25, 0.5, 0.75, 0.9, 0.95, 0.98]
    found: Result = {"size": size, "rates": rates, "silent": [p**size + (1 - p) ** size for p in rates], "weights": {}}
    for scale in ("none", "group_std", "group_mean"):
        found["weights"][scale] = [_pull(p, size, scale) for p in rates]
    found["runs"] = _learned(*ROAD)
    return found


def _pull(p: float, size: int, scale: str) -> float:
    """The expected gradient of a group over that of its prompt's success rate p.

    Of k right responses each has the advantage a, of the others b; right ones have the mean score grad p / p and wrong ones
    -grad p / (1 - p), so a group gives (k a / p - (size - k) b / (1 - p)) / size times grad p.
    """
    total = 0.0
    for k in range(size + 1):
        rewards = Rewards(
            torch.tensor([1.0] * k + [0.0] * (size - k), dtype=DTYPE), torch.zeros(size, dtype=torch.long),
            torch.ones(size, dtype=torch.bool),
        )  # fmt: skip
        advantages = compute_advantages(rewards, baseline="group_mean", scale=scale)
        pulled = float(advantages[:k].sum()) / p - float(advantages[k:].sum()) / (1.0 - p)
        total += math.comb(size, k) * p**k * (1.0 - p) ** (size - k) * pulled / size
    return total


def recipe_table(r: Result) -> str:
    header = ["solved", "groups of 8 that all agree", *(f"pull, `scale: {s}`" for s in r["weights"])]
    rows = [
        [f"{p:.0%}", f"{r['silent'][i]:.1%}", *(f"{w[i]:.2f}" for w in r["weights"].values())]
        for i, p in enumerate(r["rates"])
    ]
    runs = [
        [
            f"`{run['algorithm']}`",
            f"{run['before']:.1%}",
            f"{run['after']:.1%}",
            f"{run['standard_errors']:.1f}",
            f"{run['cpu_seconds']:.0f}",
        ]
        for run in r["runs"]
    ]
    said = "The road so far on one task, a model and as many tokens each (`benchmarks/learn.py`):"
    return (
        table(header, *rows)
        + f"\n\n{said}\n\n"
        + table(["row", "before", "after", "gain in standard errors", "CPU s"], *runs)
    )


def recipe_draw(figure: Any, r: Result) -> None:
    left, right = figure.subplots(1, 2)
    lines(
        left,
        r["rates"],
        {"agree": r["silent"]},
        "-o",
        xlabel="share of samples that are right",
        ylabel="groups of 8 that teach nothing",
    )
    lines(
        right,
        r["rates"],
        r["weights"],
        "-o",
        yscale="log",
        xlabel="share of samples that are right",
        ylabel="pull of a prompt",
    )
