"""Chains: one recipe of several stages, each trained in its turn from what the ones before it left.

A chain is a recipe with a ``stages`` mapping. What stands beside ``stages`` is common to all of them, and a stage lies over
it as a recipe over what it extends; ``{name}`` in a text is the run directory of an earlier stage.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml
from rich.console import Console

from grpo_kit.config import Config
from grpo_kit.config.extends import STAGES, merged, read_whole, speaks_of
from grpo_kit.config.read import apply_override, read_override, validate
from grpo_kit.config.source import KeyPath, Source, dotted
from grpo_kit.errors import UserError
from grpo_kit.observe.run_directory import check_free, default_run_path
from grpo_kit.observe.terminal import line, quote
from grpo_kit.run.request import Latest, Told, TrainRequest
from grpo_kit.run.start import check_environment, check_verifiers, show_plan
from grpo_kit.runtime import ranks

EVERY = "*"  # in an override: all stages


def is_chain(recipe: str | Mapping[str, Any]) -> bool:
    return STAGES in read_whole(recipe).data


def load_chain(recipe: str | Mapping[str, Any], overrides: Sequence[str], folder: Path) -> dict[str, Config]:
    """Every stage as a whole recipe, in order. folder: where the stages' run directories will be.

    Raises:
        UserError: with the problems of every stage, at their lines.
    """
    made: dict[str, Config] = {}
    for name, stage in _read_stages(recipe, overrides).items():
        known = {earlier: str(folder / earlier) for earlier in made}
        made[name] = _valid(name, Source(_filled(stage.data, known), stage.places))
    return made


def resolve_chain(recipe: str | Mapping[str, Any], overrides: Sequence[str]) -> tuple[dict[str, Any], Source]:
    """A chain whose stages say everything, with every default, and where what is no default was written."""
    stages = _read_stages(recipe, overrides)
    data = {name: _valid(name, stage).model_dump(mode="json") for name, stage in stages.items()}
    places = {(STAGES, name, *path): place for name, stage in stages.items() for path, place in stage.places.items()}
    return {STAGES: data}, Source({STAGES: data}, places)


def _read_stages(recipe: str | Mapping[str, Any], overrides: Sequence[str]) -> dict[str, Source]:
    source = read_whole(recipe)
    stages_of(source)
    written = copy.deepcopy(source.data[STAGES])
    for override in overrides:
        for one in _for_stages(override, written):
            apply_override(source, one)
    return stages_of(source)


def _valid(name: str, stage: Source) -> Config:
    try:
        return validate(stage)
    except UserError as error:
        raise UserError(f"stage {name}: {error}") from None


def stages_of(source: Source) -> dict[str, Source]:
    """Every stage of a chain over what is common to them. Raises UserError if ``stages`` is no mapping of sections."""
    stages = source.data[STAGES]
    if not isinstance(stages, dict) or not all(isinstance(s, dict) for s in stages.values()) or not stages:
        raise UserError(f"{source.place((STAGES,))}: stages must map a name to the keys of each stage")
    common = Source(
        {key: value for key, value in source.data.items() if key != STAGES},
        {path: place for path, place in source.places.items() if path[:1] != (STAGES,)},
    )
    return {
        name: merged(common, Source(stage, _within(source.places, (STAGES, name)))) for name, stage in stages.items()
    }


def _within(places: Mapping[KeyPath, str], section: KeyPath) -> dict[KeyPath, str]:
    """The places of what a section holds, by the paths that begin in it."""
    depth = len(section)
    return {path[depth:]: place for path, place in places.items() if path[:depth] == section}


def _for_stages(override: str, stages: Mapping[str, Any]) -> list[str]:
    """An override as it is applied: ``stages.*.key=value`` is one for each stage.

    Raises:
        UserError: a stage says something else about its key, which would silently win over what was typed.
    """
    path, _ = read_override(override)
    text = override.partition("=")[2]
    if path[0] == STAGES:
        if len(path) > 2 and path[1] == EVERY:
            return [f"{dotted((STAGES, name, *path[2:]))}={text}" for name in stages]
        if len(path) > 1 and path[1] not in stages:
            raise UserError(f"command line ({override}): there is no stage {path[1]}; there are {', '.join(stages)}")
        return [override]
    own = [name for name, stage in stages.items() if speaks_of(stage, path)]
    if own:
        alone = [f"{dotted((STAGES, name, *path))}={text}" for name in own]
        raise UserError(
            f"command line ({override}): {', '.join(own)} of this recipe's stages say something of their own about "
            f"{dotted(path)}, so this would not reach them. For one stage write {' or '.join(alone)}; for all of them "
            f"{quote(dotted((STAGES, EVERY, *path)) + '=' + text)}"
        )
    return [override]


def train_chain(request: TrainRequest, told: Told, train_one: Callable[[TrainRequest], None]) -> Path | None:
    """Train the stages one after another; a stage that is finished is not trained again by ``--resume``. Returns the folder of
    the last one; None for a dry run.

    Args:
        train_one: trains a stage, whose recipe is one run, and returns when it is done.
    """
    if ranks.launched():
        raise UserError(
            "torchrun with a recipe of several stages is not offered, as each stage is a run of its own: use "
            "`grpo-kit train --nproc N`, or train the stages one by one"
        )
    resume = request.resume is not None
    if resume and request.run_dir is None:
        raise UserError("--resume needs --run-dir: the run to continue")
    folder = request.run_dir or default_run_path(request.recipe)
    if not resume:
        check_free(folder)
    stages = load_chain(request.recipe, request.overrides, folder)
    for number, (name, config) in enumerate(stages.items(), start=1):
        path = folder / name
        if resume and (path / "model").is_dir():
            continue
        line(told.console, f"stage {number} of {len(stages)}: {name}")
        if request.dry_run:
            _dry_run_first(config, told.console)
            return None
        folder.mkdir(parents=True, exist_ok=True)
        resolved = folder / f"{name}.yaml"
        resolved.write_text(yaml.safe_dump(config.model_dump(mode="json"), sort_keys=False, allow_unicode=True))
        begun = resume and (path / "config.yaml").is_file()
        position = Latest() if begun else None
        train_one(TrainRequest(str(resolved), run_dir=path, resume=position, processes=request.processes))
    return folder / list(stages)[-1]


def _dry_run_first(config: Config, console: Console) -> None:
    """Later stages start from models that do not exist yet, so only the first can be checked against the machine."""
    from grpo_kit.train.preflight import preflight

    check_verifiers(config)
    check_environment(config)
    show_plan(console, config, preflight(config, None))
    line(
        console, "the stages after it are valid recipes; they are checked further once the models they start from exist"
    )


def _filled(value: Any, known: Mapping[str, str]) -> Any:
    """``{name}`` replaced by that stage's run directory, wherever a text holds it."""
    if isinstance(value, dict):
        return {k: _filled(v, known) for k, v in value.items()}
    if isinstance(value, list):
        return [_filled(v, known) for v in value]
    if isinstance(value, str):
        for name, path in known.items():
            value = value.replace(f"{{{name}}}", path)
    return value
