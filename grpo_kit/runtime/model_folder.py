"""What the name of a model stands for: a folder of this machine, or a name on the hub."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

from grpo_kit.errors import UserError
from grpo_kit.runtime.suggest import closest

MOST_LISTED = 5


def is_local(name: str) -> bool:
    """Whether a model's name is that of a place on this machine: no hub is asked for it."""
    first, _, _ = name.partition("/")
    return name.startswith((".", "/", "~")) or name.count("/") != 1 or Path(name).exists() or _holds_runs(Path(first))


def _holds_runs(folder: Path) -> bool:
    """Whether it is a folder of runs. One by the name of an owner on the hub (``Qwen/``) may hold a model that was copied."""
    with suppress(OSError):
        return folder.is_dir() and (folder.name == "runs" or any(folder.glob("*/config.yaml")))
    return False


def model_in(folder: Path) -> Path | None:
    """The model folder of a run (its last checkpoint, while it has no model), of a checkpoint, or the folder itself."""
    saved = sorted((folder / "checkpoints").glob("step-*/model/config.json"))
    candidates = (folder / "config.json", folder / "model" / "config.json", *reversed(saved))
    return next((found.parent for found in candidates if found.is_file()), None)


def check_folder(name: str, where: str = "") -> None:
    """Raises UserError for a folder that holds no model itself, and where there is none: with those that stand beside it.

    Args:
        where: what the message begins with, such as the key of the recipe that gives the name.
    """
    folder = Path(name)
    if not is_local(name) or (folder / "config.json").is_file():
        return
    state = "has no config.json" if folder.is_dir() else "is a file" if folder.exists() else "does not exist"
    raise UserError(
        f"{where}{name} is not a model folder: it {state}.{instead_of(folder)} Give a folder that holds config.json, weights and "
        "tokenizer (`model` of a run, or of one of its checkpoints, is one), a .gguf file, or a name on the Hugging Face hub "
        "such as Qwen/Qwen2.5-0.5B."
    )


def instead_of(folder: Path) -> str:
    """What there is in place of a model folder, in sentences that begin with a blank; or nothing."""
    if (inner := model_in(folder)) is not None:
        return f" Did you mean {inner}?"
    there = next(place for place in (folder, *folder.parents) if place.is_dir())
    models = _models_in(there)
    if not models:
        return f" {there} holds no run, checkpoint or model." if there not in (folder, Path()) else ""
    listed = ", ".join([*models][-MOST_LISTED:])
    more = f" and {len(models) - MOST_LISTED} more" if len(models) > MOST_LISTED else ""
    meant = closest(folder.relative_to(there).parts[0], models) if there != folder else None
    return f" {there} holds {listed}{more}." + (f" Did you mean {models[meant]}?" if meant else "")


def _models_in(folder: Path) -> dict[str, Path]:
    """The models in the folders of a folder, by their names; what may not be read has none."""
    found = {}
    with suppress(OSError):
        for place in sorted(folder.iterdir()):
            with suppress(OSError):
                if (model := model_in(place)) is not None:
                    found[place.name] = model
    return found
