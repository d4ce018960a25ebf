"""How long until something happens: import, help, and the first prompt of a run.

python benchmarks/startup.py [--rounds 5]

Each is a fresh process, the best of several; TRL's import beside ours where it is installed. Prints a table and writes
benchmarks/results/startup.json.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

RESULTS = Path(__file__).parent / "results" / "startup.json"
SCRIPT = str(Path(sys.executable).with_name("grpo-kit"))
# Up to the first prompt: everything that `train` does before it asks the engine for a response.
FIRST_PROMPT = """
import os, sys
from grpo_kit.generate.torch_engine import TorchEngine
TorchEngine.generate = lambda *a: os._exit(0)
sys.argv = ["grpo-kit", "train", "quickstart/addition", "warm_start=null", "--run-dir", sys.argv[1]]
from grpo_kit.cli.app import main
main()
"""


def cases(folder: str) -> dict[str, tuple[list[str], float | None]]:
    """Command and wanted wall seconds."""
    found: dict[str, tuple[list[str], float | None]] = {
        "import grpo_kit": ([sys.executable, "-c", "import grpo_kit"], None),
        "grpo-kit --help": ([SCRIPT, "--help"], 0.3),
        "grpo-kit train, to the first prompt": ([sys.executable, "-c", FIRST_PROMPT, f"{folder}/run"], 3.0),
        "the model class alone": ([sys.executable, "-c", "from transformers import Qwen2ForCausalLM"], None),
    }
    if importlib.util.find_spec("trl"):
        found["from trl import GRPOTrainer"] = ([sys.executable, "-c", "from trl import GRPOTrainer"], None)
    return found


def measure(command: list[str]) -> tuple[float, float]:
    """Wall and CPU seconds of one process."""
    before, begun = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    wall, after = time.perf_counter() - begun, resource.getrusage(resource.RUSAGE_CHILDREN)
    return wall, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    rounds = parser.parse_args().rounds
    os.environ["OMP_NUM_THREADS"] = "1"
    result = {}
    for name in cases(""):
        seconds = []
        for _ in range(rounds):
            with tempfile.TemporaryDirectory() as folder:
                seconds.append(measure(cases(folder)[name][0]))
        wall, cpu = min(w for w, _ in seconds), min(c for _, c in seconds)
        result[name] = {"wall": round(wall, 3), "cpu": round(cpu, 3), "wanted": cases("")[name][1]}
        print(f"{name:<40} {wall:7.3f} s  {cpu:7.3f} CPU s  wanted {result[name]['wanted'] or '-'}", flush=True)
    RESULTS.write_text(json.dumps(result, indent=2) + "\n")


if __name__ == "__main__":
    main()
