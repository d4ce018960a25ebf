"""vLLM with adapters of its own: each version agrees with the trainer, and little travels."""

import json
import os
import subprocess
import sys

import pytest

from grpo_kit.config import LoraConfig
from grpo_kit.errors import UserError
from grpo_kit.generate.base import SamplingParams
from grpo_kit.generate.episode import OpenEpisodes
from grpo_kit.generate.vllm_adapters import ADAPTERS, adapter_options
from grpo_kit.generate.vllm_http import ServerLost
from grpo_kit.generate.vllm_request import first_requests
from grpo_kit.generate.vllm_server import VllmServers
from grpo_kit.policy.lora import attach_lora
from grpo_kit.train.preflight import preflight
from grpo_kit.types import Prompt
from tests.kit.adapter_pushes import move
from tests.kit.optional import needs_extra
from tests.kit.patience import HANGS
from tests.kit.places import ROOT
from tests.kit.runs import recipe
from tests.kit.servers import free_port
from tests.kit.tiny import make_policy
from tests.kit.vllm import needs_vllm, rollout, vllm_policy

needs_extra("peft", "peft")


def test_ten_updates_of_adapters(tmp_path):
    needs_vllm()
    done = subprocess.run(
        [sys.executable, "-m", "tests.kit.adapter_pushes", str(tmp_path / "seen.json")],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=HANGS,
        check=False,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    assert done.returncode == 0, done.stderr[-6000:]
    seen = json.loads((tmp_path / "seen.json").read_text())
    assert max(seen["probes"]) < 1e-4
    assert max(seen["sizes"]) < 0.5 * seen["whole"]
    assert [version for group in seen["sampled"] for version, *_ in group] == [v for v in range(11) for _ in range(2)]
    assert len({json.dumps(group) for group in seen["sampled"]}) == 11  # every push changed what is sampled


def test_ten_updates_of_adapters_reach_a_server(tmp_path):
    """Which was started with the base alone; what it samples is of the version that was given last, and so it says."""
    needs_vllm()
    policy = attach_lora(vllm_policy(), LoraConfig(rank=4))
    move(policy, seed=99)  # as of a run that goes on
    url = f"http://127.0.0.1:{free_port()}"
    options = {
        "servers": [url],
        "launch": True,
        "adapters": True,
        "max_sequences": 8,
        "cache_gb": 0.1,
        "timeout": HANGS,
    }
    engine = VllmServers(policy, rollout(engine="vllm_server", vllm=options), 400, tmp_path)
    whole, prompt = sum(p.nbytes for p in policy.model.parameters()), Prompt("one", tuple(range(30, 50)))
    seen = set()
    try:
        for version in range(11):
            if version:
                move(policy, version)
            engine.sync(policy.model, version)
            measured = engine.statistics()
            assert measured["mismatch/probe"] < 1e-4
            assert measured["sync/bytes"] < 0.5 * whole
            (group,) = engine.generate([prompt], SamplingParams(n=2, max_tokens=8))
            assert [c.policy_version for c in group] == [version] * 2
            seen.add(str([(c.token_ids, c.logprobs) for c in group]))
        assert len(seen) == 11
        assert [path.name for path in tmp_path.glob("**/adapters-*")] == ["adapters-10"]
        (server,) = engine.fleet.servers
        server.call("/v1/unload_lora_adapter", {"lora_name": ADAPTERS}, parsed=False)  # as if it had been started again
        (request,) = first_requests(prompt, OpenEpisodes(SamplingParams(max_tokens=2), None, 400))
        with pytest.raises(ServerLost, match="it has no adapters: was it restarted"):
            engine.fleet.ask(server, request)
    finally:
        engine.close()


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (("rollout.engine=vllm",), "model.lora is null"),
        (("model.lora={rank: 4}",), "engine is torch"),
        (
            (
                "model.lora={rank: 4}",
                "rollout.engine=vllm_server",
                "rollout.vllm.servers=['http://127.0.0.1:1']",
                "rollout.vllm.transfer=nccl",
            ),
            "reach servers through a folder",
        ),
    ],
)
def test_adapters_go_with_lora_and_an_engine_of_vllm(overrides, message):
    with pytest.raises(UserError, match=rf"rollout\.vllm\.adapters.*{message}"):
        preflight(recipe("grpo", "rollout.vllm.adapters=true", *overrides), None)
    with pytest.raises(UserError, match=r"set model\.lora"):
        adapter_options(make_policy())
