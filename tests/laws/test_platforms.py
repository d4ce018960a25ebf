"""Nothing breaks where Linux's own calls are missing: every module is imported as it would be on macOS."""

import subprocess
import sys

from tests.kit.patience import HANGS
from tests.kit.places import ROOT

# What Python has on Linux alone (its documentation says "Availability: Linux").
HIDE = """
import ctypes, importlib, os, pkgutil, resource, select, signal, socket, sys
import datasets, matplotlib.figure, psutil, torch, transformers  # others' packages are theirs to try
from contextlib import suppress
with suppress(ModuleNotFoundError):
    import lm_eval.evaluator
with suppress(ModuleNotFoundError):
    import inspect_ai
for module, names in {
    os: "memfd_create sched_getaffinity sched_setaffinity pidfd_open unshare setns eventfd getrandom copy_file_range "
        "sendfile posix_fadvise sched_getscheduler prlimit setresuid setresgid getresuid getxattr listxattr splice",
    select: "epoll EPOLLIN EPOLLHUP", signal: "pidfd_send_signal SIGPWR SIGSTKFLT SIGRTMIN", resource: "prlimit",
    socket: "SO_PEERCRED AF_NETLINK AF_PACKET AF_VSOCK SOCK_CLOEXEC SOCK_NONBLOCK MSG_CMSG_CLOEXEC",
}.items():
    for name in names.split():
        if hasattr(module, name):
            delattr(module, name)
import grpo_kit
count, seen = 0, []
for found in pkgutil.walk_packages(grpo_kit.__path__, "grpo_kit.", onerror=seen.append):
    if not found.name.endswith("__main__"):
        try:
            importlib.import_module(found.name)
        except ModuleNotFoundError as missing:  # the bridges to them are classes of theirs
            if missing.name.partition(".")[0] not in ("lm_eval", "inspect_ai", "anyio"):
                raise
        count += 1
for room in ("verifiers", "sandbox"):
    package = importlib.import_module(f"grpo_kit.{room}")
    for found in pkgutil.walk_packages(package.__path__, f"grpo_kit.{room}."):
        if not found.name.endswith("__main__"):
            importlib.import_module(found.name)
            count += 1
print(count, seen)
"""


def test_every_module_is_imported():
    done = subprocess.run(
        [sys.executable, "-c", HIDE], cwd=ROOT, capture_output=True, text=True, timeout=HANGS, check=False
    )
    assert done.returncode == 0, done.stderr[-2000:]
    count, failed = done.stdout.split(maxsplit=1)
    assert int(count) > 350
    assert failed.strip() == "[]"
