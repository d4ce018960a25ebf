"""Tasks of inspect_ai, judged by its own scorer and by a verifier."""

from inspect_ai import Task, task
from inspect_ai.dataset import Sample
from inspect_ai.model import GenerateConfig
from inspect_ai.scorer import includes
from inspect_ai.solver import generate, system_message

from grpo_kit.compat.inspect_ai import scorer

# What a random model says may hold such a digit or not.
SAMPLES = [Sample(input=f"{i} + {i + 1} =", target=str(2 * i + 1), metadata={"number": i}) for i in range(6)]


@task
def said():
    return Task(
        dataset=SAMPLES,
        solver=[system_message("Be brief."), generate()],
        scorer=includes(),
        config=GenerateConfig(temperature=0.0, max_tokens=8),
    )


@task
def judged():
    return Task(
        dataset=SAMPLES,
        solver=generate(),
        scorer=scorer("math", last_expression=True),
        config=GenerateConfig(temperature=0.0, max_tokens=8),
    )
