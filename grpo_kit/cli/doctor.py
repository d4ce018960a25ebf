"""What works on this machine, and how to mend what does not."""

from __future__ import annotations

import os
import platform
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from rich.text import Text

from grpo_kit.errors import RunFailed
from grpo_kit.observe.run_directory import PACKAGES
from grpo_kit.observe.tables import Column, show_table
from grpo_kit.observe.terminal import line, open_console
from grpo_kit.runtime.packages import version_of
from grpo_kit.runtime.threads import choose_threads, trial

State = Literal["ok", "off", "missing"]
STYLES = {"ok": "green", "off": "yellow", "missing": "red"}


@dataclass(frozen=True)
class Finding:
    area: str
    name: str
    state: State
    detail: str
    fix: str = ""


def findings() -> Iterator[Finding]:
    """Look at versions, hardware, engines, extras and sandboxes, in that order."""
    yield Finding("version", "python", "ok", platform.python_version())
    for package in PACKAGES:
        version = version_of(package)
        if version:
            yield Finding("version", package, "ok", version)
        elif not package.startswith("vllm"):
            yield Finding("version", package, "missing", "not installed", f"pip install {package}")
    yield from _hardware()
    yield from _engines()
    yield from _extras()
    yield from _sandboxes()


def _hardware() -> Iterator[Finding]:
    import torch

    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    yield Finding("hardware", "cpu", "ok", f"{cores} cores, {memory:.1f} GB memory")
    measured = trial()
    times = ", ".join(f"{count}: {1000 * seconds:.1f} ms" for count, seconds in measured.items())
    yield Finding(
        "hardware",
        "threads",
        "ok",
        f"a run would use {choose_threads(measured=measured)} (trial by thread count: {times}); tokenizer 1, each scoring "
        "worker and sandboxed program 1",
        "threads=N sets it",
    )
    free = shutil.disk_usage(".").free / 2**30
    yield Finding(
        "hardware",
        "disk",
        "ok" if free > 1 else "missing",
        f"{free:.1f} GB free here",
        "" if free > 1 else "free some space",
    )
    if torch.cuda.is_available():
        for index in range(torch.cuda.device_count()):
            device = torch.cuda.get_device_properties(index)
            yield Finding("hardware", f"gpu {index}", "ok", f"{device.name}, {device.total_memory / 2**30:.0f} GB")
    else:
        yield Finding("hardware", "gpu", "off", "none that torch can use; everything runs on the CPU")


def _engines() -> Iterator[Finding]:
    import torch

    from grpo_kit.generate.vllm_status import vllm_status

    yield Finding("engine", "torch", "ok", "embedded: transformers in process")
    status = vllm_status("cuda" if torch.cuda.is_available() else "cpu")
    yield Finding("engine", "vllm", "ok" if status.usable else "off", status.detail, status.fix)


def _extras() -> Iterator[Finding]:
    for extra, package in (
        ("peft", "peft"),
        ("qlora", "bitsandbytes"),
        ("gguf", "gguf"),
        ("tensorboard", "tensorboard"),
        ("wandb", "wandb"),
        ("trackio", "trackio"),
        ("mlflow", "mlflow"),
        ("ray", "ray"),
        ("lm-eval", "lm-eval"),
        ("inspect", "inspect-ai"),
    ):
        version = version_of(package)
        if version:
            yield Finding("extra", extra, "ok", version)
        else:
            yield Finding("extra", extra, "off", "not installed", f'pip install "grpo-kit[{extra}]"')


def _sandboxes() -> Iterator[Finding]:
    from grpo_kit.sandbox import probe

    for found in probe():
        yield Finding("sandbox", found.backend, "ok" if found.works else "off", found.detail, found.fix)


def show_doctor() -> None:
    columns = (
        Column("area", spare=1),
        Column("what"),
        Column("state"),
        Column("detail", words=True),
        Column("fix", words=True),
    )
    rows = [(f.area, f.name, Text(f.state, style=STYLES[f.state]), f.detail, f.fix) for f in findings()]
    show_table(open_console(), columns, rows, framed=False)


def show_stress() -> None:
    """Disturb tiny runs in every way that is known, and say which came through. Raises RunFailed if one did not."""
    from grpo_kit.stress.chaos import Tried, stress

    console = open_console()
    line(console, "Tiny runs are killed, stopped, starved and fed with nonsense, in about two minutes.")

    def report(tried: Tried) -> None:
        state = Text("ok   ", style="green") if tried.problem is None else Text("FAILED ", style="red")
        console.print(state + Text(f"{tried.seconds:5.1f} s  {tried.name}: {tried.problem or tried.expected}"))

    failures = stress(report)
    if failures:
        raise RunFailed(
            f"{failures} of these did not come through on this machine; please report them with the lines above"
        )
