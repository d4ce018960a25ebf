"""``extends: NAME_OR_PATH``: a recipe that says only how it differs from another one.

Mappings merge, key by key; everything else (lists, numbers, text, null) replaces what stood there. A base may extend another
one. A name is a shipped recipe's or base's; a path is relative to the folder of the file that says it.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from grpo_kit.config.source import (
    BASES,
    KeyPath,
    Source,
    dotted,
    find_recipe,
    parse_yaml,
    read_recipe,
    recipes_root,
    shipped_file,
    short_name,
)
from grpo_kit.errors import UserError

EXTENDS = "extends"
STAGES = "stages"
MAX_FILES = 5


GIVEN = "the given recipe"  # what errors call one that no file holds


def read_whole(name: str | Path | Mapping[str, Any]) -> Source:
    """A recipe over all that it extends, as one text would say it; every value keeps the place where it was written.

    Args:
        name: a file, a shipped recipe, or what such a file would say; paths in it are relative to the working directory then.

    Raises:
        UserError: a file cannot be read, or its bases cannot be found, are too many, or come round to it again.
    """
    path, source, label = _first(name)
    layers: list[Source] = []
    seen: dict[Path, str] = {}
    while True:
        seen[path.resolve()] = label
        layers.append(source)
        if EXTENDS not in source.data:
            break
        where = f"{source.place((EXTENDS,))}: {EXTENDS}"
        path, label, text = _base(source.data.pop(EXTENDS), path.parent, where)
        way = " -> ".join([*seen.values(), label])
        if path.resolve() in seen:
            raise UserError(f"{where}: {way} is a circle; a recipe cannot extend itself")
        if len(seen) == MAX_FILES:
            raise UserError(f"{where}: {way} are more than {MAX_FILES} files on one another; merge some of them")
        source = parse_yaml(text, label)
    whole = layers.pop()
    while layers:
        over = layers.pop()
        _refuse_unseen(whole, over)
        whole = merged(whole, over)
    return whole


def _first(name: str | Path | Mapping[str, Any]) -> tuple[Path, Source, str]:
    """Where a recipe is, what it says itself, and what errors call it."""
    if isinstance(name, Mapping):
        data = copy.deepcopy(dict(name))
        return Path(f"{GIVEN}.yaml"), Source(data, {(): GIVEN}), GIVEN
    path, label = find_recipe(name), str(name)
    _refuse_base(path, label)
    return path, parse_yaml(read_recipe(path), label), label


def _refuse_base(path: Path, label: str) -> None:
    if path.resolve().is_relative_to((recipes_root() / BASES).resolve()):
        raise UserError(
            f"{label} is what recipes have in common, to be extended and not to be run: take one that `grpo-kit recipes ls` "
            f"lists, or write {EXTENDS}: {BASES}/{path.stem} into a recipe of your own"
        )


def _base(wanted: Any, folder: Path, where: str) -> tuple[Path, str, str]:
    """The file of a base, what errors call it, and its text."""
    if not isinstance(wanted, str) or not wanted.strip():
        raise UserError(
            f"{where}: found {wanted!r:.80}, must be the name of one shipped recipe, or a path from the folder of this file"
        )
    try:
        path = find_recipe(wanted, beside=folder)
        text = read_recipe(path)
    except UserError as error:
        raise UserError(f"{where}: {error}") from error
    return path, short_name(wanted) if path == shipped_file(wanted) else str(path), text


def merged(base: Source, over: Source) -> Source:
    """One source over another. Neither is changed, but they may share values with what is returned."""
    replaced: set[KeyPath] = set()
    data = _laid_over(base.data, over.data, (), replaced)
    left = {
        path: where
        for path, where in base.places.items()
        if not any(path[:depth] in replaced for depth in range(1, len(path) + 1))
    }
    return Source(data, left | over.places)


def _laid_over(
    base: Mapping[str, Any], over: Mapping[str, Any], path: KeyPath, replaced: set[KeyPath]
) -> dict[str, Any]:
    result = dict(base)
    for key, value in over.items():
        below = base.get(key)
        if isinstance(value, dict) and isinstance(below, dict):
            result[key] = _laid_over(below, value, (*path, key), replaced)
        else:
            result[key] = value
            replaced.add((*path, key))
    return result


def _refuse_unseen(base: Source, over: Source) -> None:
    """Raises UserError where what is common in a recipe would not reach the stages that it extends."""
    stages, own = base.data.get(STAGES), over.data.get(STAGES)
    if not isinstance(stages, dict):
        return
    mine = own if isinstance(own, dict) else {}
    common = {key: value for key, value in over.data.items() if key != STAGES}
    for path in _leaves(common, ()):
        deaf = [
            str(name)
            for name, stage in stages.items()
            if speaks_of(stage, path) and not speaks_of(mine.get(name, {}), path)
        ]
        if deaf:
            raise UserError(
                f"{over.place(path)}: {', '.join(deaf)} of the stages that this extends say something of their own about "
                f"{dotted(path)}, so this would not reach them; say it under "
                f"{' and '.join(dotted((STAGES, name)) for name in deaf)}"
            )


def _leaves(data: Any, path: KeyPath) -> Iterator[KeyPath]:
    if isinstance(data, dict) and data:
        for key, value in data.items():
            yield from _leaves(value, (*path, key))
    else:
        yield path


def speaks_of(stage: Any, path: KeyPath) -> bool:
    """Whether a stage sets the key, something within it, or replaces a section around it."""
    for part in path:
        if not isinstance(stage, dict):
            return True
        if part not in stage:
            return False
        stage = stage[part]
    return True


def extendable(schema: dict[str, Any]) -> dict[str, Any]:
    """The JSON schema of a whole recipe as that of a file: with ``extends``, what has to be said may be in another file."""
    needed: dict[str, Any] = {"required": schema.pop("required"), "properties": {}}
    for name, field in schema["properties"].items():
        section = schema["$defs"].get(field.get("$ref", "").rpartition("/")[2], {})
        if "required" in section:
            needed["properties"][name] = {"required": section.pop("required")}
    base = {
        "type": "string",
        "description": "the recipe that this one says the difference to: a shipped name, or a path from this file's folder",
    }
    schema["properties"] = {EXTENDS: base, **schema["properties"]}
    return schema | {"if": {"not": {"required": [EXTENDS]}}, "then": needed}
