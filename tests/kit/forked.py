"""Programs that begin in milliseconds: a process which has imported what they import forks each of them.

Importing torch, transformers and the kit takes six seconds of a processor, and a run of two ranks under torchrun does it three
times. What these programs do is the same from there on: a folder, an environment, streams and an exit code of their own. Tests
of how a process starts, and of who its parent is, start a real one.
"""

from __future__ import annotations

import atexit
import json
import os
import runpy
import subprocess
import sys
import tempfile
import traceback
from functools import cache
from pathlib import Path

from tests.kit.patience import HANGS
from tests.kit.places import ROOT

GRPO_KIT, TORCHRUN = "grpo-kit", "torchrun"


def run(program, *arguments, cwd, env):
    """What `subprocess.run` returns of ``program`` (one of those above) with text of its streams."""
    with tempfile.TemporaryDirectory(prefix="forked-") as folder:
        request = {
            "program": program,
            "arguments": [*map(str, arguments)],
            "folder": folder,
            "cwd": str(cwd),
            "env": env,
        }
        code = _server(os.getpid()).ask(request)
        streams = [(Path(folder) / name).read_text(encoding="utf-8", errors="replace") for name in ("out", "err")]
    return subprocess.CompletedProcess([program, *arguments], code, *streams)


class _Server:
    def __init__(self):
        self.process = subprocess.Popen(
            [sys.executable, "-m", "tests.kit.forked"],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, "OMP_NUM_THREADS": "1", "TOKENIZERS_PARALLELISM": "false"},
        )

    def ask(self, request):
        self.process.stdin.write(json.dumps(request) + "\n")
        self.process.stdin.flush()
        folder = None
        while folder != request["folder"]:  # a test that was interrupted has left the answer to its own
            answer = self.process.stdout.readline()
            assert answer, f"the process that forks programs ended with code {self.process.wait()}"
            folder, code = json.loads(answer)
        return code

    def close(self):
        self.process.stdin.close()
        self.process.wait()


@cache
def _server(pid):
    """One for each process that runs tests."""
    made = _Server()
    atexit.register(made.close)
    return made


def serve():
    """Answer each line of standard input, a request, with its folder and the exit code of its program."""
    from grpo_kit.stress.zygote import import_everything, wait

    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    import_everything()
    import torch.distributed.run  # noqa: F401

    for line in sys.stdin:
        request = json.loads(line)
        child = os.fork()
        if child == 0:
            answers.close()
            os._exit(_code_of(lambda request=request: _become(request)))
        print(json.dumps([request["folder"], wait(child, HANGS)]), file=answers, flush=True)


def _become(request):
    """Run its program with a folder, an environment and streams of its own."""
    sys.stdin.close()
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    for number, name in ((1, "out"), (2, "err")):
        os.dup2(os.open(Path(request["folder"], name), os.O_WRONLY | os.O_CREAT | os.O_APPEND), number)
    os.chdir(request["cwd"])
    os.environ.clear()
    os.environ.update(request["env"])
    sys.argv = [request["program"], *request["arguments"]]
    {GRPO_KIT: _grpo_kit, TORCHRUN: _torchrun}[request["program"]]()


def _grpo_kit():
    """As the console script does."""
    from grpo_kit.cli.app import main

    sys.modules["__main__"].__package__ = ""  # or help would say that it was started as a module
    main()


def _torchrun():
    """Its agent forks the ranks in turn: each runs this file as a script, which runs the module that is named."""
    from torch.distributed.run import main

    before, module, after = _cut(sys.argv[1:])
    main([*before, "--start-method", "fork", "--run-path", __file__, module, *after])


def _cut(arguments):
    """torchrun's own options, the module, and what the module is given."""
    at = arguments.index("-m")
    return arguments[:at], arguments[at + 1], arguments[at + 2 :]


def _code_of(program):
    """The exit code that python would have, whatever the program raises."""
    try:
        program()
    except SystemExit as end:
        if isinstance(end.code, str):
            print(end.code, file=sys.stderr)
        return end.code if isinstance(end.code, int) else int(end.code is not None)
    except BaseException:
        traceback.print_exc()
        return 1
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
    return 0


def _rank():
    """What torchrun starts. A rank that succeeds has to return: its agent waits for what it returns."""
    del sys.argv[0]
    if code := _code_of(lambda: runpy.run_module(sys.argv[0], run_name="__main__", alter_sys=True)):
        os._exit(code)


if __name__ == "__main__":
    serve() if len(sys.argv) == 1 else _rank()
