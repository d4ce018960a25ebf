"""From a run, an evaluation or several evaluations on disk to one HTML file that needs nothing else."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from grpo_kit.errors import UserError
from grpo_kit.evaluate.commands import evaluations_in, labels_of
from grpo_kit.evaluate.compare import Comparison, Evaluated, compare
from grpo_kit.evaluate.protocol import Result, read_evaluation
from grpo_kit.evaluate.records import RESULTS_FILE, Record
from grpo_kit.evaluate.show import estimate, notes, percent, protocol_lines, table_rows
from grpo_kit.observe.run_directory import read_json_lines
from grpo_kit.runtime.scratch_file import write_whole

from .chart import Panel, Table, number
from .head import read_config, run_head
from .packing import page_of
from .panels import kind_of, run_panels
from .rows import Row, evaluation_rows, run_rows
from .samples import evaluation_panels

REPORT_FILE = "report.html"
LIMIT = 10_000
FLIPS = 200  # of one comparison


def write_report(folder: Path, target: Path | None = None, limit: int = LIMIT) -> Path:
    """Write the page of a run, of an evaluation, or of a folder of evaluations, whole or not at all.

    A run may be in progress.

    Raises:
        UserError: the folder is none of them, or something in it is damaged.
    """
    if (folder / "config.yaml").is_file() and not (folder / RESULTS_FILE).is_file():
        page = _run_page(folder, limit)
    else:
        page = _evaluations_page(folder, finished_evaluations(folder), limit)
    target = target or folder / REPORT_FILE
    write_whole(target, page)
    return target


def finished_evaluations(folder: Path) -> list[Path]:
    """The evaluations in a folder: itself, or one subfolder for each checkpoint. Raises UserError where there is none."""
    found = [place for place in evaluations_in(folder) if (place / RESULTS_FILE).is_file()]
    if not found:
        raise UserError(
            f"{folder} is neither a run (no config.yaml) nor a finished evaluation (no {RESULTS_FILE}, here or one folder below)"
        )
    return found


def _run_page(folder: Path, limit: int) -> str:
    config = read_config(folder)
    metrics = read_json_lines(folder / "metrics.jsonl")
    kind = kind_of(config["algorithm"], bool(config.get("examples")), Table.of(metrics))
    verifiers = config.get("verifiers") or [{}]
    judge = verifiers[0].get("name") if isinstance(verifiers[0], dict) else None
    rows, total = run_rows(folder, limit, judge if len(verifiers) > 1 else None)
    panels, idle = run_panels(metrics, config["rollout"]["prompts_per_step"], kind)
    head = run_head(folder, config, metrics, kind, [_shown(len(rows), total)] if rows else [])
    head["idle"] = idle
    return page_of(folder.resolve().name, head, panels, rows, _pieces(folder, rows))


def read_evaluations(places: Sequence[Path]) -> list[Evaluated]:
    """Evaluations with labels that tell them apart."""
    sides = [Evaluated(*read_evaluation(place)) for place in places]
    if len({side.label for side in sides}) < len(sides):
        for side, label in zip(sides, labels_of([str(p.resolve()) for p in places]), strict=True):
            side.result.model["label"] = label
    return sides


def evaluated_rows(sides: Sequence[Evaluated], limit: int) -> tuple[list[Row], int]:
    """The completions of evaluations, the same share of each, and how many there are."""
    rows: list[Row] = []
    total = 0
    for side in sides:
        verifiers = {task: str(found.protocol["verifier"]["name"]) for task, found in side.result.tasks.items()}
        label = side.label if len(sides) > 1 else ""
        found, count = evaluation_rows(side.records, verifiers, max(1, limit // len(sides)), label)
        rows, total = rows + found, total + count
    return rows, total


def _evaluations_page(folder: Path, places: Sequence[Path], limit: int) -> str:
    sides = read_evaluations(places)
    rows, total = evaluated_rows(sides, limit)
    results = [side.result for side in sides]
    tables = [_results(results)]
    if len(sides) > 1:
        compared, refused = _compared(sides)
        tables += [_differences(compared, refused)] if compared or refused else []
        tables += [_flips(comparison) for comparison in compared if comparison.flips]
        title, facts = folder.resolve().name, [f"{len(sides)} evaluated checkpoints", *(side.label for side in sides)]
    else:
        title, facts = sides[0].label, [f"evaluation of {results[0].model['path']}"]
    panels: list[Panel] = []
    for side in sides:
        panels += evaluation_panels(side.records, side.label if len(sides) > 1 else "")
    head = {"facts": [*facts, _shown(len(rows), total)], "tiles": _accuracy_tiles(results)}
    return page_of(title, head, panels, rows, _pieces_of(results, rows), tables)


def _accuracy_tiles(results: Sequence[Result]) -> list[dict[str, str]]:
    tiles = []
    for task in dict.fromkeys(task for result in results for task in result.tasks):
        found = [result.tasks[task] for result in results if task in result.tasks]
        values = [percent(_primary(one.metrics)["value"]) for one in found]
        verifier = found[0].protocol["verifier"]["name"]
        detail = f"accuracy in %, judged by {verifier}, {found[0].metrics['problems']} problems"
        tiles.append({"label": task, "value": " → ".join(values), "detail": detail})
    return tiles


def _primary(metrics: dict[str, Any]) -> dict[str, Any]:
    return dict(metrics["avg"] if metrics["samples"] else metrics["greedy"])


def _results(results: Sequence[Result]) -> dict[str, Any]:
    header, cells = table_rows(results)
    estimates = [_primary(task.metrics) for result in results for task in result.tasks.values()]
    intervals = [{key: number(e.get(key)) for key in ("value", "low", "high")} for e in estimates]
    said = [*notes(results), *protocol_lines(results)]
    return {"title": "Results", "header": header, "rows": cells, "intervals": intervals, "notes": said}


def _compared(sides: Sequence[Evaluated]) -> tuple[list[Comparison], list[str]]:
    """What can be compared with the first; what cannot be is said in the page rather than left without one."""
    try:
        return compare(sides), []
    except UserError as error:
        return [], [str(error)]


def _differences(compared: Sequence[Comparison], refused: Sequence[str]) -> dict[str, Any]:
    header = ["task", "from", "to", "accuracy", "difference ± s.e.", "p (Holm)", "gained", "lost", "p (McNemar)"]
    rows = [
        [
            c.task,
            c.first,
            c.second,
            f"{percent(c.first_value)} → {percent(c.second_value)}",
            estimate({"value": c.difference.value, "error": c.difference.error}),
            f"{c.p_corrected:.3g}",
            str(c.gained),
            str(c.lost),
            f"{c.mcnemar_p:.3g}",
        ]
        for c in compared
    ]
    warnings = [f"{c.second}, {c.task}: not the same protocol: {'; '.join(c.warnings)}" for c in compared if c.warnings]
    return {"title": "Against the first", "header": header, "rows": rows, "notes": [*refused, *warnings]}


def _flips(comparison: Comparison) -> dict[str, Any]:
    """The problems whose verdict changed; a click on one leads to its completions."""
    shown = sorted(comparison.flips, key=lambda flip: flip.gained)[:FLIPS]
    header = ["problem", "verdict", "prompt", "gold", f"said by {comparison.first}", f"said by {comparison.second}"]
    rows = [
        [
            flip.id.removeprefix(f"{flip.first.task}/"),
            "wrong → right" if flip.gained else "right → wrong",
            *(_clipped(text) for text in (flip.first.prompt, str(flip.first.answer))),
            *(_clipped(_said(record)) for record in (flip.first, flip.second)),
        ]
        for flip in shown
    ]
    left = len(comparison.flips) - len(shown)
    said = [f"By {comparison.verdicts}.", *([f"{left:,} more are not listed."] if left else [])]
    title = f"Flips on {comparison.task}: {comparison.first} → {comparison.second}"
    tasks = [flip.first.task for flip in shown]
    return {"title": title, "header": header, "rows": rows, "notes": said, "tasks": tasks, "folded": len(rows) > 12}


def _said(record: Record) -> str:
    return record.extracted if record.extracted is not None else f"no answer: {record.response[-80:]}"


def _clipped(text: str) -> str:
    words = " ".join(text[:400].split())
    return words if len(words) <= 80 else words[:79] + "…"


def _shown(count: int, total: int) -> str:
    return f"{count:,} completions" if count >= total else f"{count:,} of about {total:,} completions, evenly spread"


def _pieces_of(results: Sequence[Result], rows: Sequence[Row]) -> dict[int, str]:
    """Pieces of the first model's tokenizer; none where the models do not share one."""
    folders = [Path(str(result.model["path"])) for result in results]
    texts = {path.read_bytes() for folder in folders if (path := folder / "tokenizer.json").is_file()}
    return _pieces(folders[0], rows) if len(texts) <= 1 else {}


def _pieces(folder: Path, rows: Sequence[Row]) -> dict[int, str]:
    """The text of every token that occurs; empty where the tokenizer is not at hand."""
    found = next((p for p in _tokenizers(folder) if p.is_file()), None)
    if found is None:
        return {}
    from tokenizers import Tokenizer

    tokenizer = Tokenizer.from_file(str(found))
    size = tokenizer.get_vocab_size()
    known = (ids for row in rows for ids in (row.token_ids, *(added for _, added in row.inserted)))
    used = {token for ids in known for token in ids if 0 <= token < size}
    return {token: tokenizer.decode([token], skip_special_tokens=False) for token in used}


def _tokenizers(folder: Path) -> Iterable[Path]:
    yield folder / "tokenizer.json"
    for name in ("model", "warm_start"):
        yield folder / name / "tokenizer.json"
    yield from sorted((folder / "checkpoints").glob("step-*/model/tokenizer.json"))
    if (folder / "config.yaml").is_file():
        path = read_config(folder)["model"].get("path")
        if path:
            yield Path(str(path)) / "tokenizer.json"
