"""Episodes of several turns with vLLM: the real one in process, and servers that are made up."""

import dataclasses
import threading
from collections import Counter

import pytest
import torch

from grpo_kit.errors import RunFailed
from grpo_kit.generate.base import SamplingParams, sample_seed
from grpo_kit.generate.vllm_http import ServerLost
from grpo_kit.generate.vllm_request import Sample
from grpo_kit.generate.vllm_server import VllmServers
from grpo_kit.types import Prompt
from tests.kit.patience import HANGS
from tests.kit.replies import Scripted, Threaded, interleaved, one_turn, random_script
from tests.kit.vllm import MAX_SEQUENCES, rollout, vllm_policy

STOPS = tuple(range(0, 256, 11))
SAMPLING = SamplingParams(n=4, temperature=0.9, max_tokens=60, turn_tokens=14, stop_token_ids=STOPS, seed=5)


def prompts(count=6):
    return [Prompt(f"task {i}", tuple(range(40, 45 + 5 * i))) for i in range(count)]


def episodes(engine, replies, sampling=SAMPLING, asked=None):
    groups = list(engine.generate(asked or prompts(), sampling, replies=replies))
    assert [[c.sample_index for c in g] for g in groups] == [list(range(sampling.n))] * len(asked or prompts())
    return {(c.task_id, c.sample_index): c for g in groups for c in g}


def sampled(completions):
    return {name: (c.token_ids, c.inserted, c.finish_reason, c.text) for name, c in completions.items()}


# --- in process --------------------------------------------------------------------------------------------------


@pytest.fixture
def engine(vllm_engine):
    """The shared engine, with the weights of seed 0 as version 0."""
    vllm_engine.policy.model.load_state_dict(vllm_policy().model.state_dict())
    vllm_engine.sync(vllm_engine.policy.model, 0)
    return vllm_engine


def test_the_timing_of_replies_changes_nothing(engine):
    at_once = episodes(engine, Scripted(random_script()))
    assert {len(c.turns) for c in at_once.values()} == {1, 2, 3, 4, 5, 6}
    assert len(at_once) == 2 * MAX_SEQUENCES
    for replies in (Scripted(random_script(), late=4), Threaded(random_script()), Threaded(random_script(), seed=1)):
        assert sampled(episodes(engine, replies)) == sampled(at_once)
    alone = {k: v for p in prompts() for k, v in episodes(engine, Scripted(random_script()), asked=[p]).items()}
    assert sampled(alone) == sampled(at_once)


def test_every_token_is_the_trainers(engine):
    for completion in episodes(engine, Scripted(random_script(), late=2)).values():
        prompt = next(p for p in prompts() if p.task_id == completion.task_id)
        ids, places = interleaved(prompt, completion)
        with torch.no_grad():
            logits = engine.policy.model(input_ids=torch.tensor([ids], device=engine.policy.device)).logits[0].cpu()
        logprobs = (logits[torch.tensor(places) - 1] / SAMPLING.temperature).log_softmax(-1)
        wanted = logprobs.gather(-1, torch.tensor(completion.token_ids)[:, None])[:, 0]
        torch.testing.assert_close(torch.tensor(completion.logprobs), wanted, rtol=0, atol=1e-4)
        assert completion.policy_version == 0
        assert completion.later_versions == []


@pytest.mark.parametrize("variant", [{}, {"turn_tokens": None, "stop": ("a", "e", "5")}, {"temperature": 0.0}])
def test_one_turn_is_the_completion_of_a_run_without_turns(engine, variant):
    sampling = dataclasses.replace(SAMPLING, **variant)
    alone = {(c.task_id, c.sample_index): c for g in engine.generate(prompts(), sampling) for c in g}
    for replies in (Scripted(one_turn), Threaded(one_turn)):
        found = episodes(engine, replies, sampling)
        assert sampled(found) == sampled(alone)
        for name, completion in found.items():
            assert completion.logprobs == pytest.approx(alone[name].logprobs, abs=1e-5)


def test_every_turn_has_randomness_of_its_own(engine):
    """A turn that begins after the same ids as another one is not sampled as that one."""
    sampling = SamplingParams(n=2, max_tokens=60, turn_tokens=12, temperature=1.5)
    script = random_script(turns=1)
    completion = episodes(engine, Scripted(lambda t: [40, 41] if t.turn < 3 else script(t)), sampling)["task 0", 0]
    again = episodes(engine, Scripted(lambda t: [40, 41] if t.turn < 3 else script(t)), sampling)["task 0", 0]
    assert again.token_ids == completion.token_ids
    assert len({tuple(completion.token_ids[i : i + 12]) for i in range(0, 48, 12)}) == 4


def test_stop_strings_hold_in_every_turn(engine):
    stops = tuple("aeijTX5%")
    replies = Scripted(random_script(), late=1)
    episodes(engine, replies, dataclasses.replace(SAMPLING, stop=stops, stop_token_ids=()))
    assert Counter(t.finish_reason for t in replies.turns)["stop"] > 3
    assert not {c for t in replies.turns for c in t.text} & set(stops)


def test_an_episode_that_goes_on_comes_before_those_that_have_not_begun(engine):
    """Otherwise every episode of a step would be open at once, and no group whole before all are nearly so."""
    order = []
    replies = Scripted(lambda turn: order.append(turn.turn) or ([50, 51] if turn.turn < 2 else None))
    sampling = SamplingParams(n=1, max_tokens=12, turn_tokens=3)
    episodes(engine, replies, sampling, [Prompt(str(i), (40 + i, 41)) for i in range(4 * MAX_SEQUENCES)])
    assert 2 in order[: 4 * MAX_SEQUENCES]


def test_a_consumer_that_stops_early_leaves_nothing_behind(engine):
    wanted = sampled(episodes(engine, Scripted(random_script())))
    stream = engine.generate(prompts(), SAMPLING, replies=Scripted(random_script(), late=3))
    next(stream)
    stream.close()
    assert not engine._llm.llm_engine.has_unfinished_requests()
    engine.sync(engine.policy.model, 1)
    assert sampled(episodes(engine, Scripted(random_script()))) == wanted


def test_an_episode_that_outgrows_the_engine_is_refused(engine):
    sampling = SamplingParams(max_tokens=60, turn_tokens=10)
    with pytest.raises(RunFailed, match=r"task 0, sample 0: 3\d\d tokens stand before turn 1; .* context of 400"):
        list(engine.generate(prompts(1), sampling, replies=Scripted(lambda turn: [50] * 380)))
    assert not engine._llm.llm_engine.has_unfinished_requests()


# --- servers that are made up ------------------------------------------------------------------------------------


class Pretended:
    """Answers in place of servers: tokens are a function of the prompt and the seed."""

    def __init__(self, generator, lose=()):
        self.fleet, self.lose, self.asked = generator.fleet, Counter(lose), []
        self.lock = threading.Lock()
        generator.fleet.ask = self.ask
        generator.fleet.version = 0
        for server in generator.fleet.servers:
            server.state, server.healthy = "ready", lambda: True

    def ask(self, server, request):
        with self.lock:
            self.asked.append(request)
            name = (request.task_id, request.episodes[0].sample_index, request.episodes[0].turn)
            if self.lose[name]:
                self.lose[name] -= 1
                raise ServerLost("gone")
        count = 1 + request.fields["seed"] % min(5, request.fields["max_tokens"])
        ids = [sample_seed(request.fields["seed"], str(request.token_ids), i) % 200 for i in range(count)]
        versions = [(0, self.fleet.version)]
        return [Sample(ids, [-1.0] * count, "stop", versions)] * request.fields["n"]


@pytest.fixture
def generator(tmp_path, monkeypatch):
    config = rollout(
        engine="vllm_server", vllm={"servers": [f"http://127.0.0.1:{i}" for i in (1, 2)], "max_sequences": 4}
    )
    made = VllmServers(vllm_policy(), config, 400, tmp_path)
    # A server that is lost comes back with the next look at it.
    monkeypatch.setattr(made.upkeep, "bring_up", lambda: [setattr(s, "state", "ready") for s in made.fleet.servers])
    monkeypatch.setattr("grpo_kit.generate.vllm_server.SECONDS_BETWEEN_LOOKS", 0.01)
    yield made
    made.close()


def test_servers_are_asked_for_the_next_turn_with_all_that_stands_before_it(generator):
    pretended = Pretended(generator)
    found = episodes(generator, Threaded(random_script()))
    for completion in found.values():
        prompt = next(p for p in prompts() if p.task_id == completion.task_id)
        ids, places = interleaved(prompt, completion)
        starts = [turn.start for turn in completion.turns]
        mine = [r for r in pretended.asked if r.episodes[0].name == (completion.task_id, completion.sample_index)]
        assert [r.token_ids for r in mine] == [ids[: places[start]] for start in starts]
        assert [r.fields["max_tokens"] for r in mine] == [min(14, 60 - start) for start in starts]
        assert all(r.fields["n"] == 1 for r in mine)
        first = sample_seed(5, completion.task_id, 0) // 2 + completion.sample_index
        later = [sample_seed(5, completion.task_id, completion.sample_index, t) // 2 for t in range(1, len(mine))]
        assert [r.fields["seed"] for r in mine] == [first, *later]


def test_turns_that_are_lost_are_asked_again_with_the_same_seed(generator):
    Pretended(generator)
    undisturbed = sampled(episodes(generator, Scripted(random_script())))
    lose = {("task 2", 1, 0): 1, ("task 2", 1, 1): 2, ("task 5", 0, 0): 1, ("task 1", 3, 2): 1}
    pretended = Pretended(generator, lose)
    assert sampled(episodes(generator, Threaded(random_script()))) == undisturbed
    assert generator.statistics()["engine/retries"] == sum(lose.values()) - sum(pretended.lose.values()) >= 2


def test_a_turn_that_no_server_can_give_ends_the_call(generator):
    Pretended(generator, {("task 2", 1, 0): 100})
    with pytest.raises(RunFailed, match="the request of task 2 failed on 7 servers: gone"):
        episodes(generator, Scripted(random_script()))


def test_later_turns_have_the_weights_of_their_requests(generator):
    """Versions are told token by token, across turns as within them."""
    pretended = Pretended(generator)

    def script(turn):
        generator.fleet.version = turn.turn // 2 + 3
        return [50, 51] if turn.turn < 4 else None

    found = episodes(generator, Scripted(script), SamplingParams(n=1, max_tokens=60, turn_tokens=10), prompts(1))
    completion = found["task 0", 0]
    starts = [turn.start for turn in completion.turns]
    assert completion.policy_version == 0
    assert completion.later_versions == [(starts[1], 3), (starts[3], 4)]
    assert sum(count for _, count in completion.versions()) == len(completion.token_ids)
    assert len(pretended.asked) == 5


def test_a_reply_wakes_an_engine_that_waits_for_its_servers(generator, monkeypatch):
    """One request is answered only when another episode's next turn was asked for, and nobody looks by the clock."""
    monkeypatch.setattr("grpo_kit.generate.vllm_server.SECONDS_BETWEEN_LOOKS", HANGS)
    pretended, went_on = Pretended(generator), threading.Event()

    def ask(server, request):
        episode = request.episodes[0]
        if episode.turn == 1:
            went_on.set()
        if (episode.name, episode.turn) == (("task 0", 0), 0):
            assert went_on.wait(HANGS / 2), "the reply was not noticed"
        return pretended.ask(server, request)

    generator.fleet.ask = ask
    replies = Threaded(lambda turn: [50, 51] if turn.turn < 1 else None)
    found = episodes(generator, replies, SamplingParams(n=2, max_tokens=60, turn_tokens=10), prompts(1))
    assert [len(found["task 0", sample].turns) for sample in range(2)] == [2, 2]


def test_nothing_is_left_of_an_abandoned_call(generator):
    Pretended(generator)
    stream = generator.generate(prompts(), SAMPLING, replies=Threaded(random_script()))
    next(stream)
    stream.close()
    assert generator._unsent == {}
    assert all(server.in_flight == 0 for server in generator.fleet.servers)
    assert not [t for t in threading.enumerate() if t.name.startswith("grpo-kit-vllm")]
