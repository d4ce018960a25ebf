"""What each process of `test_world` does: the runs named on the command line, one after another, with the ranks it has."""

import io
import sys
from pathlib import Path

import torch
from rich.console import Console

from grpo_kit.observe.console import RunConsole
from grpo_kit.observe.run_directory import RunDirectory
from grpo_kit.runtime import ranks
from grpo_kit.train import assemble
from grpo_kit.train.checkpoint import latest_checkpoint
from grpo_kit.train.loop import OnlineTrainer
from tests.kit.runs import ODD, recipe, undrawn

SETTINGS = (
    "scoring.max_rejected_gold=1.0",
    "train.steps=2",
    "rollout.max_tokens=8",
    "rollout.prompts_per_step=3",
    # AdamW divides a gradient by its own size: of one that is all rounding it would make a step like any other.
    "optimizer.epsilon=1.0e-5",
)
VARIANTS = {  # beyond the rows of the table: what else changes how work is spread
    "grpo": ("train.epochs_per_batch=2", "train.updates_per_batch=3"),
    "lora": ("algorithm=grpo", "model.lora={rank: 4}", "parallel.gradient_checkpointing=true"),
    "masked": ("algorithm=grpo", "objective.entropy_share=0.3"),
    "mixture": (
        "algorithm=grpo",
        "data=[{name: sums, task: addition, limit: 8, max_prompt_tokens: 64, weight: 2}, {name: chains, task: chain_sum, "
        "limit: 8, max_prompt_tokens: 64, verifiers: [{name: math}]}]",
        "curriculum.sampler=thompson",
        "train.steps=4",
    ),
    "gdpo_sets": (
        "algorithm=gdpo",
        "data=[{name: sums, task: addition, limit: 8, max_prompt_tokens: 64, weight: 2}, {name: chains, task: chain_sum, "
        f"limit: 8, max_prompt_tokens: 64, verifiers: [{{name: '{ODD.partition('=')[2]}', weight: 0.5}}, {{name: overlong, "
        "options: {maximum: 8, buffer: 4}}]}]",
    ),
    "refresh": ("algorithm=grpo", "objective.beta=0.1", "reference.refresh=1", "train.steps=3"),
    "refreshed_lora": (
        "algorithm=grpo",
        "objective.beta=0.1",
        "reference.refresh=1",
        "train.steps=3",
        "model.lora={rank: 4}",
    ),
    "replay": ("algorithm=grpo", "replay={steps: 2, priority_exponent: 0.6}", "train.steps=3"),
    "dqn": (
        "algorithm=grpo",
        "objective={family: values, bootstrap: double_max, target_rate: 0.2, value_temperature: 0.1, beta: 0}",
        "replay={steps: 2}",
        "train.steps=3",
    ),
    "dqn_lora": (
        "algorithm=grpo",
        "objective={family: values, bootstrap: max, target_rate: 1, target_every: 2, value_temperature: 0.1, beta: 0}",
        "model.lora={rank: 4}",
        "train.steps=3",
    ),
    "long": ("algorithm=grpo", "train.steps=20", "rollout.prompts_per_step=6"),
}


def config_of(name: str, record: str):
    row = "grpo" if name in VARIANTS else name
    mined = [f"examples={{rollouts: {record}}}"] if name == "offline_pg" else []
    return recipe(row, ODD, *SETTINGS, *mined, *VARIANTS.get(name, ()))


@undrawn()
def train(config, folder: Path, resume: bool = False) -> None:
    """As the command does, without its checks and its pictures."""
    if ranks.first():
        run = RunDirectory.open(folder) if resume else RunDirectory.create(folder, config)
    ranks.barrier("the folder")
    run = run if ranks.first() else RunDirectory(folder, writes=False)
    trainer = OnlineTrainer(config, run, RunConsole(Console(file=io.StringIO())))
    try:
        trainer.train(latest_checkpoint(run.checkpoints, print) if resume else None, [] if resume else None)
    finally:
        trainer.close()


RATE = 1e9  # operations per second that every rank is said to have

if __name__ == "__main__":
    torch.set_num_threads(1)
    assemble.product_rate = lambda *_: RATE
    action, folder, record, *names = sys.argv[1:]
    with ranks.joined(torch.device("cpu")):
        for name in names:
            config = config_of(name, record)
            if action == "save":
                config = config.model_copy(update={"train": config.train.model_copy(update={"save_every": 1})})
            train(config, Path(folder) / name, resume=action == "resume")
