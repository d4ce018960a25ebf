"""Runs of seconds that have everything in them which a stop could disturb."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from grpo_kit.observe.run_directory import read_json_lines

CHECKS = Path(__file__).with_name("checks.py")

# Two updates of a batch and two epochs over it, evaluation, best and last checkpoints, a schedule, a reference.
COMMON = """\
threads: 1
model:
  scratch: {{hidden_size: 32, intermediate_size: 64, layers: 2, heads: 2, context_length: 128}}
verifiers:
  - {{name: "{checks}:odd"}}
scoring: {{workers: {workers}, max_rejected_gold: 1.0}}
rollout: {{prompts_per_step: 4, group_size: 4, max_tokens: 8, max_rows: 8}}
optimizer: {{learning_rate: 1.0e-3, schedule: cosine, warmup_steps: 2}}
train: {{steps: {steps}, token_budget: 128, updates_per_batch: 2, epochs_per_batch: 2, save_every: {save_every}, keep_best: 1}}
evaluation: {{tasks: 4, samples: 2, every: 3}}
"""
PROCEDURAL = """\
algorithm: grpo
data: {{task: addition, level: 1, max_prompt_tokens: 64}}
warm_start: {{steps: 4, batch_size: 4}}
objective: {{beta: 0.05}}
"""
# Some ten rows and four prompts a step: epochs end in the middle of steps. A critic learns beside the policy.
FROM_FILE = """\
algorithm: ppo
data: {{path: {rows}, max_prompt_tokens: 64}}
"""


def write_procedural(folder: Path, *, steps: int = 8, save_every: int = 2, workers: int = 0) -> Path:
    """A recipe with a warm start and a reference."""
    return _write(folder / "procedural.yaml", PROCEDURAL + COMMON, folder, steps, save_every, workers)


def write_from_file(folder: Path, *, steps: int = 8, save_every: int = 1, workers: int = 0) -> Path:
    """A recipe whose data is a small file, read several times over."""
    rows = [{"prompt": f"{a}+{b}=", "answer": str(a + b)} for a, b in ((i, 3 * i + 1) for i in range(14))]
    (folder / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return _write(folder / "from_file.yaml", FROM_FILE + COMMON, folder, steps, save_every, workers)


def _write(path: Path, text: str, folder: Path, steps: int, save_every: int, workers: int) -> Path:
    filled = text.format(checks=CHECKS, rows=folder / "rows.jsonl", steps=steps, save_every=save_every, workers=workers)
    path.write_text(filled, encoding="utf-8")
    return path


SUBJECTS = {"procedural": write_procedural, "from_file": write_from_file}


def same_run(run: Path, expected: Path) -> str | None:
    """What differs between two finished runs that must be the same: weights bit for bit, metrics, rollouts. None: nothing."""
    for name in ("model/model.safetensors",):
        if (run / name).read_bytes() != (expected / name).read_bytes():
            return f"{name} differs"
    first, second = trace(run), trace(expected)
    if len(first) != len(second):
        return f"{len(first)} lines of metrics instead of {len(second)}"
    for one, other in zip(first, second, strict=True):
        different = [k for k in {**one, **other} if repr(one.get(k)) != repr(other.get(k))]  # nan is nan
        if different:
            return f"metrics of step {one['step']} differ in {', '.join(sorted(different))}"
    rollouts = [sorted(p.name for p in (r / "rollouts").iterdir()) for r in (run, expected)]
    return None if rollouts[0] == rollouts[1] else f"rollouts {rollouts[0]} instead of {rollouts[1]}"


def trace(run: Path) -> list[dict[str, Any]]:
    """Metrics without the seconds they took."""
    return [
        {
            k: v
            for k, v in row.items()
            if not k.startswith(("seconds", "tokens_per", "utilisation")) and "latency" not in k
        }
        for row in read_json_lines(run / "metrics.jsonl")
    ]
