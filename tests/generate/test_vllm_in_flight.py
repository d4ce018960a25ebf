"""Requests that go on with new weights: a real vLLM server, one update in the middle of long responses."""

import copy
import json
import threading

import pytest
import torch

from grpo_kit.config import RolloutConfig
from grpo_kit.generate.base import SamplingParams, sample_seed
from grpo_kit.generate.vllm_http import OPENER
from grpo_kit.generate.vllm_server import VllmServers
from grpo_kit.types import Prompt
from tests.kit.patience import HANGS, wait_until
from tests.kit.replies import Threaded, interleaved
from tests.kit.runs import ODD, recipe, run
from tests.kit.servers import free_port
from tests.kit.vllm import disturb, needs_vllm, rollout, vllm_policy

TOKENS = 300
SAMPLING = SamplingParams(n=4, temperature=0.8, max_tokens=TOKENS)


@pytest.fixture(scope="module")
def servers(tmp_path_factory):
    needs_vllm()
    config = rollout(
        engine="vllm_server",
        temperature=0.8,
        max_staleness=1,
        vllm={
            "servers": [f"http://127.0.0.1:{free_port()}"],
            "launch": True,
            "max_sequences": 8,
            "cache_gb": 0.1,
            "timeout": 400,
            "update": "in_flight",
        },
    )
    generator = VllmServers(vllm_policy(), config, 400, tmp_path_factory.mktemp("servers"))
    try:
        generator.sync(generator.policy.model, 0)
        yield generator
    finally:
        generator.close()


def tokens_sampled(servers):
    """How many tokens the servers say they have sampled so far, those of unfinished responses included."""
    with_urls = (OPENER.open(f"{s.url}/metrics", timeout=HANGS) for s in servers.fleet.servers)
    lines = (line for answer in with_urls for line in answer.read().decode().splitlines())
    return sum(float(line.rpartition(" ")[2]) for line in lines if line.startswith("vllm:generation_tokens_total"))


def until_it_samples(servers, before):
    """Wait until responses are under way, when ``before`` tokens had been sampled: the probe's may be counted late."""
    more = before + 2 * servers.fleet.probe.sampling.max_tokens
    wait_until(lambda: tokens_sampled(servers) > more, "responses under way")


def expected(model, prompt, completion):
    """The log-probability of every sampled token under one model, given all that stands before it."""
    ids = torch.tensor([[*prompt.token_ids, *completion.token_ids]])
    with torch.no_grad():
        logits = model(input_ids=ids).logits[0, len(prompt.token_ids) - 1 : -1] / SAMPLING.temperature
    return logits.log_softmax(-1).gather(-1, ids[0, len(prompt.token_ids) :, None])[:, 0]


def test_responses_go_on_with_new_weights_and_say_from_which_token(servers):
    prompts = [Prompt(str(i), tuple(range(30, 40 + i))) for i in range(4)]  # half of them have to wait for room
    models = {0: copy.deepcopy(servers.policy.model)}
    groups = []
    sampling = threading.Thread(target=lambda: groups.extend(servers.generate(prompts, SAMPLING)))
    before = tokens_sampled(servers)
    sampling.start()
    until_it_samples(servers, before)
    for version in (1, 2):  # the first meets responses on every machine, the second on most
        disturb(servers.policy, seed=version)
        models[version] = copy.deepcopy(servers.policy.model)
        servers.sync(servers.policy.model, version)
    sampling.join()
    completions = [c for group in groups for c in group]
    assert len(completions) == 16
    assert any(c.later_versions for c in completions), "no update met a response: make them longer"
    for completion in completions:
        stretches = completion.versions()
        assert sum(count for _, count in stretches) == len(completion.token_ids) == len(completion.logprobs)
        assert [v for v, _ in stretches] == sorted({v for v, _ in stretches})
        at = 0
        for of, count in stretches:
            wanted = expected(models[of], prompts[int(completion.task_id)], completion)[at : at + count]
            assert torch.allclose(torch.tensor(completion.logprobs[at : at + count]), wanted, atol=1e-4)
            at += count


def test_episodes_go_on_with_new_weights_within_turns_and_between_them(servers):
    prompts = [Prompt(str(i), tuple(range(30, 40 + i))) for i in range(4)]
    begin = servers.policy_version
    models, found = {begin: copy.deepcopy(servers.policy.model)}, []
    sampling = SamplingParams(n=4, temperature=0.8, max_tokens=TOKENS, turn_tokens=TOKENS // 4)
    replies = Threaded(lambda turn: [50 + turn.turn] * 7)
    stream = servers.generate(prompts, sampling, replies=replies)
    thread = threading.Thread(target=lambda: found.extend(stream))
    before = tokens_sampled(servers)
    thread.start()
    until_it_samples(servers, before)
    for version in (begin + 1, begin + 2):
        disturb(servers.policy, seed=version)
        models[version] = copy.deepcopy(servers.policy.model)
        servers.sync(servers.policy.model, version)
    thread.join()
    completions = [c for group in found for c in group]
    assert len(completions) == 16
    assert any(c.later_versions for c in completions)
    for completion in completions:
        assert len(completion.turns) == 4
        ids, places = interleaved(prompts[int(completion.task_id)], completion)
        at = 0
        for of, count in completion.versions():
            with torch.no_grad():
                logits = models[of](input_ids=torch.tensor([ids])).logits[0] / sampling.temperature
            targets = torch.tensor(completion.token_ids)[:, None]
            wanted = logits[torch.tensor(places) - 1].log_softmax(-1).gather(-1, targets)[at : at + count, 0]
            assert torch.allclose(torch.tensor(completion.logprobs[at : at + count]), wanted, atol=1e-4)
            at += count
        assert at == len(completion.token_ids) == TOKENS


def sample_as_they_learn(monkeypatch, seed, steps, ahead):
    """Let every new version meet responses, on machines that sample faster than they learn too.

    The requests of the last step that may be asked for wait for the version that they have to meet, and it waits for them.
    """
    step_of = {sample_seed(seed, "step", step): step for step in range(1, steps + 1)}
    comes = {version: threading.Event() for version in range(1, steps + 1)}
    generate, sync = VllmServers.generate, VllmServers.sync

    def begun_late(servers, prompts, sampling, under_way=None, replies=None):
        if (version := step_of.get(sampling.seed, 0) - ahead) > 0:
            assert comes[version].wait(HANGS), f"version {version} never came"
        return generate(servers, prompts, sampling, under_way, replies)

    def met(servers, model, version):
        if version in comes:
            before = tokens_sampled(servers)
            comes[version].set()
            if version + ahead <= steps:
                until_it_samples(servers, before)
        sync(servers, model, version)

    monkeypatch.setattr(VllmServers, "generate", begun_late)
    monkeypatch.setattr(VllmServers, "sync", met)


@pytest.mark.slow
def test_a_run_learns_from_responses_of_several_versions(tmp_path, monkeypatch):
    needs_vllm()
    config = recipe(
        "grpo",
        ODD,
        "model.scratch.hidden_size=64",
        "scoring.max_rejected_gold=1.0",
        "train.steps=8",
        "rollout.max_tokens=150",
        "rollout.engine=vllm_server",
        "rollout.max_staleness=2",
        f"rollout.vllm.servers=[http://127.0.0.1:{free_port()}]",
        "rollout.vllm.launch=true",
        # Two responses at a time, so that a version does not meet the last tokens of all of them.
        "rollout.vllm.max_sequences=2",
        "rollout.vllm.cache_gb=0.1",
        "rollout.vllm.update=in_flight",
        "device=cpu",
    )
    sample_as_they_learn(monkeypatch, config.seed, steps=8, ahead=2)
    run(config, tmp_path / "run")
    lines = [json.loads(line) for line in (tmp_path / "run" / "metrics.jsonl").read_text().splitlines()]
    assert [line["step"] for line in lines] == list(range(1, 9))
    assert sum(line["staleness/mixed_completions"] for line in lines) > 0
    assert all(line["staleness/max"] <= 2 for line in lines)
    assert all("correction/weight" in line for line in lines)


def test_in_flight_needs_requests_that_may_be_under_way():
    with pytest.raises(ValueError, match="max_staleness 0 has none"):
        RolloutConfig(engine="vllm_server", vllm={"servers": ["http://127.0.0.1:1"], "update": "in_flight"})
