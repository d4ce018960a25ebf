"""What one step of a recipe has to do."""

from __future__ import annotations

from grpo_kit.config import Config
from grpo_kit.objective.rows import Algorithm

from .cost import Work
from .shapes import reference_shape, shape_of


def work_of(config: Config, objective: Algorithm, prompt: float, completion: float) -> Work:
    """prompt, completion: mean tokens of each. What an environment inserts counts as the most that it may be."""
    several = config.train.updates_per_batch * config.train.epochs_per_batch > 1
    critic = 2 if objective.learns_twins else int(objective.needs_critic)
    old = several or objective.kl_in_reward or objective.teaches_tokens
    again = config.groups_learned / config.rollout.prompts_per_step
    looks = _looks(config, objective) if objective.learns_values else float(old) + critic
    from_one_prompt = config.rollout.group_size if not objective.recorded else 2 if objective.learns_preferences else 1
    return Work(
        prompts=config.rollout.prompts_per_step,
        sequences=config.rollout.prompts_per_step * from_one_prompt,
        prompt_tokens=prompt,
        completion_tokens=completion,
        forwards=again * (_of_reference(config, objective) + looks),
        updates=again * config.train.epochs_per_batch * (1 + critic),
        checkpointing=config.parallel.gradient_checkpointing,
        inserted_tokens=float(config.inserted),
    )


def _looks(config: Config, objective: Algorithm) -> float:
    """Passes that say what goals are made of, in family values: of policy, critic and their targets, each epoch."""
    if objective.learns_twins:
        # Of three networks for either pair of twins; then of the policy for each twin's step, and of both for the policy's.
        return float(config.train.epochs_per_batch * (3 * (1 + objective.keeps_target) + 4))
    return float(config.train.epochs_per_batch * (1 + objective.needs_critic) * (1 + objective.keeps_target))


def _of_reference(config: Config, objective: Algorithm) -> float:
    """Passes of the reference in a step, as passes of the policy: another model's by its size."""
    if not objective.needs_reference:
        return 0.0
    other = reference_shape(config, objective)
    passes = 1 if objective.reads_reference else config.train.epochs_per_batch
    return passes * (1.0 if other is None else other.parameters / shape_of(config.model).parameters)
