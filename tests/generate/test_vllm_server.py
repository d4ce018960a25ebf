"""Two real vLLM servers, started by the kit: routing, weights, death by kill -9, return."""

import os
import signal
import threading
import time

import pytest
import torch

from grpo_kit.errors import RunFailed, UserError
from grpo_kit.generate.base import SamplingParams
from grpo_kit.generate.vllm_request import Sample
from grpo_kit.generate.vllm_server import VllmServers
from grpo_kit.types import Prompt
from tests.kit.patience import HANGS, wait_until
from tests.kit.replies import Threaded, interleaved, random_script
from tests.kit.servers import free_port
from tests.kit.vllm import disturb, needs_vllm, rollout, vllm_policy


@pytest.fixture(scope="module")
def servers(tmp_path_factory):
    needs_vllm()
    urls = [f"http://127.0.0.1:{free_port()}" for _ in range(2)]
    config = rollout(
        engine="vllm_server",
        temperature=0.8,
        vllm={"servers": urls, "launch": True, "max_sequences": 8, "cache_gb": 0.1, "timeout": 400},
    )
    generator = VllmServers(vllm_policy(), config, 400, tmp_path_factory.mktemp("servers"))
    try:
        generator.sync(generator.policy.model, 0)
        yield generator
    finally:
        generator.close()


def prompts(count):
    return [Prompt(str(i), tuple(range(30, 36 + i))) for i in range(count)]


SAMPLING = SamplingParams(n=4, temperature=0.8, max_tokens=12)


def sample(generator, chosen, sampling=SAMPLING):
    return {group[0].task_id: [c.token_ids for c in group] for group in generator.generate(chosen, sampling)}


def test_both_servers_have_the_weights_and_the_probe_agrees(servers):
    assert [s.state for s in servers.fleet.servers] == ["ready", "ready"]
    assert 0 <= servers.statistics()["mismatch/probe"] < 1e-4


def test_logprobs_are_the_trainers_after_updates(servers):
    for version in (1, 2):
        disturb(servers.policy, seed=version)
        servers.sync(servers.policy.model, version)
        for group in servers.generate(prompts(6), SAMPLING):
            prompt = prompts(6)[int(group[0].task_id)]
            for completion in group:
                ids = torch.tensor([[*prompt.token_ids, *completion.token_ids]])
                with torch.no_grad():
                    logits = servers.policy.model(input_ids=ids).logits[0, len(prompt.token_ids) - 1 : -1] / 0.8
                expected = logits.log_softmax(-1).gather(-1, ids[0, len(prompt.token_ids) :, None])[:, 0]
                assert torch.allclose(torch.tensor(completion.logprobs), expected, atol=1e-4)
                assert completion.policy_version == version
    kept = [p.name for p in servers.upkeep.folder.glob("weights-*")]
    assert kept == ["weights-2"]


def test_a_completion_does_not_depend_on_which_server_gave_it(servers):
    together = sample(servers, prompts(9))
    assert sample(servers, prompts(9)[::-1]) == together
    for other in servers.fleet.servers:
        other.state, other.healthy = "down", lambda: False  # kept from returning
        assert sample(servers, prompts(9)) == together
        del other.healthy
    servers.sync(servers.policy.model, servers.policy_version)


def test_stop_strings_and_tokens(servers):
    (whole,) = servers.generate(prompts(1), SamplingParams(n=1, temperature=0.8, max_tokens=30))
    stop = next(c for c in whole[0].text[7:] if c.isascii() and c.isprintable())
    (cut,) = servers.generate(prompts(1), SamplingParams(n=1, temperature=0.8, max_tokens=30, stop=(stop,)))
    assert cut[0].finish_reason == "stop"
    assert cut[0].text == whole[0].text[: whole[0].text.index(stop)]
    assert cut[0].token_ids == whole[0].token_ids[: len(cut[0].token_ids)]
    last = whole[0].token_ids[3]
    (ended,) = servers.generate(prompts(1), SamplingParams(n=1, temperature=0.8, max_tokens=30, stop_token_ids=(last,)))
    assert ended[0].token_ids == whole[0].token_ids[: whole[0].token_ids.index(last) + 1]


def test_a_killed_server_costs_time_and_nothing_else(servers):
    """kill -9 in the middle of a step: every group comes back whole and as it would have been; the metrics tell."""
    sampling = SamplingParams(n=4, temperature=0.8, max_tokens=200)
    servers.statistics()
    undisturbed = sample(servers, prompts(24), sampling)
    victim = servers.fleet.servers[1]
    stream = servers.generate(prompts(24), sampling)
    first = next(stream)
    assert victim.in_flight
    os.killpg(victim.process.popen.pid, signal.SIGKILL)
    groups = [first, *stream]
    assert {g[0].task_id: [c.token_ids for c in g] for g in groups} == undisturbed
    assert all(len(g) == 4 for g in groups)
    statistics = servers.statistics()
    assert statistics["engine/servers_lost"] >= 1
    assert statistics["engine/retries"] >= 1


def test_episodes_go_on_where_a_server_is_killed(servers):
    """Runs after the kill, on one server or two, and kills again in the middle of episodes."""
    sampling = SamplingParams(n=4, temperature=0.8, max_tokens=120, turn_tokens=40)
    replies = [Threaded(random_script(turns=4), seed=seed) for seed in range(3)]
    undisturbed = {g[0].task_id: g for g in servers.generate(prompts(8), sampling, replies=replies[0])}
    assert {len(c.turns) for g in undisturbed.values() for c in g} >= {1, 2, 3}
    wait_until(lambda: _both_ready(servers), "two servers")
    stream = servers.generate(prompts(8), sampling, replies=replies[1])
    first = next(stream)
    victim = max(servers.fleet.servers, key=lambda s: s.in_flight)
    os.killpg(victim.process.popen.pid, signal.SIGKILL)
    found = {g[0].task_id: g for g in (first, *stream)}
    assert found.keys() == undisturbed.keys()
    for task_id, group in found.items():
        for ours, theirs in zip(group, undisturbed[task_id], strict=True):
            assert (ours.token_ids, ours.inserted) == (theirs.token_ids, theirs.inserted)
            ids, places = interleaved(prompts(8)[int(task_id)], ours)
            with torch.no_grad():
                logits = servers.policy.model(input_ids=torch.tensor([ids])).logits[0] / 0.8
            expected = logits[torch.tensor(places) - 1].log_softmax(-1)
            expected = expected.gather(-1, torch.tensor(ours.token_ids)[:, None])[:, 0]
            assert torch.allclose(torch.tensor(ours.logprobs), expected, atol=1e-4)
    servers.statistics()  # what was lost and came back so far


def _both_ready(servers):
    servers._bring_back()
    return len(servers.fleet.ready) == 2


def test_it_is_started_again_and_gets_the_current_weights(servers):
    """Runs after the kill: the next syncs go on with one server, until the other is back with the newest weights."""
    deadline = time.monotonic() + HANGS
    version = servers.policy_version
    returned = 0.0
    while not returned and time.monotonic() < deadline:
        version += 1
        disturb(servers.policy, seed=version, scale=0.01)
        servers.sync(servers.policy.model, version)
        returned += servers.statistics()["engine/servers_returned"]
        time.sleep(3)
    assert [s.state for s in servers.fleet.servers] == ["ready", "ready"]
    groups = list(servers.generate(prompts(8), SAMPLING))
    assert {c.policy_version for g in groups for c in g} == {version}


def test_wrong_weights_stop_the_run(servers, monkeypatch):
    from grpo_kit.generate import transfer

    whole = transfer.exported_weights
    disturb(servers.policy)
    # The trap of tied weights: a saved checkpoint names the embedding only, and vLLM keeps the old output head.
    monkeypatch.setattr(
        transfer, "exported_weights", lambda model: ((n, t) for n, t in whole(model) if n != "lm_head.weight")
    )
    with pytest.raises(RunFailed, match="stale or half-loaded weights"):
        servers.sync(servers.policy.model, servers.policy_version + 1)
    monkeypatch.undo()
    servers.sync(servers.policy.model, servers.policy_version + 1)


def test_a_request_that_is_refused_says_why(servers):
    with pytest.raises(RunFailed, match=r"refused the request \(400\).*max_num_seqs"):
        list(servers.generate(prompts(1), SamplingParams(n=100, temperature=0.8, max_tokens=2)))


@pytest.mark.slow
def test_a_server_spread_over_two_devices_has_every_new_version(tmp_path):
    needs_vllm()
    if 1 <= torch.cuda.device_count() < 2:
        pytest.skip("one GPU cannot be spread over")
    url = f"http://127.0.0.1:{free_port()}"
    small = {"max_sequences": 8, "cache_gb": 0.1, "timeout": 400, "tensor_parallel": 2}
    config = rollout(engine="vllm_server", vllm={"servers": [url], "launch": True, **small})
    generator = VllmServers(vllm_policy(), config, 400, tmp_path)
    try:
        for version in range(2):
            disturb(generator.policy, seed=version)
            generator.sync(generator.policy.model, version)
            assert 0 <= generator.statistics()["mismatch/probe"] < 1e-4
        assert generator.fleet.servers[0].call("/get_world_size") == {"world_size": 2}
        assert sample(generator, prompts(2)).keys() == {"0", "1"}
    finally:
        generator.close()


# --- without servers ---------------------------------------------------------------------------------------------


def test_nobody_there(tmp_path):
    url = f"http://127.0.0.1:{free_port()}"
    config = rollout(engine="vllm_server", vllm={"servers": [url], "timeout": 1})
    generator = VllmServers(vllm_policy(), config, 400, tmp_path)
    with pytest.raises(RunFailed, match=rf"{url}: /health: .*refused"):
        generator.sync(generator.policy.model, 0)


def test_something_else_there(tmp_path):
    """A web server that is no vLLM with its development endpoints is named as such."""
    import http.server
    import threading

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), http.server.BaseHTTPRequestHandler) as server:
        server.RequestHandlerClass.do_GET = lambda self: (self.send_response(200), self.end_headers())
        server.RequestHandlerClass.do_POST = lambda self: self.send_error(404)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        config = rollout(
            engine="vllm_server", vllm={"servers": [f"http://127.0.0.1:{server.server_port}"], "timeout": 5}
        )
        generator = VllmServers(vllm_policy(), config, 400, tmp_path)
        with pytest.raises(UserError, match="VLLM_SERVER_DEV_MODE=1"):
            generator.sync(generator.policy.model, 0)
        server.shutdown()


def test_what_was_asked_for_first_goes_out_first(tmp_path, monkeypatch):
    """Sampling ahead, the groups of a later step wait until every one of the step before is on its way."""
    config = rollout(engine="vllm_server", vllm={"servers": ["http://127.0.0.1:1"], "max_sequences": 8})
    generator = VllmServers(vllm_policy(), config, 400, tmp_path)
    generator.fleet.version, generator.fleet.servers[0].state = 0, "ready"
    asked, both = [], threading.Event()

    def ask(server, request):
        asked.append(int(request.task_id))
        assert both.wait(HANGS)
        return [Sample([7], [-1.0], "stop", [(0, 0)])] * SAMPLING.n

    monkeypatch.setattr(generator.fleet, "ask", ask)
    early, late = [iter(generator.generate(p, SAMPLING)) for p in (prompts(30)[:15], prompts(30)[15:])]
    threads = [threading.Thread(target=list, args=(stream,)) for stream in (early, late)]
    threads[0].start()
    while len(asked) < 4:  # as many as are on their way at once
        time.sleep(0.01)
    threads[1].start()
    time.sleep(0.1)
    both.set()
    for thread in threads:
        thread.join(20)
    assert len(asked) == 30
    assert max(asked[:15]) < 15 <= min(asked[15:])
    generator.close()
