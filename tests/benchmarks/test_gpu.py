"""benchmarks/gpu.py on a CPU: its parts measure, and one that cannot costs itself alone and says why."""

import importlib
import json
import os
import subprocess
import sys
from pathlib import Path

from tests.kit.patience import HANGS

ROOT = Path(__file__).parents[2]
SCRIPT, FAKES = ROOT / "benchmarks" / "gpu.py", Path(__file__).with_name("gpu_fakes.py")
CPU = "--device", "cpu", "--shapes", "tiny"


def measure(script, tmp_path, *arguments):
    """Exit code, output and the parts of the result, from a folder that is not the repository, without an installed kit."""
    out = tmp_path / "result.json"
    ended = subprocess.run(
        [sys.executable, str(script), *CPU, "--out", str(out), *map(str, arguments)],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=HANGS,
        check=False,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )
    assert out.exists(), ended.stderr
    return ended.returncode, ended.stdout + ended.stderr, json.loads(out.read_text())


def test_laws_and_resume_hold_on_a_cpu(tmp_path):
    code, said, result = measure(SCRIPT, tmp_path, "--parts", "a", "f", "--minutes", 20)
    assert code == 0, said
    assert {key: part["status"] for key, part in result["parts"].items()} == {"a": "done", "f": "done"}
    laws = result["parts"]["a"]["found"]
    named = {name.rsplit(", ", 1)[0] for name in laws}
    assert named >= {
        "gradient split over micro-batches",
        "chunked head",
        "shared prompts",
        "first ratio",
        "float32 head",
    }
    for dtype in ("float32", "bfloat16"):
        held = [value for name, value in laws.items() if name.endswith(f", {dtype}")]
        assert len(held) == 7
        assert all(value["difference"] <= value["tolerance"] for value in held)
    # What rounds to eight bits differs: the measure sees differences of that size.
    assert laws["gradient split over micro-batches, bfloat16"]["difference"] > 1e-4
    assert laws["float32 head, bfloat16"]["same_dtype"] > 1e-4
    assert result["parts"]["f"]["found"]["weights after the resume"]["difference"] == 0.0
    assert result["machine"]["packages"]["torch"] != "missing"


def test_rates_of_tiny_shapes(tmp_path):
    code, said, result = measure(SCRIPT, tmp_path, "--parts", "d", "--minutes", 20)
    assert code == 0, said
    found = result["parts"]["d"]["found"]
    assert set(found) == {f"tiny, {rows} rows, {side}" for rows in (8, 16) for side in ("ours", "transformers")}
    assert all(value["tokens"] == rows * 8 for rows in (8, 16) for n, value in found.items() if f" {rows} rows" in n)


def test_parts_that_fail_hang_die_or_do_not_fit(tmp_path):
    code, said, result = measure(FAKES, tmp_path, "--minutes", 20)
    parts = result["parts"]
    assert code == 1
    statuses = {key: part["status"] for key, part in parts.items()}
    assert statuses == {
        "a": "failed",
        "b": "failed",
        "c": "skipped",
        "d": "failed",
        "e": "failed",
        "f": "done",
        "g": "skipped",
    }
    assert parts["a"]["found"] == {"before": 1}
    assert parts["a"]["traceback"][-1] == "RuntimeError: the device is gone"
    half = parts["b"]["found"]
    assert half["breaks"]["failed"][-1] == "MemoryError: out of memory"
    assert half["goes on"]["figure"] == 1.0
    assert parts["b"]["reason"] == "failed: breaks, does not hold"
    assert parts["c"]["reason"] == "not installed: no_such_package"
    assert parts["d"]["reason"] == "its process ended with code 11"
    assert parts["d"]["found"] == {"before": 1}
    assert parts["e"]["reason"].startswith("ended after ")
    assert parts["f"]["found"]["second"]["figure"] == 2.0
    assert parts["g"]["reason"].startswith("needs 10000 s, ")
    assert "no_such_package" in said
    assert not list(tmp_path.glob(".result.json*"))  # what is written beside the result takes its place


def test_without_time_nothing_is_begun_and_earlier_figures_stay(tmp_path):
    (tmp_path / "result.json").write_text(json.dumps({"parts": {"b": {"status": "done", "found": {"step": 1}}}}))
    code, _, result = measure(SCRIPT, tmp_path, "--minutes", 0.01, "--parts", "a", "c")
    assert code == 0
    assert result["parts"]["b"] == {"status": "done", "found": {"step": 1}}
    for key in ("a", "c"):
        assert result["parts"][key]["status"] == "skipped"
        assert result["parts"][key]["reason"].startswith("needs 5 s, ")


def test_a_case_that_does_not_fit_is_left_out(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(str(SCRIPT.parent))
    gpu_parts = importlib.import_module("gpu_parts")
    options = type("Options", (), {"device": "cpu", "shapes": ["qwen2.5-0.5b"], "out": str(tmp_path / "r.json")})()
    part = gpu_parts.Part("a", "", "", (), 0.0, 0.0)
    report = gpu_parts.Report(gpu_parts.Store(tmp_path / "r.json"), part, options, seconds=10.0)
    with report.case("long", 1000.0) as put:
        assert put is None
    assert report.found["long"]["skipped"].startswith("needs 1000 s, ")


def test_the_package_is_whole_where_nothing_is_installed(tmp_path):
    """``-S``: without site-packages, where the tests' own installation is."""
    sys.path.insert(0, str(SCRIPT.parent))
    try:
        package = importlib.import_module("gpu").laid_out(ROOT, tmp_path)
    finally:
        sys.path.remove(str(SCRIPT.parent))
    code = "import grpo_kit.sandbox.wire, grpo_kit.verifiers; print(grpo_kit.__path__, grpo_kit.sandbox.__file__)"
    found = subprocess.run(
        [sys.executable, "-S", "-c", code],
        cwd=tmp_path,
        env={"PYTHONPATH": str(package)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert found.stdout.count(str(tmp_path)) == 2
    assert (package / "grpo_kit" / "recipes" / "bases" / "tiny.yaml").is_file()
