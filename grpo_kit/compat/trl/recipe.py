"""The recipe of what a script or a configuration asks of TRL, and what becomes of each part of it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from grpo_kit.config import Config
from grpo_kit.config.explain import all_keys
from grpo_kit.config.read import read_override, read_source, validate
from grpo_kit.data.rows import is_one_file, read_file
from grpo_kit.errors import UserError
from grpo_kit.objective.algorithms import ALGORITHMS, resolve_objective
from grpo_kit.objective.compatibility import refusals
from grpo_kit.runtime.suggest import did_you_mean

from . import together
from .columns import gold_of, mapping_of, maps_to_messages
from .fields import CONFIGS, LORA, LORA_LOST, Field, fields_of
from .imported import Imported
from .names import Unread
from .plain import VERBATIM, verbatim_of
from .rewards import Scores, columns_read
from .script import Asked
from .together import Batches, CannotCarry

DEFAULT_LORA = {"r": 8, "lora_alpha": 8}  # peft's


class _Writer:
    """Writes the recipe part by part.

    Args:
        out: the file that the recipe is written to; functions are written beside it.
    """

    def __init__(self, asked: Asked, out: Path, overridden: set[str]) -> None:
        self.asked, self.out, self.overridden = asked, out, overridden
        self.made = Imported(asked.method)
        self.fields, self.usual = fields_of(asked.method), all_keys()
        self.values: dict[str, Any] = {name: one.default_of(asked.method) for name, one in self.fields.items()}
        self.given: dict[str, Any] = {}
        self.used: set[str] = set()

    def write(self) -> Imported:
        self._take_settings()
        self._single_fields()
        self._model()
        rows = self._data()
        Scores(self.asked, self.made, self.out, self.overridden, self.values).write()
        self._batches(rows)
        self._objective()
        self._rest()
        self._unused()
        return self.made

    def _take_settings(self) -> None:
        """Sort what is given into what is known, what is unknown, and what nobody can read."""
        for name, value in self.asked.settings.items():
            known = self.fields.get(name)
            if isinstance(value, Unread):
                way = f"; say it as {known.keys[0]}=..." if known and known.keys else ""
                self.made.lost.append((name, f"it is computed, {value}{way}"))
            elif known is None:
                self.made.lost.append((name, self._unknown(name)))
            else:
                self.values[name] = self.given[name] = value
        for name, field in self.fields.items():
            value, usual = self.values[name], field.default_of(self.asked.method)
            # TRL cuts by default, and None is what happens here.
            lost = value is not None if name == "max_length" else value != usual
            if lost and not field.keys and not field.needless:
                self.made.lost.append((f"{name} {value!r:.60}", field.why))

    def _unknown(self, name: str) -> str:
        near = did_you_mean(name, list(self.fields))
        return f"the mapping has no such field of {CONFIGS[self.asked.method]}, so nothing here goes by it.{near}"

    def _single_fields(self) -> None:
        for one in self.fields.values():
            if one.convert is None or (one.name not in self.given and not one.matters):
                continue
            value = self.values[one.name]
            if value is None and one.name in self.given and one.name != "bf16":
                continue  # TRL's own default, which the kit has in its way
            try:
                made = one.convert(value)
            except (TypeError, ValueError) as error:
                self.made.lost.append((f"{one.name} {value!r:.60}", str(error)))
                continue
            if one.name != "beta":
                self.made.set(one.keys[0], made)
                self._say(one, value, f"{one.keys[0]}: {made}")

    def _say(self, one: Field, value: Any, said: str) -> None:
        if one.name in self.given:
            self.made.carried.append((f"{one.name} {value!r:.60}", said + (f" ({one.why})" if one.why else "")))
        elif self.usual[one.keys[0]].default != json.dumps(value):
            self.made.defaults.append((f"{one.name} {value!r}", said))

    def _model(self) -> None:
        model = self.asked.model
        if isinstance(model, str):
            self.made.set("model.path", model)
            self.made.carried.append((f"model {model}", "model.path"))
        elif not self.overridden & {"model.path", "model.scratch"}:
            said = f"is {model}, which only running it would tell" if isinstance(model, Unread) else "is not named"
            raise UserError(f"{self.asked.file}: the model {said}; say model.path=NAME or folder")
        for name, value in self.asked.loaded.items():
            if name not in LOADED_NEEDLESS and value is not None and value is not False:
                said = f"from_pretrained({name}={value!s:.60})"
                self.made.lost.append((said, MODEL_LOST.get(name, "models are loaded in float32, without options")))
        if self.asked.reference is not None:
            if isinstance(self.asked.reference, str):
                self.made.set("reference.path", self.asked.reference)
                self.made.carried.append((f"ref_model {self.asked.reference}", "reference.path"))
            else:
                self.made.lost.append(("ref_model", f"it is {self.asked.reference}; say reference.path=..."))
        if self.asked.lora is not None:
            self._lora(self.asked.lora)

    def _lora(self, lora: dict[str, Any]) -> None:
        if self.asked.method == "reward":
            self.made.lost.append(
                ("peft_config", "a reward model's score layer has to be trained as well: no adapters there")
            )
            return
        whole = DEFAULT_LORA | lora
        if unread := whole.pop("", None):
            self.made.lost.append(("peft_config", f"it is {unread}; say model.lora={{rank: 16, alpha: 32}}"))
            return
        for name, value in whole.items():
            if isinstance(value, Unread) and name != "task_type":
                self.made.lost.append((f"LoraConfig.{name}", f"it is computed, {value}"))
            elif name in LORA:
                self.made.set(LORA[name], value)
                said = self.made.carried if name in lora else self.made.defaults
                said.append((f"LoraConfig.{name} {value!r:.60}", LORA[name]))
            elif name not in ("task_type", "") and value not in (None, 0, 0.0, False, "none", {}, True):
                self.made.lost.append(
                    (f"LoraConfig.{name} {value!r:.60}", LORA_LOST.get(name, "adapters have no such option"))
                )
        if not whole.get("target_modules"):
            self.made.defaults.append(
                ("LoraConfig.target_modules None", "model.lora.targets: all-linear; peft goes by the model")
            )

    def _data(self) -> int | None:
        """The section ``data`` (and ``examples``); gives the rows of a file that lies here."""
        data, sampled = self.asked.data, self.asked.method == "grpo"
        path = data.path
        if not isinstance(path, str):
            if not self.overridden & {"data", "data.path", "data.task", "examples", "examples.path"}:
                said = f"is {data.changed[0]}, which only running it would tell" if data.changed else "is not named"
                key = "data.path" if sampled else "examples.path"
                raise UserError(f"{self.asked.file}: the data {said}; say {key}=FILE, or a name on the hub")
        else:
            self.made.set("data.path" if sampled else "examples.path", path)
            self.made.carried.append((f"data {path}", "data.path" if sampled else "examples.path"))
        if not sampled:
            # Recorded prompts are framed by a section data; a procedural task there asks nothing.
            self.made.set("data.task", "addition")
            self.made.set("examples.tokenized", "together")
            self.made.defaults.append(("prompt and response as one text", "examples.tokenized: together"))
        for key, value, usual in (
            ("subset", data.subset, None),
            ("split", data.split, "train"),
            ("limit", data.limit, None),
        ):
            if value == usual or (key == "split" and path and is_one_file(path)):
                continue
            if key == "limit" and not sampled:
                self.made.lost.append(
                    (f"the first {value} rows", "examples are learned from whole: write these into a file")
                )
                continue
            self.made.set(f"data.{key}", value)
            self.made.carried.append((f"{key} {value}", f"data.{key}"))
            if key == "limit" and data.shuffled:
                why = "data.limit takes the first rows as they stand: write shuffled ones into a file once"
                self.made.lost.append((f".shuffle before the first {value} rows", why))
        rows = read_file(Path(path)) if path and is_one_file(path) and Path(path).is_file() else None
        if sampled:
            self._columns(rows)
        else:
            self._examples(rows)
        return None if rows is None else min(len(rows), data.limit or len(rows))

    def _examples(self, rows: Any) -> None:
        """How rows of a file become tokens. rows: of a file that lies here; None of others."""
        data = self.asked.data
        if data.changed or data.renamed:
            self._changed_rows(data.changed or [f"renamed columns {', '.join(data.renamed)}"])
            rows = None
        if self.asked.method == "sft":
            self._learned(rows)
        if rows is not None and len(rows) and not any(isinstance(value, list) for value in rows[0].values()):
            self._framing(True)

    def _learned(self, rows: Any) -> None:
        """What of a row is learned: without completion_only_loss its response where it has a prompt, and all of it where not."""
        asked = self.values["completion_only_loss"]
        if self.given.get("assistant_only_loss"):
            return  # said to be lost: the last message is learned
        if asked is None and rows is None:
            why = (
                "TRL learns every token of rows that have no column prompt, and whether these have one cannot be told without "
                "loading the data: if they have none, say examples.learned=all"
            )
            self.made.lost.append(("rows of messages, or of text", why))
            return
        every = "prompt" not in rows.column_names if asked is None else not asked
        if every or asked is not None:
            learned = "all" if every else "response"
            self.made.set("examples.learned", learned)
            said = (f"completion_only_loss {asked}", f"examples.learned: {learned}")
            (self.made.defaults if asked is None else self.made.carried).append(said)

    def _columns(self, rows: Any) -> None:
        """Which column is the prompt and which the gold answer, as the script's mapping and its rewards have it.

        Args:
            rows: of a file that lies here; None of others.
        """
        data, tree, names = self.asked.data, self.asked.tree, self.asked.names
        columns = rows.column_names if rows is not None else None
        mapped, messages = None, False
        if data.mapped is not None and len(data.changed) == 1 and tree is not None and names is not None:
            mapped = mapping_of(data.mapped, tree, names)
            messages = maps_to_messages(data.mapped, tree, names)
        if mapped is not None:
            for key, value in mapped.items():
                self.made.set(f"data.{key}", data.renamed.get(value, value) if key.startswith("fields.") else value)
            keys = ", ".join(f"data.{key}" for key in mapped)
            self.made.carried.append((f"rows mapped at {data.changed[0].partition(' ')[2].strip('()')}", keys))
        elif data.changed and not self.overridden & {"data", "data.path"}:
            self._changed_rows(data.changed)
        prompt = data.renamed.get("prompt")
        if prompt and mapped is None:
            self.made.set("data.fields.prompt", prompt)
            self.made.carried.append((f"column {prompt} renamed to prompt", "data.fields.prompt"))
        if mapped is None or "fields.answer" not in mapped:
            self._gold(columns)
        if not messages and (mapped is not None or not data.changed):
            column = self.made.recipe.get("data", {}).get("fields", {}).get("prompt", "prompt")
            text = True if mapped and "prompt_template" in mapped else None
            if text is None and rows is not None and column in rows.column_names and len(rows):
                text = isinstance(rows[0][column], str)
            self._framing(text)

    def _framing(self, text: bool | None) -> None:
        """No chat template around prompts of plain text, as in TRL. text: None where that cannot be told."""
        if text is False or self.overridden & {"chat", "chat.arguments", "chat.arguments.chat_template"}:
            return
        if text is None:
            why = (
                "TRL puts no chat template around them, and whether these are cannot be told without loading the data: if they "
                f'are, give chat.arguments.chat_template the value "{VERBATIM}"'
            )
            self.made.lost.append(("prompts of plain text", why))
            return
        template, said = verbatim_of(self.asked.model)
        self.made.set("chat.arguments.chat_template", template)
        self.made.carried.append(("prompts of plain text", f"chat.arguments.chat_template ({said})"))

    def _changed_rows(self, changed: list[str]) -> None:
        key = "data" if self.asked.method == "grpo" else "examples"
        self.made.lost.append(
            (", ".join(changed), "what is done to rows is code: write them once with .to_json(\"train.jsonl\"), and say "
             f"{key}.path=train.jsonl")
        )  # fmt: skip

    def _gold(self, columns: list[str] | None) -> None:
        read = columns_read(self.asked)
        gold = gold_of(read) or (gold_of(columns) if columns else None)
        column = self.asked.data.renamed.get(gold, gold) if gold else None
        if column is None and columns:
            # Any column serves that no reward reads: the kit wants one, and hands the others over by their names.
            free = [
                name for name in columns if name not in read and name != self.asked.data.renamed.get("prompt", "prompt")
            ]
            column = free[0] if free else None
        if "data.fields.answer" in self.overridden:
            return
        if column is None:
            why = "which column is the gold answer cannot be told; data.fields.answer names one (docs/data.md)"
            self.made.lost.append(("the gold answer", why))
        elif column != "answer":
            self.made.set("data.fields.answer", column)
            self.made.carried.append((f"column {column}", "data.fields.answer"))

    def _batches(self, rows: int | None) -> None:
        batch = together.batches(self.asked.method, self.values)
        self.made.set("rollout.prompts_per_step", batch.rows)
        names = [n for n in BATCH if n in self.given]
        parts = (
            ", ".join(f"{n} {self.values[n]}" for n in names) or f"per_device_train_batch_size {self.values[BATCH[0]]}"
        )
        (self.made.carried if names else self.made.defaults).append(
            (parts, f"rollout.prompts_per_step: {batch.rows} (of one process; with several, multiply)")
        )
        if batch.updates > 1:
            self.made.set("train.updates_per_batch", batch.updates)
            self.made.carried.append(
                (f"{batch.updates} updates of a batch", f"train.updates_per_batch: {batch.updates}")
            )
        if batch.note:
            self.made.lost.append(("steps_per_generation", batch.note))
        count = together.steps(self.values, batch, rows)
        if count is None and "train.steps" not in self.overridden:
            path = self.asked.data.path
            unknown = "since it is not here" if path and is_one_file(path) else "without loading it"
            raise UserError(
                f"{self.asked.file}: it trains for num_train_epochs {self.values['num_train_epochs']:g}, and how many rows "
                f"{path} has is not known {unknown}: say train.steps=N: rows times epochs, divided by the rows of a step "
                f"({batch.rows})"
            )
        if count is not None:
            self.made.set("train.steps", count)
            long = f"max_steps {self.values['max_steps']}"
            if int(self.values["max_steps"]) <= 0:
                long = f"num_train_epochs {self.values['num_train_epochs']:g} of {rows} rows"
            said = self.made.carried if {"max_steps", "num_train_epochs"} & self.given.keys() else self.made.defaults
            said.append((long, f"train.steps: {count}"))
        self._of_steps(batch, count)

    def _of_steps(self, batch: Batches, count: int | None) -> None:
        """What is counted in optimizer steps there."""
        warm, unknown = together.warmup(self.values, None if count is None else count * batch.learns)
        if unknown:
            self.made.lost.append(("the warm-up, a share", "say optimizer.warmup_steps=N beside train.steps"))
        elif warm:
            self.made.set("optimizer.warmup_steps", warm)
            self.made.carried.append(("the warm-up", f"optimizer.warmup_steps: {warm}"))
        if isinstance(self.given.get("save_steps"), (int, float)) and self.values["save_steps"] >= 1:
            every = max(1, int(self.values["save_steps"]) // batch.learns)
            self.made.set("train.save_every", every)
            self.made.carried.append((f"save_steps {self.values['save_steps']}", f"train.save_every: {every}"))
        betas = [float(self.values["adam_beta1"]), float(self.values["adam_beta2"])]
        if betas != [0.9, 0.999]:
            self.made.set("optimizer.betas", betas)
            self.made.carried.append((f"adam_beta1, adam_beta2 {betas}", "optimizer.betas"))

    def _objective(self) -> None:
        method = self.asked.method
        if method == "grpo":
            algorithm, made = "grpo", together.grpo_objective(self.values)
        else:
            algorithm, made = together.offline(method, self.values)
            if "beta" in self.fields:
                made["beta"] = float(self.values["beta"])
        self.made.recipe["algorithm"] = algorithm
        if method != "grpo" and "loss_type" in self.given:
            self.made.carried.append((f"loss_type {self.values['loss_type']!r:.40}", f"algorithm: {algorithm}"))
        for key, value in made.items():
            self.made.set(f"objective.{key}", value)
        row = ALGORITHMS[algorithm]
        mapped = {
            k.removeprefix("objective."): f for f in self.fields.values() for k in f.keys if k.startswith("objective.")
        }
        for key, value in made.items():
            sources = self._sources(key)
            self.used.update(sources)
            if sources:
                given = ", ".join(f"{name} {self.values[name]!r:.40}" for name in sources)
                self.made.carried.append((given, f"objective.{key}: {value}"))
            elif getattr(row, key) != value:
                field_of = mapped[key]
                said = f"objective.{key}: {value} (the row {algorithm} has {getattr(row, key)})"
                self.made.defaults.append((f"{field_of.name} {self.values[field_of.name]!r}", said))

    def _sources(self, key: str) -> list[str]:
        """The given fields that a choice of the objective is made of."""
        named = [f.name for f in self.fields.values() if f"objective.{key}" in f.keys and f.name in self.given]
        if self.asked.method == "grpo" and key in together.LOSSES[self.values["loss_type"]]:
            return [name for name in named if name == "loss_type"]
        ignored = {"loss_type"}
        if key == "clip_high" and self.values.get("epsilon_high") is not None:
            ignored.add("epsilon")
        return [name for name in named if name not in ignored]

    def _unused(self) -> None:
        """Say what was given, and no key came of."""
        for name, value in self.given.items():
            one = self.fields[name]
            if (
                one.convert is not None
                or not one.keys
                or value == one.default_of(self.asked.method)
                or name in self.used
            ):
                continue
            if not any(self.made.has(key) for key in one.keys if not key.startswith("objective.")):
                self.made.lost.append(
                    (f"{name} {value!r:.60}", NO_EFFECT.get(name, "it decides nothing beside the other settings"))
                )

    def _rest(self) -> None:
        for key, value in together.engine(self.values).items() if self.asked.method == "grpo" else ():
            self.made.set(f"rollout.{key}", value)
            self.made.carried.append(("use_vllm", f"rollout.{key}: {value}"))
        said = self.given.get("report_to") or []
        wanted = [said] if isinstance(said, str) else list(said)
        sinks = [name for name in wanted if name in ("tensorboard", "wandb", "trackio", "mlflow")]
        if sinks:
            self.made.set("logging.sinks", sinks)
            self.made.carried.append((f"report_to {', '.join(sinks)}", "logging.sinks"))
        for name in wanted:
            if name not in (*sinks, "none"):
                self.made.lost.append(
                    (f"report_to {name}", "there is no such tracker here; metrics.jsonl has every number")
                )
        if self.asked.evaluates:
            self.made.lost.append(("eval_dataset", "an evaluation section names held-out data (docs/evaluation.md)"))
        for name in self.asked.others:
            self.made.lost.append((name, OTHERS.get(name, "the trainer here has no such argument")))


# Of `from_pretrained`.
LOADED_NEEDLESS = ("torch_dtype", "dtype", "attn_implementation", "device_map", "use_cache", "low_cpu_mem_usage", "cache_dir",
                   "token", "num_labels", "local_files_only", "task_type")  # fmt: skip
MODEL_LOST = {
    "quantization_config": "quantised training is not offered",
    "load_in_8bit": "quantised training is not offered",
    "load_in_4bit": "quantised training is not offered",
    "trust_remote_code": "code that comes with a model is not executed",
    "revision": "a name on the hub is its main revision: download another one into a folder",
}
NO_EFFECT = {
    "vllm_importance_sampling_clip_min": "a truncated weight has an upper bound alone",
    "save_steps": "a share of a run",
}
BATCH = ("per_device_train_batch_size", "gradient_accumulation_steps", "steps_per_generation", "generation_batch_size")
OTHERS = {
    "callbacks": "callbacks are given in Python: docs/api.md",
    "optimizers": "the optimizer is AdamW with the section optimizer",
    "quantization_config": "quantised training is not offered",
    "rollout_func": "what samples is the engine; turns are an environment's (docs/environments.md)",
    "compute_metrics": "metrics are the kit's own: `grpo-kit metrics`",
    "formatting_func": "what is done to rows is code: write them into a file once",
    "data_collator": "batches are packed by the kit",
    "reward_processing_classes": "the verifier reward_model has its own tokenizer",
}


def make_recipe(asked: Asked, out: Path, overrides: list[str], more_lost: dict[str, str] | None = None) -> Imported:
    """The recipe for what is asked, checked as `load_recipe` checks one.

    Args:
        out: where it is to be written; nothing is written here.
        overrides: ``key.sub=value`` over it, as `grpo-kit train` takes them.
        more_lost: what else was said and has no place, with the reason.

    Raises:
        UserError: something without which there is no recipe cannot be carried over, or the recipe is refused.
    """
    paths = [read_override(override)[0] for override in overrides]
    overridden = {".".join(map(str, path[:depth])) for path in paths for depth in range(1, len(path) + 1)}
    try:
        made = _Writer(asked, out, overridden).write()
    except CannotCarry as problem:
        raise UserError(f"{asked.file}: {problem}") from problem
    except (TypeError, ValueError, ZeroDivisionError, OverflowError) as error:
        raise UserError(f"{asked.file}: a setting has a value that its field cannot have: {error}") from error
    made.lost += list((more_lost or {}).items())
    try:
        source = read_source(made.recipe, overrides)
        config: Config = validate(source)
        row = resolve_objective(config.algorithm, config.objective, config.sampled_by)
    except UserError as error:
        said = " ".join(str(error).replace("the given recipe: ", "").split())
        raise UserError(f"{asked.file}: what it asks for makes no recipe: {said}") from error
    updates = config.train.updates_per_batch * config.train.epochs_per_batch
    made.recipe = source.data
    replays = config.replay is not None
    if found := refusals(row, group_size=config.rollout.group_size, updates=updates, replays=replays):
        raise UserError(f"{asked.file}: what it asks for makes no recipe: {'; '.join(found)}")
    return made
