"""Fail when a ratio is more than 10 % worse than the committed one: `python benchmarks/check.py` after `make bench`.

Compared are the files in benchmarks/results with those of the last commit. A ratio to a peer's cost should be low, one to
the machine's limit or to a peer's rate high; which it is follows from where the target stands.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

RESULTS = Path(__file__).parent / "results"
LOWER_IS_BETTER = ("step", "step_2_threads")
HIGHER_IS_BETTER = ("generate", "generate_2_threads", "limits", "limits_2_threads")
TOLERANCE = 0.10


def committed(name: str) -> dict[str, Any] | None:
    shown = subprocess.run(
        ["git", "show", f"HEAD:./results/{name}.json"], cwd=RESULTS.parent, capture_output=True, text=True, check=False
    )
    return json.loads(shown.stdout) if shown.returncode == 0 else None


def ratios(result: dict[str, Any]) -> dict[str, float]:
    return {name: case["ratio"] for name, case in result["cases"].items() if isinstance(case, dict)}


def worse(name: str, now: float, then: float) -> bool:
    return now > then * (1 + TOLERANCE) if name in LOWER_IS_BETTER else now < then * (1 - TOLERANCE)


def main() -> None:
    failed = False
    for name in (*LOWER_IS_BETTER, *HIGHER_IS_BETTER):
        path, before = RESULTS / f"{name}.json", committed(name)
        if before is None or not path.is_file():
            continue
        then, now = ratios(before), ratios(json.loads(path.read_text()))
        for case in sorted(then.keys() & now.keys()):
            bad = worse(name, now[case], then[case])
            failed |= bad
            print(f"{name:<20} {case:<20} {then[case]:.3f} -> {now[case]:.3f}{'   WORSE' if bad else ''}")
        for case in sorted(then.keys() - now.keys()):
            failed = True
            print(f"{name:<20} {case:<20} {then[case]:.3f} -> not measured   WORSE")
    sys.exit(failed)


if __name__ == "__main__":
    main()
