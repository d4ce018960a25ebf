"""Tests that libraries ship with, judged by pytest and in the sandbox: how many verdicts are the same.

    python benchmarks/real_tests.py [--only strutils] [--mutants 4] [--json benchmarks/results/real_tests.json]

Source distributions are downloaded from the package index. Each program is one module of a library, each file of tests the one
that comes with it, with its imports as of `solution`. What passes with the library itself is then judged with mutants of it:
one operator, constant or comparison is another one. A test that pytest fails and the sandbox passes would pay a wrong program.
"""

from __future__ import annotations

import argparse
import ast
import collections
import json
import os
import random
import re
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from grpo_kit.sandbox import Limits, Sandbox, TestError
from grpo_kit.verifiers.code import CodeTask, TaskError

# A distribution, the module, its file of tests, and the names by which tests import it.
PINNED = {"boltons": "26.2.0", "inflection": "0.5.1", "roman": "5.2", "more-itertools": "11.2.1"}
BOLTONS = ("dictutils", "listutils", "mathutils", "setutils", "statsutils", "strutils", "timeutils")
LIBRARIES = [
    *(("boltons", f"boltons/{name}.py", f"tests/test_{name}.py", f"boltons.{name}") for name in BOLTONS),
    ("inflection", "inflection/__init__.py", "test_inflection.py", "inflection"),
    ("roman", "src/roman/__init__.py", "src/tests.py", "roman"),
    ("more-itertools", "more_itertools/recipes.py", "tests/test_recipes.py", "more_itertools"),
]
DRIVER = """
import contextlib, io, json, sys, pytest

class Reports:
    def __init__(self): self.passed = {}
    def pytest_runtest_logreport(self, report):
        left_out = report.skipped or hasattr(report, "wasxfail")
        if report.failed or (report.when == "call" and not left_out):
            name = report.nodeid.split("::", 1)[-1].split("[")[0]
            self.passed[name] = self.passed.get(name, True) and not report.failed

reports = Reports()
with contextlib.redirect_stdout(io.StringIO()):
    pytest.main(["-q", "-p", "no:cacheprovider", "test_file.py"], plugins=[reports])
json.dump(reports.passed, sys.stdout)
"""
SWAPPED: dict[type[ast.AST], type[ast.AST]] = {
    ast.Add: ast.Sub, ast.Sub: ast.Add, ast.Mult: ast.Add, ast.Lt: ast.LtE, ast.LtE: ast.Lt, ast.Gt: ast.GtE,
    ast.GtE: ast.Gt, ast.Eq: ast.NotEq, ast.NotEq: ast.Eq, ast.In: ast.NotIn, ast.NotIn: ast.In, ast.Is: ast.IsNot,
    ast.IsNot: ast.Is, ast.And: ast.Or, ast.Or: ast.And,
}  # fmt: skip


def unpacked(name: str, folder: Path) -> Path:
    command = [sys.executable, "-m", "pip", "download", "-q", "--no-deps", "--no-binary", ":all:", "-d", str(folder)]
    subprocess.run([*command, f"{name}=={PINNED[name]}"], check=True, stderr=subprocess.DEVNULL)
    packed = next(path for path in folder.glob("*.tar.gz") if path.name.lower().startswith(name.replace("-", "_")))
    with tarfile.open(packed) as archive:
        archive.extractall(folder, filter="data")
    return folder / packed.name.removesuffix(".tar.gz")


class AsSolution(ast.NodeTransformer):
    """Imports of the module under test, as of `solution`."""

    def __init__(self, module: str) -> None:
        self.package, _, self.name = module.rpartition(".")
        self.module = module

    def visit_ImportFrom(self, node: ast.ImportFrom) -> ast.stmt:
        if node.module == self.module or (node.module == self.package and self.package and len(node.names) > 1):
            return ast.ImportFrom("solution", node.names, 0)
        if node.module == self.package and [a.name for a in node.names] == [self.name]:
            return ast.Import([ast.alias("solution", node.names[0].asname or self.name)])
        return node

    def visit_Import(self, node: ast.Import) -> ast.stmt:
        same = [a for a in node.names if a.name == self.module]
        return ast.Import([ast.alias("solution", same[0].asname or same[0].name)]) if same else node


def mutants(program: str, count: int) -> Iterator[str]:
    tree = ast.parse(program)
    for number in random.Random(0).sample(range(sites(tree)), min(count, sites(tree))):
        changed = ast.parse(program)
        kinds = [(node, name) for node in ast.walk(changed) for name in ("op", "ops") if _swaps(node, name)]
        node, name = kinds[number]
        if name == "op":
            node.op = SWAPPED[type(node.op)]()  # type: ignore[attr-defined]
        else:
            node.ops[0] = SWAPPED[type(node.ops[0])]()  # type: ignore[attr-defined]
        yield ast.unparse(changed)


def sites(tree: ast.AST) -> int:
    return sum(_swaps(node, name) for node in ast.walk(tree) for name in ("op", "ops"))


def _swaps(node: ast.AST, name: str) -> bool:
    found = getattr(node, name, None)
    return type(found[0] if isinstance(found, list) else found) in SWAPPED


def by_pytest(program: str, tests: str) -> dict[str, bool]:
    with tempfile.TemporaryDirectory() as folder:
        Path(folder, "solution.py").write_text(program)
        Path(folder, "test_file.py").write_text(tests)
        env = os.environ | {"PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}
        command = [sys.executable, "-B", "-c", DRIVER]
        try:
            out = subprocess.run(command, cwd=folder, capture_output=True, text=True, env=env, timeout=120).stdout
        except subprocess.TimeoutExpired:
            return {}
    found = json.loads(out or "{}")
    return {name.rpartition("::")[2]: passed for name, passed in found.items()}


def in_sandbox(sandbox: Sandbox, program: str, scripts: list[tuple[str, str]]) -> dict[str, str]:
    """By test: pass, refused, or why it failed."""
    found: dict[str, str] = {}
    for name, script in scripts:
        try:
            result = sandbox.run_tests(program, [script])
            said = "pass" if result.passed else f"{result.verdict}: {result.tests[0].reason if result.tests else ''}"
        except TestError as error:
            said = f"refused: {error}"
        found[name] = said if found.get(name, "pass") == "pass" else found[name]
    return found


def judge(library: tuple[str, str, str, str], folder: Path, sandbox: Sandbox, count: int) -> dict[str, Any]:
    name, module, tests, imported = library
    root = next(folder.glob(f"{name.replace('-', '_')}-*/"), None) or unpacked(name, folder)
    program = (root / module).read_text()
    tree = AsSolution(imported).visit(ast.parse((root / tests).read_text()))
    text = ast.unparse(ast.fix_missing_locations(tree))
    try:
        task = CodeTask.read({"kind": "pytest", "tests": [text]})
    except TaskError as error:
        return {"module": imported, "refused": str(error)}
    scripts = [(re.findall(r"def (test\w*)", script)[-1], script) for script in task.tests]
    right = {test for test, passed in by_pytest(program, text).items() if passed}
    if not right:
        sys.exit(f"{imported}: pytest finds no test of it that passes: it does not stand alone")
    scripts = [(test, script) for test, script in scripts if test in right]
    judged = in_sandbox(sandbox, program, scripts)
    passing = [(test, script) for test, script in scripts if judged[test] == "pass"]
    others = {test: said[:200] for test, said in judged.items() if said != "pass"}
    row: dict[str, Any] = {
        "module": imported,
        "tests": len(judged),
        "pass": len(judged) - len(others),
        "others": others,
    }
    row |= {"wrong": 0, "told": 0, "paid": []}
    for number, mutant in enumerate(mutants(program, count)):
        seen = by_pytest(mutant, text)  # nothing: it cannot be imported, or does not come to an end
        failing = {test for test in right if not seen.get(test, False)}
        chosen = [(test, script) for test, script in passing if test in failing]
        found = in_sandbox(sandbox, mutant, chosen)
        row["wrong"] += len(found)
        row["told"] += sum(said != "pass" for said in found.values())
        row["paid"] += [f"mutant {number}: {test}" for test, said in found.items() if said == "pass"]
    return row


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", default="", help="modules whose names have this in them")
    parser.add_argument("--mutants", type=int, default=4)
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    rows = []
    with (
        tempfile.TemporaryDirectory() as folder,
        Sandbox(Limits(cpu_s=10, wall_s=60, memory_mb=1024), workers=1) as sandbox,
    ):
        for library in LIBRARIES:
            if arguments.only in library[3]:
                rows.append(row := judge(library, Path(folder), sandbox, arguments.mutants))
                shown = {key: len(value) if isinstance(value, (list, dict)) else value for key, value in row.items()}
                print(json.dumps(shown), flush=True)
    total = collections.Counter()
    for row in rows:
        total.update({key: row.get(key, 0) for key in ("tests", "pass", "wrong", "told")})
    print(f"{total['pass']} of {total['tests']} tests that pass by pytest pass in the sandbox")
    print(f"{total['told']} of {total['wrong']} that a mutant fails by pytest fail in the sandbox")
    if arguments.json:
        arguments.json.write_text(json.dumps({"rows": rows, "total": dict(total)}, indent=1) + "\n")


if __name__ == "__main__":
    main()
