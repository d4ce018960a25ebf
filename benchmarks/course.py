"""Every number and picture of docs/course.md: a chapter is a function that measures, one that draws and one that makes its table.

python benchmarks/course.py [--only CHAPTER ...] [--keep FOLDER]

All but `dpo` are exact or sampled on token MDPs so small that every response can be listed, with the kit's own formulas
(`grpo_kit/objective`), in seconds. `dpo` trains three shipped recipes, a CPU minute each. Writes benchmarks/results/course.json,
docs/course/CHAPTER.svg and the tables of docs/course.md after every chapter.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

import course_gradients
import course_groups
import course_preferences
import course_values
import torch
from course_draw import Draw, picture
from pages import put

ROOT = Path(__file__).resolve().parents[1]
RESULTS = Path(__file__).parent / "results" / "course.json"
PAGE = ROOT / "docs" / "course.md"
DIGITS = 6  # significant ones that are kept


@dataclass(frozen=True)
class Chapter:
    """measure: its results. table: Markdown of them. draw: the picture. runs: whether it trains, in a folder it is given."""

    measure: Callable[..., dict[str, Any]]
    table: Callable[[dict[str, Any]], str]
    draw: Draw
    runs: bool = False


def _of(module: ModuleType, name: str, runs: bool = False) -> Chapter:
    return Chapter(getattr(module, name), getattr(module, f"{name}_table"), getattr(module, f"{name}_draw"), runs)


CHAPTERS = {
    **{n: _of(course_gradients, n) for n in ("bellman", "policy_gradient", "gae", "trust_region", "clip")},
    **{n: _of(course_groups, n) for n in ("group", "gspo", "kl")},
    "dpo": _of(course_preferences, "dpo", runs=True),
    "ipo_kto": _of(course_preferences, "ipo_kto"),
    "rft": _of(course_groups, "rft"),
    "rlhf": _of(course_preferences, "rlhf"),
    **{n: _of(course_values, n) for n in ("sarsa", "dqn", "sac")},
    **{n: _of(course_groups, n) for n in ("offline", "recipe")},
}


def measured(name: str, folder: Path) -> dict[str, Any]:
    """The results of a chapter as they are written: numbers to `DIGITS` digits."""
    chapter = CHAPTERS[name]
    return kept(chapter.measure(folder) if chapter.runs else chapter.measure())


def kept(value: Any) -> Any:
    if isinstance(value, float):
        return float(f"{value:.{DIGITS}g}")
    if isinstance(value, dict):
        return {key: kept(one) for key, one in value.items()}
    return [kept(one) for one in value] if isinstance(value, list) else value


def write(results: dict[str, Any], names: list[str]) -> None:
    """All results as JSON in the order of the chapters; the pictures and tables of ``names``."""
    ordered = {name: results[name] for name in CHAPTERS if name in results}
    RESULTS.write_text(json.dumps(ordered, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    for name in names:
        picture(CHAPTERS[name].draw, results[name], PAGE.parent / "course" / f"{name}.svg")
        put(PAGE, f"course_{name}", CHAPTERS[name].table(results[name]))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", nargs="+", choices=list(CHAPTERS), default=list(CHAPTERS), metavar="CHAPTER")
    parser.add_argument(
        "--keep", type=Path, help="a folder for the runs of `dpo`; what is finished there is not run again"
    )
    parser.add_argument(
        "--again", action="store_true", help="measure nothing: draw, and write the tables of what is recorded"
    )
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    results = json.loads(RESULTS.read_text(encoding="utf-8")) if RESULTS.is_file() else {}
    with tempfile.TemporaryDirectory() as scratch:
        folder = (arguments.keep or Path(scratch)).resolve()
        folder.mkdir(parents=True, exist_ok=True)
        for name in arguments.only:
            if not arguments.again:
                results[name] = measured(name, folder)
            write(results, [name])
            print(f"{name}\n{CHAPTERS[name].table(results[name])}\n", flush=True)


if __name__ == "__main__":
    main()
