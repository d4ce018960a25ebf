"""The scoring pool: throughput of a trivial verifier, the delay that a hanging one causes, ten thousand hostile calls.

python benchmarks/scoring.py [--hostile 10000] [--workers 2]     writes benchmarks/results/scoring.json
"""

from __future__ import annotations

import argparse
import ctypes
import json
import os
import platform
import random
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from own_process import children, resident_mb

from grpo_kit.scoring import Scorer, VerifierSpec
from grpo_kit.types import Group, Task

GROUP_SIZE = 16
RESPONSE = "<think>Some reasoning that a response would have, of ordinary length.</think> The answer is 42."
HOSTILE = {
    "ok": "ok", "wrong": "ok", "raise": "error", "exit": "error", "segfault": "error", "memory": "error",
    "flood": "ok", "hang": "timeout",
}  # fmt: skip
MEMORY_MB = 256


def trivial(response, answer):
    return response.endswith(answer)


def hostile(response, answer):
    """Does what the response says."""
    if response == "raise":
        raise ValueError("boom")
    if response == "hang":
        while True:
            pass
    if response == "exit":
        os._exit(3)
    if response == "segfault":
        ctypes.string_at(0)
    if response == "memory":
        bytearray(MEMORY_MB * 2**21)
    if response == "flood":
        for _ in range(16):
            print("x" * 2**20)
            print("y" * 2**20, file=sys.stderr)
    return response == answer


def groups(texts: Sequence[str], answer: str) -> list[Group]:
    made = []
    for start in range(0, len(texts), GROUP_SIZE):
        name = f"t{start}"
        task = Task(name, ({"role": "user", "content": "q"},), answer, {})
        made.append(Group.of_texts(task, texts[start : start + GROUP_SIZE]))
    return made


def throughput(workers: int, count: int = 200_000) -> dict[str, float]:
    """Completions per second of wall time; beside it the bare function in this process."""
    work = groups([RESPONSE] * count, "42.")
    with Scorer([VerifierSpec(f"{__file__}:trivial")], workers=workers) as scorer:
        list(scorer.score_groups(work[:200]))
        rates = []
        for _ in range(3):
            started = time.perf_counter()
            for _ in scorer.score_groups(work):
                pass
            rates.append(count / (time.perf_counter() - started))
    with Scorer([VerifierSpec(f"{__file__}:trivial")], workers=0) as scorer:
        started = time.perf_counter()
        for _ in scorer.score_groups(work):
            pass
        in_process = count / (time.perf_counter() - started)
    best = max(rates)
    return {"completions_per_second": best, "in_process_per_second": in_process, "microseconds_each": 1e6 / best}


def hang_delay(workers: int, count: int = 1000) -> dict[str, float]:
    """Wall time of 1,000 good completions, with and without one that hangs under a deadline of 1 s."""
    seconds = {}
    for name, texts in (
        ("good", ["ok"] * count),
        ("with_hang", ["ok"] * (count // 2) + ["hang"] + ["ok"] * (count // 2)),
    ):
        with Scorer([VerifierSpec(f"{__file__}:hostile", timeout=1.0)], workers=workers) as scorer:
            list(scorer.score_groups(groups(["ok"] * 64, "ok")))
            started = time.perf_counter()
            scored = list(scorer.score_groups(groups(texts, "ok")))
            seconds[name] = time.perf_counter() - started
        statuses = Counter(score.status for group in scored for score in group.scores)
        assert statuses["ok"] == count, statuses
    return seconds | {"delay_seconds": seconds["with_hang"] - seconds["good"]}


def hostile_calls(workers: int, count: int) -> dict[str, object]:
    """Mixed hostile calls: every one accounted for, and nothing left behind."""
    rng = random.Random(0)
    kinds = list(HOSTILE)
    weights = [20, 20, 20, 12, 12, 12, 3, 1]
    texts = rng.choices(kinds, weights, k=count)
    outcomes: Counter[str] = Counter()
    wrong: list[str] = []
    resident = []
    with tempfile.TemporaryDirectory() as folder:
        tempfile.tempdir = folder
        started = time.perf_counter()
        with Scorer(
            [VerifierSpec(f"{__file__}:hostile", timeout=1.0)],
            workers=workers,
            memory_mb=MEMORY_MB,
            error_patience=10**9,
        ) as scorer:
            for group in scorer.score_groups(groups(texts, "ok")):
                resident.append(resident_mb())
                for completion, score in zip(group.completions, group.scores, strict=True):
                    outcomes[f"{completion.text}: {score.status}"] += 1
                    right = score.status == HOSTILE[completion.text] and (score.value == 1.0) == (
                        completion.text == "ok"
                    )
                    if not right:
                        wrong.append(f"{completion.text}: {score}")
            replaced = scorer._pool.replaced if scorer._pool else 0
        seconds = time.perf_counter() - started
        tempfile.tempdir = None
        left = os.listdir(folder)
    quarter = len(resident) // 4
    return {
        "calls": count,
        "accounted_for": sum(outcomes.values()),
        "wrong": wrong[:10],
        "outcomes": dict(sorted(outcomes.items())),
        "workers_replaced": replaced,
        "seconds": seconds,
        "children_left": children(),
        "files_left": left,
        "trainer_resident_mb_first_quarter": max(resident[:quarter]),
        "trainer_resident_mb_last_quarter": max(resident[-quarter:]),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--hostile", type=int, default=10_000)
    parser.add_argument("--workers", type=int, default=2)
    chosen = parser.parse_args()
    results = {
        "machine": {
            "cores": os.cpu_count(),
            "load_average": os.getloadavg(),
            "python": platform.python_version(),
            "system": platform.platform(),
        },
        "workers": chosen.workers,
        "throughput": throughput(chosen.workers),
        "hang": hang_delay(chosen.workers),
        "hostile": hostile_calls(chosen.workers, chosen.hostile),
    }
    text = json.dumps(results, indent=2)
    print(text)
    target = Path(__file__).parent / "results" / "scoring.json"
    target.parent.mkdir(exist_ok=True)
    target.write_text(text + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
