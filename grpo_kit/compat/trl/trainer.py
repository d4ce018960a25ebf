"""`GRPOTrainer` with the constructor of TRL 1.16: its arguments become a recipe, and `train` is `grpo_kit.train`.

Settings go through the same table as those of a script that is read (`fields`, `recipe`). What would be carried over with a
loss is refused here by name: a script that runs cannot be told afterwards what became of it.
"""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

from grpo_kit.api.overrides import Overrides, override_texts
from grpo_kit.api.recipe import Recipe
from grpo_kit.api.run import Run
from grpo_kit.api.training import train
from grpo_kit.errors import UserError

from .live import (
    WrittenRows,
    chat_template,
    listed,
    lora_settings,
    place_of_function,
    places,
    refuse_model,
    save_model,
    tokenizer_for,
    write_rows,
)
from .recipe import OTHERS, make_recipe
from .script import Asked, Rows
from .settings import GRPOConfig, given_settings

OF_EVALUATION = ("eval_strategy", "eval_steps", "num_generations_eval")
# A line of metrics.jsonl in TRL's names, beside the kit's own.
LOGGED = {
    "reward": "reward/mean", "reward_std": "reward/std", "completions/mean_length": "length/mean",
    "completions/clipped_ratio": "length/truncated", "kl": "kl/reference",
}  # fmt: skip
NOT_HERE = {
    "evaluate": "grpo_kit.evaluate(trainer.run, 'data.jsonl'), or eval_dataset with eval_strategy='steps'",
    "predict": "grpo_kit.evaluate(trainer.run, 'data.jsonl').samples",
    "push_to_hub": "trainer.run.model is a folder in Hugging Face format: `hf upload NAME FOLDER`",
    "create_model_card": "trainer.run.report() writes a page of the run",
    "add_callback": "grpo_kit.train(trainer.recipe, on_step=function)",
    "accelerator": "the kit places the model itself; docs/scaling.md",
    "optimizer": "the optimizer is AdamW with the section optimizer",
    "get_train_dataloader": "trainer.recipe.config.data says what is read",
}


class TrainOutput(NamedTuple):
    """What `GRPOTrainer.train` returns: optimizer steps are those of TRL's count, metrics those of the last step."""

    global_step: int
    training_loss: float
    metrics: dict[str, Any]


@dataclass(frozen=True)
class TrainerState:
    """What of TRL's ``trainer.state`` a run has: steps, and a mapping for each line of metrics."""

    global_step: int
    max_steps: int
    log_history: list[dict[str, Any]]


class _Missing(UserError, AttributeError):
    """So that ``hasattr`` says no, and whoever asks is told why."""


class GRPOTrainer:
    """Train as `trl.GRPOTrainer` is asked to, with this kit.

    Args:
        model: a name on the hub, a folder, or a loaded model, which is saved once and not changed itself.
        reward_funcs: functions of TRL's signature at the top of a file, names of reward models, or a list of them.
        args: `GRPOConfig`, this module's or TRL's own.
        train_dataset: ``datasets.Dataset`` with the column ``prompt``; the others reach the rewards by their names.
        eval_dataset: held-out rows, asked every ``eval_steps`` where ``eval_strategy`` is ``"steps"``.
        processing_class: the tokenizer; default: the model's.
        peft_config: a ``peft.LoraConfig``.
        tools, environment_factory: functions, or a class, at the top of a file.
        overrides: keys of the recipe that TRL has no field for: ``{"scoring.workers": 4}``. TRL has no such argument.

    Everything is written below ``args.output_dir``: ``inputs/`` holds what was in memory, ``run/`` is the run.

    Attributes:
        recipe: what is trained; ``trainer.recipe.to_yaml("mine.yaml")`` leaves TRL behind.
        run: the run once it has been trained.

    Raises:
        UserError: an argument, or a field of ``args``, has no counterpart here; every one is named with the way out.
    """

    def __init__(
        self,
        model: Any,
        reward_funcs: Any = None,
        args: Any = None,
        train_dataset: Any = None,
        eval_dataset: Any = None,
        processing_class: Any = None,
        reward_processing_classes: Any = None,
        callbacks: Any = None,
        optimizers: tuple[Any, Any] = (None, None),
        quantization_config: Any = None,
        peft_config: Any = None,
        tools: Any = None,
        rollout_func: Any = None,
        environment_factory: Any = None,
        *,
        overrides: Overrides = None,
    ) -> None:
        _refuse_arguments(
            reward_processing_classes=reward_processing_classes, callbacks=callbacks, quantization_config=quantization_config,
            optimizers=[one for one in optimizers if one is not None], rollout_func=rollout_func,
        )  # fmt: skip
        if int(os.environ.get("WORLD_SIZE", "1")) > 1:
            raise UserError(
                "GRPOTrainer: this is one of several processes. Start the script alone, with "
                "trainer.recipe.to_yaml('mine.yaml') in the place of trainer.train(), and then run "
                "`grpo-kit train mine.yaml --nproc N`"
            )
        if not isinstance(model, str):
            refuse_model(model)
        self.args = GRPOConfig(_default_folder(model)) if args is None else args
        settings = given_settings(self.args)
        self.folder = Path(settings.pop("output_dir", None) or "trainer_output").expanduser()
        self.run: Run | None = None
        self.processing_class = processing_class
        self._model, self._inputs = model, self.folder.absolute() / "inputs"
        wanted = {name: settings.pop(name) for name in OF_EVALUATION if name in settings}

        inputs = self._inputs
        rewards = places(reward_funcs, "reward_funcs", inputs)
        asked = Asked("grpo", Path("GRPOTrainer"), settings, model=self._model_path, rewards=rewards)
        asked.tools = places(tools, "tools", inputs)
        if environment_factory is not None:
            if isinstance(environment_factory, Mapping):
                raise UserError(
                    "GRPOTrainer: environment_factory holds several; the environment is the run's: give one of them"
                )
            asked.environment = place_of_function(environment_factory, "environment_factory", inputs)
        if peft_config is not None:
            asked.lora = lora_settings(peft_config)
        rows = write_rows(train_dataset, "train_dataset", inputs)
        asked.data = Rows(str(rows.path))
        made = make_recipe(asked, inputs / "recipe.yaml", [f"data.fields.answer={rows.gold}"])
        if made.lost:
            said = "\n".join(f"  {theirs}: {why}" for theirs, why in dict.fromkeys(made.lost))
            raise UserError(
                f"GRPOTrainer: what has no counterpart here is refused; take it out, or say it as it is said here:\n{said}"
            )
        # Whatever a reward function is, what it calls right was never promised to be the gold answer.
        more: dict[str, Any] = {"scoring.max_rejected_gold": 1.0}
        if rows.text or processing_class is not None or not isinstance(model, str):
            self.processing_class = tokenizer_for(model, processing_class)
            template = chat_template(model, self.processing_class, processing_class is not None, rows.text)
            if template is not None:
                more["chat.arguments"] = {"chat_template": template}
        held_out = None if eval_dataset is None else write_rows(eval_dataset, "eval_dataset", inputs)
        texts = override_texts(overrides, {})
        recipe = Recipe(Recipe(made.recipe, more), texts)
        if section := _evaluation(wanted, held_out, recipe):
            recipe = Recipe(Recipe(recipe, {"evaluation": section}), texts)
        self.recipe = recipe

    @property
    def _model_path(self) -> str:
        return self._model if isinstance(self._model, str) else str(self._inputs / "model")

    def train(self, resume_from_checkpoint: bool | str | None = None) -> TrainOutput:
        """Train, and return as TRL does.

        Args:
            resume_from_checkpoint: True goes on from the newest checkpoint of the run below ``output_dir``, the path of a
                checkpoint (``.../step-40``) from that.

        Raises:
            UserError: a run is there already, or none to go on with.
            Interrupted, RunFailed: as `grpo_kit.train` does.
        """
        folder = self.folder / "run"
        if not resume_from_checkpoint:
            if folder.exists():
                raise UserError(
                    f"GRPOTrainer: {folder} holds a run: name another output_dir, or go on with "
                    "train(resume_from_checkpoint=True)"
                )
            if not isinstance(self._model, str):
                save_model(self._model, self.processing_class, Path(self._model_path))
        self.__dict__.pop("model", None)
        shown = not getattr(self.args, "disable_tqdm", None)
        self.run = train(self.recipe, run_dir=folder, resume=_position(resume_from_checkpoint), progress=shown)
        steps, state = self.run.steps, self.state
        losses = [float(line["loss"]) for line in steps if "loss" in line]
        mean = sum(losses) / len(losses) if losses else 0.0
        return TrainOutput(state.global_step, mean, steps[-1] if steps else {})

    @property
    def state(self) -> TrainerState:
        """Steps so far, and the metrics of each: the kit's names, and TRL's for those that it has as well."""
        config = self.recipe.config
        learns = config.train.updates_per_batch * config.train.epochs_per_batch
        lines = [] if self.run is None else self.run.metrics
        history = [line | {theirs: line[ours] for theirs, ours in LOGGED.items() if ours in line} for line in lines]
        done = 0 if self.run is None else self.run.step
        return TrainerState(done * learns, config.train.steps * learns, history)

    @cached_property
    def model(self) -> Any:
        """The model: as it was given before the training, as it was trained after it."""
        if self.run is None or self.run.model is None:
            return self._model
        from transformers import AutoModelForCausalLM

        return AutoModelForCausalLM.from_pretrained(self.run.model)

    def save_model(self, output_dir: str | Path | None = None) -> None:
        """Copy the trained model with its tokenizer to a folder, in Hugging Face format; default: ``args.output_dir``.

        Raises:
            UserError: nothing has been trained to its end.
        """
        if self.run is None or self.run.model is None:
            raise UserError("GRPOTrainer.save_model: there is no trained model yet; train() makes it")
        shutil.copytree(self.run.model, self.folder if output_dir is None else Path(output_dir), dirs_exist_ok=True)

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_"):
            raise AttributeError(name)
        way = NOT_HERE.get(name, "trainer.recipe and trainer.run have what there is")
        raise _Missing(f"GRPOTrainer has no {name!r} here: {way}")


def _refuse_arguments(**given: Any) -> None:
    ways = OTHERS | {
        "callbacks": "grpo_kit.train(trainer.recipe, on_step=function) calls one after every step (docs/api.md)",
    }
    if found := [f"{name}: {ways[name]}" for name, value in given.items() if listed(value)]:
        raise UserError(f"GRPOTrainer: what has no counterpart here is refused: {'; '.join(found)}")


def _default_folder(model: Any) -> str:
    name = model if isinstance(model, str) else getattr(model.config, "_name_or_path", "") or "model"
    return f"{name.rstrip('/').rpartition('/')[2]}-GRPO"


def _evaluation(wanted: dict[str, Any], rows: WrittenRows | None, recipe: Recipe) -> dict[str, Any] | None:
    """The section ``evaluation`` of what TRL would evaluate; None where it would not.

    Raises:
        UserError: when to evaluate cannot be said so here.
    """
    strategy = str(wanted.get("eval_strategy", "steps" if "eval_steps" in wanted else "no"))
    if strategy == "no":
        return None
    if rows is None:
        raise UserError("GRPOTrainer: eval_strategy needs an eval_dataset")
    steps = wanted.get("eval_steps", 10)  # TRL's logging_steps
    if strategy != "steps" or not isinstance(steps, (int, float)) or steps < 1:
        raise UserError(
            f"GRPOTrainer: eval_strategy {strategy!r} with eval_steps {steps!r}: evaluations come every so many steps here; give "
            "eval_strategy='steps' and a whole number of eval_steps"
        )
    train_section = recipe.config.train
    learns = train_section.updates_per_batch * train_section.epochs_per_batch
    longest = recipe.config.longest_prompt
    section: dict[str, Any] = {
        "data": {"path": str(rows.path), "fields": {"answer": rows.gold}, "max_prompt_tokens": longest},
        "every": max(1, int(steps) // learns),
        "samples": wanted.get("num_generations_eval") or recipe.config.rollout.group_size,
    }
    if not rows.has_gold and recipe.config.verifiers:
        section["verifier"] = recipe.config.verifiers[0].name
    return section


def _position(resume: bool | str | None) -> bool | int:
    if resume is None or isinstance(resume, bool):
        return bool(resume)
    number = re.search(r"(\d+)/?$", resume)
    if number is None:
        raise UserError(f"resume_from_checkpoint: {resume!r} names no step; checkpoints are called step-N")
    return int(number.group(1))
