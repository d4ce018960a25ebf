"""A process that has imported everything and becomes `grpo-kit` in a new pseudo-terminal on request: it costs no start-up."""

from __future__ import annotations

import fcntl
import json
import os
import pty
import signal
import socket
import struct
import subprocess
import sys
import termios
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]


class TerminalServer:
    """Starts commands, each with a terminal of its own as its controlling one."""

    def __init__(self) -> None:
        self._socket, theirs = socket.socketpair()
        with theirs:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "tests.kit.terminal_server", str(theirs.fileno())],
                pass_fds=[theirs.fileno()],
                cwd=ROOT,
                env={**os.environ, "OMP_NUM_THREADS": "1", "TOKENIZERS_PARALLELISM": "false"},
            )

    def start(
        self, arguments: list[str], cwd: Path, rows: int, columns: int, environment: dict[str, str]
    ) -> tuple[int, int]:
        """The terminal's other end, a file descriptor, and the process."""
        request = {"arguments": arguments, "cwd": str(cwd), "size": [rows, columns], "environment": environment}
        self._socket.sendall(json.dumps(request).encode() + b"\n")
        answer, descriptors, _, _ = socket.recv_fds(self._socket, 64, 1)
        return descriptors[0], int(answer)

    def wait(self, process: int) -> int:
        """Its exit code, once it has ended."""
        self._socket.sendall(json.dumps({"wait": process}).encode() + b"\n")
        return int(self._socket.recv(64))

    def close(self) -> None:
        self._socket.close()
        self._process.wait()


def serve(descriptor: int) -> None:
    import grpo_kit.evaluate.checkpoints
    import grpo_kit.evaluate.commands
    import grpo_kit.report  # noqa: F401
    from grpo_kit.stress.zygote import import_everything

    import_everything()
    with socket.socket(fileno=descriptor) as asked, asked.makefile("r") as requests:
        for line in requests:
            request = json.loads(line)
            if "wait" in request:
                _, status = os.waitpid(request["wait"], 0)
                asked.sendall(str(os.waitstatus_to_exitcode(status)).encode())
                continue
            process, terminal = pty.fork()
            if process == 0:
                asked.close()
                _become(request)
            socket.send_fds(asked, [str(process).encode()], [terminal])
            os.close(terminal)


def _become(request: dict[str, Any]) -> None:
    """Never returns."""
    rows, columns = request["size"]
    fcntl.ioctl(1, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
    signal.signal(signal.SIGINT, signal.default_int_handler)
    for name in ("COLUMNS", "LINES", "NO_COLOR", "FORCE_COLOR", "LC_ALL", "LC_CTYPE"):
        os.environ.pop(name, None)
    os.environ.update({"TERM": "xterm-256color", "LANG": "C.UTF-8", **request["environment"]})
    os.chdir(request["cwd"])
    sys.stdin = open(0, closefd=False)  # noqa: SIM115
    sys.stdout = open(1, "w", buffering=1, encoding="utf-8", closefd=False)  # noqa: SIM115
    sys.stderr = open(2, "w", buffering=1, encoding="utf-8", errors="backslashreplace", closefd=False)  # noqa: SIM115
    sys.argv = ["grpo-kit", *request["arguments"]]
    code = 0
    try:
        from grpo_kit.cli.app import main

        main()
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else int(end.code is not None)
    except BaseException:
        import traceback

        traceback.print_exc()
        code = 1
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


if __name__ == "__main__":
    serve(int(sys.argv[1]))
