"""Ranks that share a vLLM server."""

import os
import signal
import time
from pathlib import Path

from tests.kit.patience import HANGS
from tests.kit.servers import free_port
from tests.kit.tiny import TINY_RECIPE
from tests.kit.torchrun import started_torchrun
from tests.kit.vllm import needs_vllm

ODD = Path(__file__).parents[1] / "kit" / "odd.py"


STEPS = 3


def train(folder, processes, *overrides, engine="vllm_server"):
    """The port of its server, and what starts it."""
    needs_vllm()
    recipe = folder.with_suffix(".yaml")
    text = TINY_RECIPE.replace("hidden_size: 32", "hidden_size: 64")  # the smallest heads that vLLM serves on a CPU
    text = text.replace("name: math", f'name: "{ODD}:odd"').replace(
        "{workers: 0}", "{workers: 0, max_rejected_gold: 1.0}"
    )
    recipe.write_text(text.replace("steps: 3", f"steps: {STEPS}") + "device: cpu\n")
    port = free_port()
    server = (f"rollout.vllm.servers=[http://127.0.0.1:{port}]", "rollout.vllm.launch=true")
    small = ("rollout.vllm.max_sequences=12", "rollout.vllm.cache_gb=0.1", "rollout.vllm.timeout=200")
    return port, lambda: started_torchrun(
        processes,
        *("grpo_kit", "train", recipe, "--run-dir", folder, f"rollout.engine={engine}"),
        *(server if engine == "vllm_server" else ()),
        *(*small, *overrides),
        VLLM_CPU_OMP_THREADS_BIND="nobind",
    )


def server_at(port):
    """The process id of the server that was started at a port of ours."""
    for entry in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            words = entry.read_bytes().split(b"\0")
        except OSError:
            continue
        if b"vllm.entrypoints.openai.api_server" in words and str(port).encode() in words:
            return int(entry.parent.name)
    return None


def kill_after_the_first_step(folder, port, killed):
    metrics = folder / "metrics.jsonl"
    end = time.monotonic() + HANGS
    while time.monotonic() < end:
        if metrics.exists() and '"step": 1' in metrics.read_text() and (pid := server_at(port)):
            os.killpg(pid, signal.SIGKILL)
            killed.set()
            return
        time.sleep(0.02)
