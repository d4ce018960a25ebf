"""Overrides of a recipe as a program writes them, turned into those of the command line."""

from __future__ import annotations

import inspect
import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from grpo_kit.errors import UserError

Overrides = Mapping[str, Any] | Sequence[str] | None


def override_texts(overrides: Overrides, keys: Mapping[str, Any]) -> tuple[str, ...]:
    """``key.sub=value`` for each override, in the order in which they are laid over a recipe.

    Args:
        overrides: by key (``{"train.steps": 20}``, ``{"train": {"steps": 20}}``), or texts as on the command line.
        keys: keywords, ``__`` for the dots: ``train__steps=20``. A mapping changes what it names and leaves the rest.

    Raises:
        UserError: a value that a recipe cannot hold.
    """
    if isinstance(overrides, str):
        raise UserError(
            f"overrides: {overrides!r:.80} is one text; give a list of them, or a mapping of keys to values"
        )
    texts: list[str] = []
    if isinstance(overrides, Mapping):
        texts += _texts("", overrides)
    elif isinstance(overrides or (), (list, tuple)) and all(isinstance(text, str) for text in overrides or ()):
        texts += overrides or ()
    else:
        raise UserError(
            f"overrides: give a mapping of keys to values, or a list of texts key=value; found {overrides!r:.80}"
        )
    return (*texts, *_texts("", {name.replace("__", "."): value for name, value in keys.items()}))


def _texts(inside: str, values: Mapping[Any, Any]) -> Iterator[str]:
    for key, value in values.items():
        name = f"{inside}{key}"
        if isinstance(value, Mapping) and value and all(map(_is_a_part, value)):
            yield from _texts(f"{name}.", value)
        else:
            yield f"{name}={_text(name, value)}"


def _is_a_part(key: Any) -> bool:
    """Of a key with dots: a name, or the number of a list's entry."""
    return type(key) is int or (isinstance(key, str) and "." not in key)


def _text(name: str, value: Any) -> str:
    plain = plain_value(name, value)
    if isinstance(plain, str):
        return json.dumps(plain, ensure_ascii=False)
    return (
        yaml.safe_dump(plain, default_flow_style=True, allow_unicode=True, width=1 << 30).removesuffix("...\n").strip()
    )


def plain_value(name: str, value: Any) -> Any:
    """A value as YAML can say it: numbers of numpy and torch, paths, tuples, and functions that a file holds.

    Raises:
        UserError: there is no such form of it. name: of its key.
    """
    if value is None or (isinstance(value, (bool, int, float, str)) and type(value).__module__ == "builtins"):
        return value
    if isinstance(value, Path):
        return str(value)
    if isinstance(value, Mapping):
        return {str(key): plain_value(f"{name}.{key}", inner) for key, inner in value.items()}
    if isinstance(value, (list, tuple, set, frozenset)):
        return [plain_value(f"{name}.{index}", inner) for index, inner in enumerate(value)]
    if callable(value) and hasattr(value, "__qualname__"):
        return _reference(name, value)
    if hasattr(value, "tolist"):  # of numpy or torch; a single number becomes itself
        return value.tolist()
    raise UserError(f"{name}: {value!r:.80} ({type(value).__name__}) cannot stand in a recipe")


def _reference(name: str, function: Any) -> str:
    """``file.py:name`` of a function or class: what scores and answers runs in processes that import it again."""
    try:
        file = inspect.getsourcefile(function)
    except (OSError, TypeError):
        file = None
    if {".", "<"} & set(function.__qualname__) or file is None or not Path(file).is_file():
        raise UserError(
            f"{name}: {function.__qualname__} stands in no file of its own, and the processes that run it have to import it. "
            "Write it into a file at its top level (in a notebook: %%writefile my_check.py), and give "
            f"'my_check.py:{function.__name__}'"
        )
    return f"{file}:{function.__name__}"
