"""Data and assets into one HTML file. Nothing that a model, a data set or a run folder says can become markup or script."""

from __future__ import annotations

import base64
import gzip
import hashlib
import html
import json
import math
import re
import time
from collections.abc import Mapping, Sequence
from importlib import resources
from typing import Any

from .chart import Panel
from .conversation import ended
from .rows import Row
from .suspicion import suspicions

BLOCK = 100  # completions that are unpacked together when one of them is looked at
PROMPT_SHOWN = 160
SCRIPTS = ("vendor/uPlot.iife.min.js", "charts.js", "completions.js", "page.js")
STYLES = ("vendor/uPlot.min.css", "page.css")
_MARKER = re.compile(r"@([A-Z]+)@")


def page_of(
    title: str,
    head: Mapping[str, Any],
    panels: Sequence[Panel],
    rows: Sequence[Row],
    pieces: Mapping[int, str],
    tables: Sequence[Mapping[str, Any]] = (),
) -> str:
    """The whole page.

    Args:
        head: what stands above the charts (`head.run_head`).
        tables: each with ``title``, ``header``, ``rows`` and what else `page.js` draws of one.
        pieces: the text of every token id that occurs.
    """
    index = {
        "title": title,
        "head": head,
        "written": time.strftime("%Y-%m-%d %H:%M:%S"),
        "panels": [panel.as_json() for panel in panels],
        "tables": tables,
        "block": BLOCK,
        "pieces": pieces,
        "rows": _columns(rows),
    }
    blocks = [
        f'<script type="text/plain" class="block">{packed([_content(row) for row in rows[start : start + BLOCK]])}</script>'
        for start in range(0, len(rows), BLOCK)
    ]
    scripts = [_asset(name) for name in SCRIPTS]
    parts = {
        "TITLE": html.escape(title),
        # Only these very scripts run: markup that got in all the same could not.
        "POLICY": " ".join(f"'sha256-{_digest(script)}'" for script in scripts),
        "STYLES": "\n".join(f"<style>{_asset(name)}</style>" for name in STYLES),
        "INDEX": packed(index),
        "BLOCKS": "\n".join(blocks),
        "SCRIPTS": "\n".join(f"<script>{script}</script>" for script in scripts),
    }
    return _MARKER.sub(lambda found: parts[found[1]], _asset("page.html"))  # one pass: no part is searched for markers


def packed(content: Any) -> str:
    """Compressed and in letters only: no completion can close a tag or run as a script."""
    text = json.dumps(_finite(content), ensure_ascii=False, separators=(",", ":"), default=str, allow_nan=False)
    return base64.b64encode(gzip.compress(text.encode("utf-8", "replace"), 6, mtime=0)).decode("ascii")


def _finite(content: Any) -> Any:
    """With the names of the numbers that JSON does not have: one of them would leave the whole page empty."""
    if isinstance(content, float):
        return content if math.isfinite(content) else str(content)
    if isinstance(content, Mapping):
        return {str(key): _finite(value) for key, value in content.items()}
    if isinstance(content, (list, tuple)):
        return [_finite(value) for value in content]
    return content


def _columns(rows: Sequence[Row]) -> dict[str, list[Any]]:
    """What the table of completions shows, sorts and filters by; texts stay in the blocks."""
    groups: dict[str, int] = {}
    found = suspicions(rows)
    return {
        "checkpoint": [row.checkpoint for row in rows],
        "step": [row.step for row in rows],
        "task": [row.task for row in rows],
        "problem": [row.problem for row in rows],
        "prompt": _short([row.prompt for row in rows]),
        "sample": [row.sample for row in rows],
        "score": [row.reward for row in rows],
        "right": [row.right for row in rows],
        "status": [row.status for row in rows],
        "advantage": [None if row.advantage is None else round(row.advantage, 4) for row in rows],
        "stop": [row.finish for row in rows],
        "length": [row.length for row in rows],
        "turns": [len(row.turns) or None for row in rows],
        "ending": [row.ending for row in rows],
        "group": [groups.setdefault(row.group, len(groups)) for row in rows],
        "suspicion": [one.weight for one in found],
        "why": [one.why for one in found],
        "copies": [one.copies for one in found],
        "repetition": [one.repetition for one in found],
    }


def _short(prompts: Sequence[str]) -> list[str]:
    """The beginnings of the prompts, without the words that all of them begin with."""
    first, last = min(prompts, default=""), max(prompts, default="")
    same = next((i for i, (a, b) in enumerate(zip(first, last, strict=False)) if a != b), 0)
    cut = same - len(re.split(r"\s", first[:same])[-1])  # at a word's beginning
    return [" ".join(prompt[cut : cut + 2 * PROMPT_SHOWN].split())[:PROMPT_SHOWN] for prompt in prompts]


def _content(row: Row) -> dict[str, Any]:
    answer = row.answer if isinstance(row.answer, str) else json.dumps(row.answer, ensure_ascii=False, default=str)
    return {
        "prompt": row.prompt,
        "answer": answer,
        "response": row.response,
        "scores": row.scores,
        "ids": row.token_ids,
        "values": {name: [round(v, 3) for v in values] for name, values in row.token_values.items()},
        "inserted": [[index, list(ids)] for index, ids in row.inserted],
        "said": [[said.title, said.text, said.sampled] for said in row.conversation],
        "ended": ended(row.turns, row.ending) if row.turns else "",
    }


def _digest(script: str) -> str:
    return base64.b64encode(hashlib.sha256(script.encode()).digest()).decode("ascii")


def _asset(name: str) -> str:
    return (resources.files(__package__) / name).read_text(encoding="utf-8")
