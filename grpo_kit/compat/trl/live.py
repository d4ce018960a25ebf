"""What a running script hands over (functions, a data set, a model, adapters) as what a recipe names: files and paths.

A recipe says where things are, so that processes which score can import them and a run can be gone on with. What lives in
memory alone is written once, into one folder; a name with a digest is never another content's.
"""

from __future__ import annotations

import ast
import copy
import dataclasses
import hashlib
import inspect
import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from grpo_kit.errors import UserError
from grpo_kit.runtime.scratch_file import write_whole
from grpo_kit.verifiers.adapters import GOLD_NAMES

from .fields import LORA, LORA_LOST
from .functions import Place, extracted, trains_when_imported
from .plain import VERBATIM, verbatim

NO_GOLD = "(no gold answer)"  # a recipe's data have a column of them; rewards that need none get this one


def write_digested(folder: Path, stem: str, suffix: str, text: str) -> Path:
    """Write a text under a name that its content gives it."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{stem}-{hashlib.sha256(text.encode(errors='replace')).hexdigest()[:8]}{suffix}"
    if not path.exists():
        write_whole(path, text)
    return path


# --- functions -------------------------------------------------------------------------------------------------------


def place_of_function(function: Any, what: str, folder: Path) -> Place:
    """How another process finds a function or class that this one has.

    One of an installed package is named by its module, one of a file by the file. A script that would train when it is imported
    again is not named: the function, with what it uses of the script's top level, is written into ``folder``.

    Raises:
        UserError: it stands at the top of no file; ``what`` names the argument.
    """
    name = getattr(function, "__qualname__", "")
    way = "Write a function at the top of a file, and give that"
    if not name:
        raise UserError(f"GRPOTrainer: {what} {function!r:.60} is no function: processes of their own run it. {way}")
    module = sys.modules.get(function.__module__)
    try:
        file = inspect.getsourcefile(function)
    except (OSError, TypeError):
        file = None
    if "<" in name or "." in name or getattr(module, name, None) is not function or not (file and Path(file).is_file()):
        raise UserError(
            f"GRPOTrainer: {what} {name} stands at the top of no file, and the processes that run it have to import it. {way} "
            "(in a notebook: %%writefile my_rewards.py)"
        )
    assert module is not None
    if module.__name__ != "__main__":
        installed = "site-packages" in Path(file).parts
        return Place(reference=f"{module.__name__ if installed else file}:{name}")
    text = Path(file).read_text(encoding="utf-8")
    tree = ast.parse(text)
    if not trains_when_imported(tree):
        return Place(reference=f"{file}:{name}")
    alone, why_not = extracted([name], text, tree)
    if why_not:
        raise UserError(
            f"GRPOTrainer: {what} {name}: {file} trains when it is imported, and the function cannot stand alone: {why_not}. Put "
            'what trains behind `if __name__ == "__main__":`, or the function into a file of its own'
        )
    head = f'"""{name} of {Path(file).name}, and what it uses: the script trains when it is imported."""\n\n'
    return Place(reference=f"{write_digested(folder, name, '.py', head + alone)}:{name}")


# --- rows ------------------------------------------------------------------------------------------------------------


@dataclasses.dataclass(frozen=True)
class WrittenRows:
    """A data set as a file.

    Attributes:
        gold: the column of the gold answer; one that was added where ``has_gold`` is false.
        text: prompts are plain text, and no conversations.
    """

    path: Path
    gold: str
    has_gold: bool
    text: bool


def write_rows(data: Any, what: str, folder: Path) -> WrittenRows:
    """Write a ``datasets.Dataset`` with the column ``prompt`` as JSON lines; every other column reaches the rewards.

    Raises:
        UserError: it is none, has no rows or no prompts, or holds what JSON cannot say; ``what`` names the argument.
    """
    if isinstance(data, Mapping):
        raise UserError(f"GRPOTrainer: {what} holds several data sets ({', '.join(map(str, data))}); give one of them")
    if not (hasattr(data, "column_names") and hasattr(data, "__len__")):
        raise UserError(
            f"GRPOTrainer: {what} is {type(data).__name__}; give a datasets.Dataset (of one that is streamed: "
            "Dataset.from_list(list(data.take(1000))))"
        )
    if not len(data) or "prompt" not in data.column_names:
        found = f"has the columns {', '.join(data.column_names)}" if len(data) else "has no rows"
        raise UserError(f"GRPOTrainer: {what} {found}; it needs a column prompt, of text or of messages")
    rows = [dict(row) for row in data]
    gold = next((name for name in GOLD_NAMES if name in data.column_names), None)
    kinds = {isinstance(row["prompt"], str) for row in rows}
    if len(kinds) > 1:
        raise UserError(f"GRPOTrainer: {what}: some prompts are text and some messages; make them alike")
    lines = []
    for number, row in enumerate(rows):
        if not isinstance(row["prompt"], str):  # a table gives every message the keys of all others
            row["prompt"] = [
                {key: value for key, value in message.items() if value is not None} for message in row["prompt"]
            ]
        if gold is None:
            row["answer"] = NO_GOLD
        try:
            lines.append(json.dumps(row, ensure_ascii=False))
        except (TypeError, ValueError) as error:
            raise UserError(
                f"GRPOTrainer: {what}, row {number} holds what a file of JSON cannot say ({error}); remove_columns takes it out"
            ) from error
    path = write_digested(folder, what.partition("_")[0], ".jsonl", "\n".join(lines) + "\n")
    return WrittenRows(path, gold or "answer", gold is not None, kinds == {True})


# --- the model -------------------------------------------------------------------------------------------------------


def refuse_model(model: Any) -> None:
    """Raises UserError for a model that cannot be trained as it is."""
    if hasattr(model, "peft_config"):
        raise UserError(
            "GRPOTrainer: model has adapters already; give the base model and peft_config, or model.merge_and_unload()"
        )
    if getattr(model, "is_quantized", False):
        raise UserError(
            "GRPOTrainer: model is quantised, which is not trained here; load it without quantization_config"
        )
    if not (hasattr(model, "save_pretrained") and hasattr(model, "config")):
        raise UserError(f"GRPOTrainer: model is {type(model).__name__}; give a name, a folder or a transformers model")


def tokenizer_for(model: Any, given: Any) -> Any:
    """The tokenizer that is given, or that of the model's name.

    Raises:
        UserError: a loaded model does not say whence it came, or there is no tokenizer.
    """
    if given is not None:
        if hasattr(given, "image_processor") or not hasattr(given, "apply_chat_template"):
            raise UserError(
                f"GRPOTrainer: processing_class is {type(given).__name__}; the kit trains on text: give a tokenizer"
            )
        return given
    name = model if isinstance(model, str) else getattr(model.config, "_name_or_path", "")
    if not name:
        raise UserError("GRPOTrainer: model does not say whence it came: give its tokenizer as processing_class")
    from transformers import AutoTokenizer

    try:
        return AutoTokenizer.from_pretrained(name)
    except (OSError, ValueError, KeyError) as error:
        raise UserError(f"GRPOTrainer: there is no tokenizer of {name}: {str(error).splitlines()[0]:.200}") from error


def chat_template(model: Any, tokenizer: Any, given: bool, text: bool) -> str | None:
    """The template that every prompt is rendered with; None for the model's own.

    Args:
        given: the tokenizer is the script's, and may have another template than the model's folder.
        text: prompts are plain text.

    Raises:
        UserError: the script's tokenizer has other tokens than the model's, which only a folder of both can say.
    """
    template = None
    if given and isinstance(model, str):
        own = tokenizer_for(model, None)
        if own.get_vocab() != tokenizer.get_vocab():
            raise UserError(
                f"GRPOTrainer: processing_class has other tokens than {model}; save both into one folder (save_pretrained), and "
                "give that as model"
            )
        template = None if own.chat_template == tokenizer.chat_template else tokenizer.chat_template
    return verbatim(tokenizer) if text else template


def save_model(model: Any, tokenizer: Any, folder: Path) -> None:
    """A loaded model as the folder that the recipe names."""
    model.save_pretrained(folder)
    kept = copy.deepcopy(tokenizer)
    kept.chat_template = kept.chat_template or VERBATIM
    kept.save_pretrained(folder)


# --- adapters --------------------------------------------------------------------------------------------------------

OF_NO_MATTER = (
    "peft_type",
    "auto_mapping",
    "base_model_name_or_path",
    "revision",
    "inference_mode",
    "task_type",
    "peft_version",
)


def lora_settings(config: Any) -> dict[str, Any]:
    """The options of a ``peft.LoraConfig`` that differ from its defaults, by name. Raises UserError for another kind."""
    if type(config).__name__ != "LoraConfig" or not dataclasses.is_dataclass(config):
        raise UserError(f"GRPOTrainer: peft_config is {type(config).__name__}; adapters are those of a LoraConfig")
    kind: Any = type(config)
    usual = kind()
    found = {}
    for name in (one.name for one in dataclasses.fields(config)):
        value = getattr(config, name)
        if name in OF_NO_MATTER or value == getattr(usual, name, None):
            continue
        found[name] = sorted(value) if isinstance(value, (set, frozenset)) else value
    unknown = [name for name in found if name not in LORA and name not in LORA_LOST]
    if unknown:
        raise UserError(f"GRPOTrainer: peft_config: adapters have no {', '.join(unknown)} here; leave it out")
    return found


def listed(given: Any) -> list[Any]:
    """One or several of something as a list of them."""
    return (
        [] if given is None else list(given) if isinstance(given, Sequence) and not isinstance(given, str) else [given]
    )


def places(given: Any, what: str, folder: Path) -> list[Any]:
    """Reward functions or tools as a recipe names them; the name of a reward model as the importer has it."""
    return [
        {"reward_model": one} if isinstance(one, str) else place_of_function(one, what, folder) for one in listed(given)
    ]
