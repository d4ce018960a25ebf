"""A made-up run on disk, as large as a test wants it, with text that tries to break out of the page."""

from __future__ import annotations

import gzip
import json
import random
from pathlib import Path

import yaml

HOSTILE = "</script><script>document.title='owned'</script><img src=x onerror=\"document.title='owned'\">"
# What breaks out of scripts, lines, encodings and terminals, in one text.
HOSTILE_TEXTS = (
    HOSTILE,
    "\u2028alert(1)\u2029",
    "lone \ud800 surrogate",
    "\x00\x1b[2J\x1b]0;owned\x07\x9b31m\x7f",
    "\u202egnp.exe\u202c",
    "@INDEX@ @SCRIPTS@ @TITLE@ /*PAGE.JS*/ {{7*7}} ${7*7}",
    "-->]]><!--<svg/onload=document.title='owned'>",
    "x" * 1_000_000,
)
WORDS = ("so", "the", "sum", "of", "both", "numbers", "is", "even", "hence", "we", "add", "seven", "to", "each", "side")


def make_run(
    folder: Path, steps: int = 10, prompts: int = 4, group: int = 4, tokens: int = 20, ratios: bool = True
) -> Path:
    """A run directory with ``steps * prompts * group`` completions; sample 0 of the first group is hostile."""
    rng = random.Random(0)
    (folder / "rollouts").mkdir(parents=True)
    config = {
        "algorithm": "grpo",
        "model": {"path": None},
        "data": {"task": "addition"},
        "rollout": {"prompts_per_step": prompts},
        "train": {"steps": steps + 5},
    }
    (folder / "config.yaml").write_text(yaml.safe_dump(config))
    with (folder / "metrics.jsonl").open("w") as file:
        for step in range(steps + 1):
            file.write(json.dumps(_metrics(step, steps, rng)) + "\n")
            if step % 5 == 0:
                accuracy = {
                    "eval/sampled": 0.4 + step / steps / 2,
                    "eval/sampled_error": 0.02,
                    "eval/greedy": 0.5 + step / steps / 3,
                }
                file.write(json.dumps({"step": step} | accuracy) + "\n")
        file.write('{"step": 99, "rew')  # a run in progress
    for step in range(1, steps + 1):
        with gzip.open(folder / "rollouts" / f"step-{step:06d}.jsonl.gz", "wt") as file:
            for prompt in range(prompts):
                for sample in range(group):
                    file.write(json.dumps(_rollout(step, prompt, sample, tokens, ratios, rng)) + "\n")
    return folder


def _metrics(step: int, steps: int, rng: random.Random) -> dict[str, float]:
    if not step:
        return {"step": 0}
    return {
        "step": step,
        "reward/mean": 0.4 + step / steps / 2 + rng.gauss(0, 0.02),
        "reward/group_mean_std": 0.3,
        "groups/all_right": 0.1 + step / steps / 3,
        "groups/all_wrong": 0.3 - step / steps / 4,
        "length/mean": 200 + step,
        "length/right": 190 + step,
        "length/wrong": 230 + step,
        "length/truncated": 0.01,
        "entropy": 1 / (step + 1),
        "kl/reference": 0.001 * step,
        "clip/high": 0.01,
        "mismatch/mean_logprob_difference": 1e-5,
        "verifier/math/mean": 0.5,
        "verifier/math/error": 0.01,
        "verifier/format/mean": 0.9,
        "seconds/generate": 3.0,
        "seconds/update": 2.0,
        "seconds/total": 5.0,
        "tokens_per_second": 1000.0 + step,
    }


def _rollout(step: int, prompt: int, sample: int, tokens: int, ratios: bool, rng: random.Random) -> dict[str, object]:
    right = rng.random() < 0.5
    hostile = HOSTILE if (step, prompt, sample) == (1, 0, 0) else ""
    row: dict[str, object] = {
        "step": step,
        "task": f"addition/{step}+{prompt}=",
        "sample": sample,
        "prompt": f"{step}+{prompt}= {hostile}",
        "answer": str(step + prompt),
        "response": " ".join(rng.choice(WORDS) for _ in range(tokens))
        + hostile
        + f" \\boxed{{{step + prompt + (not right)}}}",
        "reward": float(right),
        "status": "error" if rng.random() < 0.02 else "ok",
        "advantage": 1.0 if right else -1.0,
        "finish": "length" if rng.random() < 0.1 else "stop",
        "policy_version": step,
        "scores": {
            "math": {
                "value": float(right),
                "status": "ok",
                "extracted": str(step),
                "reason": "equal" if right else "not equal",
            }
        },
        "prompt_ids": [1, 2],
        "token_ids": [rng.randrange(1000) for _ in range(tokens)],
        "logprobs": [-rng.expovariate(2) for _ in range(tokens)],
    }
    if ratios:
        row["ratios"] = [rng.gauss(1, 0.1) for _ in range(tokens)]
    return row
