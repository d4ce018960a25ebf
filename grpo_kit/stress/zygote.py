"""A process that has imported everything and forks a run on request: a run starts in milliseconds, and dies alone."""

from __future__ import annotations

import json
import os
import runpy
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

HANGS = 1500.0  # seconds after which a run is taken to hang; no measure of how fast a machine is
Fault = tuple[str, dict[str, Any]]  # a name of `faults.FAULTS` and its arguments


@dataclass(frozen=True)
class Outcome:
    """How a run ended. code: its exit code, or the negative number of the signal that ended it."""

    code: int
    seconds: float
    output: str


class Zygote:
    """Runs the command line in forked processes, one after another."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        # Temporary files of these runs and of no others, unless the caller has such a place already.
        self._given = os.environ.get("TMPDIR")
        self.scratch = Path(self._given or tempfile.mkdtemp(prefix="grpo-kit-runs-"))
        self._process = subprocess.Popen(
            [sys.executable, "-m", "grpo_kit.stress.zygote"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            cwd=folder,
            text=True,
            env={
                **os.environ,
                "OMP_NUM_THREADS": "1",
                "TOKENIZERS_PARALLELISM": "false",
                "TMPDIR": str(self.scratch),
            },
        )

    def run(self, *arguments: object, faults: Sequence[Fault] = (), timeout: float = HANGS) -> Outcome:
        """Run ``grpo-kit`` with these arguments in the zygote's folder; it is killed after ``timeout`` seconds."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        request = {"arguments": [str(a) for a in arguments], "faults": list(faults), "timeout": timeout}
        self._process.stdin.write(json.dumps(request) + "\n")
        self._process.stdin.flush()
        answer = self._process.stdout.readline()
        if not answer:
            raise RuntimeError(f"the process that starts runs ended with code {self._process.wait()}")
        return Outcome(**json.loads(answer))

    def close(self) -> None:
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait()
        if not self._given:
            shutil.rmtree(self.scratch, ignore_errors=True)

    def __enter__(self) -> Zygote:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def serve() -> None:
    """Answer one request a line until standard input ends."""
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    import_everything()
    for line in sys.stdin:
        request = json.loads(line)
        begun = time.perf_counter()
        with open("output.txt", "wb") as output:
            child = os.fork()
            if child == 0:
                answers.close()
                _become_run(request, output.fileno())
        code = wait(child, request["timeout"])
        text = Path("output.txt").read_text(encoding="utf-8", errors="replace")
        answers.write(json.dumps({"code": code, "seconds": time.perf_counter() - begun, "output": text}) + "\n")
        answers.flush()


def wait(child: int, timeout: float) -> int:
    """The exit code of a forked process, which is killed after ``timeout`` seconds."""
    end = time.monotonic() + timeout
    while True:
        pid, status = os.waitpid(child, os.WNOHANG)
        if pid:
            return os.waitstatus_to_exitcode(status)
        if time.monotonic() > end:
            os.kill(child, 9)
            end = float("inf")
        time.sleep(0.005)


def _become_run(request: dict[str, Any], output: int) -> None:
    """Never returns."""
    from .faults import FAULTS

    code = 1
    try:
        os.dup2(output, 1)
        os.dup2(output, 2)
        sys.stdin.close()
        for name, arguments in request["faults"]:
            FAULTS[name](**arguments)
        sys.argv = ["grpo-kit", *request["arguments"]]
        runpy.run_module("grpo_kit", run_name="__main__", alter_sys=True)
        code = 0
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else int(end.code is not None)
    except BaseException:
        import traceback

        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


def import_everything() -> None:
    """What a run imports, that of its first step and of its end included."""
    import matplotlib.backends.backend_svg
    import matplotlib.pyplot  # noqa: F401
    import torch
    import transformers.models.qwen2.modeling_qwen2
    import transformers.models.qwen2.tokenization_qwen2  # noqa: F401

    import grpo_kit.policy.scratch
    import grpo_kit.run.dispatch
    import grpo_kit.train.loop
    import grpo_kit.train.preflight
    import grpo_kit.verifiers.math  # noqa: F401

    torch.set_num_threads(1)


if __name__ == "__main__":
    serve()
