"""What stands above the charts: from where to where a run came, what is odd about it, and how it can be made again."""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from grpo_kit.config.signs import Sign
from grpo_kit.errors import UserError
from grpo_kit.observe.clock import duration
from grpo_kit.observe.run_directory import read_json_lines
from grpo_kit.observe.watch import verdicts

from .chart import Metrics, Table
from .labels import algorithm_label
from .panels import HEALTH, Kind, accuracy_band, verifier_names

EDGE = 5  # steps whose mean is a run's start or end
MAX_TEXT = 2**20  # of a recipe or an environment
_SECRET = re.compile(r"(api_?key|secret|password|passwd|credential|authorization|[a-z]_token$|^token$)", re.IGNORECASE)
Tile = dict[str, str]


def read_config(folder: Path) -> dict[str, Any]:
    """The resolved recipe of a run. Raises UserError where it is none."""
    path = folder / "config.yaml"
    try:
        if path.stat().st_size > MAX_TEXT:
            raise ValueError(f"it has more than {MAX_TEXT:,} bytes")
        config = yaml.safe_load(path.read_text(encoding="utf-8", errors="replace"))
        for section in ("model", "rollout", "train"):
            if not isinstance(config[section], dict):
                raise TypeError(f"{section} is no section")
        sets = config["data"] if isinstance(config["data"], list) else [config["data"]]
        if not sets or not all(isinstance(entry, dict) for entry in sets):
            raise TypeError("data is no section")
        config["rollout"]["prompts_per_step"] = int(config["rollout"]["prompts_per_step"])
        config["train"]["steps"] = int(config["train"]["steps"])
        config["algorithm"] = str(config["algorithm"])
    except (OSError, ValueError, KeyError, TypeError, RecursionError, yaml.YAMLError) as error:
        raise UserError(f"{path} is not the recipe of a run: {error!r:.300}") from error
    return dict(config)


def run_head(folder: Path, config: Mapping[str, Any], metrics: Metrics, kind: Kind, facts: list[str]) -> dict[str, Any]:
    """Facts, tiles from start to end, the watch, notes, the recipe and the environment."""
    table = Table.of(metrics)
    environment = _read_json(folder / "environment.json")
    command = [str(word) for word in environment.get("argv", ())]
    done, wanted = max(table.steps, default=0), config["train"]["steps"]
    state = "" if (folder / "model").is_dir() else ", in progress or interrupted"
    sets = config["data"] if isinstance(config["data"], list) else [config["data"]]
    source = ", ".join(str(e.get("name") or e.get("task") or e.get("path") or "recorded data") for e in sets)
    model = config["model"].get("path") or "a model from scratch"
    lines = [
        f"{algorithm_label(config['algorithm'])} on {source}",
        str(model),
        f"step {done} of {wanted}{state}",
        *facts,
    ]
    return {
        "facts": lines,
        "tiles": _tiles(table, config, kind),
        "watch": watch_card(metrics),
        "notes": _notes(folder, table),
        "recipe": {
            "name": _recipe_name(command),
            "command": " ".join(shlex.quote(_masked(word)) for word in ["grpo-kit", *command[1:]]) if command else "",
            "text": recipe_text(folder),
        },
        "environment": _environment(environment),
    }


def _recipe_name(command: Sequence[str]) -> str:
    """The recipe that was named to ``grpo-kit train``."""
    after = command[command.index("train") + 1 :] if "train" in command else ()
    return next((word for word in after if not word.startswith("-") and "=" not in word), "")


def recipe_text(folder: Path) -> str:
    """``config.yaml`` as it stands, with the values of secrets masked."""
    lines = []
    for line in (folder / "config.yaml").read_text(encoding="utf-8", errors="replace").splitlines():
        key, colon, value = line.partition(":")
        secret = colon and value.strip() not in ("", "null") and _SECRET.search(key.strip().strip("-'\" "))
        lines.append(f"{key}: (hidden)" if secret else line)
    return "\n".join(lines)


def _masked(word: str) -> str:
    key, equals, _ = word.partition("=")
    return f"{key}=(hidden)" if equals and _SECRET.search(key) else word


def _environment(found: Mapping[str, Any]) -> list[list[str]]:
    versions = found.get("versions")
    rows = [[key, str(found[key])] for key in ("started", "python", "platform", "cores") if found.get(key) is not None]
    rows += [[str(k), str(v)] for k, v in (versions.items() if isinstance(versions, dict) else ())]
    return rows


def _read_json(path: Path) -> dict[str, Any]:
    """A file that may be missing in a folder of an older run."""
    if not path.is_file() or path.stat().st_size > MAX_TEXT:
        return {}
    try:
        found = json.loads(path.read_text(encoding="utf-8", errors="replace"))
    except (ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}


# --- from start to end -------------------------------------------------------------------------------------------


def _tiles(table: Table, config: Mapping[str, Any], kind: Kind) -> list[Tile]:
    tiles = []
    if kind.loss != "reward_model":
        tiles.append(_accuracy(table, config))
    if kind.loss in ("pairs", "reward_model"):
        tiles.append(_edges(table, "Pair accuracy", "eval/pairs_accuracy", "held-out pairs", share=True, few=True))
        tiles.append(_edges(table, "Pair accuracy", "pairs/accuracy", "training pairs", share=True))
    if kind.samples:
        tiles.append(_edges(table, "Training reward", "reward/mean", "of completions"))
    else:
        tiles.append(_edges(table, "Loss", "loss", "of training"))
    if kind.loss == "likelihood":
        tiles.append(_edges(table, "Perplexity", "perplexity", "of training"))
    tiles.append(_duration(table))
    return [tile for tile in tiles if tile]


def _accuracy(table: Table, config: Mapping[str, Any]) -> Tile:
    verifiers = config.get("verifiers") or ()
    judge = table.text("evaluation/judge") or str(next((v["name"] for v in verifiers if isinstance(v, dict)), ""))
    judged = f"judged by {judge}" if judge else ""
    column, (low, high) = table.column("eval/sampled"), accuracy_band(table)
    at = [i for i, value in enumerate(column) if value is not None]
    if not at:
        return {"label": "Held-out accuracy", "value": "not measured", "detail": judged}
    first, last = at[0], at[-1]
    value = f"{_percent(column[first])} → {_percent(column[last])}" if last != first else _percent(column[first])
    steps = f"step {table.steps[first]} → {table.steps[last]}" if last != first else f"step {table.steps[first]}"
    error = f"95 %: {_percent(low[last])} to {_percent(high[last])}" if low[last] is not None else ""
    return {"label": "Held-out accuracy", "value": value, "detail": ", ".join(x for x in (judged, steps, error) if x)}


def _edges(table: Table, label: str, name: str, detail: str, *, share: bool = False, few: bool = False) -> Tile:
    """The mean of a run's first steps and of its last; of one step each where ``few`` were measured."""
    values = table.values(name)
    if not values:
        return {}
    count = 1 if few else max(1, min(EDGE, len(values) // 2))
    shown = _percent if share else _short
    first, last = sum(values[:count]) / count, sum(values[-count:]) / count
    value = f"{shown(first)} → {shown(last)}" if len(values) > 1 else shown(first)
    of = f", mean of the first and last {count} steps" if count > 1 else ""
    return {"label": label, "value": value, "detail": f"{detail}{of}"}


def _duration(table: Table) -> Tile:
    seconds = table.values("seconds/total")
    if not seconds:
        return {}
    return {
        "label": "Duration",
        "value": duration(sum(seconds)),
        "detail": f"{len(seconds)} steps of {sum(seconds) / len(seconds):.3g} s, evaluations included",
    }


def _percent(value: float | None) -> str:
    return "-" if value is None else f"{100 * value:.1f} %"


def _short(value: float) -> str:
    return f"{value:.3g}"


# --- what is odd -------------------------------------------------------------------------------------------------


def watch_card(metrics: Metrics) -> dict[str, Any] | None:
    """The verdict on a whole run. It is only reassuring where a judge beside the reward has looked."""
    signs, table = verdicts(metrics), Table.of(metrics)
    if not table.steps:
        return None
    bad = [s for s in signs if s.severity in ("failure", "warning")]
    itself = any(s.name == "self_judged" for s in signs)
    looked = any(map(table.has, ("eval/sampled", "eval/pairs_accuracy", "pairs/accuracy", "judge/right")))
    if any(s.severity == "failure" and s.holds for s in bad):
        state, title = "failure", "Something is wrong"
    elif any(s.holds for s in bad):
        state, title = "warning", "Look at this"
    elif bad:
        state, title = "warning", "Something was wrong, and passed"
    elif itself:
        state, title = "unknown", "Cannot tell: the reward judges itself"
    elif not looked:
        state, title = "unknown", "Cannot tell: nothing was evaluated"
    else:
        state, title = "good", "No sign of trouble"
    lines = [{"severity": s.severity, "text": s.sentence, "when": _when(s), "name": s.name} for s in signs]
    return {"state": state, "title": title, "lines": lines}


def _when(sign: Sign) -> str:
    return f"since step {sign.step}" if sign.holds else f"at step {sign.step}, no more"


def _notes(folder: Path, table: Table) -> list[str]:
    """What happened to the run beside its numbers."""
    notes = []
    for note in read_json_lines(folder / "resumes.jsonl"):
        changes = note.get("changes")
        changed = f", changed: {', '.join(map(str, changes))}" if isinstance(changes, list) and changes else ""
        notes.append(f"Resumed after step {note.get('step')}{changed}.")
    if (step := _read_json(folder / "fork.json").get("step")) is not None:
        notes.append(f"Forked from another run after step {step}.")
    if skipped := sum(table.values("skipped_updates")):
        notes.append(f"{skipped:,.0f} updates were skipped; dumps/ holds their batches.")
    for name in verifier_names(table):
        failed = {word: sum(table.values(f"verifier/{name}/{key}")) for key, word in HEALTH.items()}
        calls = sum(table.values(f"verifier/{name}/count"))
        if any(failed.values()):
            said = ", ".join(f"{count:,.0f} {word}" for word, count in failed.items() if count)
            notes.append(f"{name}: {said} in {calls:,.0f} calls.")
    if long := max(table.values("prompts_too_long"), default=0.0):
        notes.append(f"{long:,.0f} prompts were longer than data.max_prompt_tokens and left out.")
    return notes
