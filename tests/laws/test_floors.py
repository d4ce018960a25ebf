"""Law 15: no import runs up, lazy ones and those for types included; and there is no circle."""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

from tests.kit.floors import FLOORS

HOUSE = Path(__file__).parents[2]
OUTSIDE = ("verifiers", "sandbox")  # rooms that stand beside grpo_kit/ and are imported as parts of it


def modules(house: Path) -> dict[str, Path]:
    """Every module of the product by its dotted name below ``grpo_kit``."""
    roots = [(house / "grpo_kit", ()), *((house / room, (room,)) for room in OUTSIDE)]
    found = {}
    for root, prefix in roots:
        for path in root.rglob("*.py"):
            parts = (*prefix, *path.relative_to(root).with_suffix("").parts)
            found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


def imports(name: str, path: Path, known: Mapping[str, Path]) -> Iterator[str]:
    """The modules of the product that a module imports, wherever in its file it does."""
    package = ("grpo_kit", *name.split("."))[: None if path.name == "__init__.py" else -1]
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            wanted = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            start = package[: len(package) - node.level + 1] if node.level else ()
            base = ".".join([*start, *([node.module] if node.module else [])])
            wanted = [f"{base}.{alias.name}" for alias in node.names]
        else:
            continue
        for dotted in wanted:
            if not dotted.startswith("grpo_kit."):
                continue
            parts = dotted.removeprefix("grpo_kit.").split(".")
            while parts and ".".join(parts) not in known:
                parts.pop()
            if parts and ".".join(parts) != name:
                yield ".".join(parts)


def arrows(house: Path) -> dict[str, set[str]]:
    """Module -> what it imports; the package itself and `python -m grpo_kit` are no rooms."""
    known = {name: path for name, path in modules(house).items() if name not in ("", "__main__")}
    return {name: set(imports(name, path, known)) for name, path in known.items()}


def running_up(found: Mapping[str, set[str]]) -> list[str]:
    floor = {room: height for height, room in enumerate(FLOORS)}
    return sorted(
        f"{name} imports {other}"
        for name, others in found.items()
        for other in others
        if floor[name.split(".")[0]] < floor[other.split(".")[0]]
    )


@pytest.fixture(scope="module")
def house():
    return arrows(HOUSE)


def test_every_module_has_a_room(house):
    rooms = {name.split(".")[0] for name in house}
    assert rooms == set(FLOORS), "a room is missing in FLOORS, or one of them is gone"
    loose = [p.name for p in (HOUSE / "grpo_kit").glob("*.py") if not p.name.startswith("__")]
    assert sorted(loose) == ["errors.py", "types.py"]


def test_no_import_runs_up(house):
    assert running_up(house) == []


def test_there_is_no_circle(house):
    try:
        TopologicalSorter(house).prepare()
    except CycleError as error:
        pytest.fail("imports in a circle: " + " <- ".join(error.args[1]))


def test_what_the_law_catches(tmp_path):
    """A lazy import, one for types, a relative one: each of them runs up or closes a circle."""
    for room, text in {
        "data": "def f():\n    from grpo_kit.train import loop\n",
        "policy": "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from ..scoring.pool import Pool\n",
        "scoring": "from .pool import Pool\n",
        "train": "",
    }.items():
        folder = tmp_path / "grpo_kit" / room
        folder.mkdir(parents=True)
        (folder / "__init__.py").write_text(text)
    (tmp_path / "grpo_kit/train/loop.py").write_text("import grpo_kit.data\n")
    (tmp_path / "grpo_kit/scoring/pool.py").write_text("from . import other\n")
    (tmp_path / "grpo_kit/scoring/other.py").write_text("from .pool import Pool\n")
    found = arrows(tmp_path)
    assert running_up(found) == ["data imports train.loop", "policy imports scoring.pool"]
    with pytest.raises(CycleError):
        TopologicalSorter(found).prepare()


def test_tests_import_no_tests():
    """What two test modules need stands in tests/kit."""
    found = []
    for path in (HOUSE / "tests").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ImportFrom) and (node.module or "").rpartition(".")[2].startswith("test_"):
                found.append(f"{path.relative_to(HOUSE)}:{node.lineno} imports from {node.module}")
    assert found == []


def test_tests_stand_as_the_rooms_do():
    folders = {p.name for p in (HOUSE / "tests").iterdir() if p.is_dir() and not p.name.startswith("__")}
    assert folders - set(FLOORS) == {"benchmarks", "docs", "golden", "kit", "laws", "parity"}
    assert sorted(p.name for p in (HOUSE / "tests").glob("test_*.py")) == ["test_packaging.py"]
