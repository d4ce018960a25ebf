"""Who looks after servers that several training processes share: rank 0 does, and the others never get in its way."""

import pytest

from grpo_kit.errors import RunFailed
from grpo_kit.generate.base import SamplingParams
from grpo_kit.generate.vllm_server import VllmServers
from grpo_kit.generate.vllm_upkeep import Follower, Owner
from grpo_kit.runtime import ranks
from grpo_kit.types import Prompt
from tests.kit.vllm import rollout, vllm_policy

WRITES = ("/pause", "/collective_rpc", "/reset_prefix_cache", "/update_weight_version", "/resume")
SAMPLING = SamplingParams(n=2, max_tokens=4)


class Scripted:
    """The other end of a `VllmServer`: samples with the weights that it was told of, and remembers what it was asked."""

    def __init__(self, version=None):
        self.version, self.asked, self.up = version, [], True

    def __call__(self, path, body=None, timeout=None):
        from grpo_kit.generate.vllm_http import ServerLost

        self.asked.append(path)
        if not self.up:
            raise ServerLost("refused")
        if path == "/update_weight_version":
            self.version = body["new_version"]
        if path != "/inference/v1/generate":
            return {"success": True}
        one = {
            "token_ids": [7],
            "logprobs": {"content": [{"logprob": -1.0}]},
            "finish_reason": "length",
            "weight_versions": [{"start": 0, "version": self.version}],
        }
        return {"choices": [{"index": i, **one} for i in range(body["sampling_params"]["n"])]}

    @property
    def written(self):
        return [path for path in self.asked if path.startswith(WRITES)]


@pytest.fixture
def opened(monkeypatch, tmp_path):
    """Servers as a rank has them, and the other end of each."""

    def open_servers(rank, count=1, version=None, **vllm):
        monkeypatch.setattr(ranks, "first", lambda: rank == 0)
        urls = [f"http://127.0.0.1:{1 + index}" for index in range(count)]
        settings = {"servers": urls, "probe_tolerance": 1000, "timeout": 1} | vllm
        generator = VllmServers(vllm_policy(), rollout(engine="vllm_server", vllm=settings), 400, tmp_path / "run")
        ends = [Scripted(version) for _ in urls]
        for server, end in zip(generator.fleet.servers, ends, strict=True):
            monkeypatch.setattr(server, "call", end)
        return generator, ends

    return open_servers


def sample(generator):
    return list(generator.generate([Prompt("a", (30, 31))], SAMPLING))


def test_the_first_rank_gives_weights_and_removes_what_it_wrote(opened, tmp_path):
    generator, (end,) = opened(0)
    assert isinstance(generator.upkeep, Owner)
    generator.sync(generator.policy.model, 3)
    assert end.version == "3"
    assert len(sample(generator)) == 1
    generator.close()
    assert list((tmp_path / "run" / "engine").iterdir()) == []


def test_another_rank_writes_nothing_to_servers_and_disk_and_starts_none(opened, tmp_path):
    """Not even where the recipe launches servers: the first rank does."""
    generator, (end,) = opened(1, version="3", launch=True)
    assert isinstance(generator.upkeep, Follower)
    generator.sync(generator.policy.model, 3)
    assert len(sample(generator)) == 1
    generator.close()
    assert end.written == []
    assert generator.fleet.servers[0].process is None
    assert not (tmp_path / "run").exists()


def test_another_rank_takes_a_server_back_once_it_has_the_current_weights(opened):
    generator, ends = opened(1, count=2, version="3")
    generator.sync(generator.policy.model, 3)
    lost = generator.fleet.servers[1]
    generator.fleet.lost(lost, "gone")
    ends[1].version = "2"  # started again by the first rank, and not yet given its weights
    generator.upkeep.bring_up()
    assert lost.state == "down"
    ends[1].version = "3"
    generator.upkeep.bring_up()
    assert lost.state == "ready"
    assert generator.statistics()["engine/servers_returned"] == 1
    assert ends[1].written == []


def test_another_rank_says_that_it_reaches_no_server(opened):
    generator, (end,) = opened(1)
    end.up = False
    with pytest.raises(RunFailed, match=r"reaches no server with weights 0: http://127.0.0.1:1: refused"):
        generator.sync(generator.policy.model, 0)


def test_only_the_first_rank_looks_at_servers_that_it_asks_nothing(opened):
    for rank, state in ((0, "down"), (1, "ready")):
        generator, (end,) = opened(rank, version="0")
        generator.sync(generator.policy.model, 0)
        end.up = False
        generator.upkeep.find_lost()
        assert generator.fleet.servers[0].state == state
