"""A server that speaks vLLM's protocol and samples from nothing but the request: runs that sample ahead become repeatable.

Its tokens and their log-probabilities are hashes of the prompt, the seed and the position. So a trainer learns the same from
it however its threads were timed, and only counters of staleness depend on time.
"""

from __future__ import annotations

import hashlib
import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

DIGITS = range(15, 25)  # the ids of 0 to 9 in the tokenizer of bytes that scratch models have


def drawn(*of: object) -> int:
    return int.from_bytes(hashlib.sha256(repr(of).encode()).digest()[:8], "big")


def sample(prompt: list[int], parameters: dict[str, Any], index: int) -> tuple[list[int], list[float], str]:
    """One completion: some digits, and mostly an end."""
    seed, ends = int(parameters["seed"]) + index, parameters["stop_token_ids"]
    wanted = drawn(prompt, seed) % (parameters["max_tokens"] + 2) + 1
    ids = [DIGITS[drawn(prompt, seed, at) % 10] for at in range(wanted)][: parameters["max_tokens"]]
    if len(ids) < parameters["max_tokens"] and ends:
        ids.append(ends[0])
    reason = "stop" if ends and ids[-1] == ends[0] else "length"
    return ids, [-5.0 - drawn(prompt, seed, at, "p") % 1000 / 1000 for at in range(len(ids))], reason


class FakeServer(ThreadingHTTPServer):
    """Serves until it is closed; use it as a context."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Answers)
        self.version = "0"
        self.url = f"http://127.0.0.1:{self.server_port}"
        threading.Thread(target=self.serve_forever, daemon=True).start()

    def answer(self, path: str, body: dict[str, Any]) -> dict[str, Any]:
        if path == "/update_weight_version":
            self.version = body["new_version"]
        if path != "/inference/v1/generate":
            return {"success": True}
        parameters, version = body["sampling_params"], self.version
        choices = []
        for index in range(parameters["n"]):
            ids, logprobs, reason = sample(body["token_ids"], parameters, index)
            choices.append(
                {
                    "index": index,
                    "token_ids": ids,
                    "logprobs": {"content": [{"logprob": p} for p in logprobs]},
                    "finish_reason": reason,
                    "weight_versions": [{"start": 0, "version": version}],
                }
            )
        return {"choices": choices}

    def __exit__(self, *_: object) -> None:
        self.shutdown()
        self.server_close()


class Answers(BaseHTTPRequestHandler):
    server: FakeServer

    def _answer(self) -> None:
        length = int(self.headers.get("Content-Length") or 0)
        body = json.loads(self.rfile.read(length) or b"{}")
        text = json.dumps(self.server.answer(self.path, body)).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)

    do_GET = do_POST = _answer

    def log_message(self, *_: object) -> None:
        return None
