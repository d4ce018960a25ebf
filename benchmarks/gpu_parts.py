"""Parts of a long measurement: each in a process of its own, within its share of the time, written down as it becomes known.

A part that fails, hangs or loses its device costs itself alone: the next one starts with a device that is clean. All write to one
JSON file, which is replaced whole after every figure; one part runs at a time.
"""

from __future__ import annotations

import faulthandler
import importlib
import importlib.util
import json
import math
import os
import signal
import subprocess
import sys
import time
import traceback
from argparse import Namespace
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

GRACE = 15.0  # seconds that a part may go on beyond its share before its process is ended
LINES = 12  # of a traceback that are kept


@dataclass(frozen=True)
class Part:
    """A part of the measurement.

    Attributes:
        run: ``module:function``; called with a `Report`.
        needs: packages without which nothing of it can be measured.
        least, most: seconds below which it is not begun, and that it may take where time is short.
        least_tiny, most_tiny: the same with tiny shapes, which prove the code and measure nothing.
    """

    key: str
    title: str
    run: str
    needs: tuple[str, ...]
    least: float
    most: float
    least_tiny: float = 5.0
    most_tiny: float = math.inf


class Store:
    """The result file. Read and replaced whole, so that what is there can always be parsed."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def read(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self.path.read_text()) if self.path.exists() else {}
        return found

    def write(self, content: dict[str, Any]) -> None:
        beside = self.path.with_name(f".{self.path.name}.{os.getpid()}")
        beside.write_text(json.dumps(content, indent=1) + "\n")
        beside.replace(self.path)

    def update(self, key: str, **values: Any) -> dict[str, Any]:
        """What is known of a part, with these values in it."""
        content = self.read()
        part: dict[str, Any] = content.setdefault("parts", {}).setdefault(key, {})
        part |= values
        self.write(content)
        return part

    def begin(self, key: str, title: str, **values: Any) -> None:
        """What an earlier run said of a part goes."""
        content = self.read()
        content.setdefault("parts", {})[key] = {"title": title, **values}
        self.write(content)


class Report:
    """What a part is given: its device, its options, its time, and where its figures go."""

    def __init__(self, store: Store, part: Part, options: Namespace, seconds: float) -> None:
        import torch

        self.store, self.part, self.options = store, part, options
        self.device = torch.device(options.device)
        self.ends = time.monotonic() + seconds
        self.found: dict[str, Any] = {}

    @property
    def tiny(self) -> bool:
        return bool(self.options.shapes == ["tiny"])

    @property
    def cuda(self) -> bool:
        return self.device.type == "cuda"

    def left(self) -> float:
        """Seconds until the part's share of the time is used up."""
        return self.ends - time.monotonic()

    def put(self, name: str, value: Any) -> None:
        """A figure, written at once."""
        self.found[name] = value
        self.store.update(self.part.key, found=self.found)
        print(f"  {name}: {json.dumps(value)[:400]}", flush=True)

    @contextmanager
    def case(self, name: str, seconds: float = 0.0) -> Iterator[Callable[[dict[str, Any]], None] | None]:
        """One figure among several: what it raises is written in its place, and the next one is measured.

        Args:
            seconds: what it takes at least; with less time left it is said to be left out, and None is given.
        """
        if not self.tiny and self.left() < seconds:
            self.put(name, {"skipped": f"needs {seconds:.0f} s, {max(0.0, self.left()):.0f} s are left"})
            yield None
            return
        begun, given = time.monotonic(), False

        def put(value: dict[str, Any]) -> None:
            nonlocal given
            given = True
            self.put(name, value | {"took": round(time.monotonic() - begun, 2)})

        try:
            yield put
        except Exception:
            self.put(name, {"failed": last_lines(traceback.format_exc())})
            return
        if not given:
            self.put(name, {"failed": "nothing was measured"})


def last_lines(text: str, count: int = LINES) -> list[str]:
    return text.rstrip().splitlines()[-count:]


def missing(packages: Sequence[str]) -> list[str]:
    return [name for name in packages if importlib.util.find_spec(name) is None]


def run_here(part: Part, options: Namespace, seconds: float) -> int:
    """The part in this process: 0, or 1 if it failed, which is written down."""
    store = Store(Path(options.out))
    faulthandler.dump_traceback_later(seconds + GRACE / 2)  # where it hangs, before it is ended
    try:
        module, function = part.run.split(":")
        getattr(importlib.import_module(module), function)(Report(store, part, options, seconds))
    except BaseException:  # an exit of a library, too, is a part that failed
        store.update(part.key, status="failed", traceback=last_lines(traceback.format_exc()))
        return 1
    failed = [name for name, value in store.read()["parts"][part.key].get("found", {}).items() if _failed(value)]
    if failed:
        store.update(part.key, status="failed", reason=f"failed: {', '.join(failed)}")
        return 1
    store.update(part.key, status="done")
    return 0


def _failed(value: Any) -> bool:
    return isinstance(value, dict) and ("failed" in value or value.get("holds") is False)


def run_parts(parts: Sequence[Part], options: Namespace, command: Sequence[str]) -> bool:
    """All parts one after another, each a process of ``command --child KEY --seconds N``; whether none failed.

    Args:
        command: what starts this script again with the same options.
    """
    store, ends, good = Store(Path(options.out)), time.monotonic() + 60.0 * options.minutes, True
    for part in parts:
        left = ends - time.monotonic()
        tiny = options.shapes == ["tiny"]
        least, most = (part.least_tiny, part.most_tiny) if tiny else (part.least, part.most)
        lacking = missing(part.needs)
        begun = time.monotonic()
        if lacking:
            store.begin(part.key, part.title, status="skipped", reason=f"not installed: {', '.join(lacking)}")
        elif left < least:
            reason = f"needs {least:.0f} s, {max(0.0, left):.0f} s are left"
            store.begin(part.key, part.title, status="skipped", reason=reason)
        else:
            share = min(most, left)
            print(f"{part.key}: {part.title} (at most {share:.0f} s)", flush=True)
            store.begin(part.key, part.title, status="running", found={})
            _in_a_process(store, part, share, command)
            store.update(part.key, seconds=round(time.monotonic() - begun, 1))
        said = store.read()["parts"][part.key]
        good = good and said["status"] in ("done", "skipped")
        print(f"{part.key}: {said['status']} {said.get('reason', '')}".rstrip(), flush=True)
    return good


def _in_a_process(store: Store, part: Part, seconds: float, command: Sequence[str]) -> None:
    arguments = [sys.executable, *command, "--child", part.key, "--seconds", f"{seconds:.1f}"]
    # A group of its own: what a part has started ends with it.
    with subprocess.Popen(arguments, start_new_session=True) as process:
        try:
            process.wait(timeout=seconds + GRACE)
        except subprocess.TimeoutExpired:
            store.update(
                part.key, status="failed", reason=f"ended after {seconds + GRACE:.0f} s; the figures before stand"
            )
        finally:
            _end(process)
    if store.read()["parts"][part.key]["status"] == "running":
        store.update(part.key, status="failed", reason=f"its process ended with code {process.returncode}")


def _end(process: subprocess.Popen[bytes]) -> None:
    try:
        os.killpg(process.pid, signal.SIGKILL)
    except ProcessLookupError:
        return  # nothing of it is left
    process.wait()
