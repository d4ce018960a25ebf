"""The proof that a refactor changes nothing: two trees on one machine, and whatever they do differently.

python benchmarks/same.py REV [--quick] [--only rows,math] [--moved FILE]
python benchmarks/same.py --golden

Compares the working tree with revision REV of git. Each is built as a wheel, unpacked and used through its command line: the
runs of every algorithm (weights bit for bit; metrics, rollouts, console), runs that stop and go on, runs of REV that go on in
the working tree, sampling ahead, resolved recipes, schema, help, messages, verdicts of verifiers and sandbox, the wheel. Each
difference is one line, `part/item/key: REV -> working tree`, and makes the exit code 1. About six minutes on two cores, a
quarter of that with --quick.

--golden renews tests/golden: what must be the same on every machine, for tests/laws/test_golden.py.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import same_trees
from same_server import FakeServer
from same_trees import ROOT, Tree

PROBE = Path(__file__).with_name("same_probe.py")
GOLDEN = ROOT / "tests" / "golden"
# Short ones first: whoever waits sees a difference early.
PARTS = (
    "wheel",
    "help",
    "config",
    "math",
    "answers",
    "verifiers",
    "sandbox",
    "commands",
    "ahead",
    "stop",
    "resume",
    "rows",
)
SHOWN = 120  # characters of a value in a difference
RUNS = ("ahead", "resume", "rows")
LISTED = 20  # items of a part
ABSENT = object()
BROKEN = "could not be probed"


def differences(old: Any, new: Any, path: str = "") -> Iterator[str]:
    """Every leaf that differs, as `path: old -> new`."""
    if isinstance(old, dict) and isinstance(new, dict):
        for key in [*old, *(k for k in new if k not in old)]:
            yield from differences(old.get(key, ABSENT), new.get(key, ABSENT), f"{path}/{key}" if path else str(key))
    elif isinstance(old, list) and isinstance(new, list):
        for index in range(max(len(old), len(new))):
            pair = [side[index] if index < len(side) else ABSENT for side in (old, new)]
            yield from differences(*pair, f"{path}[{index}]")
    elif repr(old) != repr(new):  # nan is nan, and 1 is not 1.0
        yield f"{path}: {shown(old)} -> {shown(new)}"


def shown(value: Any) -> str:
    if value is ABSENT:
        return "nothing"
    text = repr(value)
    return text if len(text) <= SHOWN else f"{text[: SHOWN - 3]}..."


class Probing:
    """A tree's own process, which finds out facts part by part."""

    def __init__(self, name: str, tree: Path | None, folder: Path, request: dict[str, Any]) -> None:
        """tree: where it is unpacked; None for the installed one."""
        folder.mkdir()
        request = {"tree": tree and str(tree), "inputs": str(ROOT), **request}
        self.name, self.folder = name, folder
        self.seconds = 0.0  # of CPU so far
        self.log = folder.with_suffix(".log")
        self.process = subprocess.Popen(
            [sys.executable, str(PROBE), json.dumps(request)],
            cwd=folder,
            env=same_trees.environment(tree),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self.log.open("wb"),
            text=True,
        )

    def facts(self, part: str) -> dict[str, Any]:
        """Raises SystemExit if the process has ended."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        with contextlib.suppress(BrokenPipeError):
            self.process.stdin.write(part + "\n")
            self.process.stdin.flush()
        cpu = self.process.stdout.readline()
        if not cpu:
            said = self.log.read_text(encoding="utf-8", errors="replace")[-3000:]
            sys.exit(f"{self.name}: its process ended with code {self.process.wait()} in {part}:\n{said}")
        self.seconds = float(cpu)
        return json.loads((self.folder / f"{part}.json").read_text(encoding="utf-8"))

    def __enter__(self) -> Probing:
        return self

    def __exit__(self, *_: object) -> None:
        self.process.terminate()
        self.process.wait()


class Comparison:
    """Two trees, and what was found out about them."""

    def __init__(self, trees: list[Tree], probes: list[Probing], options: argparse.Namespace) -> None:
        self.trees, self.probes, self.all = trees, probes, options.all
        self.moved = same_trees.read_moved(options.moved)
        self.table: list[tuple[str, int, int]] = []

    def compare(self, part: str) -> None:
        begun = sum(probe.seconds for probe in self.probes)
        if part == "wheel":
            old, new = (same_trees.wheel_facts(t, m) for t, m in zip(self.trees, (self.moved, {}), strict=True))
        elif part == "resume":  # the new tree goes on with runs of the old one, which must be whole by then
            old, new = (probe.facts(part) for probe in self.probes)
        else:  # side by side: each has a core
            with ThreadPoolExecutor(2) as pool:
                old, new = pool.map(lambda probe: probe.facts(part), self.probes)
        if part != "wheel":
            old = renamed(old, self.moved)
        self.report(part, old, new, sum(probe.seconds for probe in self.probes) - begun)

    def report(self, part: str, old: dict[str, Any], new: dict[str, Any], seconds: float) -> None:
        items = [*old, *(key for key in new if key not in old)]
        different = 0
        for item in items:
            lines = list(differences(old.get(item, ABSENT), new.get(item, ABSENT), f"{part}/{item}"))
            if (
                part in RUNS and isinstance(new.get(item), dict) and new[item].get("exit")
            ):  # equal, and nothing is proved
                last = [line for line in new[item].get("console") or () if line][-1:]
                lines.append(f"{part}/{item}: the run fails: {' '.join(last)[:300]}")
            different += bool(lines)
            if lines and (self.all or different <= LISTED):
                more = f"   (and {len(lines) - 1} more)" if len(lines) > 1 else ""
                print(f"  {lines[0]}{more}", flush=True)
        if not self.all and different > LISTED:
            print(f"  {part}: {different - LISTED} more items differ; --all lists them")
        if BROKEN in old and BROKEN in new:  # equal, and nothing is proved
            different += 1
            print(f"  {part}: {BROKEN} in either tree: {new[BROKEN][-1]}")
        self.table.append((part, len(items), different))
        print(f"{part:<10} {len(items):>6} compared  {different:>4} differ  {seconds:6.1f} CPU s", flush=True)


def renamed(facts: Any, moved: dict[str, str]) -> Any:
    """Facts of the old tree, with modules named as they are now."""
    if not moved:
        return facts
    longest_first = sorted(moved, key=lambda name: -len(name))
    # In one pass: what a module is called now may be what another was called.
    named = re.compile(rf"""(?<![\w.])({"|".join(map(re.escape, longest_first))})(?=[."])""")
    return json.loads(named.sub(lambda match: moved[match[1]], json.dumps(facts)))


def compare(options: argparse.Namespace) -> int:
    unknown = set(options.only) - set(PARTS)
    if unknown:
        sys.exit(f"--only takes {', '.join(PARTS)}; got {', '.join(sorted(unknown))}")
    parts = [part for part in PARTS if part in options.only or not options.only]
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # and the temporary folder goes with it
    folder = Path(tempfile.mkdtemp(prefix="grpo-kit-same-"))
    os.environ["TMPDIR"] = str(folder)
    begun = time.perf_counter()
    try:
        trees = [Tree(options.rev, options.rev, folder / "old"), Tree("working tree", None, folder / "new")]
        with ExitStack() as stack:
            probes = []
            for side, tree in zip(("old-runs", "new-runs"), trees, strict=True):
                request = {
                    "quick": options.quick,
                    "rows": options.rows,
                    "server": stack.enter_context(FakeServer()).url,
                    "other": str(folder / "old-runs") if probes else None,
                }
                probes.append(stack.enter_context(Probing(tree.name, tree.path, folder / side, request)))
            comparison = Comparison(trees, probes, options)
            for part in parts:
                comparison.compare(part)
    finally:
        if options.keep:
            print(f"kept: {folder}")
        else:
            shutil.rmtree(folder, ignore_errors=True)
    compared = sum(row[1] for row in comparison.table)
    different = sum(row[2] for row in comparison.table)
    print(f"{compared} compared, {different} differ, in {time.perf_counter() - begun:.0f} s")
    return int(different > 0)


def golden_facts(folder: Path) -> dict[str, dict[str, Any]]:
    """By file of tests/golden: what the installed tree does, which is the same wherever the packages are."""
    with Probing("installed", None, folder / "golden", {"quick": True, "server": None, "other": None}) as probe:
        facts = probe.facts("golden")
        if BROKEN in facts:
            sys.exit("\n".join(facts[BROKEN]))
        return {**facts, "verdicts": probe.facts("verdicts")}


def write_golden() -> None:
    with tempfile.TemporaryDirectory() as folder:
        facts = golden_facts(Path(folder))
    GOLDEN.mkdir(exist_ok=True)
    for name, items in facts.items():
        lines = (f"{json.dumps(key)}: {json.dumps(value, ensure_ascii=False)}" for key, value in items.items())
        (GOLDEN / f"{name}.json").write_text("{\n" + ",\n".join(lines) + "\n}\n", encoding="utf-8")
        print(f"{len(items):>5} in {(GOLDEN / name).relative_to(ROOT)}.json")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("rev", nargs="?", help="revision to compare the working tree with")
    parser.add_argument("--only", type=lambda text: text.split(","), default=[], help=f"some of {','.join(PARTS)}")
    parser.add_argument(
        "--quick", action="store_true", help="one of every family, surrogate and returns; fewer verdicts"
    )
    parser.add_argument("--rows", action="append", default=[], help="of the part rows only this one; repeat for more")
    parser.add_argument("--moved", type=Path, help="lines `old new` of modules or packages that were moved on purpose")
    parser.add_argument("--all", action="store_true", help=f"list every item that differs, not {LISTED} of each part")
    parser.add_argument("--keep", action="store_true", help="leave both trees and their runs in the temporary folder")
    parser.add_argument("--golden", action="store_true", help="renew tests/golden instead of comparing")
    options = parser.parse_args()
    if options.golden:
        write_golden()
        return
    if options.rev is None:
        parser.error("name a revision")
    sys.exit(compare(options))


if __name__ == "__main__":
    main()
