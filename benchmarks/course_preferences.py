"""Chapters of docs/course.md on preferences: DPO, IPO and KTO, and the four models of RLHF."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import torch
from course_draw import lines, table
from course_mdp import DTYPE, generator
from learn import train
from torch import Tensor

from grpo_kit.objective.preference import bradley_terry, ipo, kto, sigmoid

Result = dict[str, Any]

# --- 9. DPO -------------------------------------------------------------------------------------------------------


METRICS = {  # of good and of bad responses
    "dpo": ("pairs/chosen_logprob", "pairs/rejected_logprob"),
    "ipo": ("pairs/chosen_logprob", "pairs/rejected_logprob"),
    "kto": ("kto/good_logprob", "kto/bad_logprob"),
}


def dpo(folder: Path) -> Result:
    """Three shipped recipes as they are: the log-probabilities of good and bad responses, new ones in every step."""
    found: Result = {"runs": {}}
    for name, (good, bad) in METRICS.items():
        rows = [r for r in train(f"preference/{name}", folder / name, "evaluation=null")["rows"] if good in r]
        found["runs"][name] = {"good": [r[good] for r in rows], "bad": [r[bad] for r in rows]}
    return found


def dpo_table(r: Result) -> str:
    rows = []
    for name, run in r["runs"].items():
        first, last = ({k: sum(v[part]) / 3 for k, v in run.items()} for part in (slice(0, 3), slice(-3, None)))
        cells = [f"{v:.2f}" for k in ("good", "bad") for v in (first[k], last[k])]
        rows.append(
            [f"`preference/{name}`", *cells, f"{first['good'] - first['bad']:.2f} → {last['good'] - last['bad']:.2f}"]
        )
    return table(
        ["recipe", "log π(good), first 3 steps", "last 3", "log π(bad), first 3", "last 3", "difference"], *rows
    )


def dpo_draw(figure: Any, r: Result) -> None:
    axes = figure.subplots(1, 3, sharey=True)
    for axis, (name, run) in zip(axes, r["runs"].items(), strict=True):
        lines(axis, range(1, len(run["good"]) + 1), run, xlabel="step")
        axis.set_title(f"preference/{name}", fontsize=9)
    axes[0].set_ylabel("log-probability of a response")


# --- 10. IPO and KTO ----------------------------------------------------------------------------------------------

BETA, AT = 0.1, (10, 100, 1000)


def ipo_kto() -> Result:
    """The margin of two responses by gradient descent on each loss, when all judges agree and when four of five do."""
    found: Result = {"beta": BETA, "at": list(AT), "agree": {}, "split": {}}
    for kind, agreement in (("agree", 1.0), ("split", 0.8)):
        for name, loss in LOSSES.items():
            found[kind][name] = _descend(loss, agreement)
    found["closed"] = {"dpo": math.log(0.8 / 0.2) / BETA, "ipo": 0.6 / (2 * BETA), "ipo_agree": 1 / (2 * BETA)}
    return found


_ONE = torch.ones(1, dtype=DTYPE)


def _kto(good: Tensor, bad: Tensor) -> Tensor:
    """The chosen one labelled good and the rejected one bad, with z = 0."""
    margins, labels = torch.cat([good, bad]), torch.tensor([True, False])
    return kto(margins, labels, torch.zeros((), dtype=DTYPE), BETA).sum()


LOSSES = {
    "DPO": lambda good, bad: sigmoid(good, bad, _ONE, _ONE, BETA).sum(),
    "IPO": lambda good, bad: ipo(good, bad, _ONE, _ONE, BETA).sum(),
    "KTO": _kto,
}


def _descend(loss: Any, agreement: float) -> list[float]:
    """The margin m_w - m_l after `AT` updates of the two margins; a pair is turned round as often as judges disagree."""
    margins, found = torch.zeros(2, dtype=DTYPE), []
    for step in range(1, AT[-1] + 1):
        moving = margins.clone().requires_grad_()
        good, bad = moving[:1], moving[1:]
        value = agreement * loss(good, bad) + (1.0 - agreement) * loss(bad, good)
        (gradient,) = torch.autograd.grad(value, moving)
        margins = margins - gradient * (0.1 if loss is LOSSES["IPO"] else 10.0)
        if step in AT:
            found.append(float(margins[0] - margins[1]))
    return found


def ipo_kto_table(r: Result) -> str:
    header = ["margin of the pair", *(f"after {n:,} updates" for n in r["at"]), "optimum"]
    ends = {
        "agree": {"DPO": "∞", "IPO": f"1 / (2 beta) = {r['closed']['ipo_agree']:g}", "KTO": "∞"},
        "split": {
            "DPO": f"logit(0.8) / beta = {r['closed']['dpo']:.2f}",
            "IPO": f"0.6 / (2 beta) = {r['closed']['ipo']:g}",
            "KTO": "∞",
        },
    }
    rows = [
        [
            f"{name}, {'all judges agree' if kind == 'agree' else 'four of five agree'}",
            *(f"{v:.2f}" for v in values),
            ends[kind][name],
        ]
        for kind in ("agree", "split")
        for name, values in r[kind].items()
    ]
    return table(header, *rows)


def ipo_kto_draw(figure: Any, r: Result) -> None:
    axes = figure.subplots(1, 2, sharey=True)
    for axis, kind, title in zip(axes, ("agree", "split"), ("all judges agree", "four of five agree"), strict=True):
        lines(axis, r["at"], r[kind], "-o", xscale="log", xlabel="updates")
        axis.set_title(title, fontsize=9)
    axes[0].set_ylabel("margin of the pair, nats")


# --- 12. RLHF -----------------------------------------------------------------------------------------------------

BETAS = (10.0, 3.0, 1.0, 0.7, 0.5, 0.3, 0.2, 0.1, 0.03)


def rlhf(seeds: int = 20, responses: int = 200, pairs: int = 400) -> Result:
    """A reward model from pairs that the reference wrote, and the exact optimum against it at every beta."""
    found: Result = {"responses": responses, "pairs": pairs, "seeds": seeds, "betas": list(BETAS)}
    points = torch.zeros(len(BETAS), 4, dtype=DTYPE)
    for seed in range(seeds):
        random = generator(seed)
        reference = (1.5 * torch.randn(responses, generator=random, dtype=DTYPE)).log_softmax(-1)
        truth = torch.randn(responses, generator=random, dtype=DTYPE)
        shown = torch.multinomial(reference.exp(), 2 * pairs, replacement=True, generator=random).view(pairs, 2)
        first = torch.rand(pairs, generator=random, dtype=DTYPE) < (truth[shown[:, 0]] - truth[shown[:, 1]]).sigmoid()
        chosen, rejected = torch.where(first, shown[:, 0], shown[:, 1]), torch.where(first, shown[:, 1], shown[:, 0])
        scores = _reward_model(chosen, rejected, responses)
        scores = scores + (reference.exp() * (truth - scores)).sum()  # a level that pairs cannot tell
        for i, beta in enumerate(BETAS):
            policy = (reference + scores / beta).log_softmax(-1)  # argmax of E r - beta KL(policy || reference)
            p = policy.exp()
            points[i] += torch.stack(
                [(p * (policy - reference)).sum(), (p * scores).sum(), (p * truth).sum(), -(p * policy).sum()]
            )
    for name, values in zip(("kl", "proxy", "true", "entropy"), (points / seeds).T.tolist(), strict=True):
        found[name] = values
    return found


def _reward_model(chosen: Tensor, rejected: Tensor, responses: int, steps: int = 150) -> Tensor:
    """A score of each response by Bradley-Terry, without any prior: those that were rarely seen are guessed boldly."""
    scores = torch.zeros(responses, dtype=DTYPE, requires_grad=True)
    optimizer = torch.optim.Adam([scores], lr=0.1)
    for _ in range(steps):
        optimizer.zero_grad()
        bradley_terry(scores[chosen], scores[rejected]).mean().backward()
        optimizer.step()
    return scores.detach()


def rlhf_table(r: Result) -> str:
    rows = [
        [f"{beta:g}", f"{r['kl'][i]:.2f}", f"{r['proxy'][i]:.2f}", f"{r['true'][i]:.2f}", f"{r['entropy'][i]:.2f}"]
        for i, beta in enumerate(r["betas"])
    ]
    return table(["`beta`", "KL(π‖ref), nats", "reward model's reward", "true reward", "entropy of π"], *rows)


def rlhf_draw(figure: Any, r: Result) -> None:
    curves = {"reward model": r["proxy"], "true reward": r["true"]}
    lines(
        figure.subplots(), r["kl"], curves, "-o", xlabel="KL(pi || ref) of the optimum, nats", ylabel="expected reward"
    )
