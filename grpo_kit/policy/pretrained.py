"""Pretrained networks on disk: held whole against the model they are to fill, loaded, and saved as they came.

transformers draws what it misses at random, passes over what it does not know, and refuses to save configs that it loads; a
run that trains for days can afford none of it.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError

from grpo_kit.data.chat import stop_token_ids
from grpo_kit.errors import UserError
from grpo_kit.runtime.model_folder import check_folder

from .gguf import model_folder

GENERATION_CONFIG = "generation_config.json"
SPARE_TOKENS = 16  # special tokens that a tokenizer may define beyond its model's embedding


def check_weights(path: str, skeleton: Any) -> list[str]:
    """Hold the weights of a local model against the model that they are to fill.

    Reads headers only, unless names differ: transformers renames what some models have, and then has to say.

    Args:
        skeleton: of `model_skeleton`.

    Returns:
        Names in the folder that the model has no place for.

    Raises:
        UserError: weights are missing, misnamed, of another shape, or cut off.
    """
    from safetensors import safe_open

    path = model_folder(path)
    folder = Path(path)
    if not folder.is_dir():
        return []  # a name on the hub, which is held against the model when it is loaded
    wanted = {f.name for pattern in ("*.safetensors", "pytorch_model*.bin") for f in folder.glob(pattern)}
    for index in folder.glob("*.index.json"):
        wanted |= set(json.loads(index.read_text(encoding="utf-8"))["weight_map"].values())
    if not wanted:
        raise UserError(f"model.path: {path} holds no weights: no *.safetensors file is in it")
    lost = sorted(name for name in wanted if not (folder / name).is_file())
    if lost:
        raise UserError(f"model.path: {path} lacks {', '.join(lost)}, which its index names; copy it again")
    there: dict[str, list[int]] = {}
    for name in sorted(wanted):
        if name.endswith(".safetensors"):
            try:
                with safe_open(folder / name, framework="pt") as file:
                    there |= {key: file.get_slice(key).get_shape() for key in file.keys()}  # noqa: SIM118
            except (SafetensorError, OSError) as error:
                raise UserError(f"model.path: {folder / name} is damaged ({error}); copy it again") from error
    tied = set(getattr(skeleton, "all_tied_weights_keys", ()))
    needed = {k: list(v.shape) for k, v in skeleton.state_dict().items() if k not in tied}
    if all(there.get(name) == shape for name, shape in needed.items()):
        return sorted(there.keys() - needed.keys() - tied)
    from transformers import AutoModelForCausalLM

    _, unexpected = load_whole(AutoModelForCausalLM, path, "model.path")
    return unexpected


def load_pretrained(path: str) -> tuple[Any, Any]:
    from transformers import AutoModelForCausalLM

    check_folder(path, "model.path: ")
    tokenizer = load_tokenizer(path)
    model, _ = load_whole(AutoModelForCausalLM, path, "model.path", attn_implementation="sdpa")
    return model, tokenizer


def load_whole(kind: Any, path: str, where: str, **settings: Any) -> tuple[Any, list[str]]:
    """A pretrained network in float32, every weight of which came from its files, and the names that it has no place for.

    transformers draws what it misses at random and goes on.

    Args:
        kind: one of transformers' Auto classes.
        where: the key of the recipe that names ``path``.

    Raises:
        UserError: it cannot be loaded, or weights are missing or of another shape.
    """
    from transformers.utils import logging

    verbosity = logging.get_verbosity()
    logging.set_verbosity_error()  # its report of the same, in another voice
    try:
        model, info = kind.from_pretrained(
            path, dtype=torch.float32, output_loading_info=True, ignore_mismatched_sizes=True, **settings
        )
    except (OSError, ValueError, KeyError, RuntimeError, SafetensorError) as error:
        raise not_loadable(path, error, where) from error
    finally:
        logging.set_verbosity(verbosity)
    unexpected = sorted(info["unexpected_keys"])
    missing = sorted(set(info["missing_keys"]) - set(model.all_tied_weights_keys))
    if info["mismatched_keys"]:
        name, found, wanted = min(info["mismatched_keys"])
        raise UserError(
            f"{where}: {path}: {name} is {list(found)} in the files and {list(wanted)} in the model that config.json describes "
            f"({len(info['mismatched_keys'])} such weights); the two are not of one model"
        )
    if missing:
        instead = f" The files have {', '.join(unexpected[:2])}, ... in their place." if unexpected else ""
        raise UserError(
            f"{where}: {path} lacks {len(missing)} of the model's weights, {', '.join(missing[:3])}{', ...' * (len(missing) > 3)}"
            f"; they would be drawn at random.{instead} Save the model whole and under its own names (an adapter has to be "
            "merged first)."
        )
    return model, unexpected


def not_loadable(path: str, error: Exception, where: str = "model.path") -> UserError:
    return UserError(f"{where}: {path} could not be loaded: {(str(error).splitlines() or [repr(error)])[0]}")


def generation_config_of(path: str) -> str | None:
    """The text of a model's generation_config.json, from its folder or from the hub's cache."""
    from transformers.utils import cached_file

    found = cached_file(path, GENERATION_CONFIG, _raise_exceptions_for_missing_entries=False)
    return Path(found).read_text(encoding="utf-8") if found else None


def load_tokenizer(path: str) -> Any:
    from transformers import AutoTokenizer

    try:
        return AutoTokenizer.from_pretrained(path)
    except (OSError, ValueError, KeyError) as error:
        raise not_loadable(path, error) from error


def check_tokenizer(tokenizer: Any, model: Any, path: str) -> None:
    """Raises UserError for a tokenizer that does not fit the model, cannot read text, or does not know how a response ends."""
    rows = model.get_input_embeddings().weight.shape[0]
    special = {i for i, token in tokenizer.added_tokens_decoder.items() if token.special}
    beyond = sorted(i for i in tokenizer.get_vocab().values() if i >= rows)
    # Some families define a special token that their text models do not have and text never holds.
    if [i for i in beyond if i not in special] or len(beyond) > SPARE_TOKENS:
        raise UserError(
            f"model.path: the tokenizer of {path} has ids up to {beyond[-1]}, and the model's embedding has {rows} rows; they "
            "are not of one model"
        )
    if not tokenizer.encode("12 + 34", add_special_tokens=False):
        raise UserError(
            f"model.path: the tokenizer of {path} reads no text: its files (tokenizer.json, or a vocabulary) are missing"
        )
    if not any(i < rows for i in stop_token_ids(model, tokenizer)):
        raise UserError(
            f"model.path: nothing says how a response of {path} ends: neither the tokenizer nor generation_config.json has an "
            "end token of the model. Set eos_token in tokenizer_config.json."
        )


def load_network(model: Any, folder: Path) -> None:
    """Copy the weights that a Hugging Face folder holds into a model, in place. Raises UserError if they do not fit."""
    from safetensors.torch import load_file

    weights: dict[str, Any] = {}
    for shard in sorted(folder.glob("*.safetensors")):
        weights |= load_file(shard)
    missing, unexpected = model.load_state_dict(weights, strict=False)
    if unexpected or set(missing) - set(model.all_tied_weights_keys):
        raise UserError(f"{folder} does not fit this model: missing {missing[:3]}, unexpected {unexpected[:3]}")
    model.tie_weights()


def save_network(model: Any, folder: Path, shard_gb: float | None, generation_config: str | None) -> None:
    """Write a causal language model's weights and configs.

    Args:
        generation_config: written as it is. transformers refuses to save some that it loads, and published models have them
            (a temperature without ``do_sample``), which would end a run at its first checkpoint.
    """
    own = model.generation_config
    try:
        if generation_config is not None:
            model.generation_config = type(own)()
        model.save_pretrained(folder, **shards(shard_gb))
    finally:
        model.generation_config = own
    if generation_config is not None:
        (folder / GENERATION_CONFIG).write_text(generation_config, encoding="utf-8")


def shards(largest_gb: float | None) -> dict[str, str]:
    """How ``save_pretrained`` is told to cut the weights into files; as it likes where nothing is asked."""
    return {} if largest_gb is None else {"max_shard_size": f"{round(largest_gb * 1e6)}KB"}
