"""Write the tables of docs/performance.md from benchmarks/results: `python benchmarks/table.py`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

RESULTS = Path(__file__).parent / "results"
PAGE = Path(__file__).parents[1] / "docs" / "performance.md"
BEGIN, END = "<!-- made by benchmarks/table.py -->", "<!-- end -->"


def read(name: str) -> dict[str, Any] | None:
    path = RESULTS / f"{name}.json"
    return json.loads(path.read_text()) if path.is_file() else None


def step(result: dict[str, Any]) -> list[str]:
    lines = [
        "| step against TRL | ours / TRL | wanted | seconds ours, TRL | peak memory ours / TRL | mean length ours, TRL |",
        "|---|---|---|---|---|---|",
    ]
    for name, case in result["cases"].items():
        lines.append(
            f"| {name} | **{case['ratio']:.2f}** | {case['target']:.2f} | {case['our_seconds']:.1f}, {case['trl_seconds']:.1f} "
            f"| {case['memory_ratio']:.2f} | {case['our_mean_length']:.0f}, {case['trl_mean_length']:.0f} |"
        )
    return lines


def simple(result: dict[str, Any], title: str) -> list[str]:
    lines = [f"| {title} | ratio | wanted |", "|---|---|---|"]
    cases = {n: c for n, c in result["cases"].items() if isinstance(c, dict)}
    return lines + [f"| {name} | **{case['ratio']:.2f}** | {case['target']:.2f} |" for name, case in cases.items()]


def main() -> None:
    parts = []
    for name, title in (
        ("step", ""),
        ("generate", "tokens/s of the embedded engine against transformers.generate"),
        ("limits", "forward and backward of 30 M parameters against the machine's GEMM rate"),
    ):
        for suffix in ("", "_2_threads"):
            result = read(name + suffix)
            if result is not None:
                made = step(result) if name == "step" else simple(result, title)
                parts.append(
                    "\n".join(
                        [*made, "", f"{result['machine']['cpu']}, {2 if suffix else 1} thread{'s' if suffix else ''}."]
                    )
                )
    text = PAGE.read_text()
    before, rest = text.split(BEGIN)
    PAGE.write_text(before + BEGIN + "\n" + "\n\n".join(parts) + "\n" + END + rest.split(END)[1])


if __name__ == "__main__":
    main()
