"""From a run or an evaluation on disk to one HTML file that needs nothing else."""

from __future__ import annotations

import base64
import gzip
import html
import json
import os
import time
from collections.abc import Iterable, Sequence
from importlib import resources
from pathlib import Path
from typing import Any

import yaml

from grpo_kit.errors import UserError
from grpo_kit.evaluate.protocol import read_evaluation
from grpo_kit.evaluate.records import RESULTS_FILE
from grpo_kit.evaluate.show import notes, protocol_lines, table_rows
from grpo_kit.observe.run_directory import read_json_lines

from .panels import Panel, evaluation_panels, run_panels
from .rows import Row, evaluation_rows, run_rows

REPORT_FILE = "report.html"
LIMIT = 10_000
BLOCK = 100  # completions that are unpacked together when one of them is looked at


def write_report(folder: Path, target: Path | None = None, limit: int = LIMIT) -> Path:
    """Write the page of a run or an evaluation, whole or not at all; a run may be in progress.

    Raises:
        UserError: the folder is neither, or something in it is damaged.
    """
    if (folder / RESULTS_FILE).is_file():
        page = _evaluation_page(folder, limit)
    elif (folder / "config.yaml").is_file():
        page = _run_page(folder, limit)
    else:
        raise UserError(f"{folder} is neither a run (no config.yaml) nor a finished evaluation (no {RESULTS_FILE})")
    target = target or folder / REPORT_FILE
    scratch = target.with_name(target.name + ".tmp")
    scratch.write_text(page, encoding="utf-8")
    os.replace(scratch, target)
    return target


def _run_page(folder: Path, limit: int) -> str:
    config = yaml.safe_load((folder / "config.yaml").read_text(encoding="utf-8"))
    metrics = read_json_lines(folder / "metrics.jsonl")
    rows, total = run_rows(folder, limit)
    done, wanted = max((m["step"] for m in metrics), default=0), config["train"]["steps"]
    model = config["model"].get("path") or "from scratch"
    source = config["data"].get("task") or config["data"].get("path")
    facts = [
        f"{config['algorithm']} on {source}, model {model}",
        f"step {done} of {wanted}" + ("" if (folder / "model").is_dir() else ", in progress or interrupted"),
        _shown(len(rows), total),
    ]
    panels = run_panels(metrics, config["rollout"]["prompts_per_step"])
    return _page(folder.resolve().name, facts, panels, rows, None, _pieces(folder, rows))


def _evaluation_page(folder: Path, limit: int) -> str:
    result, records = read_evaluation(folder)
    verifiers = {task: str(found.protocol["verifier"]["name"]) for task, found in result.tasks.items()}
    rows, total = evaluation_rows(records, verifiers, limit)
    header, cells = table_rows([result])
    intervals = [[t.metrics["avg"] if t.metrics["samples"] else t.metrics["greedy"]] for t in result.tasks.values()]
    table = {"header": header, "rows": cells, "intervals": [i[0] for i in intervals]}
    table["notes"] = [*notes([result]), *protocol_lines([result])]
    facts = [f"evaluation of {result.model['path']}", _shown(len(rows), total)]
    model = Path(str(result.model["path"]))
    pieces = _pieces(model, rows)
    return _page(str(result.model["label"]), facts, evaluation_panels(records), rows, table, pieces)


def _shown(count: int, total: int) -> str:
    return f"{count:,} completions" if count >= total else f"{count:,} of about {total:,} completions, evenly spread"


def _pieces(folder: Path, rows: Sequence[Row]) -> dict[int, str]:
    """The text of every token that occurs; empty where the tokenizer is not at hand."""
    found = next((p for p in _tokenizers(folder) if p.is_file()), None)
    if found is None:
        return {}
    from tokenizers import Tokenizer

    tokenizer = Tokenizer.from_file(str(found))
    used = {token for row in rows for token in row.token_ids}
    return {token: tokenizer.decode([token], skip_special_tokens=False) for token in used}


def _tokenizers(folder: Path) -> Iterable[Path]:
    yield folder / "tokenizer.json"
    for name in ("model", "warm_start"):
        yield folder / name / "tokenizer.json"
    yield from sorted((folder / "checkpoints").glob("step-*/model/tokenizer.json"))
    config = folder / "config.yaml"
    if config.is_file():
        path = yaml.safe_load(config.read_text(encoding="utf-8"))["model"].get("path")
        if path:
            yield Path(path) / "tokenizer.json"


def _page(
    title: str,
    facts: Sequence[str],
    panels: Sequence[Panel],
    rows: Sequence[Row],
    table: dict[str, Any] | None,
    pieces: dict[int, str],
) -> str:
    index = {
        "title": title,
        "facts": list(facts),
        "written": time.strftime("%Y-%m-%d %H:%M:%S"),
        "panels": [panel.as_json() for panel in panels],
        "table": table,
        "block": BLOCK,
        "pieces": pieces,
        "rows": _columns(rows),
    }
    blocks = [
        f'<script type="text/plain" class="block">{_packed([_content(row) for row in rows[start : start + BLOCK]])}</script>'
        for start in range(0, len(rows), BLOCK)
    ]
    parts = {
        "@TITLE@": html.escape(title),
        "/*UPLOT.CSS*/": _asset("vendor/uPlot.min.css"),
        "/*PAGE.CSS*/": _asset("page.css"),
        "/*UPLOT.JS*/": _asset("vendor/uPlot.iife.min.js"),
        "/*PAGE.JS*/": _asset("page.js"),
        "@INDEX@": _packed(index),
        "@BLOCKS@": "\n".join(blocks),
    }
    page = _asset("page.html")
    for marker, content in parts.items():
        before, _, after = page.partition(marker)
        page = before + content + after
    return page


def _columns(rows: Sequence[Row]) -> dict[str, list[Any]]:
    """What the table of completions shows, sorts and filters by; texts stay in the blocks."""
    groups: dict[str, int] = {}
    return {
        "step": [row.step for row in rows],
        "task": [row.task for row in rows],
        "problem": [row.problem for row in rows],
        "sample": [row.sample for row in rows],
        "score": [row.reward for row in rows],
        "status": [row.status for row in rows],
        "advantage": [None if row.advantage is None else round(row.advantage, 4) for row in rows],
        "stop": [row.finish for row in rows],
        "length": [len(row.token_ids) or len(row.response) for row in rows],
        "group": [groups.setdefault(row.group, len(groups)) for row in rows],
    }


def _content(row: Row) -> dict[str, Any]:
    return {
        "prompt": row.prompt,
        "answer": row.answer
        if isinstance(row.answer, str)
        else json.dumps(row.answer, ensure_ascii=False, default=str),
        "response": row.response,
        "scores": row.scores,
        "ids": row.token_ids,
        "values": {name: [round(v, 3) for v in values] for name, values in row.token_values.items()},
    }


def _packed(content: Any) -> str:
    """Compressed and in letters only: no completion can close a tag or run as a script."""
    text = json.dumps(content, ensure_ascii=False, separators=(",", ":"))
    return base64.b64encode(gzip.compress(text.encode("utf-8", "replace"), 6, mtime=0)).decode("ascii")


def _asset(name: str) -> str:
    return (resources.files(__package__) / name).read_text(encoding="utf-8")
