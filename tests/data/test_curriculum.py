"""Samplers that go by what was right so far: their evidence in exact numbers, what they choose, and exact continuation."""

import json
import random

import numpy as np
import pytest

from grpo_kit.config import CurriculumConfig
from grpo_kit.data.curriculum import Evidence, PoolSampler, ThompsonSampler
from grpo_kit.policy.scratch import build_tokenizer
from grpo_kit.types import Completion, Group, Prompt, Score, Task

TOKENIZER = build_tokenizer()
KINDS = {"pools": PoolSampler, "thompson": ThompsonSampler}


class Rows:
    """A source of so many prompts, of which all have one length."""

    def __init__(self, size):
        self.size, self.fingerprint = size, f"rows={size}"

    def task(self, index):
        return Task(f"t{index}", ({"role": "user", "content": f"{index:03d}"},), "1")


def opened(kind, size=40, **settings):
    config = CurriculumConfig(sampler=kind, **settings)
    return KINDS[kind](Rows(size), TOKENIZER, config, seed=3, max_prompt_tokens=64)


def answered(task, right, wrong, unjudged=0):
    scores = [Score(1.0)] * right + [Score(0.0)] * wrong + [Score.abstain()] * unjudged
    completions = [Completion.of_text(task.id, i, "x") for i in range(len(scores))]
    return Group(task, Prompt(task.id, (1,)), completions, scores)


def step(sampler, count=4, rate=lambda index: 0.5, samples=8):
    """Draw, answer each prompt as often right as its number says, and tell; returns the numbers."""
    tasks = [task for task, _ in sampler.next(count)]
    indices = [int(task.id[1:]) for task in tasks]
    for task, index in zip(tasks, indices, strict=True):
        right = round(samples * rate(index))
        sampler.observe([answered(task, right, samples - right)])
    return indices


def test_the_posterior_is_the_prior_and_what_was_found_each_step_counting_less():
    evidence = Evidence(3, CurriculumConfig(decay=0.9))
    evidence.add(1, right=6, judged=8)
    evidence.fade()
    evidence.fade()
    evidence.add(1, right=1, judged=4)
    a, b = evidence.parameters()
    right, seen = 6.0 * 0.9 * 0.9 + 1.0, 8.0 * 0.9 * 0.9 + 4.0
    assert a.tolist() == [1.0, 1.0 + right, 1.0]
    assert b.tolist() == [1.0, 1.0 + (seen - right), 1.0]
    mean = (1.0 + right) / ((1.0 + right) + (1.0 + (seen - right)))
    assert evidence.statistics()["curriculum/mean_posterior"] == np.array([0.5, mean, 0.5]).mean()


def test_prompts_stand_in_pools_by_their_rate_and_are_unseen_again_once_forgotten():
    evidence = Evidence(5, CurriculumConfig(decay=0.5, hard=0.125, easy=0.875))
    for index, right in ((0, 8), (1, 0), (2, 4), (3, 1)):
        evidence.add(index, right, 8)

    def pool(index):
        return [name for name, members in evidence.pools().items() if members[index]]

    assert [pool(i) for i in range(5)] == [["easy"], ["hard"], ["between"], ["hard"], ["unseen"]]
    for _ in range(4):
        evidence.fade()  # 8 / 16 is half a response
    assert pool(0) == ["easy"]
    evidence.fade()
    assert [pool(i) for i in range(5)] == [["unseen"]] * 5
    said = evidence.statistics()
    assert (said["curriculum/unseen"], said["curriculum/easy"], said["curriculum/hard"]) == (1.0, 0.0, 0.0)


def test_what_nobody_judged_is_neither_right_nor_wrong():
    sampler = opened("thompson")
    (task, _), *_ = sampler.next(1)
    sampler.observe([answered(task, right=1, wrong=2, unjudged=5)])
    index = int(task.id[1:])
    assert (sampler.evidence.right[index], sampler.evidence.seen[index]) == (1.0, 3.0)


def test_thompson_takes_the_prompts_whose_draw_is_nearest_to_the_target():
    sampler = opened("thompson", target=0.25)
    for number in range(1, 6):
        right, seen = sampler.evidence.right * 0.98, sampler.evidence.seen * 0.98
        drawn = np.random.default_rng([3, number]).beta(1.0 + right, 1.0 + (seen - right))
        nearest = sorted(range(40), key=lambda i: (abs(drawn[i] - 0.25), i))[:4]
        assert step(sampler, rate=lambda i: (i % 9) / 8) == nearest


def test_thompson_comes_to_draw_what_is_right_half_of_the_time():
    """Of 40 prompts 4 are half right, and the others always or never."""

    def rate(index):
        return 0.5 if index < 4 else float(index % 2)

    def of_the_four(kind):
        sampler = opened(kind)
        late = [index for number in range(60) for index in step(sampler, rate=rate) if number >= 30]
        return sum(index < 4 for index in late) / len(late)

    assert of_the_four("thompson") > 0.7
    assert of_the_four("pools") > 0.3  # an order would be at 0.1


def test_pools_leave_easy_and_hard_prompts_out_of_most_epochs_and_nothing_else():
    sampler = opened("pools", decay=1.0, revisit=0.25)
    rates = {index: (0.5, 0.0, 1.0)[index % 3] for index in range(40)}
    first = [index for _ in range(10) for index in step(sampler, rate=rates.get)]
    assert sorted(first) == list(range(40))  # unseen: everything once
    counts = dict.fromkeys(range(40), 0)
    drawn = [index for _ in range(400) for index in step(sampler, rate=rates.get)]
    for index in drawn:
        counts[index] += 1
    epochs = sampler.position // 40 - 1
    for index in range(40):
        turns = [e for e in range(1, epochs + 1) if random.Random(f"3/revisit/{e}/{index}").random() < 0.25]
        expected = epochs if index % 3 == 0 else len(turns)
        assert abs(counts[index] - expected) <= 1, index  # the last epoch is not over


def test_a_step_is_filled_with_what_is_too_easy_where_all_else_had_its_turn():
    """A data set no larger than two steps, nearly all of which is solved, is no reason to end a run."""
    sampler = opened("pools", size=8, decay=1.0, revisit=1e-9)
    for _ in range(6):
        assert sorted(step(sampler, count=8, rate=lambda index: 0.5 if index == 3 else 1.0)) == list(range(8))
    sampler = opened("pools", size=8, decay=1.0, revisit=1e-9)
    drawn = [step(sampler, count=4, rate=lambda index: 0.5 if index < 4 else 1.0) for _ in range(12)]
    assert all(sorted(indices) == [0, 1, 2, 3] for indices in drawn[2:])  # what is between comes first


@pytest.mark.parametrize("kind", KINDS)
def test_a_step_s_further_rounds_bring_other_prompts_and_no_time_passes(kind):
    sampler = opened(kind)
    first = [task for task, _ in sampler.next(8)]
    for task in first:
        sampler.observe([answered(task, 8, 0)])
    seen = sampler.evidence.seen.copy()
    more = [task.id for task, _ in sampler.next(8, {task.id for task in first})]
    assert len(set(more) - {task.id for task in first}) == 8
    assert (sampler.evidence.seen == seen).all()
    rest = sampler.next(40, {f"t{i}" for i in range(38)})
    assert {task.id for task, _ in rest} == {"t38", "t39"}


@pytest.mark.parametrize("kind", KINDS)
def test_continuation_is_exact_at_any_step(kind):
    def rate(index):
        return (index % 9) / 8

    straight = opened(kind)
    expected = [step(straight, rate=rate) for _ in range(12)]
    told = straight.statistics()
    for cut in range(12):
        before = opened(kind)
        for _ in range(cut):
            step(before, rate=rate)
        after = opened(kind)
        after.load_state_dict(json.loads(json.dumps(before.state_dict())))
        assert after.state_dict() == before.state_dict()
        assert [step(after, rate=rate) for _ in range(12 - cut)] == expected[cut:]
        assert after.statistics() == told


@pytest.mark.parametrize("kind", KINDS)
def test_the_seed_and_nothing_else_decides_the_first_step(kind):
    first = [[task.id for task, _ in opened(kind).next(6)] for _ in range(2)]
    other = KINDS[kind](Rows(40), TOKENIZER, CurriculumConfig(sampler=kind), seed=4, max_prompt_tokens=64)
    assert first[0] == first[1] != [task.id for task, _ in other.next(6)]
