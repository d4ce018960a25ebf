"""A recipe in the hands of a program."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from grpo_kit.config import Config
from grpo_kit.config.extends import STAGES
from grpo_kit.config.read import read_source, validate
from grpo_kit.config.source import parse_yaml
from grpo_kit.errors import UserError
from grpo_kit.run.chain import is_chain, resolve_chain
from grpo_kit.runtime.scratch_file import write_whole

from .overrides import Overrides, override_texts, plain_value


class Recipe:
    """What a run is asked for: checked when it is made, and never changed afterwards.

    Args:
        source: a file, the name of a shipped recipe, a mapping of keys to values, or another recipe.
        overrides: values that replace those of the source: by key (``{"train.steps": 20}``), or texts as on the command line.
        keys: the same as keywords, ``__`` for the dots: ``train__steps=20``.

    Raises:
        UserError: with every problem found, one paragraph each.
    """

    def __init__(
        self, source: str | Path | Mapping[str, Any] | Recipe, overrides: Overrides = None, **keys: Any
    ) -> None:
        texts = override_texts(overrides, keys)
        given = named(source)
        if is_chain(given):
            self._data, _ = resolve_chain(given, texts)
            self._config = None
        else:
            found = read_source(given, texts)
            self._config = validate(found, Config)
            self._data = found.data

    @classmethod
    def from_yaml(cls, source: str | Path, overrides: Overrides = None, **keys: Any) -> Recipe:
        """A recipe from a file, from the name of a shipped one, or from a text of several lines. Arguments: `Recipe`."""
        if isinstance(source, str) and "\n" in source:
            return cls(parse_yaml(source, "the given text").data, overrides, **keys)
        return cls(source, overrides, **keys)

    def to_yaml(self, path: str | Path | None = None, *, defaults: bool = False) -> str:
        """The text of the recipe, over all that it extends; written to a file where one is named.

        Args:
            defaults: with every key that the recipe leaves at its default.

        Raises:
            UserError: the file cannot be written.
        """
        data = self._config.model_dump(mode="json") if defaults and self._config is not None else self._data
        text = yaml.safe_dump(data, sort_keys=False, allow_unicode=True)
        if path is not None:
            try:
                write_whole(Path(path), text)
            except OSError as error:
                raise UserError(f"{path} cannot be written: {error.strerror}") from error
        return text

    @property
    def config(self) -> Config:
        """Every key with its value, typed. Raises UserError for a recipe of several stages: see `stages`."""
        if self._config is None:
            raise UserError(f"this recipe has stages, each with a config of its own: {', '.join(self.stages)}")
        return self._config

    @property
    def stages(self) -> dict[str, Any]:
        """Of a recipe of several stages, what each of them says; empty for one of a single run."""
        return {} if self._config is not None else copy.deepcopy(dict(self._data[STAGES]))

    @property
    def data(self) -> dict[str, Any]:
        """What the recipe says, as plain values; a copy, which may be changed."""
        return copy.deepcopy(dict(self._data))

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Recipe) and self.to_yaml(defaults=True) == other.to_yaml(defaults=True)

    def __hash__(self) -> int:
        return hash(self.to_yaml(defaults=True))

    def __repr__(self) -> str:
        if self._config is None:
            return f"Recipe(stages: {', '.join(self.stages)})"
        what = " and ".join(str(entry.task or entry.path) for entry in self._config.sets)
        return f"Recipe({self._config.algorithm} on {what}, {self._config.train.steps} steps)"


def named(source: str | Path | Mapping[str, Any] | Recipe) -> str | dict[str, Any]:
    """A recipe as a request has it: its name, or what it says."""
    if isinstance(source, Recipe):
        return source.data
    if isinstance(source, Mapping):
        return {str(key): plain_value(str(key), value) for key, value in source.items()}
    if isinstance(source, (str, Path)):
        return str(source)
    raise UserError(f"a recipe is a file, a name, a mapping or a Recipe; found {source!r:.80}")
