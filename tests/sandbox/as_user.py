"""The corpus of forging programs as an ordinary user, where the tests themselves run as root.

An interpreter below /root cannot be started by anybody else: it is shown to the user at another place, in a mount
namespace of its own, and so is the project.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from grpo_kit.sandbox import Sandbox, SandboxError, probe
from grpo_kit.sandbox.inside import kernel

from .corpus import KINDS, decided_by_themselves

USER = 65534
# What a user's sandbox does otherwise is how it isolates; the rest of the corpus is the same code as root's.
_SOME = {
    "namespaces": ("names", "exceptions", "told", "messages", "standing", "frameworks", "own word", "shared"),
    "landlock": ("told", "messages"),
}
PROJECT = Path(__file__).resolve().parents[2]
_LEND = (
    "import sys, types\npackage = types.ModuleType('grpo_kit')\npackage.__path__ = [sys.argv[1]]\n"
    "sys.modules['grpo_kit'] = package\nsys.path.insert(0, sys.argv[1])\nfrom tests.sandbox import as_user\n"
)


def missing() -> str:
    """Why it cannot be done here; empty where it can."""
    if os.geteuid() != 0:
        return "the tests run as an ordinary user already"
    return (
        ""
        if _start("", "print(as_user.os.getuid())").stdout.strip() == str(USER)
        else "no other user can be become here"
    )


def run(backend: str) -> dict[str, Any]:
    """What `corpus` gets wrong with this backend."""
    ran = _start(backend, "as_user.main(sys.argv[2])")
    assert ran.returncode == 0, ran.stderr
    return json.loads(ran.stdout)


def _start(backend: str, what: str) -> subprocess.CompletedProcess[str]:
    with tempfile.TemporaryDirectory(dir="/var/tmp") as folder:
        os.chmod(folder, 0o755)
        for name in ("python", "project"):
            (Path(folder) / name).mkdir()
        code = f"{_LEND}as_user.leave({folder!r}, {backend!r}, {what!r})"
        return subprocess.run([sys.executable, "-c", code, str(PROJECT)], capture_output=True, text=True, cwd="/")


def leave(folder: str, backend: str, what: str) -> None:
    """Become the user, in a new interpreter."""
    kernel.unshare(kernel.CLONE_NEWNS)
    kernel.mount(None, "/", None, kernel.MS_REC | kernel.MS_PRIVATE)
    for source, name in ((sys.base_prefix, "python"), (str(PROJECT), "project")):
        kernel.mount(source, f"{folder}/{name}", None, kernel.MS_BIND | kernel.MS_REC)
    os.setgroups([])
    os.setresgid(USER, USER, USER)
    os.setresuid(USER, USER, USER)
    program = f"{folder}/python/bin/python{sys.version_info[0]}.{sys.version_info[1]}"
    command = [program, "-S", "-B", "-c", _LEND + what, f"{folder}/project", backend]
    os.execve(program, command, {"LANG": "C.UTF-8", "HOME": "/tmp"})


def main(backend: str) -> None:
    kinds = [KINDS[name] for name in _SOME[backend]]
    report: dict[str, Any] = {"user": os.getuid(), "programs": sum(len(kind) for kind in kinds)}
    found = next(p for p in probe() if p.backend == backend)
    if not found.works:
        print(json.dumps(report | {"does not work": found.detail}))
        return
    try:
        with Sandbox(backend=backend, workers=1) as sandbox:
            report["wrong"] = [repr(w) for kind in kinds for w in decided_by_themselves(sandbox, kind)]
            report["wrong"] += [f"{sandbox.restarts} restarts"] * bool(sandbox.restarts)
    except SandboxError as error:
        report["does not work"] = str(error)
    print(json.dumps(report))
