"""Accuracy and speed of the math verifier beside Math-Verify, in one run on one core.

    python benchmarks/verify_math.py                       # both, on ../shared/data/math_dev.jsonl
    python benchmarks/verify_math.py --peer none           # without the peer
    python benchmarks/verify_math.py --corpus other.jsonl --adversarial hostile.jsonl --rewards cases.jsonl

Needs the scoring script ../shared/bench/score_math.py and, for the peer, ``pip install math-verify==0.9.0`` in the
interpreter given by ``--peer-python``. Writes benchmarks/results/verify_math.json.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import os
import platform
import subprocess
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
SHARED = ROOT.parent / "shared"
TARGET = "grpo_kit.verifiers.math:verify"
KEPT = (
    "n", "accuracy", "category_macro", "FP", "FN", "positives", "negatives", "errors", "over_1s", "p50_ms", "p95_ms",
    "p99_ms", "max_ms", "cpu_p50_ms", "cpu_p95_ms", "cpu_p99_ms", "checks_per_s", "checks_per_cpu_s",
)  # fmt: skip


def load_scorer() -> ModuleType:
    path = SHARED / "bench" / "score_math.py"
    if not path.is_file():
        sys.exit(f"no scoring script at {path}")
    spec = importlib.util.spec_from_file_location("score_math", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def import_seconds() -> dict[str, float]:
    """Time to import the fast path in a fresh interpreter, the best of five, and what it did not import."""
    code = (
        "import time,sys; t=time.process_time(); import grpo_kit.verifiers.math as m; d=time.process_time()-t;"
        "m.verify('The answer is 5.','5'); print(d, int('sympy' in sys.modules), int('mpmath' in sys.modules))"
    )
    runs = [subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True) for _ in range(5)]
    values = [[float(part) for part in run.stdout.split()] for run in runs]
    return {"import_cpu_s": min(v[0] for v in values), "sympy_imported": values[0][1], "mpmath_imported": values[0][2]}


def by_kind(path: Path) -> dict[str, Any]:
    """Reward cases by their kind of fault (the first word of ``kind``), those of this verifier only."""
    from grpo_kit.verifiers.math import verify

    right: dict[str, list[bool]] = {}
    wrong = {"FP": 0, "FN": 0}
    for line in path.read_text(encoding="utf-8").splitlines():
        case = json.loads(line)
        if case["tool"] != "math.verify" or not isinstance(case["expected"], (int, float)):
            continue
        paid, expected = verify(case["response"], case["gold"]).value >= 0.5, case["expected"] >= 0.5
        right.setdefault(case["kind"].split()[0], []).append(paid is expected)
        if paid is not expected:
            wrong["FP" if paid else "FN"] += 1
    n = sum(map(len, right.values()))
    return {
        "corpus": path.name,
        "n": n,
        "accuracy": sum(map(sum, right.values())) / n,
        **wrong,
        "right_of": {kind: f"{sum(verdicts)}/{len(verdicts)}" for kind, verdicts in sorted(right.items())},
    }


def verdicts(results: list[dict[str, Any]]) -> list[bool]:
    return [bool(result["v"]) for result in results]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--corpus", type=Path, default=SHARED / "data" / "math_dev.jsonl")
    parser.add_argument("--adversarial", type=Path, default=SHARED / "data" / "math_adversarial_dev.jsonl")
    parser.add_argument("--rewards", type=Path, default=SHARED / "data" / "rewards_dev.jsonl")
    parser.add_argument("--peer", default="math_verify", help="a built-in peer of score_math.py, or none")
    parser.add_argument("--peer-python", default=sys.executable)
    parser.add_argument("--out", type=Path, default=ROOT / "benchmarks" / "results" / "verify_math.json")
    arguments = parser.parse_args()
    os.environ["PYTHONPATH"] = os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])
    scorer = load_scorer()
    records = scorer.load(arguments.corpus)
    report: dict[str, Any] = {"corpus": arguments.corpus.name, "python": platform.python_version(), **import_seconds()}
    names = [(TARGET, sys.executable)] + ([] if arguments.peer == "none" else [(arguments.peer, arguments.peer_python)])
    for name, python in names:
        results, wall, ready = scorer.run_corpus(records, name, python, 30, False)
        summary = scorer.summarize(records, results, wall, ready, 1)
        report[name] = {key: summary[key] for key in KEPT}
        if name == TARGET:
            threaded, _, _ = scorer.run_corpus(records, name, python, 30, True)
            report["same_verdicts_from_a_thread"] = verdicts(results) == verdicts(threaded)
    if arguments.adversarial.is_file():
        hostile = scorer.run_adversarial(scorer.load(arguments.adversarial), TARGET, sys.executable, 20, 4096, False)
        report["adversarial"] = {
            "cases": len(hostile),
            "passed": sum(case["pass"] for case in hostile),
            "slowest_s": max(case["dt"] for case in hostile),
            "peak_mb": max(case["peak_mb"] for case in hostile),
        }
    if arguments.rewards.is_file():
        report["rewards"] = by_kind(arguments.rewards)
    if len(names) == 2:
        ours, peer = report[TARGET], report[arguments.peer]
        report["throughput_ratio"] = ours["checks_per_s"] / peer["checks_per_s"]
        report["cpu_throughput_ratio"] = ours["checks_per_cpu_s"] / peer["checks_per_cpu_s"]
    arguments.out.parent.mkdir(parents=True, exist_ok=True)
    arguments.out.write_text(json.dumps(report, indent=2) + "\n")
    print(json.dumps(report, indent=2))


if __name__ == "__main__":
    main()
