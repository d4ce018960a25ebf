"""Episodes that the embedded engine samples, answered by an environment in processes of its own."""

import dataclasses

import pytest
import torch

from grpo_kit.config.environment import EnvironmentConfig
from grpo_kit.environments.episodes import play
from grpo_kit.environments.formats import Call, write
from grpo_kit.environments.opening import find_setting
from grpo_kit.generate.base import SampledTurn, SamplingParams
from grpo_kit.generate.episode import text_of
from grpo_kit.generate.sampling import processed_logprobs
from grpo_kit.generate.torch_engine import TorchEngine
from grpo_kit.types import Prompt
from tests.kit.replies import interleaved
from tests.kit.said import END, TOKENIZER, open_episodes, task
from tests.kit.templates import chat_tokenizer

# Many tokens end a turn, so that a model which knows nothing has several.
SAMPLING = SamplingParams(n=4, max_tokens=60, turn_tokens=25, stop_token_ids=(END, *range(64, 256)), seed=2)


def rendered(episodes):
    return episodes.prepare(
        [(task(name), Prompt(name, tuple(TOKENIZER.encode(f"Question {name}?")))) for name in "abcde"]
    )


def played(policy, max_rows=64, **settings):
    with open_episodes(**settings) as episodes:
        pairs = rendered(episodes)
        groups = list(play(TorchEngine(policy, max_rows), pairs, SAMPLING, episodes))
    return {prompt.task_id: prompt for _, prompt in pairs}, {(c.task_id, c.sample_index): c for g in groups for c in g}


def test_what_was_inserted_is_what_the_environment_said_and_every_token_is_the_models(policy):
    prompts, found = played(policy)
    assert len(found) == 20
    assert max(len(c.turns) for c in found.values()) >= 3
    for completion in found.values():
        assert [index for index, _ in completion.inserted] == [turn.start for turn in completion.turns[1:]]
        for turn, (_, inserted) in zip(completion.turns, completion.inserted, strict=False):
            assert turn.replies[-1]["content"] in TOKENIZER.decode(inserted)
        ids, places = interleaved(prompts[completion.task_id], completion)
        with torch.no_grad():
            logits = policy.model(input_ids=torch.tensor([ids])).logits[0, torch.tensor(places) - 1]
        wanted = processed_logprobs(logits, SAMPLING).gather(-1, torch.tensor(completion.token_ids)[:, None])[:, 0]
        torch.testing.assert_close(torch.tensor(completion.logprobs), wanted, rtol=0, atol=1e-5)


def test_how_many_rows_and_workers_there_are_changes_nothing(policy):
    _, found = played(policy)
    _, others = played(policy, max_rows=4, workers=2)
    for name, completion in found.items():
        other = others[name]
        assert (other.token_ids, other.inserted, other.ending) == (
            completion.token_ids,
            completion.inserted,
            completion.ending,
        )
        assert [t.replies for t in other.turns] == [t.replies for t in completion.turns]


@pytest.mark.parametrize("max_rows", [4, 64])
def test_an_environment_of_one_turn_is_no_environment_bit_for_bit(policy, max_rows):
    """Law 11: token ids and log-probabilities, whenever the ends are told."""
    prompts, found = played(policy, max_rows, turns=1)
    alone = TorchEngine(policy, max_rows).generate(list(prompts.values()), SAMPLING)
    for completion in (c for group in alone for c in group):
        other = found[completion.task_id, completion.sample_index]
        assert len(other.turns) == 1
        assert dataclasses.replace(other, turns=[], ending=None, outcome=None) == completion


def test_turns_that_are_rendered_anew_keep_the_special_tokens_that_calls_are_made_of():
    tokenizer = chat_tokenizer("mistral")
    tokenizer.chat_template += "{# writes calls as [TOOL_CALLS] #}"
    settings = EnvironmentConfig(tools=("calculator",), history="fresh", turns=2, max_inserted=2000)
    call = tokenizer.encode(write([Call("calculator", {"expression": "2*3"})], "mistral"), add_special_tokens=False)
    mark = tokenizer.convert_tokens_to_ids("[TOOL_CALLS]")
    assert call[0] == mark
    with find_setting(settings, tokenizer).open(0) as episodes:
        [(made, _)] = episodes.prepare([(task("t"), Prompt("t", (1,)))])
        with episodes.open_round([made]) as replies:
            replies.submit(SampledTurn("t", 0, 0, call, text_of(tokenizer, call, ()), "stop", 1000))
            [reply] = replies.take(wait=True)
    assert reply.inserted.count(mark) == 1
