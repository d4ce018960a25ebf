"""A training recipe as an evaluation task: what the run itself holds out, judged as the run judges it."""

from __future__ import annotations

from grpo_kit.config import Config, EvaluationConfig, VerifierConfig
from grpo_kit.config.source import Source
from grpo_kit.data.datasets import evaluation_source, evaluation_tasks
from grpo_kit.types import Task

from .judge import find_judge


def is_recipe(source: Source) -> bool:
    """Whether a YAML file is a recipe: it says how to train, which a task file never does."""
    return bool({"train", "model", "verifiers"} & source.data.keys())


def held_out(config: Config) -> tuple[Config, list[Task], str]:
    """The recipe with its evaluation section, the problems it is evaluated on, and the fingerprint of their data.

    Raises:
        UserError: the data cannot be read, or hold nothing out.
    """
    config = config.model_copy(update={"evaluation": config.evaluation or EvaluationConfig()})
    return config, evaluation_tasks(config), evaluation_source(config).fingerprint


def recipe_judge(config: Config) -> VerifierConfig | None:
    """Who judges the held-out data of a run (`find_judge`); None where the environment does."""
    spec = find_judge(config).spec
    if spec is None:
        return None
    return VerifierConfig(name=spec.name, options=dict(spec.options), timeout=spec.timeout)
