"""Two hosts for real: a run over both survives a dead rank and a pulled cable, bit for bit."""

import time

import pytest
import torch

from tests.kit.hosts import open_hosts
from tests.kit.patience import HANGS, wait_until
from tests.kit.restarts import ON_RANK_1, logged, recipe
from tests.kit.runs import weights


@pytest.fixture(scope="module")
def hosts():
    yield from open_hosts()


def train(hosts, recipe, folder, disturb=lambda: None, **environment):
    """Both hosts' output, once both have ended."""
    arguments = ("train", recipe, "--run-dir", folder, "train.steps=10")
    processes = [hosts.torchrun(host, *arguments, **environment) for host in range(2)]
    try:
        disturb()
        outputs = [process.communicate(timeout=HANGS)[0] for process in processes]
    finally:
        for process in processes:
            process.kill()
    assert [p.returncode for p in processes] == [0, 0], "\n=====\n".join(o[-4000:] for o in outputs)
    return outputs


@pytest.fixture(scope="module")
def straight(hosts, tmp_path_factory):
    folder = tmp_path_factory.mktemp("hosts")
    path = recipe.__wrapped__(folder)
    train(hosts, path, folder / "run", FAIL_AT="0", FAIL_HOW="kill", FAIL_MARK=str(folder / "failed"))
    return folder / "run"


def same(folder, other):
    assert logged(folder) == logged(other)
    assert [step for step, *_ in logged(folder)] == list(range(1, 11))
    for name, weight in weights(other).items():
        assert torch.equal(weight, weights(folder)[name])


@pytest.mark.slow
def test_a_rank_killed_on_one_host_restarts_both(hosts, recipe, straight, tmp_path):
    mark = tmp_path / "failed"
    outputs = train(
        hosts, recipe, tmp_path / "run", FAIL_AT=str(5 * ON_RANK_1 + 2), FAIL_HOW="kill", FAIL_MARK=str(mark)
    )
    assert mark.exists()
    assert "restart 1: going on with" in "".join(outputs).replace("\n", " ")
    same(tmp_path / "run", straight)


@pytest.mark.slow
def test_a_cable_that_is_pulled_for_five_seconds(hosts, recipe, straight, tmp_path):
    """Connections outlive it or both hosts start again from the last checkpoint: either way the run is the same one."""
    metrics = tmp_path / "run" / "metrics.jsonl"

    def disturb():
        wait_until(lambda: metrics.exists() and len(metrics.read_text().splitlines()) >= 3, "three steps")
        hosts.cable("down")
        time.sleep(5)
        before = len(metrics.read_text().splitlines())
        assert before < 10, "the run had ended before the cable was pulled"
        hosts.cable("up")

    train(hosts, recipe, tmp_path / "run", disturb, FAIL_AT="0", FAIL_HOW="kill", FAIL_MARK=str(tmp_path / "failed"))
    same(tmp_path / "run", straight)
