"""Trees to compare: each is built as a wheel and unpacked, so that what is compared is what a user would install."""

from __future__ import annotations

import hashlib
import io
import os
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
# An editable install answers for modules that the tree in front of it lacks: then a lost module would not be missed.
SITECUSTOMIZE = """\
import sys
sys.meta_path[:] = [f for f in sys.meta_path if "grpo_kit" not in getattr(sys.modules.get(f.__module__), "MAPPING", ())]
"""
BUILD = "import sys; from setuptools.build_meta import build_wheel; build_wheel(sys.argv[1])"


class Tree:
    """One state of the sources, importable from a folder of its own.

    Attributes:
        path: of the unpacked wheel; on PYTHONPATH it makes `import grpo_kit` mean this tree.
        files: of the wheel, name -> sha256, without the packaging's own.
    """

    def __init__(self, name: str, revision: str | None, folder: Path) -> None:
        """revision: of git; None for the working tree with all that is not committed. Raises SystemExit if it has none."""
        self.name = name
        source, built, self.path = folder / "source", folder / "wheel", folder / "tree"
        source.mkdir(parents=True)
        _check_out(revision, source)
        done = subprocess.run(
            [sys.executable, "-c", BUILD, str(built)], cwd=source, capture_output=True, text=True, check=False
        )
        if done.returncode:
            sys.exit(f"{name}: its wheel cannot be built:\n{done.stderr[-2000:]}")
        with zipfile.ZipFile(next(built.glob("*.whl"))) as wheel:
            wheel.extractall(self.path)
            names = [n for n in wheel.namelist() if not n.endswith("/RECORD")]
            self.files = {n: hashlib.sha256(wheel.read(n)).hexdigest() for n in sorted(names)}
        (self.path / "sitecustomize.py").write_text(SITECUSTOMIZE)


def environment(tree: Path | None) -> dict[str, str]:
    """Of a process that imports the tree at this path, or the installed one; one thread, no colour, one width, one order."""
    kept = {n: v for n, v in os.environ.items() if n not in ("FORCE_COLOR", "LINES", "PYTHONSTARTUP")}
    return {
        **kept,
        **({"PYTHONPATH": str(tree)} if tree else {}),
        "PYTHONHASHSEED": "0",
        "PYTHONDONTWRITEBYTECODE": "1",
        "OMP_NUM_THREADS": "1",
        "COLUMNS": "200",
        "NO_COLOR": "1",
        "TERM": "dumb",
        "HF_HUB_OFFLINE": "1",
    }


def _check_out(revision: str | None, target: Path) -> None:
    if revision is not None:
        done = subprocess.run(["git", "archive", revision], cwd=ROOT, capture_output=True, check=False)
        if done.returncode:
            sys.exit(f"{revision}: {done.stderr.decode().strip()}")
        with tarfile.open(fileobj=io.BytesIO(done.stdout)) as archive:
            archive.extractall(target, filter="data")
        return
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    for name in filter(None, listed.stdout.split("\0")):
        if (ROOT / name).is_file():  # what was deleted and not yet committed is still listed
            copy = target / name
            copy.parent.mkdir(parents=True, exist_ok=True)
            copy.write_bytes((ROOT / name).read_bytes())


def read_moved(path: Path | None) -> dict[str, str]:
    """Lines ``old new``: modules or packages, dotted or as paths of the wheel. Raises SystemExit for other lines."""
    moved = {}
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines() if path else (), 1):
        words = line.split("#")[0].split()
        if len(words) not in (0, 2):
            sys.exit(f"{path}, line {number}: {line!r} is not `old new`")
        if words:
            moved[dotted(words[0])] = dotted(words[1])
    return moved


def dotted(name: str) -> str:
    """grpo_kit/a/b.py -> grpo_kit.a.b; a package is named by its folder."""
    return name.removesuffix("/__init__.py").removesuffix(".py").strip("/").replace("/", ".")


def where(module: str, moved: dict[str, str]) -> str:
    """Where a module is now: it, or the nearest package that holds it, may have moved."""
    head, tail = module, ""
    while head:
        if head in moved:
            return moved[head] + tail
        head, _, last = head.rpartition(".")
        tail = f".{last}{tail}"
    return module


def wheel_facts(tree: Tree, moved: dict[str, str]) -> dict[str, object]:
    """Modules by name, everything else by content: recipes, the report's page, entry points, metadata."""
    modules = sorted(where(dotted(n), moved) for n in tree.files if n.endswith(".py"))
    others = {n: digest for n, digest in tree.files.items() if not n.endswith(".py")}
    return {**{f"module {name}": "present" for name in modules}, **others}
