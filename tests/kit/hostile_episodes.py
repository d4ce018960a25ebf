"""Episodes a third of whose turns do harm, and the account of them."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from grpo_kit.generate.base import Reply
from tests.kit.obeying import ENDS
from tests.kit.said import heard, open_episodes, play, prepared, task

TURNS = 4
TASKS = 4
HANGING = "hang", "wait"
# How often each comes; what writes into the channel may or may not break it. Hanging calls are counted apart, as each takes its
# whole deadline, which must be long enough for the other calls on a machine with more to do.
WEIGHTS = {
    "draw": 60, "flood": 4, "fork": 4, "raise": 6, "exit": 6, "kill": 4, "segfault": 3, "memory": 3, "string": 4, "nan": 3,
    "write": 2, "close": 2,
}  # fmt: skip


def hostile(calls: int, hangs: int, timeout: float, workers: int = 2, seed: int = 0) -> dict[str, Any]:
    """Play so many calls and account for each. ``wrong`` holds what was not as it had to be.

    Args:
        hangs: episodes that hang at one of their turns; every other one in a loop, the rest in a lock.
        timeout: seconds of a call.
    """
    rng = random.Random(seed)
    scripts = {
        (f"t{number % TASKS}", number // TASKS): [*rng.choices([*WEIGHTS], [*WEIGHTS.values()], k=TURNS - 1), "done 1"]
        for number in range(calls // TURNS)
    }
    for number in range(hangs):
        scripts[f"t{number % TASKS}", calls + number] = ["draw"] * (number % (TURNS - 1)) + [
            HANGING[number % 2],
            "done 1",
        ]
    with open_episodes(
        workers=workers, timeout=timeout, memory_mb=256, arguments={"error_patience": 10**9}
    ) as episodes:
        tasks = prepared(episodes, [task(f"t{number}", "chance") for number in range(TASKS)])
        with episodes.open_round(tasks) as replies:
            ends = play(replies, scripts)
        statistics = dict(episodes.statistics())
    outcomes, wrong = Counter[str](), []
    draws: dict[tuple[str, ...], list[str]] = {}
    for key, script in scripts.items():
        end = ends[key]
        last = script[len(end.turns) - 1]
        outcomes[f"{last.split()[0]}: {end.outcome.status if end.outcome else end.ending}"] += 1
        problem = _judged(key, script, end, draws)
        if problem:
            wrong.append(f"{script}: {problem}")
    return {
        "episodes": len(scripts),
        "calls_asked": sum(map(len, scripts.values())),
        "calls_made": sum(len(end.turns) for end in ends.values()),
        "accounted_for": sum(outcomes.values()),
        "wrong": wrong,
        "outcomes": dict(sorted(outcomes.items())),
        "statistics": statistics,
    }


def _judged(key: tuple[str, int], script: Sequence[str], end: Reply, draws: dict[tuple[str, ...], list[str]]) -> str:
    """What is wrong with how an episode went; empty for nothing. draws: what siblings with the same turns were told."""
    told = tuple(script[: len(end.turns) - 1])
    status = {**ENDS, "write": ""}.get(script[len(told)], "ok")
    if any(ENDS.get(word) in ("error", "timeout") for word in told):
        return "it went on after it had failed"
    if end.outcome is None or (status and end.outcome.status != status):
        return f"it ended as {end.outcome} and not as {status}"
    if status == "ok" and (end.ending, end.outcome.value) != ("done", 1.0):
        return f"it ended with {end.ending}, {end.outcome}"
    if status != "ok" and end.outcome.value != 0.0:
        return f"it was paid {end.outcome.value}"
    said = heard(end)
    if draws.setdefault((key[0], *told), said) != said:
        return f"it was told {said}, and a sibling {draws[key[0], *told]}"
    return ""


def failures(account: Mapping[str, Any]) -> int:
    return sum(count for name, count in account["outcomes"].items() if not name.endswith(": ok"))
