"""Several training processes on one real vLLM server, or with an engine each, learn from what one process gets."""

import json
import threading

import pytest
import torch

from tests.kit.rollouts import sampled_rows
from tests.kit.runs import weights
from tests.kit.shared_servers import STEPS, kill_after_the_first_step, train


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
