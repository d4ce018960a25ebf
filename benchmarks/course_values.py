"""Chapters of docs/course.md on action values: SARSA and Q-learning, the maximum's overestimation, SAC's temperature."""

from __future__ import annotations

import math
import random
from typing import Any

import torch
from course_draw import lines, table
from course_mdp import DTYPE, TokenMDP, generator, paid_by_token
from torch import Tensor

Result = dict[str, Any]

# --- 13. SARSA and Q-learning -------------------------------------------------------------------------------------

ROWS, COLUMNS = 4, 12
MOVES = ((-1, 0), (1, 0), (0, -1), (0, 1))


def sarsa(seeds: int = 10, episodes: int = 1000, epsilon: float = 0.1) -> Result:
    """The cliff of Sutton and Barto (example 6.6): what each earns while it explores, and without exploring."""
    found: Result = {"seeds": seeds, "episodes": episodes, "epsilon": epsilon, "curves": {}, "greedy": {}, "edge": {}}
    for name in ("sarsa", "q_learning"):
        runs = [_walk(name, seed, episodes, epsilon) for seed in range(seeds)]
        earned = torch.tensor([r[0] for r in runs], dtype=DTYPE).mean(0)
        found["curves"][name] = earned.view(-1, 10).mean(1).tolist()
        found["greedy"][name] = sum(r[1] for r in runs) / seeds
        found["edge"][name] = sum(r[2] for r in runs) / seeds
    return found


def _walk(name: str, seed: int, episodes: int, epsilon: float) -> tuple[list[float], float, float]:
    """Returns while learning, that of the greedy policy, and the share of its steps that go along the edge."""
    draw = random.Random(seed)
    q = [[0.0] * 4 for _ in range(ROWS * COLUMNS)]

    def act(state: int) -> int:
        return draw.randrange(4) if draw.random() < epsilon else max(range(4), key=q[state].__getitem__)

    returns = []
    for _ in range(episodes):
        state, total = (ROWS - 1) * COLUMNS, 0.0
        action = act(state)
        for _ in range(1000):
            following, reward, ended = _move(state, action)
            chosen = act(following)
            value = 0.0 if ended else q[following][chosen] if name == "sarsa" else max(q[following])
            q[state][action] += 0.25 * (reward + value - q[state][action])
            state, action, total = following, chosen, total + reward
            if ended:
                break
        returns.append(total)
    state, total, edge, steps = (ROWS - 1) * COLUMNS, 0.0, 0, 0
    for _ in range(100):
        state, reward, ended = _move(state, max(range(4), key=q[state].__getitem__))
        total, edge, steps = total + reward, edge + (state // COLUMNS == ROWS - 2), steps + 1
        if ended:
            break
    return returns, total, edge / steps


def _move(state: int, action: int) -> tuple[int, float, bool]:
    row, column = divmod(state, COLUMNS)
    row = min(max(row + MOVES[action][0], 0), ROWS - 1)
    column = min(max(column + MOVES[action][1], 0), COLUMNS - 1)
    if row == ROWS - 1 and 0 < column < COLUMNS - 1:
        return (ROWS - 1) * COLUMNS, -100.0, False
    return row * COLUMNS + column, -1.0, row == ROWS - 1 and column == COLUMNS - 1


def sarsa_table(r: Result) -> str:
    rows = [
        [
            {"sarsa": "SARSA", "q_learning": "Q-learning"}[n],
            f"{sum(c[-10:]) / 10:.1f}",
            f"{r['greedy'][n]:.1f}",
            f"{r['edge'][n]:.0%}",
        ]
        for n, c in r["curves"].items()
    ]
    return table(
        ["", "return of the last 100 episodes, exploring", "return of the greedy policy", "its steps along the edge"],
        *rows,
    )


def sarsa_draw(figure: Any, r: Result) -> None:
    axis = figure.subplots()
    x = [10 * (i + 0.5) for i in range(len(r["curves"]["sarsa"]))]
    lines(axis, x, {"SARSA": r["curves"]["sarsa"], "Q-learning": r["curves"]["q_learning"]}, xlabel="episode",
          ylabel="return, exploring", ylim=(-120, 0))  # fmt: skip


# --- 14. overestimation -------------------------------------------------------------------------------------------

ACTIONS = (2, 8, 32, 128, 1024)


def dqn(draws: int = 2000) -> Result:
    """The maximum of noisy values whose truth is 0, of one table and of two; and what it does to a learner."""
    found: Result = {"draws": draws, "actions": list(ACTIONS), "single": [], "double": [], "learners": {}}
    for actions in ACTIONS:
        one, two = torch.randn(2, draws, actions, generator=generator(actions), dtype=DTYPE)
        found["single"].append(float(one.amax(-1).mean()))
        found["double"].append(float(two.gather(-1, one.argmax(-1, keepdim=True)).mean()))
    for name in ("q_learning", "double"):
        runs = [_left_or_right(name, seed) for seed in range(300)]
        found["learners"][name] = torch.tensor([r[0] for r in runs], dtype=DTYPE).mean(0).view(-1, 10).mean(1).tolist()
        found.setdefault("believed", {})[name] = sum(r[1] for r in runs) / len(runs)
    return found


def _left_or_right(name: str, seed: int, episodes: int = 300, epsilon: float = 0.1) -> tuple[list[float], float]:
    """Right ends with 0, left leads to ten tokens that earn N(-0.1, 1): when left was chosen, and its believed worth."""
    draw = random.Random(seed)
    start, after = [[0.0, 0.0], [0.0, 0.0]], [[0.0] * 10, [0.0] * 10]  # two tables; the first alone without double
    lefts = []
    for _ in range(episodes):
        tables = 2 if name == "double" else 1
        liked = [sum(start[k][a] for k in range(tables)) for a in (0, 1)]
        explore = draw.random() < epsilon or liked[0] == liked[1]
        left = draw.random() < 0.5 if explore else liked[0] > liked[1]
        lefts.append(float(left))
        mine = draw.randrange(tables)
        other = 1 - mine if tables == 2 else mine
        if not left:
            start[mine][1] += 0.1 * (0.0 - start[mine][1])
            continue
        best = max(range(10), key=after[mine].__getitem__)
        start[mine][0] += 0.1 * (after[other][best] - start[mine][0])
        sums = [sum(after[k][a] for k in range(tables)) for a in range(10)]
        token = draw.randrange(10) if draw.random() < epsilon else max(range(10), key=sums.__getitem__)
        mine = draw.randrange(tables)
        after[mine][token] += 0.1 * (draw.gauss(-0.1, 1.0) - after[mine][token])
    tables = 2 if name == "double" else 1
    return lefts, sum(start[k][0] for k in range(tables)) / tables


def dqn_table(r: Result) -> str:
    header = ["tokens to choose from", *(f"{n:,}" for n in r["actions"])]
    first = table(
        header,
        ["mean of max Q (truth 0, noise 1)", *(f"{v:.2f}" for v in r["single"])],
        ["mean of Q₂(argmax Q₁)", *(f"{v:.2f}" for v in r["double"])],
        ["bound sqrt(2 log n)", *(f"{math.sqrt(2 * math.log(n)):.2f}" for n in r["actions"])],
    )
    rows = [
        [
            {"q_learning": "Q-learning", "double": "double Q-learning"}[n],
            f"{c[4]:.0%}",
            f"{c[-1]:.0%}",
            f"{r['believed'][n]:.2f}",
        ]
        for n, c in r["learners"].items()
    ]
    return (
        first
        + "\n\n"
        + table(["left (worth -0.1) chosen", "episodes 41 to 50", "the last ten", "believed worth of left"], *rows)
    )


def dqn_draw(figure: Any, r: Result) -> None:
    left, right = figure.subplots(1, 2)
    lines(
        left,
        r["actions"],
        {"max Q": r["single"], "double": r["double"]},
        "-o",
        xscale="log",
        xlabel="tokens to choose from",
        ylabel="estimate of 0",
    )
    x = [10 * (i + 0.5) for i in range(len(r["learners"]["double"]))]
    lines(
        right,
        x,
        {"Q-learning": r["learners"]["q_learning"], "double": r["learners"]["double"]},
        xlabel="episode",
        ylabel="chose left, worth -0.1",
    )


# --- 15. the temperature ------------------------------------------------------------------------------------------

TEMPERATURES = (0.01, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0)


def sac(target: float = 0.5) -> Result:
    """The soft optimum of a token MDP by temperature, and the temperature that finds a target entropy by itself."""
    mdp = paid_by_token(prompts=4, vocabulary=3, length=6, seed=0)
    found: Result = {"target": target, "temperatures": list(TEMPERATURES), "points": [], "automatic": []}
    for temperature in TEMPERATURES:
        found["points"].append(_soft(mdp, temperature))
    log_temperature = math.log(5.0)
    for _ in range(61):
        point = _soft(mdp, math.exp(log_temperature))
        found["automatic"].append({"temperature": math.exp(log_temperature), "entropy": point["entropy"]})
        # d/d log alpha of alpha (H - target), over alpha (SAC, arXiv:1812.05905, eq. 18)
        log_temperature -= 1.0 * (point["entropy"] - target)
    return found


def _soft(mdp: TokenMDP, temperature: float) -> Result:
    """The soft optimum: V = alpha log sum exp(Q / alpha), pi = softmax(Q / alpha)."""
    values = torch.zeros(mdp.rewards.shape[:2], dtype=DTYPE)
    for _ in range(mdp.length):
        values = temperature * (mdp.action_values(values) / temperature).logsumexp(-1)
    logits = mdp.action_values(values) / temperature
    return {
        "return": float(mdp.value(logits)),
        "entropy": _entropy(mdp, logits),
        "soft_value": float(values[:, 0].mean()),
    }


def _entropy(mdp: TokenMDP, logits: Tensor) -> float:
    """Mean entropy of a token, in nats."""
    of_states = -(logits.softmax(-1) * logits.log_softmax(-1)).sum(-1)
    return float((mdp.visits(logits) * of_states).sum() / (mdp.prompts * mdp.length))


def sac_table(r: Result) -> str:
    rows = [
        [f"{t:g}", f"{p['return']:.3f}", f"{p['entropy']:.3f}", f"{p['soft_value']:.3f}"]
        for t, p in zip(r["temperatures"], r["points"], strict=True)
    ]
    last = r["automatic"][-1]
    said = f"With a target of {r['target']:g} nats the temperature goes from 5 to {last['temperature']:.3f}"
    said = f"{said}, where the entropy is {last['entropy']:.3f}."
    return table(["temperature α", "return of 6", "entropy of a token, nats", "soft value"], *rows) + f"\n\n{said}"


def sac_draw(figure: Any, r: Result) -> None:
    left, right = figure.subplots(1, 2)
    left.plot(
        [p["entropy"] for p in r["points"]], [p["return"] for p in r["points"]], "-o", color="#1f4e79", markersize=3.5
    )
    left.set(xlabel="entropy of a token, nats", ylabel="return")
    for t, p in zip(r["temperatures"], r["points"], strict=True):
        left.annotate(f" {t:g}", (p["entropy"], p["return"]), fontsize=7)
    curves = {
        "temperature": [p["temperature"] for p in r["automatic"]],
        "entropy": [p["entropy"] for p in r["automatic"]],
    }
    lines(right, range(len(r["automatic"])), curves, xlabel="updates of the temperature")
