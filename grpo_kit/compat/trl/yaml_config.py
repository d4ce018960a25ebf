"""A YAML configuration as TRL's own command line takes it: ``trl grpo --config config.yaml``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from grpo_kit.config.source import parse_yaml, read_recipe
from grpo_kit.errors import UserError

from .fields import CONFIGS, LORA_LOST, LORA_OF_THE_CLI, METHODS, fields_of
from .script import Asked, Rows

# Of TRL's ScriptArguments and ModelConfig; the rest of a configuration is the method's own.
OF_THE_SCRIPT = {"dataset_name", "dataset_config", "dataset_train_split", "model_name_or_path", "reward_funcs",
                 "reward_model_name_or_path", "use_peft", "datasets"}  # fmt: skip
UNREAD_HERE = {
    "dataset_test_split": "an evaluation section names held-out data (docs/evaluation.md)",
    "dataset_streaming": "rows are read whole",
    "model_revision": "a name on the hub is its main revision: download another one into a folder",
    "torch_dtype": "weights are float32; model.dtype says what they are multiplied in",
    "dtype": "weights are float32; model.dtype says what they are multiplied in",
    "attn_implementation": "the kit chooses it",
    "load_in_8bit": "quantised training is not offered",
    "load_in_4bit": "quantised training is not offered",
    "lora_task_type": "it follows from the algorithm",
}


def read_config(path: Path, method: str | None) -> tuple[Asked, dict[str, str]]:
    """What a configuration asks of TRL, and what it says that has no place here, with the reason.

    Args:
        method: whose configuration it is; None: told by a field that one method alone has.

    Raises:
        UserError: it is no mapping, or the method cannot be told.
    """
    data = parse_yaml(read_recipe(path), str(path)).data
    method = method or _method(path, data)
    lost = {name: why for name, why in UNREAD_HERE.items() if name in data}
    lora_names = LORA_OF_THE_CLI | {n if n.startswith("lora_") else f"lora_{n}": n for n in LORA_LOST}
    lora_names |= {name: name for name in ("use_rslora", "use_dora")}
    lora = {inner: data[name] for name, inner in lora_names.items() if name in data}
    taken = OF_THE_SCRIPT | UNREAD_HERE.keys() | lora_names.keys()
    asked = Asked(method, path, {name: value for name, value in data.items() if name not in taken})
    asked.model = data.get("model_name_or_path")
    asked.lora = {"r": 16, "lora_alpha": 32, **lora} if data.get("use_peft") else None
    asked.data = _rows(data)
    rewards = data.get("reward_funcs") or []
    asked.rewards = [rewards] if isinstance(rewards, str) else list(rewards)
    if model := data.get("reward_model_name_or_path"):
        asked.rewards.insert(0, {"reward_model": model})
    return asked, lost


def _rows(data: dict[str, Any]) -> Rows:
    sets = data.get("datasets")
    if not sets:
        return Rows(data.get("dataset_name"), data.get("dataset_config"), data.get("dataset_train_split") or "train")
    first = sets[0] if isinstance(sets, list) and len(sets) == 1 else None
    if not isinstance(first, dict):
        return Rows(changed=["`datasets`, a mixture of several: list them in `data` (docs/data.md)"])
    path, files = first.get("path"), first.get("data_files")
    path = files if path in ("json", "csv", "parquet") and isinstance(files, str) else path
    return Rows(path, first.get("name"), first.get("split") or "train")


def _method(path: Path, data: dict[str, Any]) -> str:
    names = {method: set(fields_of(method)) for method in METHODS}
    if "reward_funcs" in data:
        return "grpo"
    able = [m for m in METHODS if all(name in names[m] for name in data if any(name in own for own in names.values()))]
    if len(able) == 1:
        return able[0]
    configs = ", ".join(CONFIGS[m] for m in able or METHODS)
    raise UserError(
        f"{path}: its fields do not tell TRL's method ({configs}): say --method {' or '.join(able or METHODS)}"
    )
