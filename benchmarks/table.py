"""Write the tables and the picture of docs/performance.md from benchmarks/results: `python benchmarks/table.py`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

RESULTS = Path(__file__).parent / "results"
PAGE = Path(__file__).parents[1] / "docs" / "performance.md"
PICTURE = PAGE.with_name("performance.svg")
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


def vllm(result: dict[str, Any]) -> list[str]:
    lines = [
        "| tokens/s, same model and prompts | embedded engine | vLLM on this CPU | transformers.generate |",
        "|---|---|---|---|",
    ]
    for name, case in result["cases"].items():
        rates = (case[f"{side}_tokens_per_second"] for side in ("our", "vllm", "transformers"))
        lines.append(f"| {name} | " + " | ".join(f"{rate:,}" for rate in rates) + " |")
    return lines


def scaling(result: dict[str, Any]) -> list[str]:
    lines = ["| CPU milliseconds per token | whole step | sampling | update |", "|---|---|---|---|"]
    for kind, label in (("tokens", "{} tokens a step"), ("group", "groups of {}, 8,192 tokens")):
        for point, parts in result[f"milliseconds_per_token_by_{kind}"].items():
            seconds = (parts[name] for name in ("step", "generate", "forward_backward"))
            lines.append(f"| {label.format(f'{int(point):,}')} | " + " | ".join(f"{s:.3f}" for s in seconds) + " |")
    lines += ["", "| vocabulary | memory that a pass adds, MB | with whole logits, MB |", "|---|---|---|"]
    for size, case in result["vocabulary"].items():
        lines.append(f"| {int(size):,} | {case['our_added_mb']:,} | {case['full_logits_added_mb']:,} |")
    return lines


def processors(result: dict[str, Any]) -> list[str]:
    """What it was measured on: all of it, or each case."""
    measured = [result] if "machine" in result else result["cases"].values()
    return sorted({part["machine"]["cpu"] for part in measured})


TABLES = (
    ("step", step),
    ("generate", lambda r: simple(r, "tokens/s of the embedded engine against transformers.generate")),
    ("generate_vllm", vllm),
    ("limits", lambda r: simple(r, "forward and backward of 30 M parameters against the machine's GEMM rate")),
    ("scaling", scaling),
)


def draw(results: dict[str, dict[str, Any]]) -> None:
    """Every ratio as a bar, with a line where it is wanted."""
    import matplotlib as mpl

    mpl.use("Agg")
    mpl.rcParams["svg.hashsalt"] = "grpo-kit"  # the same results draw the same bytes
    from matplotlib import pyplot as plt

    panels = (
        ("step", "a step's cost against TRL's (lower is better)"),
        ("generate", "tokens/s against transformers.generate (higher is better)"),
        ("limits", "share of the machine's GEMM rate (higher is better)"),
    )
    cases = [{n: c for n, c in results[name]["cases"].items() if isinstance(c, dict)} for name, _ in panels]
    figure, axes = plt.subplots(
        len(panels), figsize=(7, 5.5), layout="constrained", height_ratios=[len(c) + 1 for c in cases]
    )
    for axis, (_, title), found in zip(axes, panels, cases, strict=True):
        names = list(found)[::-1]
        for row, name in enumerate(names):
            ratio, target = found[name]["ratio"], found[name]["target"]
            reached = ratio <= target if "cost" in title else ratio >= target
            axis.barh(row, ratio, color="#1f4e79" if reached else "#c55a11", height=0.6)
            axis.plot([target, target], [row - 0.4, row + 0.4], color="black", linewidth=1.5)
            axis.text(ratio, row, f" {ratio:.2f}", va="center", fontsize=8)
        axis.set_yticks(range(len(names)), names, fontsize=8)
        axis.set_title(title, fontsize=9, loc="left")
        axis.margins(x=0.1)
        axis.spines[["top", "right"]].set_visible(False)
    figure.savefig(PICTURE, metadata={"Date": None})
    plt.close(figure)


def main() -> None:
    parts, results = [], {}
    for name, make in TABLES:
        for suffix in ("", "_2_threads"):
            result = read(name + suffix)
            if result is not None:
                results[name + suffix] = result
                where = f"{', '.join(processors(result))}, {2 if suffix else 1} thread{'s' if suffix else ''}."
                parts.append("\n".join([*make(result), "", where]))
    draw(results)
    picture = "![ratios of one thread, black lines where they are wanted](performance.svg)"
    text = PAGE.read_text()
    before, rest = text.split(BEGIN)
    PAGE.write_text(before + BEGIN + "\n" + "\n\n".join([picture, *parts]) + "\n" + END + rest.split(END)[1])


if __name__ == "__main__":
    main()
