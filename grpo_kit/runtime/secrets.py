"""Secrets stay where they belong: out of the processes that need none, and out of what a run writes down.

A secret is known by its name (a variable or a key called ``..._TOKEN``, ``api_key``), by its form (``hf_...``), or by being
the value of such a variable.
"""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Iterable, Mapping
from typing import Any

_NAME = re.compile(
    r"(^|[_.\-])(api[_-]?key|access[_-]?key|secret|token|password|passwd|passphrase|credentials?|private_?key|auth|bearer)s?"
    r"($|[_.\-])",
    re.IGNORECASE,
)
_NO_SECRET = re.compile(
    r"_env$|(^|[_.])(max|min|stop|eos|pad|num|prompt|turn|completion)_tokens?$|^objective\.tokens$|(^|[_.])token_budget$"
)
_FORM = re.compile(
    r"\b(hf_[A-Za-z0-9]{16,}|sk-[A-Za-z0-9_\-]{16,}|gh[pousr]_[A-Za-z0-9]{20,}|AKIA[A-Z0-9]{12,}|xox[abp]-[A-Za-z0-9\-]{10,})"
    r"|(?<=://)[^/\s:@]+:[^/\s@]+(?=@)"
)
_SHORTEST = 8  # characters of a value that is looked for elsewhere; shorter ones would be found in plain words
# What processes of ours need: where things are, in what language, on which devices, with how many threads.
_NEEDED = re.compile(
    r"(PATH|HOME|USER|LOGNAME|SHELL|TERM|LANG|LANGUAGE|TZ|TMPDIR|HOSTNAME|VIRTUAL_ENV|NO_COLOR|COLUMNS|LINES"
    r"|LD_LIBRARY_PATH|LD_PRELOAD|CONDA_PREFIX|CC|CXX|SOURCE_DATE_EPOCH|TRITON_CACHE_DIR|CI"
    r"|(LC|PYTHON|XDG|OMP|GOMP|KMP|MKL|OPENBLAS|BLIS|NUMEXPR|MALLOC|GLIBC|CUDA|NVIDIA|NCCL|GLOO|ROCR|HIP|TORCH|TORCHINDUCTOR"
    r"|TRANSFORMERS|HF|TOKENIZERS|DATASETS|VLLM|RAY|GRPO_KIT|SSL|COVERAGE|COV|PYTEST|SLURM|UCX|FI)_.*|PYTHON.*)"
)


def is_secret_name(name: str) -> bool:
    """Not of ``api_key_env``, which names a variable, nor of ``max_tokens`` or ``token_budget``, whose tokens are a model's."""
    return _NAME.search(name) is not None and not _NO_SECRET.search(name)


def restored(text: str) -> str:
    """The value that a mark stands for, where it is the value of a variable here; otherwise the mark."""
    return next((value for value in _known_values() if _mark(value) == text), text)


def needed_environment(named: Iterable[str] = (), source: Mapping[str, str] | None = None) -> dict[str, str]:
    """The part of the environment that a process of ours needs, and what is named: the rest, secrets above all, is not
    handed on."""
    source, named = os.environ if source is None else source, set(named)
    return {
        name: value
        for name, value in source.items()
        if name in named or (_NEEDED.fullmatch(name) and not is_secret_name(name))
    }


def _known_values() -> list[str]:
    found = {v for name, v in os.environ.items() if is_secret_name(name) and len(v) >= _SHORTEST}
    return sorted(found, key=len, reverse=True)


def mask_text(text: str) -> str:
    """A text with every secret in it replaced by a mark that tells only whether two are the same."""
    for value in _known_values():
        text = text.replace(value, _mark(value))
    return _FORM.sub(lambda m: _mark(m[0]), text)


def _mark(value: str) -> str:
    """Of eight digits: to tell whether two are the same, not to try guesses on."""
    return f"<masked {hashlib.sha256(value.encode()).hexdigest()[:8]}>"


_MARK = re.compile(r"<masked [0-9a-f]{8}>")


def masked(text: str) -> bool:
    return _MARK.search(text) is not None


def mask(data: Any, secret: bool = False) -> Any:
    """A copy of plain data with its secrets masked; ``secret``: everything in it is one."""
    if isinstance(data, dict):
        return {k: mask(v, secret or (isinstance(k, str) and is_secret_name(k))) for k, v in data.items()}
    if isinstance(data, (list, tuple)):
        return [mask(v, secret) for v in data]
    if isinstance(data, str):
        return data if masked(data) or not data else _mark(data) if secret else mask_text(data)
    return data


_INSIDE = re.compile(r"""([\w.\-]+)(["']?\s*[:=]\s*["']?)([^\s,{}\[\]"']+)""")  # {api_key: ...} within a value


def _masked_inside(found: re.Match[str]) -> str:
    name, between, value = found.groups()
    return f"{name}{between}{_mark(value)}" if is_secret_name(name) else found[0]


def mask_arguments(arguments: Iterable[str]) -> list[str]:
    """A command line with the values of secret settings (``verifiers.0.options.api_key=...``, ``--token=...``) masked."""
    made, follows = [], False
    for argument in arguments:
        name, separator, value = argument.partition("=")
        if follows:
            made.append(_mark(argument))
        elif separator and value and is_secret_name(name.lstrip("-")):
            made.append(f"{name}={_mark(value)}")
        else:
            made.append(mask_text(_INSIDE.sub(_masked_inside, argument)))
        follows = argument.startswith("--") and not separator and is_secret_name(argument.lstrip("-"))
    return made
