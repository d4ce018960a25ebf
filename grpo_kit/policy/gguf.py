"""Models in one file (GGUF): dequantised once into a Hugging Face folder, and held against what the file says of itself.

transformers reads such a file into float32, but refuses to save what it made of it, and takes as long every time.
"""

from __future__ import annotations

import contextlib
import copy
import fcntl
import hashlib
import json
import os
import secrets
import shutil
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from typing import Any, cast

import torch
from safetensors import SafetensorError

from grpo_kit.errors import UserError

from . import smollm2

SUFFIX = ".gguf"
NEEDED = ("gguf", "accelerate")  # packages, for this alone: transformers reads such files with both
RECORD = "gguf.json"  # in the folder: what it was made of
VERSION = 1  # of the folders: one of another version is made anew
MAGIC = b"GGUF"
HASHED_BYTES = 2**20  # of the file's head, in which its metadata begin
# Pre-tokenizers that set every digit apart before they split; transformers 5.19 passes over this.
DIGITS_APART = ("smollm", "starcoder", "refact", "command-r", "codeshell")
# Of a rotation, and calculated anew: no weights.
NOT_WEIGHTS = ("rope_freqs", "rope_factors")


@dataclass(frozen=True)
class Described:
    """What a file says of its model.

    Attributes:
        tensors, weights: their number, and that of the numbers in them.
        vocabulary: how many tokens it lists.
        pre_tokenizer: llama.cpp's name for how text is split.
    """

    architecture: str
    tensors: int
    weights: int
    hidden_size: int
    layers: int
    vocabulary: int
    end_token: int | None
    chat_template: str | None
    pre_tokenizer: str | None
    parts: int


def model_folder(path: str) -> str:
    """The folder or hub name that ``model.path`` stands for: a .gguf file is dequantised into a folder, once.

    The folder is made beside the file, or in ``~/.cache/grpo-kit`` where nothing can be written there; it is named by the
    file's size, time and head, so that another file of the same name gets another one.

    Raises:
        UserError: the file is none, is damaged or in parts, holds a model that transformers does not know or that says
            otherwise than its own metadata, or there is no place for the folder.
    """
    if not path.endswith(SUFFIX):
        return path
    file = Path(path)
    name = f"{file.stem}-{_key(file)}"
    places = [file.absolute().parent, _cache()]
    made = _made(name, places)
    if made is None:
        described = describe(file)
        _check_kind(file, described)
        with _alone(file) as alone:
            made = _made(name, places) or _make(file, described, name, places, sweep=alone)
    return str(made)


def describe(file: Path) -> Described:
    """Read a file's metadata. Raises UserError where they cannot be read."""
    for package in NEEDED:
        if find_spec(package) is None:
            raise UserError(
                f"model.path: {file} needs the package {package}, which is not installed: pip install 'grpo-kit[gguf]'"
            )
    from gguf import GGUFReader

    try:
        reader = GGUFReader(file)
        fields = dict(reader.fields)
        architecture = str(_content(fields, "general.architecture"))
        tokens = fields.get("tokenizer.ggml.tokens")
        tensors = [t for t in reader.tensors if not t.name.startswith(NOT_WEIGHTS)]
        return Described(
            architecture=architecture,
            tensors=len(tensors),
            weights=sum(int(t.n_elements) for t in tensors),
            hidden_size=int(_content(fields, f"{architecture}.embedding_length") or 0),
            layers=int(_content(fields, f"{architecture}.block_count") or 0),
            vocabulary=len(tokens.data) if tokens is not None else 0,
            end_token=_content(fields, "tokenizer.ggml.eos_token_id"),
            chat_template=_content(fields, "tokenizer.chat_template"),
            pre_tokenizer=_content(fields, "tokenizer.ggml.pre"),
            parts=int(_content(fields, "split.count") or 1),
        )
    except (ValueError, IndexError, KeyError, TypeError, OSError) as error:
        raise UserError(
            f"model.path: {file} is damaged or cut off ({(str(error).splitlines() or [repr(error)])[0]:.120}); fetch it again"
        ) from error


def _content(fields: dict[str, Any], name: str) -> Any:
    field = fields.get(name)
    return None if field is None else field.contents()


def _key(file: Path) -> str:
    try:
        found = file.stat()
        with file.open("rb") as opened:
            head = opened.read(HASHED_BYTES)
    except OSError as error:
        way_out = f"; `python -m grpo_kit.policy.smollm2` fetches it into {smollm2.FOLDER}" * (
            file.name == smollm2.MODEL
        )
        raise UserError(f"model.path: {file} cannot be read: {error.strerror}{way_out}") from error
    if not head.startswith(MAGIC):
        raise UserError(
            f"model.path: {file} is no GGUF file: it begins with {head[:4]!r}, and such files with {MAGIC!r}"
        )
    told = f"{VERSION} {found.st_size} {found.st_mtime_ns} {sys.byteorder}".encode()
    return hashlib.sha256(told + head).hexdigest()[:12]


def _cache() -> Path:
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "grpo-kit" / "gguf"


def _made(name: str, places: list[Path]) -> Path | None:
    return next((place / name for place in places if (place / name / RECORD).is_file()), None)


def _check_kind(file: Path, described: Described) -> None:
    from transformers.modeling_gguf_pytorch_utils import GGUF_SUPPORTED_ARCHITECTURES

    if described.parts > 1:
        raise UserError(
            f"model.path: {file} is one of {described.parts} parts of a model; join them first: "
            "llama-gguf-split --merge FIRST_PART WHOLE.gguf"
        )
    known = {name.replace("_", "") for name in GGUF_SUPPORTED_ARCHITECTURES}
    if described.architecture.replace("-", "").replace("_", "") not in known:
        raise UserError(
            f"model.path: {file} holds a model of the architecture {described.architecture!r}, which transformers "
            f"{version('transformers')} does not read from GGUF; it reads {', '.join(sorted(GGUF_SUPPORTED_ARCHITECTURES))}"
        )
    if not described.vocabulary:
        raise UserError(f"model.path: {file} holds no vocabulary, so no text can be read; take a file of a whole model")
    if not described.chat_template:
        raise UserError(
            f"model.path: {file} holds no chat template (tokenizer.chat_template); take the model's instruction-tuned variant"
        )


@contextlib.contextmanager
def _alone(file: Path) -> Iterator[bool]:
    """Of several processes that want the same file, one makes the folder. False where the file system has no locks."""
    with file.open("rb") as opened:
        try:
            fcntl.flock(opened, fcntl.LOCK_EX)
            locked = True
        except OSError:
            locked = False
        yield locked


def _make(file: Path, described: Described, name: str, places: list[Path], sweep: bool) -> Path:
    place = _roomy(file, described, places)
    if sweep:  # what a killed process left
        for folder in place.iterdir():
            if folder.name.startswith(f"{name}.") and folder.name.endswith(".tmp"):
                shutil.rmtree(folder, ignore_errors=True)
    target, scratch = place / name, place / f"{name}.{secrets.token_hex(6)}.tmp"
    size = f"{4e-6 * described.weights:,.0f} MB"
    print(f"model.path: {file} is dequantised into {target} ({size}, this once)", file=sys.stderr, flush=True)
    try:
        scratch.mkdir()
        _write(file, described, scratch)
        os.rename(scratch, target)
    except (OSError, SafetensorError) as error:
        if (target / RECORD).is_file():  # another process was first, where there are no locks
            return target
        raise UserError(f"model.path: {file} could not be dequantised into {target}: {error}") from error
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
    return target


def _roomy(file: Path, described: Described, places: list[Path]) -> Path:
    """The first place that can be written to and has room for float32 weights."""
    needed, reasons = 4.1 * described.weights + 20e6, []
    for place in places:
        try:
            if place == places[-1]:
                place.mkdir(parents=True, exist_ok=True)
            free = shutil.disk_usage(place).free
        except OSError as error:
            reasons.append(f"{place}: {error.strerror}")
            continue
        if not os.access(place, os.W_OK):
            reasons.append(f"{place} cannot be written to")
        elif free < needed:
            reasons.append(f"{place} has {free / 1e9:.1f} GB left")
        else:
            return place
    raise UserError(
        f"model.path: {file} has to be dequantised into a folder of {needed / 1e9:.1f} GB, and there is no place for it: "
        f"{'; '.join(reasons)}"
    )


def _write(file: Path, described: Described, folder: Path) -> None:
    from transformers import AutoModelForCausalLM, AutoTokenizer

    where, any_model = str(file.absolute().parent), cast(Any, AutoModelForCausalLM)
    try:
        tokenizer = AutoTokenizer.from_pretrained(where, gguf_file=file.name)
        loaded, info = any_model.from_pretrained(
            where, gguf_file=file.name, dtype=torch.float32, output_loading_info=True
        )
    except (OSError, ValueError, KeyError, RuntimeError, ImportError, NotImplementedError) as error:
        reason = (str(error).splitlines() or [repr(error)])[0]
        raise UserError(f"model.path: {file} could not be read by transformers: {reason}") from error
    model = _plain(loaded)
    _split_digits(tokenizer, described)
    _check_as_described(file, described, model, tokenizer, sorted(info["missing_keys"]))
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    record = {"file": str(file), "version": VERSION, "gguf": version("gguf"), "transformers": version("transformers")}
    (folder / RECORD).write_text(json.dumps(record, indent=1), encoding="utf-8")


def _plain(loaded: Any) -> Any:
    """The same model without a word of quantisation, which transformers refuses to save. Shares the weights."""
    config = copy.deepcopy(loaded.config)
    if hasattr(config, "quantization_config"):
        del config.quantization_config
    with torch.device("meta"):
        model = type(loaded)(config)
    model.load_state_dict(loaded.state_dict(), assign=True)
    model.tie_weights()
    model.generation_config = loaded.generation_config
    return model


def _split_digits(tokenizer: Any, described: Described) -> None:
    from tokenizers import pre_tokenizers

    if described.pre_tokenizer in DIGITS_APART:
        tokenizer.backend_tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
            [pre_tokenizers.Digits(individual_digits=True), pre_tokenizers.ByteLevel(add_prefix_space=False)]
        )


def _check_as_described(file: Path, described: Described, model: Any, tokenizer: Any, missing: list[str]) -> None:
    """Raises UserError where the model that was made is not the one that the file describes."""
    lost = sorted(set(missing) - set(model.all_tied_weights_keys))
    if lost:
        raise UserError(
            f"model.path: {file} lacks {len(lost)} of the model's weights, {', '.join(lost[:3])}{', ...' * (len(lost) > 3)}"
        )
    config = model.config.get_text_config()
    counted = {id(p): p.numel() for p in model.parameters()}
    for what, told, found in (
        ("weights", described.weights, sum(counted.values())),
        ("hidden size", described.hidden_size, config.hidden_size),
        ("layers", described.layers, config.num_hidden_layers),
        ("tokens in its vocabulary", described.vocabulary, model.get_input_embeddings().weight.shape[0]),
        ("end token", described.end_token, tokenizer.eos_token_id),
    ):
        if told != found:
            raise UserError(
                f"model.path: {file} says of itself: {what} {told}; what transformers {version('transformers')} makes of it has "
                f"{found}. Take the model's own folder instead."
            )
    if tokenizer.chat_template != described.chat_template:
        raise UserError(f"model.path: {file}: its chat template is not the one that transformers made of it")
