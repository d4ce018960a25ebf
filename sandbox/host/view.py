"""What a program may see of the host: the interpreter's own library, the packages that were asked for, nothing else."""

from __future__ import annotations

import glob
import importlib.util
import os
import sys
import sysconfig
from collections.abc import Sequence
from typing import Any

from ..wire.limits import SandboxError

PACKAGES = "/packages"
_FOREIGN = ("site-packages", "dist-packages")


def describe(preload: Sequence[str], backend: str) -> dict[str, Any]:
    """Paths for the zygote: ``readable``, ``hidden`` inside them, ``packages``, ``links`` and ``imports``."""
    standard = os.path.realpath(sysconfig.get_path("stdlib"))
    platform_library = os.path.realpath(sysconfig.get_path("platstdlib", vars={"platbase": sys.base_exec_prefix}))
    libraries = [p for p in (standard, platform_library) if os.path.isdir(p)]
    libraries = list(dict.fromkeys(libraries))
    folders, parents = _packages(preload)
    # Programs see packages in a folder of their own, not where the trainer's environment has them.
    packages = [(f, f"{PACKAGES}/{os.path.basename(f)}") for f in folders]
    package_imports = parents
    if backend == "namespaces":
        package_imports = [PACKAGES] if folders else []
    hidden = [os.path.join(library, name) for library in libraries for name in _FOREIGN]
    if backend != "namespaces":  # Landlock has no masks: name what is inside instead of the folder
        libraries = [
            os.path.join(library, name) for library in libraries for name in os.listdir(library) if name not in _FOREIGN
        ]
    imports = [standard, *(os.path.join(p, "lib-dynload") for p in (standard, platform_library)), *package_imports]
    readable = libraries + _shared_libraries() + [os.path.realpath(sys.executable)]
    readable += [p for p in ("/etc/ld.so.cache", "/usr/share/zoneinfo") if os.path.exists(p)]
    return {
        "readable": list(dict.fromkeys(readable)),
        "hidden": [h for h in hidden if os.path.isdir(h)],
        "packages": packages,
        "links": _links(),
        "imports": list(dict.fromkeys(imports)),
    }


def _shared_libraries() -> list[str]:
    """Folders that extension modules of the standard library load from: the machine's own, not all of /usr/lib."""
    multiarch = sysconfig.get_config_var("MULTIARCH") or ""
    folders = [f"/usr/lib/{multiarch}", f"/lib/{multiarch}"] if multiarch else []
    folders = [f for f in folders if os.path.isdir(f)] or ["/usr/lib", "/lib"]
    found = [os.path.realpath(f) for f in (*folders, "/lib64", "/usr/lib64") if os.path.isdir(f)]
    prefix = os.path.join(sys.base_prefix, "lib")
    found += [os.path.realpath(f) for f in glob.glob(os.path.join(glob.escape(prefix), "*.so*"))]
    return [f for f in dict.fromkeys(found) if os.path.exists(f)]


def _links() -> list[tuple[str, str]]:
    """Symbolic links that programs and the dynamic loader expect."""
    links = [(p, os.readlink(p)) for p in ("/lib", "/lib64", "/usr/lib64", "/usr/lib") if os.path.islink(p)]
    links += [(f"/dev/{name}", f"/proc/self/fd/{n}") for n, name in enumerate(("stdin", "stdout", "stderr"))]
    return [*links, ("/dev/fd", "/proc/self/fd"), ("/dev/shm", "/tmp")]


def _packages(preload: Sequence[str]) -> tuple[list[str], list[str]]:
    """Folders of the packages to preload, and where they are imported from."""
    folders, imports = [], []
    for name in preload:
        top = name.partition(".")[0]
        if top in sys.stdlib_module_names:
            continue
        spec = importlib.util.find_spec(top)
        if spec is None or spec.origin is None:
            raise SandboxError(f"preload: there is no module {top!r} in this environment ({sys.prefix})")
        location = os.path.realpath(spec.origin)
        folder = os.path.dirname(location) if spec.submodule_search_locations else location
        parent = os.path.dirname(folder)
        folders.append(folder)
        # Wheels keep the shared libraries they bring beside the package (auditwheel).
        folders += [f for f in (f"{parent}/{top}.libs",) if os.path.isdir(f)]
        imports.append(parent)
    return folders, imports
