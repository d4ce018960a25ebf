"""Whole runs of the kit on a device: where a step's seconds go, whether a resumed run is the same, and a curve of learning."""

from __future__ import annotations

import tempfile
import time
from pathlib import Path
from statistics import fmean
from typing import Any

import torch
from gpu_models import SHAPES, SMOLLM2, TINY, forget, peaks, save_random
from gpu_parts import Report

import grpo_kit
from grpo_kit.train.replay import replay_step

# Random weights are never right: half of all texts are, so that there is something to learn from.
VERIFIER = """from grpo_kit.verifiers import verifier


@verifier(name="odd", timeout=5.0)
def odd(response: str) -> float:
    return float(sum(map(ord, response)) % 2)
"""
ASK = "{prompt}\nSolve it step by step in one or two lines, then end with 'The answer is' and the number."
SPLIT = ("tokens_per_second", "utilisation", "length/mean", "tokens")
RESUME_TOLERANCE = 1e-3  # relative; sums of gradients may be added up in another order


def _odd(folder: Path) -> list[dict[str, Any]]:
    path = folder / "odd.py"
    path.write_text(VERIFIER)
    return [{"name": f"{path}:odd"}]


def _word_problems(report: Report, folder: Path) -> tuple[dict[str, Any], str]:
    """A recipe of word problems and what model it trains: the folder given, or random weights of its shape."""
    given = report.options.model
    if given is None:
        save_random(SHAPES[TINY if report.tiny else SMOLLM2], folder / "model")
    small = report.tiny
    return {
        "algorithm": "grpo",
        "model": {"path": given or str(folder / "model"), "dtype": "bfloat16"},
        "data": {"task": "word_problems", "level": 1, "prompt_template": ASK, "max_prompt_tokens": 400},
        "verifiers": [{"name": "math"}] if given else _odd(folder),
        "scoring": {"max_rejected_gold": 1.0},
        "rollout": {
            "prompts_per_step": 2 if small else 32,
            "group_size": 4 if small else 8,
            "max_tokens": 8 if small else 96,
        },
        "objective": {"beta": 0.0},
        "optimizer": {"learning_rate": 2.0e-5},
        "train": {"steps": 3 if small else 8, "token_budget": 2048 if small else 16384},
        "device": report.options.device,
    }, given or f"random weights of the shape of {TINY if report.tiny else SMOLLM2}"


def step_split(report: Report) -> None:
    """Means over the steps after the first."""
    with tempfile.TemporaryDirectory() as temporary:
        recipe, model = _word_problems(report, Path(temporary))
        report.put("model", model)
        seen: list[dict[str, Any]] = []
        forget(report.device)

        def heard(metrics: dict[str, Any]) -> bool:
            seen.append(metrics)
            later = seen[1:]
            if later:
                names = [n for n in later[0] if n.startswith("seconds/") or n in SPLIT]
                report.put(
                    "step", {n: fmean(float(m.get(n, 0.0)) for m in later) for n in names} | {"steps": len(later)}
                )
            return report.left() < 5.0

        grpo_kit.train(recipe, run_dir=Path(temporary) / "run", on_step=heard, progress=False)
        report.put("memory", peaks(report.device))
        losses = {"mismatch": [m["mismatch/mean_logprob_difference"] for m in seen]}
        report.put("engine_against_trainer", losses)


def resumed(report: Report) -> None:
    """A run that is stopped after its second step and goes on, beside one that is not stopped."""
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        shape = {"hidden_size": 64, "intermediate_size": 128, "layers": 2, "heads": 2}
        recipe = {
            "algorithm": "grpo",
            "model": {"scratch": shape, "dtype": "bfloat16" if report.cuda else "float32"},
            "data": {"task": "addition", "level": 1, "max_prompt_tokens": 64},
            "verifiers": _odd(folder),
            "scoring": {"workers": 0, "max_rejected_gold": 1.0},
            "rollout": {"prompts_per_step": 4, "group_size": 4, "max_tokens": 12},
            "optimizer": {"learning_rate": 1.0e-3},
            "train": {"steps": 4, "token_budget": 256, "save_every": 1, "keep_last": 9},
            "device": report.options.device,
        }
        straight = grpo_kit.train(recipe, run_dir=folder / "straight", progress=False)
        grpo_kit.train(recipe, run_dir=folder / "stopped", progress=False, on_step=lambda m: m["step"] >= 2)
        again = grpo_kit.train(recipe, run_dir=folder / "stopped", progress=False, resume=True)
        with report.case("metrics after the resume") as put:
            if put is not None:
                put(_apart(straight.steps, again.steps))
        with report.case("weights after the resume") as put:
            if put is not None:
                mine, theirs = (_weights(folder / name) for name in ("straight", "stopped"))
                off = float((mine - theirs).norm() / mine.norm())
                put({"difference": off, "tolerance": RESUME_TOLERANCE, "holds": off <= RESUME_TOLERANCE})
        for step in (2, 4):
            with report.case(f"replay of step {step}") as put:
                if put is not None:
                    off = replay_step(folder / "straight", step).difference
                    put({"difference": off, "tolerance": RESUME_TOLERANCE, "holds": off <= RESUME_TOLERANCE})


def _apart(straight: list[dict[str, Any]], again: list[dict[str, Any]]) -> dict[str, Any]:
    names = ("reward/mean", "grad_norm", "entropy", "length/mean")
    off = 0.0
    for mine, theirs in zip(straight, again, strict=True):
        off = max(off, *(abs(mine[n] - theirs[n]) / max(abs(mine[n]), 1e-6) for n in names if n in mine))
    return {"difference": off, "tolerance": RESUME_TOLERANCE, "holds": off <= RESUME_TOLERANCE}


def _weights(run: Path) -> torch.Tensor:
    from safetensors.torch import load_file

    (path,) = (run / "checkpoints").glob("*4/model/model.safetensors")
    return torch.cat([tensor.flatten().float() for _, tensor in sorted(load_file(path).items())])


def curve(report: Report) -> None:
    """Learning until the time is up: word problems with the model given, else addition from random weights."""
    with tempfile.TemporaryDirectory() as temporary:
        begun = time.monotonic()
        rewards: list[list[float]] = []
        accuracies: list[list[float]] = []

        def heard(metrics: dict[str, Any]) -> bool:
            rewards.append([metrics["step"], round(metrics["reward/mean"], 4), round(time.monotonic() - begun, 1)])
            if len(rewards) % 5 == 0 or report.tiny:
                report.put("rewards", rewards)
            return report.left() < 20.0 and not report.tiny

        def judged(metrics: dict[str, Any]) -> None:
            accuracies.append([metrics.get("step", 0), round(metrics.get("eval/sampled", 0.0), 4)])
            report.put("held_out", accuracies)

        overrides: dict[str, Any] = {"device": report.options.device}
        if report.options.model is not None:
            recipe: Any = _word_problems(report, Path(temporary))[0]
            overrides |= {"train.steps": 60, "evaluation.tasks": 128, "evaluation.samples": 2, "evaluation.every": 10}
        else:
            recipe = "quickstart/addition"
        if report.tiny:
            overrides |= {"train.steps": 3, "evaluation.tasks": 8, "evaluation.samples": 1, "evaluation.every": 3}
            if report.options.model is None:
                overrides |= {"warm_start.steps": 5, "rollout.prompts_per_step": 4, "scoring.max_rejected_gold": 1.0}
                overrides["verifiers"] = _odd(Path(temporary))  # five steps of imitation get nothing right
        report.put("task", recipe if isinstance(recipe, str) else f"word problems, {report.options.model}")
        run = grpo_kit.train(
            recipe, overrides, run_dir=Path(temporary) / "run", on_step=heard, on_evaluation=judged, progress=False
        )
        report.put("rewards", rewards)
        report.put("outcome", {"steps": len(rewards), "stopped_by_the_clock": run.stopped, "held_out": run.accuracy})
