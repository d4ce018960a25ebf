"""Law 9: a verifier that raises, hangs, segfaults, exits or eats memory costs its own score and nothing else."""

import gzip
import json
from collections import Counter
from pathlib import Path

from grpo_kit.observe.run_directory import read_json_lines
from grpo_kit.stress.checks import KINDS, harm

STEPS = 50


def test_fifty_steps_of_chaos_with_exact_counters(zygote, straight):
    recipe, _, _ = straight["procedural"]
    outcome = zygote.run(
        "train", recipe, "--run-dir", "chaos", f"train.steps={STEPS}", "evaluation=null", "scoring.workers=2",
        f"verifiers.0.name={Path(harm.__code__.co_filename)}:chaotic", "train.updates_per_batch=1",
        "train.epochs_per_batch=1",
    )  # fmt: skip
    assert outcome.code == 0, outcome.output
    run, injected = zygote.folder / "chaos", Counter()
    rows = [row for row in read_json_lines(run / "metrics.jsonl") if "reward/mean" in row]
    assert [row["step"] for row in rows] == list(range(1, STEPS + 1))
    for row in rows:
        with gzip.open(run / "rollouts" / f"step-{row['step']:06d}.jsonl.gz", "rt") as lines:
            records = [json.loads(line) for line in lines]
        wanted = Counter(harm(record["response"]) for record in records)
        injected += wanted
        for record in records:
            kind = harm(record["response"])
            assert record["status"] == {None: "ok", "hang": "timeout"}.get(kind, "error"), (kind, record["scores"])
            assert kind or record["reward"] == sum(map(ord, record["response"])) % 2
        assert row["verifier/chaotic/count"] == len(records)
        assert row["verifier/chaotic/timeout"] == row.get("dropped/timeout", 0) == wanted["hang"]
        errors = sum(wanted[kind] for kind in KINDS if kind != "hang")
        assert row["verifier/chaotic/error"] == row.get("dropped/error", 0) == errors
    assert set(injected) == {None, *KINDS}, f"not every kind of harm occurred: {injected}"
    assert list(zygote.scratch.glob("grpo-kit-scoring-*")) == []
