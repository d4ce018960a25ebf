"""One vLLM server: its process where we started it, and what is asked of it over HTTP."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Literal

from grpo_kit.errors import RunFailed, UserError
from grpo_kit.runtime.interrupt import end_with_parent
from grpo_kit.runtime.secrets import needed_environment

# What torchrun tells its processes would make a server look for the trainers.
OF_TORCHRUN = (
    "RANK", "WORLD_SIZE", "LOCAL_RANK", "LOCAL_WORLD_SIZE", "GROUP_RANK", "GROUP_WORLD_SIZE", "ROLE_RANK", "ROLE_WORLD_SIZE",
    "ROLE_NAME", "MASTER_ADDR", "MASTER_PORT",
)  # fmt: skip
SECONDS_TO_ANSWER = 10.0  # for questions that need no work
SECONDS_TO_STOP = 10.0
# Servers are addressed directly: a proxy that is set for the internet would swallow requests to this machine.
OPENER = urllib.request.build_opener(urllib.request.ProxyHandler({}))


class ServerLost(Exception):
    """The server did not answer, or answered that it cannot work: another one has to."""


class VllmServer:
    """State and transport of one server.

    Attributes:
        state: ``ready`` once it has the current weights, ``down`` otherwise.
        in_flight: requests that it is working on.
        was_lost: it has not been ready since it failed.
        keeps: its requests go on with new weights when it gets them.
    """

    def __init__(self, url: str, timeout: float, keeps: bool = False) -> None:
        self.url, self.timeout, self.keeps = url.rstrip("/"), timeout, keeps
        self.state: Literal["ready", "down"] = "down"
        self.in_flight = 0
        self.was_lost = False
        self.last_error = "it has not answered yet"
        self.process: ServerProcess | None = None

    def call(
        self, path: str, body: dict[str, Any] | None = None, timeout: float | None = None, parsed: bool = True
    ) -> Any:
        """POST ``body`` as JSON, or GET without one; returns the parsed answer, or None for an empty one.

        Args:
            parsed: False for an answer that is words to a person: None is returned.

        Raises:
            ServerLost: no answer, a broken one, or a failure of the server (5xx).
            RunFailed: the server understood and refused (4xx): another server would refuse as well.
        """
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(self.url + path, data, {"Content-Type": "application/json"})
        if key := os.environ.get("VLLM_API_KEY"):
            request.add_header("Authorization", f"Bearer {key}")
        try:
            with OPENER.open(request, timeout=timeout or self.timeout) as answer:
                text = answer.read()
                return json.loads(text) if text and parsed else None
        except urllib.error.HTTPError as error:
            detail = error.read()[:500].decode(errors="replace")
            if error.code in (403, 404):
                raise UserError(
                    f"rollout.vllm.servers: {self.url} does not offer {path} ({error.code}: {detail}). It must be vLLM 0.32, "
                    "started with VLLM_SERVER_DEV_MODE=1 (to take weights) and --enable-scale-out (token ids in, token ids out); "
                    "for adapters alone with --enable-lora and VLLM_ALLOW_RUNTIME_LORA_UPDATING=1; docs/vllm.md has the command"
                ) from error
            if error.code < 500:
                raise RunFailed(f"{self.url}{path} refused the request ({error.code}): {detail}") from error
            raise ServerLost(f"{path} failed with {error.code}: {detail}") from error
        except (OSError, http.client.HTTPException, ValueError) as error:
            raise ServerLost(f"{path}: {error or type(error).__name__}") from error

    def healthy(self) -> bool:
        try:
            self.call("/health", timeout=SECONDS_TO_ANSWER)
        except ServerLost as lost:
            self.last_error = str(lost)
            return False
        return True

    @contextlib.contextmanager
    def updating(self, version: int) -> Iterator[None]:
        """Inside, its weights may be replaced; afterwards it samples as policy ``version``, with empty caches."""
        # Requests of a step that failed may still be running. Those that are kept lose their key-value cache with the pause,
        # and compute it again with the new weights when they go on.
        self.call(f"/pause?mode={'keep' if self.keeps and not self.was_lost else 'abort'}", {})
        yield
        reset = self.call("/reset_prefix_cache", {})
        if not (reset or {}).get("success"):
            raise ServerLost("it could not reset its prefix cache")
        self.call("/update_weight_version", {"new_version": str(version)})
        self.call("/resume", {})

    def lost(self, reason: str) -> None:
        self.state, self.was_lost, self.last_error = "down", True, reason


class ServerProcess:
    """A server on this machine that ends with us, whatever ends us. Start it from the main thread.

    Args:
        arguments: of ``python -m vllm.entrypoints.openai.api_server``.
        devices: CUDA_VISIBLE_DEVICES, or None to leave it.
        log: where its output goes; kept with the run.
        adapters: it may be given adapters.
    """

    def __init__(self, arguments: Sequence[str], devices: str | None, log: Path, adapters: bool = False) -> None:
        self.command = [sys.executable, "-m", "vllm.entrypoints.openai.api_server", *arguments]
        self.devices, self.log, self.adapters = devices, log, adapters
        self.popen: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        self.stop()
        # The model is a folder here: a server needs no key but the one that its own clients show.
        environment = {k: v for k, v in needed_environment(["VLLM_API_KEY"]).items() if k not in OF_TORCHRUN}
        environment["VLLM_SERVER_DEV_MODE"] = "1"
        environment["VLLM_ALLOW_RUNTIME_LORA_UPDATING"] = str(int(self.adapters))
        # Set for the engine in process; a server of its own keeps its scheduler in a process of its own.
        environment.pop("VLLM_ENABLE_V1_MULTIPROCESSING", None)
        if self.devices is not None:
            environment["CUDA_VISIBLE_DEVICES"] = self.devices
        with self.log.open("ab") as output:
            self.popen = subprocess.Popen(
                self.command,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                env=environment,
                start_new_session=True,
                preexec_fn=end_with_parent,
            )

    @property
    def running(self) -> bool:
        return self.popen is not None and self.popen.poll() is None

    def stop(self) -> None:
        """End the server and the workers it started."""
        if self.popen is None:
            return
        for kind in (signal.SIGTERM, signal.SIGKILL):
            try:
                os.killpg(self.popen.pid, kind)
            except ProcessLookupError:
                break
            deadline = time.monotonic() + SECONDS_TO_STOP
            while time.monotonic() < deadline and _group_lives(self.popen):
                time.sleep(0.1)
        self.popen.wait()
        self.popen = None

    def last_words(self) -> str:
        lines = self.log.read_text(encoding="utf-8", errors="replace").splitlines() if self.log.is_file() else []
        errors = [line for line in lines if "Error" in line or "error" in line]
        return (errors or lines or ["nothing"])[-1].strip()[-300:]


def _group_lives(popen: subprocess.Popen[bytes]) -> bool:
    popen.poll()  # collects the leader, which would otherwise count as living
    try:
        os.killpg(popen.pid, 0)
    except ProcessLookupError:
        return False
    return True


def host_and_port(url: str) -> tuple[str, int]:
    parts = urllib.parse.urlsplit(url)
    return parts.hostname or "127.0.0.1", parts.port or 8000
