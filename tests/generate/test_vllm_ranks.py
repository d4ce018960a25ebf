"""Training processes on two hosts that share one real vLLM server; rank 0 gives it the weights."""

import json
import subprocess
import time
from pathlib import Path

import pytest
import torch

from grpo_kit.generate.vllm_http import ServerProcess
from grpo_kit.generate.vllm_launch import server_arguments
from tests.kit.hosts import ADDRESSES, open_hosts
from tests.kit.patience import HANGS, wait_until
from tests.kit.rollouts import sampled_rows
from tests.kit.runs import weights
from tests.kit.tiny import TINY_RECIPE
from tests.kit.vllm import needs_vllm, rollout, vllm_policy

ODD = Path(__file__).parents[1] / "kit" / "odd.py"
PORT = 8123


@pytest.fixture(scope="module")
def hosts():
    needs_vllm()
    if torch.cuda.is_available():
        pytest.skip("one GPU for two ranks and a server: this is a test for CPUs")
    yield from open_hosts()


class Elsewhere(ServerProcess):
    """A server on the first host."""

    def __init__(self, hosts, *arguments):
        super().__init__(*arguments)
        self.command = [*hosts.within(0), *self.command]


@pytest.fixture(scope="module")
def recipe(hosts, tmp_path_factory):
    """Of the shape that the server was started with."""
    folder = tmp_path_factory.mktemp("ranks")
    url = f"http://{ADDRESSES[0]}:{PORT}"
    settings = {"servers": [url], "max_sequences": 8, "cache_gb": 0.1, "timeout": HANGS}
    policy = vllm_policy()
    policy.save(folder / "start")
    arguments = server_arguments(
        policy, rollout(engine="vllm_server", vllm=settings), 400, folder / "start", ADDRESSES[0], PORT
    )
    server = Elsewhere(hosts, arguments, None, folder / "server.log")
    server.start()
    text = TINY_RECIPE.replace("name: math", f'name: "{ODD}:odd"').replace("hidden_size: 32", "hidden_size: 64")
    text = text.replace("{workers: 0}", "{workers: 0, max_rejected_gold: 1.0}") + "device: cpu\nthreads: 1\n"
    text = text.replace("rollout: {", f"rollout: {{engine: vllm_server, vllm: {json.dumps(settings)}, ")
    (folder / "recipe.yaml").write_text(text)
    yield folder / "recipe.yaml"
    server.stop()


def train(hosts, recipe, folder, disturb=lambda: None):
    arguments = ("train", recipe, "--run-dir", folder, "train.steps=10", "train.save_every=2", "rollout.max_tokens=96")
    processes = [hosts.torchrun(host, *arguments) for host in range(2)]
    try:
        disturb()
        outputs = [process.communicate(timeout=HANGS)[0] for process in processes]
    finally:
        for process in processes:
            process.kill()
    assert [p.returncode for p in processes] == [0] * len(processes), "\n=====\n".join(o[-4000:] for o in outputs)
    return metrics(folder)


def metrics(folder):
    return [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]


@pytest.fixture(scope="module")
def straight(hosts, recipe, tmp_path_factory):
    folder = tmp_path_factory.mktemp("hosts") / "shared"
    train(hosts, recipe, folder)
    return folder


def test_two_hosts_share_a_server_on_one_of_them(straight):
    shared = metrics(straight)
    assert [m["step"] for m in shared] == [m["policy_version"] for m in shared] == list(range(1, 11))
    assert max(m["mismatch/probe"] for m in shared) < 1e-4
    assert not list(straight.rglob("weights-*"))


def asking(hosts):
    """Whether the second host has a request under way."""
    command = [*hosts.within(1), "ss", "-Htn", "state", "established", "dst", f"{ADDRESSES[0]}:{PORT}"]
    return bool(subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip())


@pytest.mark.slow
def test_the_cable_is_pulled_for_five_seconds_while_the_server_samples(hosts, recipe, straight, tmp_path):
    """Requests outlive it, go out again with their seeds, or both hosts start again: the run is the same one."""
    folder = tmp_path / "cut"

    def disturb():
        wait_until(lambda: (folder / "metrics.jsonl").exists() and len(metrics(folder)) >= 3, "three steps")
        pulled = False
        while not pulled:
            assert len(metrics(folder)) < 9, "no request was under way whenever the cable was pulled"
            if not asking(hosts):
                continue
            hosts.cable("down")
            pulled = asking(hosts)  # it may have been answered meanwhile
            time.sleep(5 if pulled else 0)
            hosts.cable("up")

    assert [m["step"] for m in train(hosts, recipe, folder, disturb)] == list(range(1, 11))
    assert sampled_rows(folder) == sampled_rows(straight)
    for name, weight in weights(straight).items():
        torch.testing.assert_close(weights(folder)[name], weight, rtol=0, atol=2e-5)
