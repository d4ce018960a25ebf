"""The line of numbers that a person sees of every step."""

from __future__ import annotations

from typing import Any

from grpo_kit.observe.watch import mean_of_verifier


def headline(metrics: dict[str, Any]) -> dict[str, str]:
    """The handful of numbers that tell whether a run is well; which they are depends on what is learned."""
    shown = _preference(metrics) or _imitation(metrics) or _reinforcement(metrics)
    return shown | {"tok/s": f"{metrics['tokens_per_second']:.0f}"}


def _preference(metrics: dict[str, Any]) -> dict[str, str]:
    """Of pairs (DPO, IPO, reward models) and of labelled responses (KTO)."""
    if "pairs/accuracy" in metrics:
        numbers = {"pair accuracy": "pairs/accuracy", "margin": "pairs/margin"}
    elif "kto/baseline" in metrics:
        numbers = {"good": "kto/good_margin", "bad": "kto/bad_margin"}
    else:
        return {}
    shown = {"loss": f"{metrics['loss']:.4f}"} if "loss" in metrics else {}
    if not metrics.get("data/recorded"):
        shown |= {"reward": f"{metrics['reward/mean']:.3f}"}
    return shown | {name: f"{metrics[key]:.3f}" for name, key in numbers.items() if key in metrics}


def _imitation(metrics: dict[str, Any]) -> dict[str, str]:
    if "perplexity" not in metrics:
        return {}
    return {"loss": f"{metrics['loss']:.4f}", "perplexity": f"{metrics['perplexity']:.3f}"}


def _reinforcement(metrics: dict[str, Any]) -> dict[str, str]:
    shown = {"reward": f"{metrics['reward/mean']:.3f}"}
    verifiers = {n.split("/")[1]: v for n, v in metrics.items() if mean_of_verifier(n)}
    if len(verifiers) > 1:
        shown |= {name: f"{value:.2f}" for name, value in verifiers.items()}
    elif "judge/right" in metrics and metrics["reward/mean"] != metrics["judge/right"]:
        shown["right"] = f"{metrics['judge/right']:.1%}"
    shown["length"] = f"{metrics['length/mean']:.1f}"
    if "turns/mean" in metrics:
        shown["turns"] = f"{metrics['turns/mean']:.1f}"
    names = {
        "critic loss": "critic/loss",
        "explained": "critic/explained_variance",
        "entropy": "entropy",
        "teacher kl": "teacher/reverse_kl",
        "kl": "kl/reference",
        "clip": "clip/high",
    }
    shown |= {name: f"{metrics[key]:.3f}" for name, key in names.items() if key in metrics}
    if metrics.get("critic/warmup"):
        shown["critic warm-up"] = "the policy rests"
    return shown
