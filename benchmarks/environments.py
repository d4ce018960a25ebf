"""Episodes: how busy a tool keeps its workers, what a turn costs beside the environment, ten thousand hostile calls.

python benchmarks/environments.py [--episodes 1000] [--hostile 17000] [--workers 2]   writes benchmarks/results/environments.json
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from own_process import children, resident_mb

from tests.kit.hostile_episodes import hostile
from tests.kit.said import open_episodes, play, prepared, task

TURNS = 4
SAMPLES = 8


def calm(count: int, turn: str) -> dict[tuple[str, int], list[str]]:
    return {(f"t{n // SAMPLES}", n % SAMPLES): [turn] * (TURNS - 1) + ["done"] for n in range(count)}


def timed(workers: int, count: int, turn: str) -> dict[str, float]:
    """Episodes whose next turn comes as soon as there is a reply: wall and CPU seconds of this process, and the tool's own."""
    scripts = calm(count, turn)
    with open_episodes(workers=workers, max_inserted=10**6) as episodes:
        tasks = prepared(episodes, [task(name) for name in dict.fromkeys(name for name, _ in scripts)])
        with episodes.open_round(tasks) as replies:
            cpu, started = time.process_time(), time.perf_counter()
            ends = play(replies, scripts)
            wall, cpu = time.perf_counter() - started, time.process_time() - cpu
    assert all(end.ending == "done" for end in ends.values())
    inside = sum(turn.seconds for end in ends.values() for turn in end.turns)
    return {
        "episodes": count,
        "turns": TURNS * count,
        "seconds": wall,
        "busy": inside / (workers * wall),
        "wall_microseconds_per_turn": 1e6 * wall / (TURNS * count),
        "cpu_microseconds_per_turn": 1e6 * cpu / (TURNS * count),
    }


def best(workers: int, count: int, turn: str) -> dict[str, float]:
    """Of three: whatever else the machine does makes it slower, never faster."""
    return min((timed(workers, count, turn) for _ in range(3)), key=lambda found: found["seconds"])


def hostile_calls(workers: int, calls: int) -> dict[str, Any]:
    """Every call accounted for, nothing left behind, and the trainer's memory flat."""
    with tempfile.TemporaryDirectory() as folder:
        tempfile.tempdir = folder
        hostile(400, 0, 8.0, workers)
        before, started = resident_mb(), time.perf_counter()
        account = hostile(calls, calls // 700, 8.0, workers)
        account |= {"seconds": time.perf_counter() - started, "trainer_resident_mb": [before, resident_mb()]}
        tempfile.tempdir = None
        left = os.listdir(folder)
    return account | {"wrong": account["wrong"][:10], "files_left": left, "children_left": children()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--episodes", type=int, default=1000)
    parser.add_argument(
        "--hostile", type=int, default=17_000, help="calls asked for; an episode ends at its first harm"
    )
    parser.add_argument("--workers", type=int, default=2)
    chosen = parser.parse_args()
    results: dict[str, Any] = {
        "machine": {
            "cores": os.cpu_count(),
            "load_average": os.getloadavg(),
            "python": platform.python_version(),
            "system": platform.platform(),
        },
        "workers": chosen.workers,
        "tool_of_a_millisecond": best(chosen.workers, chosen.episodes, "sleep 0.001"),
        "nothing_to_do": best(1, chosen.episodes, "a"),
    }
    if chosen.hostile:
        results["hostile"] = hostile_calls(chosen.workers, chosen.hostile)
    text = json.dumps(results, indent=2)
    print(text)
    target = Path(__file__).parent / "results" / "environments.json"
    target.parent.mkdir(exist_ok=True)
    target.write_text(text + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
