"""What every engine does, whatever samples; a new one is a line in ENGINES."""

import pytest
import torch

from grpo_kit.errors import UserError
from grpo_kit.generate.base import SamplingParams
from grpo_kit.generate.torch_engine import TorchEngine
from grpo_kit.observe.measure import Measures
from grpo_kit.types import Prompt
from tests.kit.ahead_runs import OwnWeights
from tests.kit.sources import FakeGenerator
from tests.kit.tiny import make_policy
from tests.kit.vllm import vllm_policy

OF_VLLM = "vllm"
ENGINES = {
    "embedded": lambda: TorchEngine(make_policy()),
    "embedded, few rows": lambda: TorchEngine(make_policy(), max_rows=3),
    "with weights of its own": lambda: OwnWeights(make_policy()),
    "made up": FakeGenerator,
}
SAMPLING = SamplingParams(n=4, max_tokens=8)


@pytest.fixture(params=[*ENGINES, OF_VLLM])
def engine(request):
    """An engine with the weights of seed 0 as version 0."""
    if request.param == OF_VLLM:
        opened = request.getfixturevalue("vllm_engine")
        opened.policy.model.load_state_dict(vllm_policy().model.state_dict())
        opened.sync(opened.policy.model, 0)
        yield opened
        return
    opened = ENGINES[request.param]()
    opened.sync(model_of(opened), 0)
    yield opened
    opened.close()


def model_of(engine):
    return engine.policy.model if hasattr(engine, "policy") else None


def prompts(count):
    return [Prompt(str(i), tuple(range(30, 36 + i))) for i in range(count)]


def tokens(engine, asked, sampling=SAMPLING):
    return {g[0].task_id: [c.token_ids for c in g] for g in engine.generate(asked, sampling)}


def test_every_prompt_is_answered_once_by_whole_groups(engine):
    groups = list(engine.generate(prompts(5), SAMPLING))
    assert sorted(group[0].task_id for group in groups) == [p.task_id for p in prompts(5)]
    for group in groups:
        assert len({c.task_id for c in group}) == 1
        assert [c.sample_index for c in group] == [0, 1, 2, 3]


def test_a_completion_says_what_was_sampled_and_how_it_ended(engine):
    for completion in (c for group in engine.generate(prompts(3), SAMPLING) for c in group):
        assert 0 < len(completion.token_ids) == len(completion.logprobs) <= SAMPLING.max_tokens
        assert all(value <= 0.0 for value in completion.logprobs)
        assert completion.finish_reason in ("stop", "length")
        assert completion.truncated == (completion.finish_reason == "length")


def test_nothing_is_asked_of_no_prompts(engine):
    assert list(engine.generate([], SAMPLING)) == []


def test_randomness_is_of_seed_task_and_sample_alone(engine):
    """Whoever else is in the batch, in whatever order, and how many samples a prompt has."""
    whole = tokens(engine, prompts(5))
    assert tokens(engine, prompts(5)[::-1]) == whole
    assert tokens(engine, prompts(5)[2:3]) == {"2": whole["2"]}
    fewer = tokens(engine, prompts(5), SamplingParams(n=2, max_tokens=8))
    assert fewer == {task: samples[:2] for task, samples in whole.items()}
    assert tokens(engine, prompts(5), SamplingParams(n=4, max_tokens=8, seed=1)) != whole
    assert len({tuple(sample) for sample in whole["0"]}) > 1


def test_greedy_answers_know_no_seed(engine):
    first, second = (tokens(engine, prompts(3), SamplingParams(temperature=0.0, max_tokens=8, seed=s)) for s in (0, 1))
    assert first == second


def test_every_completion_carries_the_version_that_sampled_it(engine):
    for version in (1, 7):
        engine.sync(model_of(engine), version)
        assert engine.policy_version == version
        versions = {c.policy_version for group in engine.generate(prompts(2), SAMPLING) for c in group}
        assert versions == {version}


def test_new_weights_are_used_and_old_ones_forgotten(engine):
    before = tokens(engine, prompts(3))
    model = model_of(engine)
    if model is not None:
        generator = torch.Generator().manual_seed(0)
        with torch.no_grad():
            for parameter in model.parameters():
                parameter.copy_(0.3 * torch.randn(parameter.shape, generator=generator))
    engine.sync(model, 1)
    after = tokens(engine, prompts(3))
    assert after != before
    assert tokens(engine, prompts(3)) == after


def test_one_that_is_abandoned_disturbs_no_later_one(engine):
    expected = tokens(engine, prompts(5))
    stream = engine.generate(prompts(5), SAMPLING)
    next(stream)
    if hasattr(stream, "close"):
        stream.close()
    assert tokens(engine, prompts(5)) == expected


@pytest.mark.parametrize(
    ("asked", "longest", "error"),
    [([prompts(1)[0]] * 2, 8, ValueError), (prompts(1), 10_000, UserError)],
    ids=["two prompts of one name", "beyond the context"],
)
def test_what_cannot_be_sampled_is_refused(engine, asked, longest, error):
    with pytest.raises(error):
        list(engine.generate(asked, SamplingParams(max_tokens=longest)))
    assert tokens(engine, prompts(2)).keys() == {"0", "1"}


def test_weights_that_stand_change_nothing_in_what_is_sampled(engine):
    expected = tokens(engine, prompts(2))
    for stable in (True, False, True):
        engine.weights_stable(stable)
        assert tokens(engine, prompts(2)) == expected


def test_statistics_say_how_they_merge_over_ranks(engine):
    list(engine.generate(prompts(2), SAMPLING))
    assert isinstance(engine.statistics(), Measures)


@pytest.mark.parametrize("name", ENGINES)
def test_it_closes_more_than_once_and_before_it_was_used(name):
    opened = ENGINES[name]()
    opened.close()
    opened.close()
