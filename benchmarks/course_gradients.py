"""Chapters of docs/course.md on policy gradients: Bellman, variance, critics, trust regions, the clip."""

from __future__ import annotations

import math
from typing import Any

import torch
from course_draw import bars, lines, table
from course_mdp import DTYPE, TokenMDP, generator, paid_at_the_end, paid_by_the_whole, paid_by_token
from torch import Tensor

from grpo_kit.objective.advantages import Rewards, compute_advantages
from grpo_kit.objective.algorithms import ALGORITHMS
from grpo_kit.objective.losses import sequence_weights, token_log_ratio
from grpo_kit.objective.returns import generalised_advantages, reward_to_go
from grpo_kit.objective.rows import Objective
from grpo_kit.objective.surrogates import SURROGATES
from grpo_kit.train.trust_region import conjugate_gradient

Result = dict[str, Any]

# --- 1. Bellman ---------------------------------------------------------------------------------------------------


def bellman() -> Result:
    """Sweeps of Bellman's equations: on the token MDP exact after one for each token, on a loop a discount a sweep."""
    mdp = TokenMDP(torch.randn(1, 40, 3, generator=generator(13), dtype=DTYPE), 4)
    truth, best, curve = _optimal(mdp), torch.zeros(1, 40, dtype=DTYPE), []
    for _ in range(6):
        curve.append(float((best - truth).abs().max()))
        best = mdp.action_values(best).amax(-1)
    policy = torch.zeros_like(mdp.rewards)
    returns = [float(mdp.value(policy))]
    while len(returns) < 3 or returns[-1] > returns[-2]:  # policy iteration
        liked = mdp.action_values(mdp.values(policy)).argmax(-1)
        policy = 1e3 * torch.nn.functional.one_hot(liked, 3).to(DTYPE)
        returns.append(float(mdp.value(policy)))
    discount, loop = 0.9, _loop_errors(0.9, sweeps=60)
    return {
        "states": mdp.rewards.shape[1],
        "tokens": mdp.length,
        "uniform": returns[0],
        "policy_iteration": returns[1:],
        "best": float(truth[0, 0]),
        "token_error": curve,
        "loop_error": loop,
        "loop_rate": (loop[60] / loop[30]) ** (1 / 30),
        "discount": discount,
        "loop_sweeps": next(k for k, e in enumerate(loop) if e < 0.01 * loop[0]),
    }


def _loop_errors(discount: float, sweeps: int) -> list[float]:
    """max |V - V*| before each sweep and after the last, on 20 states with 4 actions that lead anywhere by chance."""
    moves = torch.rand(20, 4, 20, generator=generator(1), dtype=DTYPE).pow(8)
    moves, paid = moves / moves.sum(-1, keepdim=True), torch.randn(20, 4, generator=generator(2), dtype=DTYPE)
    values = [torch.zeros(20, dtype=DTYPE)]
    for _ in range(400):  # the last stands for V*
        values.append((paid + discount * moves @ values[-1]).amax(-1))
    return [float((v - values[-1]).abs().max()) for v in values[: sweeps + 1]]


def _optimal(mdp: TokenMDP) -> Tensor:
    """V* by looking at every response: the best return of what may still follow. [prompts, states]"""
    to_go = mdp.earned.flip(-1).cumsum(-1).flip(-1)
    found = torch.full(mdp.rewards.shape[:2], -math.inf, dtype=DTYPE)
    index = mdp.states.flatten().expand(mdp.prompts, -1)
    return found.scatter_reduce(1, index, to_go.flatten(1), "amax")


def bellman_table(r: Result) -> str:
    steps = ", ".join(f"{v:.3f}" for v in r["policy_iteration"])
    return table(
        ["", "token MDP", "MDP with loops"],
        ["states", r["states"], 20],
        ["discount", 1, r["discount"]],
        ["sweeps until the error is below 1 % of the first", r["tokens"], r["loop_sweeps"]],
        ["factor of the error in a sweep, measured", "0 after the last token", f"{r['loop_rate']:.3f}"],
        ["return of the uniform policy", f"{r['uniform']:.3f}", ""],
        ["of each greedy policy after it (policy iteration)", steps, ""],
        ["of the best response, by looking at all", f"{r['best']:.3f}", ""],
    )


def bellman_draw(figure: Any, r: Result) -> None:
    left, right = figure.subplots(1, 2)
    lines(left, range(len(r["token_error"])), {"error": r["token_error"]}, "-o", xlabel="sweep", ylabel="max |V - V*|")
    left.set_title(f"responses of {r['tokens']} tokens", fontsize=9)
    k = range(len(r["loop_error"]))
    bound = [r["loop_error"][0] * r["discount"] ** i for i in k]
    lines(right, k, {"error": r["loop_error"], "discount^k": bound}, xlabel="sweep", yscale="log")
    right.set_title("20 states that may come back", fontsize=9)


# --- 2. the policy gradient and its variance ----------------------------------------------------------------------

RETURNS = {  # name: (returns, baseline) as the kit's axes have them
    "whole return, no baseline": ("response", "none"),
    "whole return, `batch_mean`": ("response", "batch_mean"),
    "whole return, `group_mean`": ("response", "group_mean"),
    "whole return, `leave_one_out`": ("response", "leave_one_out"),
    "reward-to-go, no baseline": ("reward_to_go", "none"),
    "reward-to-go minus V of the policy": ("gae", "critic"),
}


def policy_gradient(batches: int = 500) -> Result:
    """Mean and variance of the gradient of one batch, for six advantages, against the exact gradient."""
    mdp = paid_by_token(prompts=4, vocabulary=3, length=6, seed=0)
    logits = mdp.start(seed=1)
    exact, values = mdp.gradient(logits), mdp.values(logits)
    norm = exact.square().sum()
    found: Result = {"batches": batches, "prompts": mdp.prompts, "group_size": 8, "tokens": mdp.length, "kinds": {}}
    for name, (returns, baseline) in RETURNS.items():
        random = generator(3)  # the same batches for each
        along, squares, total = [], 0.0, torch.zeros_like(exact)
        for _ in range(batches):
            group = torch.arange(mdp.prompts).repeat_interleave(8)
            chosen = mdp.sample(logits, group, random)
            advantages = _advantages(mdp, values, group, chosen, returns, baseline)
            g = estimate(mdp, logits, group, chosen, advantages)
            along.append(float((g * exact).sum() / norm))
            squares += float((g - exact).square().sum() / norm)
            total += g
        mean = sum(along) / batches
        error = math.sqrt(sum((a - mean) ** 2 for a in along) / (batches - 1) / batches)
        bias = float((total / batches - exact).square().sum() / norm)
        found["kinds"][name] = {"length": mean, "length_error": error, "variance": squares / batches - bias}
    return found


def _advantages(mdp: TokenMDP, values: Tensor, group: Tensor, chosen: Tensor, returns: str, baseline: str) -> Tensor:
    """[responses, length], by the kit's functions."""
    earned = mdp.earned[group, chosen]
    if returns == "response":
        rewards = Rewards(earned.sum(-1), group, torch.ones_like(group, dtype=torch.bool))
        whole = compute_advantages(rewards, baseline=baseline, scale="none")
        return whole[:, None].expand_as(earned)
    if returns == "reward_to_go":
        return torch.stack([reward_to_go(r, 1.0) for r in earned])
    seen = values[group[:, None], mdp.states[chosen]]
    return torch.stack([generalised_advantages(r, v, 1.0, 1.0)[0] for r, v in zip(earned, seen, strict=True)])


def estimate(
    mdp: TokenMDP, policy: Tensor, prompts: Tensor, chosen: Tensor, advantages: Tensor, by_place: bool = False
) -> Tensor:
    """The gradient that a batch gives for J: minus that of the kit's surrogate, summed over tokens. As ``policy`` is.

    Args:
        policy: logits of states, or of places. advantages: [responses, length].
    """
    moving = policy.detach().clone().requires_grad_()
    logits = mdp.by_place(moving) if by_place else moving
    logprobs = logits.log_softmax(-1)[prompts[:, None], mdp.states[chosen], mdp.responses[chosen]].flatten()
    index = torch.arange(len(chosen)).repeat_interleave(mdp.length)
    lengths = torch.full((len(chosen),), float(mdp.length), dtype=DTYPE)
    weights = sequence_weights(lengths, aggregation="sequence_sum", max_tokens=mdp.length)
    row, no_ratio = ALGORITHMS["reinforce"], torch.zeros_like(logprobs)
    surrogate = SURROGATES["policy_gradient"](logprobs, no_ratio, advantages.flatten(), index, row)
    (found,) = torch.autograd.grad(-(surrogate.loss * weights[index]).sum(), moving)
    return found


def policy_gradient_table(r: Result) -> str:
    first = next(iter(r["kinds"].values()))["variance"]
    rows = [
        [name, f"{k['length']:.3f} ± {k['length_error']:.3f}", f"{k['variance']:.2f}", f"{k['variance'] / first:.1%}"]
        for name, k in r["kinds"].items()
    ]
    return table(["advantage", "mean along the true gradient", "variance", "of the first"], *rows)


def policy_gradient_draw(figure: Any, r: Result) -> None:
    values = {name.replace("`", ""): kind["variance"] for name, kind in r["kinds"].items()}
    bars(figure.subplots(), values, xlabel="variance of a batch's gradient, in squared lengths of the true gradient")


# --- 3. actor, critic and lambda ----------------------------------------------------------------------------------

TRACES = (0.0, 0.25, 0.5, 0.75, 0.9, 0.95, 1.0)


def gae(responses_of_a_batch: int = 32) -> Result:
    """Bias and variance of the gradient by lambda, for a critic that errs: exact, over every response."""
    mdp = paid_by_token(prompts=2, vocabulary=3, length=6, seed=0)
    logits = mdp.start(seed=1)
    truth = mdp.values(logits)
    noise = torch.randn(truth.shape, generator=generator(5), dtype=DTYPE)
    found: Result = {"responses": responses_of_a_batch, "traces": list(TRACES), "critics": {}}
    for error in (0.0, 0.5, 1.0):
        points = []
        for trace in TRACES:
            seen = (truth + error * noise)[:, mdp.states]
            advantages = [
                torch.stack([generalised_advantages(r, v, 1.0, trace)[0] for r, v in zip(*of, strict=True)])
                for of in zip(mdp.earned, seen, strict=True)
            ]
            bias, variance = mdp.moments(logits, mdp.probabilities(logits) / mdp.prompts, torch.stack(advantages))
            points.append({"bias": bias, "variance": variance / responses_of_a_batch})
        found["critics"][f"{error:g}"] = points
    return found


def gae_table(r: Result) -> str:
    header = ["lambda", *(f"{part}, critic off by {c}" for c in r["critics"] for part in ("bias²", "variance"))]
    rows = []
    for i, trace in enumerate(r["traces"]):
        points = [critic[i] for critic in r["critics"].values()]
        rows.append([f"{trace:g}", *(f"{p[part]:.3f}" for p in points for part in ("bias", "variance"))])
    return table(header, *rows)


def gae_draw(figure: Any, r: Result) -> None:
    axes = figure.subplots(1, len(r["critics"]), sharey=True)
    for axis, (error, points) in zip(axes, r["critics"].items(), strict=True):
        curves = {part: [p[part] for p in points] for part in ("bias", "variance")}
        curves["sum"] = [p["bias"] + p["variance"] for p in points]
        lines(axis, r["traces"], curves, "-o", xlabel="lambda")
        axis.set_title(f"critic off by {error}", fontsize=9)


# --- 4. TRPO's step ------------------------------------------------------------------------------------------------


SCALES = {"all weights alike": (1.0, 1.0, 1.0), "weights of other sizes": (0.1, 1.0, 10.0)}


def trust_region(limit: float = 0.01, steps: int = 40) -> Result:
    """Steps along the gradient and the natural gradient, each as long as the KL allows, for two ways to write a policy."""
    mdp = paid_by_the_whole(prompts=4, vocabulary=3, length=3, seed=0)
    start = 0.5 * torch.randn(4, 3, 3, generator=generator(1), dtype=DTYPE)
    before = float(mdp.value(mdp.by_place(start)))
    found: Result = {"limit": limit, "start": before, "curves": {}, "along": []}
    for kind, scales in SCALES.items():
        scale = torch.tensor(scales, dtype=DTYPE)[:, None]
        for name in ("gradient", "natural gradient"):
            places, curve = start / scale, [before]
            for _ in range(steps):
                direction = _direction(mdp, places, scale, natural=name.startswith("natural"))
                places = places + _length(mdp, places, direction, scale, limit) * direction
                curve.append(float(mdp.value(mdp.by_place(scale * places))))
            found["curves"][f"{name}, {kind}"] = curve
    one = torch.ones(3, 1, dtype=DTYPE)
    direction = _direction(mdp, start, one, natural=True)
    for kl in (0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1.0):
        new = mdp.by_place(start + _length(mdp, start, direction, one, kl) * direction)
        foreseen = _surrogate(mdp, mdp.by_place(start), new)
        found["along"].append({"kl": kl, "foreseen": foreseen, "gained": float(mdp.value(new)) - before})
    return found


def _direction(mdp: TokenMDP, places: Tensor, scale: Tensor, natural: bool) -> Tensor:
    moving = places.clone().requires_grad_()
    logits = mdp.by_place(scale * moving)
    (gradient,) = torch.autograd.grad(mdp.value(logits), moving, retain_graph=True)
    if not natural:
        return gradient
    policy, weight = logits.detach().softmax(-1), mdp.visits(logits.detach())[..., None] / (mdp.prompts * mdp.length)

    def fisher(vector: Tensor) -> Tensor:
        """J^T (diag(pi) - pi pi^T) J v over the states, as often as each is visited: the Hessian of the KL, times v."""
        v = mdp.by_place(scale * vector.view_as(places))
        product = weight * policy * (v - (policy * v).sum(-1, keepdim=True))
        (back,) = torch.autograd.grad(logits, moving, product, retain_graph=True)
        return back.flatten() + 1e-8 * vector

    return conjugate_gradient(fisher, gradient.flatten(), iterations=40).view_as(places)


def _length(mdp: TokenMDP, places: Tensor, direction: Tensor, scale: Tensor, limit: float) -> float:
    """How far along a direction KL(old || new) reaches the limit, by bisection."""

    def within(length: float) -> bool:
        return mdp.divergence(mdp.by_place(scale * places), mdp.by_place(scale * (places + length * direction))) < limit

    low, high = 0.0, 1.0
    while within(high) and high < 1e9:
        high *= 2.0
    for _ in range(25):
        middle = (low + high) / 2.0
        low, high = (middle, high) if within(middle) else (low, middle)
    return low


def _surrogate(mdp: TokenMDP, old: Tensor, new: Tensor) -> float:
    """Sum over the states that the old policy visits of the new policy's advantage (TRPO, arXiv:1502.05477, eq. 3)."""
    values = mdp.values(old)
    advantages = mdp.action_values(values) - values[..., None]
    return float((mdp.visits(old)[..., None] * new.softmax(-1) * advantages).sum() / mdp.prompts)


def trust_region_table(r: Result) -> str:
    first = [[f"{p['kl']:g}", f"{p['foreseen']:.3f}", f"{p['gained']:.3f}"] for p in r["along"]]
    rows = [[name, *(f"{curve[i]:.3f}" for i in (0, 10, 20, 40))] for name, curve in r["curves"].items()]
    second = table([f"J along steps of KL {r['limit']:g}", "at the start", "after 10", "after 20", "after 40"], *rows)
    return (
        table(["KL(old ‖ new) per token of one step", "gain foreseen, E[r A]", "gain of J"], *first) + "\n\n" + second
    )


def trust_region_draw(figure: Any, r: Result) -> None:
    left, right = figure.subplots(1, 2)
    kl = [p["kl"] for p in r["along"]]
    curves = {"foreseen: E[r A]": [p["foreseen"] for p in r["along"]], "gained: J": [p["gained"] for p in r["along"]]}
    lines(left, kl, curves, "-o", xscale="log", xlabel="KL(old || new) per token", ylabel="gain of one step")
    steps = range(len(next(iter(r["curves"].values()))))
    lines(right, steps, r["curves"], xlabel=f"steps of KL {r['limit']:g}", ylabel="J")


# --- 5. the clip ---------------------------------------------------------------------------------------------------

FACTORS = ("importance", "ppo_clip", "cispo", "sapo", "kl_penalty")


def clip(seeds: int = 4, batches: int = 40, updates: int = 20, rate: float = 6.0) -> Result:
    """Many updates of each batch, with and without a bound; and what each surrogate leaves of a token's gradient."""
    mdp = paid_at_the_end(prompts=4, vocabulary=3, length=6, needed=[4], seed=0)
    rows = {
        "no bound (`importance`)": ALGORITHMS["trpo"],
        "`ppo_clip`, 0.2": ALGORITHMS["grpo"],
        "`kl_penalty`, 1": ALGORITHMS["ppo_penalty"],
    }
    found: Result = {"seeds": seeds, "batches": batches, "updates": updates, "rate": rate, "curves": {}}
    for name, row in rows.items():
        runs = torch.zeros(batches + 1, 4, dtype=DTYPE)
        for seed in range(seeds):
            random, places = generator(seed), 0.5 * torch.randn(4, 6, 3, generator=generator(1), dtype=DTYPE)
            runs[0] += torch.tensor([float(mdp.value(mdp.by_place(places))), 0.0, _entropy(places), 0.0]) / seeds
            for batch in range(1, batches + 1):
                old = places
                places, clipped = _reuse(mdp, old, row, random, updates, rate)
                moved = mdp.divergence(mdp.by_place(old), mdp.by_place(places))
                value = float(mdp.value(mdp.by_place(places)))
                runs[batch] += torch.tensor([value, moved, _entropy(places), clipped]) / seeds
        parts = ("value", "kl", "entropy", "clipped")
        found["curves"][name] = dict(zip(parts, runs.T.tolist(), strict=True))
    found["factors"] = {name: _factors(name) for name in FACTORS}
    return found


def _entropy(places: Tensor) -> float:
    """Mean entropy of a token, in nats."""
    return float(-(places.softmax(-1) * places.log_softmax(-1)).sum(-1).mean())


def _reuse(
    mdp: TokenMDP, places: Tensor, row: Objective, random: torch.Generator, updates: int, rate: float
) -> tuple[Tensor, float]:
    """The policy after all updates of one batch that was judged with mistakes, and the share of tokens clipped at the last."""
    group = torch.arange(mdp.prompts).repeat_interleave(8)
    chosen = mdp.sample(mdp.by_place(places), group, random)
    right = mdp.returns[group, chosen]
    wrong = torch.rand(len(group), generator=random, dtype=DTYPE) < 0.2  # one verdict in five is mistaken
    rewards = Rewards(torch.where(wrong, 1.0 - right, right), group, torch.ones_like(group, dtype=torch.bool))
    advantages = compute_advantages(rewards, baseline="group_mean", scale="group_std")
    index = torch.arange(len(chosen)).repeat_interleave(mdp.length)
    where = group[:, None], torch.arange(mdp.length), mdp.responses[chosen]
    old = places.log_softmax(-1)[where].flatten()
    for _ in range(updates):
        moving = places.clone().requires_grad_()
        logprobs = moving.log_softmax(-1)[where].flatten()
        ratio = token_log_ratio(logprobs, old, index)
        surrogate = SURROGATES[row.surrogate](logprobs, ratio, advantages[index], index, row)
        (gradient,) = torch.autograd.grad(surrogate.loss.mean(), moving)
        places = places - rate * gradient
    return places, float((surrogate.clipped_low | surrogate.clipped_high).double().mean())


def _factors(name: str) -> list[float]:
    """d loss / d log pi over -A at ratios 0.7, 1 and 1.3, for A = 1 and then A = -1."""
    row = {"cispo": ALGORITHMS["cispo"], "sapo": ALGORITHMS["sapo"]}.get(name, ALGORITHMS["grpo"])
    logprobs = torch.tensor([0.7, 1.0, 1.3] * 2, dtype=DTYPE).log().requires_grad_()
    advantages = torch.tensor([1.0] * 3 + [-1.0] * 3, dtype=DTYPE)
    result = SURROGATES[name](logprobs, logprobs, advantages, torch.arange(6), row)
    (gradient,) = torch.autograd.grad(result.loss.sum(), logprobs)
    return [round(v, 6) + 0.0 for v in (gradient / -advantages).tolist()]


def clip_table(r: Result) -> str:
    header = ["`surrogate`", *(f"r = {x}, A {sign} 0" for sign in (">", "<") for x in (0.7, 1.0, 1.3))]
    factors = table(header, *([f"`{n}`", *(f"{v:.2f}" for v in values)] for n, values in r["factors"].items()))
    rows = []
    for name, c in r["curves"].items():
        values = [f"{c['value'][i]:.3f}" for i in (1, 10, 40)]
        rows.append([name, *values, f"{c['kl'][1]:.3f}", f"{c['clipped'][1]:.0%}", f"{c['entropy'][40]:.3f}"])
    header = [
        "",
        "J after 1 batch",
        "after 10",
        "after 40",
        "KL of the first batch, per token",
        "clipped",
        "entropy after 40",
    ]
    first = next(iter(r["curves"].values()))
    said = f"J was {first['value'][0]:.3f} and the entropy of a token {first['entropy'][0]:.3f} nats before."
    return f"{factors}\n\n{said}\n\n{table(header, *rows)}"


def clip_draw(figure: Any, r: Result) -> None:
    left, right = figure.subplots(1, 2)
    x = range(r["batches"] + 1)
    said = {name.replace("`", ""): c for name, c in r["curves"].items()}
    for axis, part, label in ((left, "value", "true success rate"), (right, "entropy", "entropy of a token, nats")):
        lines(axis, x, {n: c[part] for n, c in said.items()}, xlabel=f"batches of {r['updates']} updates", ylabel=label)
