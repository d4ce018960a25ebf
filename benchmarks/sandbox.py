"""CPU and wall time per judged program: the sandbox, a bare interpreter per program, and evalplus where installed.

    python benchmarks/sandbox.py [--runs 300] [--rounds 3] [--json benchmarks/results/sandbox.json]

Contenders alternate, round by round. Each batch runs in a process of its own; CPU is that process's with all its
descendants', and the cost of starting up is removed by measuring two batch sizes. The ratios of one run are the result;
absolute figures depend on the machine.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import os
import platform
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

SOLUTION = "def min_cost(cost, m, n):\n" + "".join(
    f"    {line}\n"
    for line in (
        "table = [[0] * (n + 1) for _ in range(m + 1)]",
        "table[0][0] = cost[0][0]",
        "for i in range(1, m + 1):",
        "    table[i][0] = table[i - 1][0] + cost[i][0]",
        "for j in range(1, n + 1):",
        "    table[0][j] = table[0][j - 1] + cost[0][j]",
        "for i in range(1, m + 1):",
        "    for j in range(1, n + 1):",
        "        table[i][j] = min(table[i - 1][j - 1], table[i - 1][j], table[i][j - 1]) + cost[i][j]",
        "return table[m][n]",
    )
)
CASES = [
    ([[1, 2, 3], [4, 8, 2], [1, 5, 3]], 8),
    ([[2, 3, 4], [5, 9, 3], [2, 6, 4]], 12),
    ([[3, 4, 5], [6, 10, 4], [3, 7, 5]], 16),
]
TESTS = [f"assert min_cost({cost}, 2, 2) == {expected}" for cost, expected in CASES]
WORKERS = 2


def run_sandbox(runs: int, **options: object) -> None:
    from grpo_kit.sandbox import Sandbox

    with Sandbox(workers=WORKERS, **options) as sandbox, ThreadPoolExecutor(WORKERS) as threads:  # type: ignore[arg-type]
        results = list(threads.map(lambda _: sandbox.run_tests(SOLUTION, TESTS, entry_point="min_cost"), range(runs)))
    assert all(r.passed for r in results), next(r for r in results if not r.passed)


def run_python(runs: int) -> None:
    program = SOLUTION + "\n".join(TESTS)
    command = [sys.executable, "-I", "-S", "-c", program]
    with ThreadPoolExecutor(WORKERS) as threads:
        codes = list(threads.map(lambda _: subprocess.run(command, check=False).returncode, range(runs)))
    assert not any(codes)


def run_evalplus(runs: int) -> None:
    from evalplus.eval import PASS, untrusted_check

    def judge(_: int) -> str:
        inputs = [[cost, 2, 2] for cost, _ in CASES]
        expected = [value for _, value in CASES]
        return untrusted_check("mbpp", SOLUTION, inputs, "min_cost", expected, 0, [0.01] * 3, fast_check=True)[0]

    with ThreadPoolExecutor(WORKERS) as threads:
        assert set(threads.map(judge, range(runs))) == {PASS}


CONTENDERS = {
    "sandbox": run_sandbox,
    "sandbox_numpy": lambda runs: run_sandbox(runs, preload=["numpy"]),
    "sandbox_landlock": lambda runs: run_sandbox(runs, backend="landlock"),
    "python -I -S -c": run_python,
    "evalplus": run_evalplus,
}


def batch(name: str, runs: int) -> tuple[float, float]:
    """(CPU seconds of all processes, wall seconds) of one batch in a process of its own."""
    before, started = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    environment = dict(os.environ, OMP_NUM_THREADS="1")
    subprocess.run([sys.executable, __file__, "--batch", name, "--runs", str(runs)], check=True, env=environment)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return cpu, time.perf_counter() - started


def measure(names: list[str], runs: int, rounds: int) -> dict[str, dict[str, float]]:
    samples: dict[str, list[tuple[float, float]]] = {name: [] for name in names}
    for _ in range(rounds):
        for name in names:
            small, large = batch(name, 20), batch(name, 20 + runs)
            samples[name].append(((large[0] - small[0]) / runs, (large[1] - small[1]) / runs))
    return {
        name: {
            "cpu_ms": round(1e3 * statistics.median(cpu for cpu, _ in values), 3),
            "wall_ms": round(1e3 * statistics.median(wall for _, wall in values), 3),
            "runs_per_s": round(1 / statistics.median(wall for _, wall in values), 1),
        }
        for name, values in samples.items()
    }


def first_result_s() -> float:
    """Seconds from making a Sandbox to its first result, in a fresh process (imports not counted)."""
    program = (
        "import time; from grpo_kit.sandbox import Sandbox; t = time.perf_counter()\n"
        "with Sandbox(workers=1) as s: assert s.run_tests('def f(): return 1', ['assert f() == 1']).passed\n"
        "print(time.perf_counter() - t)"
    )
    return float(subprocess.run([sys.executable, "-c", program], check=True, capture_output=True, text=True).stdout)


# -- endurance -------------------------------------------------------------------------------------------------------

MIXTURE = (
    ("def f(x): return x + 1", ["assert f(1) == 2", "assert f(2) == 3"], "assert", "pass"),
    ("def f(x): return x", ["assert f(1) == 2"], "assert", "fail"),
    ("import os\ndef f(x): os.abort()", ["assert f(1) == 2"], "assert", "signal"),
    ("def f(x: pass", ["assert f(1) == 2"], "assert", "compile_error"),
    ("open('left', 'w').write('x' * 10000)\nprint(int(input()) + 1)", [{"input": "1", "output": "2"}], "stdio", "pass"),
    ("import threading, time\nthreading.Thread(target=time.sleep, args=(9,), daemon=True).start()\ndef f(x): return 2",
     ["assert f(1) == 2"], "assert", "pass"),
    ("def f(n): return n.v", ["class N:\n    def __init__(self, v): self.v = v\nassert f(N(2)) == 2"], "assert", "pass"),
    ("class S:\n    def __init__(self): self.x = 1", ["s = S()\nassert s.x == 1"], "assert", "pass"),
)  # fmt: skip


def _descendants() -> dict[int, int]:
    """Process id -> resident kB of every process below this one."""
    parents: dict[int, int] = {}
    memory: dict[int, int] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                parents[int(entry.name)] = int((entry / "stat").read_text().rpartition(")")[2].split()[1])
                memory[int(entry.name)] = int((entry / "statm").read_text().split()[1]) * 4
            except OSError:
                continue
    found = {os.getpid()}
    while True:
        more = {p for p, parent in parents.items() if parent in found} - found
        if not more:
            return {p: memory[p] for p in found if p != os.getpid()}
        found |= more


def _state(folder: str) -> dict[str, int]:
    children = _descendants()
    scratch = Path("/dev/shm").glob(f"grpo-kit-sandbox-*-{os.getpid()}-*")
    return {
        "descriptors": len(os.listdir("/proc/self/fd")),
        "processes": len(children),
        "mounts": len(Path("/proc/self/mountinfo").read_text().splitlines()),
        "files": len(os.listdir(folder)) + sum(1 for _ in scratch),
        "own_memory_kb": int(Path("/proc/self/statm").read_text().split()[1]) * 4,
        "zygote_memory_kb": sum(children.values()),
    }


def soak(runs: int) -> dict[str, object]:
    """Many runs of a mixture of programs; what there was before, after the first thousand, half-way, and is left behind.

    An interrupt (Ctrl-C) ends it early.
    """
    import signal

    from grpo_kit.sandbox import Sandbox

    wrong = 0
    started = time.perf_counter()
    states: dict[str, dict[str, int]] = {}
    with tempfile.TemporaryDirectory() as folder:
        tempfile.tempdir = folder  # what is left in it is ours
        states["before"] = _state(folder)
        with Sandbox(workers=WORKERS) as sandbox, ThreadPoolExecutor(WORKERS) as threads:

            def one(index: int) -> bool:
                code, tests, kind, expected = MIXTURE[index % len(MIXTURE)]
                return sandbox.run_tests(code, tests, kind=kind).verdict == expected

            done = 0
            stop: list[int] = []
            signal.signal(signal.SIGINT, lambda number, _: stop.append(number))
            while done < runs and not stop:
                wrong += sum(not right for right in threads.map(one, range(done, min(runs, done + 1000))))
                done = min(runs, done + 1000)
                now = f"{done} runs, {wrong} wrong, {time.perf_counter() - started:.0f} s"
                print(f"{now}: {_state(folder)}", file=sys.stderr)
                name = {1000: "after_1000_runs", runs // 2000 * 1000: "half_way", runs: "at_the_end"}.get(done)
                if name:
                    time.sleep(1)
                    states[name] = _state(folder)
                if done % 10_000 == 0:  # a zygote is killed now and then, as an out-of-memory killer would
                    os.kill(max(_descendants()), signal.SIGKILL)
            states.setdefault("at_the_end", _state(folder))
        states["after_closing"] = _state(folder)
        tempfile.tempdir = None
    return {
        "runs": done,
        "wrong_verdicts": wrong,
        "zygotes_replaced": sandbox.restarts,
        "seconds": round(time.perf_counter() - started, 1),
        **states,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=300)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--batch", choices=list(CONTENDERS), help=argparse.SUPPRESS)
    parser.add_argument("--soak", type=int, metavar="RUNS", help="run so many programs in a row and look for leaks")
    arguments = parser.parse_args()
    if arguments.soak:
        report = soak(arguments.soak)
        print(json.dumps(report, indent=2))
        if arguments.json:
            known = json.loads(arguments.json.read_text()) if arguments.json.exists() else {}
            arguments.json.write_text(json.dumps(known | {"soak": report}, indent=2) + "\n")
        return
    if arguments.batch:
        CONTENDERS[arguments.batch](arguments.runs)
        return
    missing = {"evalplus": "evalplus", "sandbox_numpy": "numpy"}
    names = [n for n in CONTENDERS if n not in missing or importlib.util.find_spec(missing[n])]
    figures = measure(names, arguments.runs, arguments.rounds)
    ours = figures["sandbox"]
    for name, row in figures.items():
        row["cpu_ratio"] = round(row["cpu_ms"] / ours["cpu_ms"], 2)
        row["speed_of_sandbox"] = round(row["wall_ms"] / ours["wall_ms"], 2)
        times = f"{row['cpu_ms']:8.2f} ms CPU  {row['wall_ms']:8.2f} ms wall"
        print(f"{name:18} {times}  sandbox is {row['speed_of_sandbox']:.2f} x")
    result = {
        "what": "one program judged by three assertions, two at a time",
        "first_result_s": round(first_result_s(), 3),
        "machine": {"cores": os.cpu_count(), "python": platform.python_version(), "kernel": platform.release()},
        "runs": arguments.runs,
        "rounds": arguments.rounds,
        "contenders": figures,
    }
    print(f"first result after {result['first_result_s']} s")
    if arguments.json:
        arguments.json.write_text(json.dumps(result, indent=2) + "\n")


if __name__ == "__main__":
    main()
