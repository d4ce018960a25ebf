"""Episodes of several turns in the embedded engine: who answers when changes nothing, and every token is the model's own."""

import dataclasses

import pytest
import torch

from grpo_kit.errors import RunFailed
from grpo_kit.generate import rows as rows_module
from grpo_kit.generate.base import Reply, SamplingParams, sample_seed
from grpo_kit.generate.decoder import Decoder
from grpo_kit.generate.sampling import draw, processed_logprobs, uniforms
from grpo_kit.generate.slots import SlotCache
from grpo_kit.generate.torch_engine import TorchEngine
from grpo_kit.types import Prompt
from tests.kit.builds import BUILDS, policy_of
from tests.kit.replies import Scripted, Threaded, interleaved, random_script
from tests.kit.tiny import make_policy

STOPS = tuple(range(0, 256, 11))
SAMPLING = SamplingParams(n=3, temperature=0.9, max_tokens=60, turn_tokens=16, stop_token_ids=STOPS, seed=5)


def prompts(count=6):
    return [Prompt(f"task {i}", tuple(range(40, 45 + 5 * i))) for i in range(count)]


def episodes(policy, replies, sampling=SAMPLING, max_rows=64, decodes=None, asked=None):
    engine = TorchEngine(policy, max_rows)
    engine._decodes = decodes
    groups = list(engine.generate(asked or prompts(), sampling, replies=replies))
    assert [[c.sample_index for c in g] for g in groups] == [list(range(sampling.n))] * len(asked or prompts())
    return {(c.task_id, c.sample_index): c for g in groups for c in g}


def sampled(completions):
    return {name: (c.token_ids, c.inserted, c.finish_reason, c.text) for name, c in completions.items()}


@pytest.fixture(scope="module")
def at_once():
    """The episodes that every other timing has to give."""
    found = episodes(make_policy(), Scripted(random_script()))
    turns = [len(c.turns) for c in found.values()]
    assert set(turns) == {1, 2, 3, 4, 5, 6}
    assert {c.finish_reason for c in found.values()} == {"stop", "length"}
    return found


# --- when replies come -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("max_rows", [1, 4, 64])
@pytest.mark.parametrize("late", [0, 1, 7])
def test_the_timing_of_replies_and_the_number_of_rows_change_nothing(policy, at_once, late, max_rows):
    found = episodes(policy, Scripted(random_script(), late), max_rows=max_rows)
    assert sampled(found) == sampled(at_once)
    for name, completion in found.items():
        assert completion.logprobs == pytest.approx(at_once[name].logprobs, abs=1e-5)


@pytest.mark.parametrize("seed", range(3))
def test_replies_from_threads(policy, at_once, seed):
    assert sampled(episodes(policy, Threaded(random_script(), seed=seed), max_rows=5)) == sampled(at_once)


def test_one_that_is_answered_late_keeps_nobody_waiting(policy, at_once):
    """No barrier: all other groups are whole before the first turn of one episode is answered."""
    replies, held = Scripted(random_script()), []
    submit = replies.submit

    def hold(turn):
        if (turn.task_id, turn.sample_index, turn.turn) == ("task 2", 1, 0):
            held.append(turn)
        else:
            submit(turn)

    replies.submit = hold
    stream = TorchEngine(policy).generate(prompts(), SAMPLING, replies=replies)
    groups = [next(stream) for _ in range(5)]
    assert "task 2" not in {g[0].task_id for g in groups}
    submit(held[0])
    groups += stream
    assert sampled({(c.task_id, c.sample_index): c for g in groups for c in g}) == sampled(at_once)


def test_it_waits_only_when_nothing_runs(policy):
    replies = Scripted(random_script(), late=0)
    episodes(policy, replies)
    assert replies.waits < len(replies.turns)
    slow = Scripted(lambda turn: [50] if turn.turn < 2 else None, late=3)
    alone = SamplingParams(n=1, max_tokens=30, turn_tokens=4)
    episodes(policy, slow, alone, asked=prompts(1))
    assert slow.waits >= 3


@pytest.mark.parametrize("kept", [0, 1, 5])
def test_what_is_not_kept_goes_through_the_model_again(policy, at_once, monkeypatch, kept):
    """Of the episodes that are away only so many keep their keys and values."""
    fed, room = [], rows_module.Rows._elsewhere
    extend = rows_module.Rows._extend
    monkeypatch.setattr(
        rows_module.Rows, "_extend", lambda self, e, ids: (fed.extend(map(len, ids)), extend(self, e, ids))
    )
    episodes(policy, Scripted(random_script()), max_rows=64)
    inserted = [len(ids) for c in at_once.values() for _, ids in c.inserted]
    assert sorted(fed) == sorted(count + 1 for count in inserted)
    busy = type("Kept", (), {"kept": object()})()
    slots = len(at_once)
    monkeypatch.setattr(rows_module.Rows, "_elsewhere", lambda self: [*room(self), *[busy] * (slots - kept)])
    fed.clear()
    assert sampled(episodes(policy, Scripted(random_script(), late=2), max_rows=64)) == sampled(at_once)
    assert max(fed) > max(inserted) + 1
    assert len(fed) == len(inserted)


def test_memory_of_those_that_are_away_is_bounded(policy, monkeypatch):
    most, leave = [], rows_module.Rows._leave

    def look(self, ended):
        leave(self, ended)
        most.append(sum(e.kept is not None for e in self._elsewhere()))

    monkeypatch.setattr(rows_module.Rows, "_leave", look)
    episodes(policy, Scripted(random_script(), late=30), max_rows=4)
    assert max(most) == 4


# --- what is sampled ---------------------------------------------------------------------------------------------


def plain_logits(policy, prompt, completion):
    ids, places = interleaved(prompt, completion)
    with torch.no_grad():
        logits = policy.model(input_ids=torch.tensor([ids])).logits[0]
    return logits[torch.tensor(places) - 1]


def test_every_token_is_drawn_from_the_model_by_the_seed_of_its_turn(policy, at_once):
    """Log-probabilities are those of a plain forward of the interleaved sequence; randomness is of the turn's number alone."""
    for completion in at_once.values():
        prompt = next(p for p in prompts() if p.task_id == completion.task_id)
        logprobs = processed_logprobs(plain_logits(policy, prompt, completion), SAMPLING)
        of_tokens = logprobs.gather(-1, torch.tensor(completion.token_ids)[:, None])[:, 0]
        torch.testing.assert_close(torch.tensor(completion.logprobs), of_tokens, rtol=0, atol=1e-5)
        starts = [turn.start for turn in completion.turns]
        assert [index for index, _ in completion.inserted] == starts[1:]
        for number, (start, stop) in enumerate(zip(starts, [*starts[1:], len(logprobs)], strict=True)):
            uniform = uniforms(SAMPLING, completion.task_id, completion.sample_index, number)[: stop - start]
            tokens, _ = draw(logprobs[start:stop], torch.from_numpy(uniform), greedy=False)
            assert tokens.tolist() == completion.token_ids[start:stop]
            assert len(completion.token_ids[start:stop]) <= SAMPLING.turn_tokens


def test_seeds_of_turns():
    seeds = {sample_seed(s, task, i, t) for s in (0, 1) for task in ("a", "b") for i in range(3) for t in range(4)}
    assert len(seeds) == 48
    assert sample_seed(3, "a", 2, 0) == sample_seed(3, "a", 2)


@pytest.mark.parametrize("build", BUILDS)
@pytest.mark.parametrize("decodes", [True, False])
def test_every_build_by_its_own_forward_and_by_the_decoder(build, decodes):
    policy, asked = policy_of(BUILDS[build]), [Prompt(str(i), tuple(range(3, 5 + 2 * i))) for i in range(4)]
    sampling = dataclasses.replace(SAMPLING, stop_token_ids=tuple(range(40, 46)))
    replies = Scripted(random_script(first_id=3, last_id=80), late=2)
    for completion in episodes(policy, replies, sampling, 5, decodes, asked).values():
        logprobs = processed_logprobs(plain_logits(policy, asked[int(completion.task_id)], completion), sampling)
        wanted = logprobs.gather(-1, torch.tensor(completion.token_ids)[:, None])[:, 0]
        torch.testing.assert_close(torch.tensor(completion.logprobs), wanted, rtol=0, atol=1e-5)


@pytest.mark.parametrize("build", BUILDS)
def test_several_tokens_at_once_are_the_same_arithmetic_as_one_by_one(build):
    """Rows of other lengths side by side, in float64."""
    policy = policy_of(BUILDS[build])
    decoder = Decoder(policy)
    ids = torch.arange(3, 63).view(3, 20)
    past, new = torch.tensor([2, 11, 5]), torch.tensor([6, 3, 9])

    def prefilled():
        cache = SlotCache(len(decoder.layers), 3, decoder.dtype)
        for layer in cache.slot_layers:
            layer.lazy_initialization(
                *[torch.zeros(3, decoder.key_heads, 0, decoder.head_dim, dtype=torch.float64)] * 2
            )
        return cache

    with torch.no_grad():
        cache, single = prefilled(), []
        for column in range(20):
            positions = torch.full((3,), column)
            cache.step(positions)
            single.append(decoder.step(ids[:, column : column + 1], positions[:, None], cache))
        wanted = torch.stack([single[int(p + n) - 1][row] for row, (p, n) in enumerate(zip(past, new, strict=True))])
        kept = [cache.take_out(row, int(past[row])) for row in range(3)]
        cache = prefilled()
        for row in range(3):
            cache.put_back(row, kept[row])
        columns = past[:, None] + torch.arange(9)
        cache.extend(0, columns)
        found = decoder.step(ids.gather(1, columns), columns, cache, new - 1)
    assert (found - wanted).abs().max() < 1e-10


def test_bfloat16_stays_with_the_model(policy):
    policy.autocast = torch.bfloat16
    found = episodes(policy, Scripted(random_script(), late=2), max_rows=5)
    for completion in found.values():
        prompt = next(p for p in prompts() if p.task_id == completion.task_id)
        with policy.precision():
            logits = plain_logits(policy, prompt, completion).float()
        wanted = processed_logprobs(logits, SAMPLING).gather(-1, torch.tensor(completion.token_ids)[:, None])[:, 0]
        assert (torch.tensor(completion.logprobs) - wanted).abs().mean() < 0.05


def test_greedy_episodes_are_the_arg_max_of_the_interleaved_sequence(policy):
    sampling = dataclasses.replace(SAMPLING, temperature=0.0, n=2, turn_tokens=5)
    for completion in episodes(policy, Scripted(random_script(), late=1), sampling).values():
        prompt = next(p for p in prompts() if p.task_id == completion.task_id)
        assert plain_logits(policy, prompt, completion).argmax(-1).tolist() == completion.token_ids


def test_filters_and_stop_strings_hold_in_every_turn(policy):
    stops = tuple("aeijTX5%")
    sampling = dataclasses.replace(SAMPLING, top_k=60, top_p=0.9, min_p=0.001, stop=stops, stop_token_ids=())
    replies = Scripted(random_script(), late=1)
    found = episodes(policy, replies, sampling)
    assert sum(t.finish_reason == "stop" for t in replies.turns) > 3
    for turn in replies.turns:
        whole = policy.tokenizer.decode(turn.token_ids, skip_special_tokens=True)
        assert whole.startswith(turn.text)
        assert not set(stops) & set(turn.text)
        assert (turn.finish_reason == "stop") == (turn.text != whole)
    for completion in found.values():
        prompt = next(p for p in prompts() if p.task_id == completion.task_id)
        logprobs = processed_logprobs(plain_logits(policy, prompt, completion), sampling)
        wanted = logprobs.gather(-1, torch.tensor(completion.token_ids)[:, None])[:, 0]
        torch.testing.assert_close(torch.tensor(completion.logprobs), wanted, rtol=0, atol=1e-5)


# --- what is told ------------------------------------------------------------------------------------------------


def test_a_turn_says_what_it_may_still_cost(policy):
    """Limits of turns and of the whole: the last turn is cut by what is left."""
    replies = Scripted(lambda turn: [60, 61])
    sampling = SamplingParams(n=2, max_tokens=23, turn_tokens=10)
    found = episodes(policy, replies, sampling, asked=prompts(2))
    assert {
        tuple(len(t.token_ids) for t in replies.turns if (t.task_id, t.sample_index) == name) for name in found
    } == {(10, 10, 3)}
    assert sorted({(t.turn, t.tokens_left, t.finish_reason) for t in replies.turns}) == [
        (0, 13, "length"), (1, 3, "length"), (2, 0, "length"),
    ]  # fmt: skip
    assert all(len(c.token_ids) == 23 for c in found.values())


def test_a_completion_holds_what_its_reply_says(policy, at_once):
    for completion in at_once.values():
        assert completion.ending == "done"
        assert completion.outcome.value == len(completion.turns) - 1 == len(completion.inserted)
        assert completion.text == completion.turns[-1].text
        assert completion.later_versions == []
        assert len(completion.token_ids) == len(completion.logprobs)


def test_a_reply_without_ids_goes_on_at_once(policy):
    found = episodes(policy, Scripted(lambda turn: None if turn.turn else []), asked=prompts(2))
    for completion in found.values():
        assert completion.inserted == []
        assert len(completion.turns) == 2
        prompt = next(p for p in prompts() if p.task_id == completion.task_id)
        wanted = processed_logprobs(plain_logits(policy, prompt, completion), SAMPLING)
        wanted = wanted.gather(-1, torch.tensor(completion.token_ids)[:, None])[:, 0]
        torch.testing.assert_close(torch.tensor(completion.logprobs), wanted, rtol=0, atol=1e-5)


def test_what_is_under_way_counts_episodes_that_are_away(policy):
    told, whole = [], []
    engine = TorchEngine(policy, max_rows=4)
    for group in engine.generate(
        prompts(), SAMPLING, lambda amount: told.append(amount + len(whole)), Scripted(random_script(), late=3)
    ):
        whole.append(group)
    assert 0 < told[0] < 0.2
    assert told == pytest.approx(sorted(told))  # nothing that was sampled is forgotten while its reply is waited for
    assert told[-1] <= len(prompts())


# --- what goes wrong ---------------------------------------------------------------------------------------------


def test_an_abandoned_call_disturbs_no_later_one(policy, at_once):
    engine = TorchEngine(policy, max_rows=4)
    policy.model.train()
    stream = engine.generate(prompts(), SAMPLING, replies=Scripted(random_script(), late=5))
    next(stream)
    stream.close()
    assert policy.model.training
    groups = engine.generate(prompts(), SAMPLING, replies=Scripted(random_script(), late=5))
    assert sampled({(c.task_id, c.sample_index): c for g in groups for c in g}) == sampled(at_once)


class Told(Scripted):
    """Gives one reply to everything."""

    def __init__(self, reply):
        super().__init__(None)
        self.reply = reply

    def answer(self, turn):
        return self.reply


@pytest.mark.parametrize(
    ("reply", "max_tokens", "error", "message"),
    [
        (
            Reply("task 0", 0, [50] * 498),
            20,
            RunFailed,
            "task 0, sample 0: 508 tokens stand before turn 1.*context of 512",
        ),
        (
            Reply("task 0", 0, [50]),
            5,
            RunFailed,
            "task 0, sample 0: a reply to turn 0 goes on, and the episode may sample no",
        ),
        (Reply("task 9", 0, [50]), 20, RuntimeError, "a reply to task task 9, sample 0, which waits for none"),
    ],
)
def test_a_reply_that_cannot_be_is_refused(policy, reply, max_tokens, error, message):
    sampling = SamplingParams(max_tokens=max_tokens, turn_tokens=5)
    with pytest.raises(error, match=message):
        list(TorchEngine(policy).generate(prompts(1), sampling, replies=Told(reply)))


def test_replies_that_fail_end_the_call(policy):
    replies = Scripted(random_script())
    replies.take = lambda wait: (_ for _ in ()).throw(RunFailed("the workers are gone"))
    with pytest.raises(RunFailed, match="the workers are gone"):
        list(TorchEngine(policy).generate(prompts(1), SAMPLING, replies=replies))
