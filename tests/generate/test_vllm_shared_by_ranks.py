"""Several training processes on one real vLLM server, or with an engine each, learn from what one process gets."""

import json
import os
import signal
import threading
import time
from pathlib import Path

import pytest
import torch

from tests.conftest import TINY_RECIPE
from tests.generate.test_vllm_server import free_port
from tests.kit.patience import HANGS
from tests.train.test_ahead import sampled_rows
from tests.train.test_every_algorithm_runs import weights
from tests.train.test_world import torchrun
from tests.vllm_real import needs_vllm

ODD = Path(__file__).parents[1] / "train" / "odd.py"
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
    return port, lambda: torchrun(
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


@pytest.fixture(scope="module")
def alone(tmp_path_factory):
    folder = tmp_path_factory.mktemp("alone") / "run"
    _, go = train(folder, 1)
    done = go()
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-4000:]
    return folder


def assert_same(folder, alone):
    assert len(sampled_rows(alone)) == STEPS * 4 * 4
    assert sampled_rows(folder) == sampled_rows(alone)
    mine = weights(folder)
    for name, weight in weights(alone).items():
        torch.testing.assert_close(mine[name], weight, rtol=0, atol=2e-5)


@pytest.mark.slow
def test_two_ranks_train_what_one_does_although_their_server_is_killed(alone, tmp_path):
    folder, killed = tmp_path / "run", threading.Event()
    port, go = train(folder, 2)
    threading.Thread(target=kill_after_the_first_step, args=(folder, port, killed), daemon=True).start()
    done = go()
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-4000:]
    assert killed.is_set()
    assert_same(folder, alone)
    lines = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    assert [line["engine/servers"] for line in lines] == [1.0] * STEPS
    # Whoever has the weights from whom: the probe agreed with the trainer's own computation.
    assert all(0 <= line["mismatch/probe"] < 1e-4 for line in lines)


@pytest.mark.slow
def test_two_ranks_with_an_engine_each_train_what_one_does_with_a_server(alone, tmp_path):
    _, go = train(tmp_path / "run", 2, engine="vllm")
    done = go()
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-4000:]
    assert_same(tmp_path / "run", alone)
