"""What an environment costs that ends every episode at once: quickstart/addition with it and without it, a step of each by turns.

python benchmarks/one_turn.py [--steps 12]   writes benchmarks/results/one_turn.json

Both sides are processes with one thread, begin with the same warm start and sample the same tokens (law 11). CPU seconds are
those of the trainer, and of it with all that it has started; the order within a pair alternates.
"""

from __future__ import annotations

import argparse
import io
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import median
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

RECIPE = "quickstart/addition"
OVERRIDES = ("threads=1", "evaluation=null", "train.save_every=null")
ENVIRONMENT = f"environment={{name: '{ROOT / 'tests' / 'kit' / 'played.py'}:OneTurn', max_inserted: 32}}"
TICKS = os.sysconf("SC_CLK_TCK")
FIRST = 2  # steps of each side that do not count


def cpu_of(pid: int) -> float:
    """CPU seconds of a process and of all that it has started and not yet waited for."""
    found = 0.0
    for task in Path(f"/proc/{pid}/task").iterdir():
        found += sum(map(cpu_of, map(int, (task / "children").read_text().split())))
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return found + sum(map(int, fields[11:15])) / TICKS


class Side:
    """A process that trains a step whenever it is told to."""

    def __init__(self, warm: Path, *overrides: str) -> None:
        command = [sys.executable, __file__, "--side", str(warm), *overrides]
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self._line()

    def step(self) -> dict[str, float]:
        assert self.process.stdin is not None
        print("step", file=self.process.stdin, flush=True)
        found: dict[str, float] = json.loads(self._line())
        return found

    def _line(self) -> str:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            if line.startswith("@"):
                return line[1:]
        raise SystemExit(f"a side ended early (exit code {self.process.wait()})")

    def close(self) -> None:
        assert self.process.stdin is not None
        self.process.stdin.close()
        self.process.wait()


def side(warm: Path, overrides: list[str]) -> None:
    """In a process of its own. warm: a folder for the weights of the warm start, made here if they are not there."""
    from rich.console import Console

    from grpo_kit.config.read import load_recipe
    from grpo_kit.observe.console import RunConsole
    from grpo_kit.observe.run_directory import RunDirectory
    from grpo_kit.train.loop import OnlineTrainer

    with tempfile.TemporaryDirectory() as scratch:
        config = load_recipe(RECIPE, [*OVERRIDES, *overrides])
        run = RunDirectory.create(Path(scratch) / "run", config)
        made = warm / "warm_start"
        if made.is_dir():
            shutil.copytree(made, run.path / "warm_start")
        trainer = OnlineTrainer(config, run, RunConsole(Console(file=io.StringIO())))
        try:
            trainer._open(None, None)
            if not made.is_dir():
                shutil.copytree(run.path / "warm_start", made)
            print("@{}", flush=True)
            for _ in sys.stdin:
                own, tree = time.process_time(), cpu_of(os.getpid())
                groups = trainer._next_groups()
                trainer.progress.step += 1
                trainer.learn(groups)
                own, tree = time.process_time() - own, cpu_of(os.getpid()) - tree
                tokens = sum(len(c.token_ids) for g in groups for c in g.completions)
                print("@" + json.dumps({"trainer": own, "all": tree, "tokens": tokens}), flush=True)
        finally:
            trainer.close()


def compare(warm: Path, steps: int) -> dict[str, Any]:
    if not (warm / "warm_start").is_dir():
        Side(warm).close()
    sides = [Side(warm), Side(warm, ENVIRONMENT)]
    pairs: list[list[dict[str, float]]] = []
    for number in range(FIRST + steps):
        order = sides if number % 2 == 0 else sides[::-1]
        found = {each: each.step() for each in order}
        pairs.append([found[each] for each in sides])
        without, within = pairs[-1]
        assert without["tokens"] == within["tokens"], "the environment changed what was sampled"
        print({key: round(within[key] / without[key], 3) for key in ("trainer", "all")}, flush=True)
    for each in sides:
        each.close()
    counted = pairs[FIRST:]
    result: dict[str, Any] = {"recipe": RECIPE, "steps": steps, "load": round(os.getloadavg()[0], 1)}
    for key in ("trainer", "all"):
        result[f"cpu_seconds_{key}"] = [round(median(pair[at][key] for pair in counted), 3) for at in (0, 1)]
        result[f"ratio_{key}"] = round(median(pair[1][key] / pair[0][key] for pair in counted), 4)
        # Whatever else the machine does makes a step dearer, never cheaper.
        least = [min(pair[at][key] / pair[at]["tokens"] for pair in counted) for at in (0, 1)]
        result[f"least_ratio_{key}"] = round(least[1] / least[0], 4)
    return result


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", type=int, default=12)
    parser.add_argument("--warm", type=Path, help="a folder that keeps the warm start; default: a temporary one")
    parser.add_argument("--side", nargs="+", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.side:
        side(Path(options.side[0]), options.side[1:])
        return
    with tempfile.TemporaryDirectory() as scratch:
        found = compare(options.warm or Path(scratch), options.steps)
    text = json.dumps(found, indent=2)
    print(text)
    (Path(__file__).parent / "results" / "one_turn.json").write_text(text + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
