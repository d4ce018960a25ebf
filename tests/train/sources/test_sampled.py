"""Groups that are sampled a step at a time: dynamic sampling refills, greedy baselines."""

import pytest

from grpo_kit.errors import RunFailed
from grpo_kit.objective.algorithms import ALGORITHMS
from grpo_kit.train.sources.rounds import interleaved
from tests.kit.sources import FewTasks, sampled


def agrees(group):
    return len({s.value for s in group.scores}) == 1


def test_dynamic_sampling_refills_the_batch():
    groups = sampled("dapo", easy=5)
    generator = groups.setup.generator
    found = groups.next(1, 8)
    assert len(found) == 8
    assert not any(agrees(g) for g in found)
    assert len({g.task.id for g in found}) == 8
    assert len(generator.seeds) == len(set(generator.seeds)) == 2
    statistics = groups.statistics()
    assert statistics["refill/rounds"] == 1
    assert statistics["refill/discarded_groups"] == 5
    assert statistics["refill/discarded_tokens"] == 20


def test_refilling_ends_and_never_shrinks_the_batch():
    groups = sampled("dapo", easy=1000, max_refills=2)
    found = groups.next(1, 4)
    assert len(found) == 4
    assert all(agrees(g) for g in found)
    assert groups.statistics()["refill/agreeing_groups_used"] == 4


def test_other_algorithms_take_what_comes():
    groups = sampled("grpo", easy=5)
    generator = groups.setup.generator
    assert sum(agrees(g) for g in groups.next(1, 8)) == 5
    assert len(generator.seeds) == 1


def test_the_greedy_baseline_is_one_more_sample_per_prompt():
    groups = sampled("remax")
    found = groups.next(1, 3)
    assert [g.greedy.value for g in found] == [0.25] * 3
    assert all(len(g.completions) == 4 for g in found)
    plain = sampled("grpo")
    assert plain.next(1, 3)[0].greedy is None


def test_completions_of_another_version_stop_the_run():
    groups = sampled("grpo")
    groups.setup.generator.version = 2
    with pytest.raises(RunFailed, match=r"versions \[2\] reached the update of 3"):
        groups.next(1, 2)


def test_a_row_can_be_changed_without_code():
    """Dynamic sampling is an axis: any algorithm can have it."""
    groups = sampled(ALGORITHMS["grpo"].model_copy(update={"dynamic_sampling": True}), easy=2)
    assert not any(agrees(g) for g in groups.next(1, 4))


def test_a_refill_draws_no_task_that_the_step_has_already():
    groups = sampled("dapo", easy=3, tasks=FewTasks())
    for step in (1, 2, 3):
        found = groups.next(step, 4)
        assert len({g.task.id for g in found}) == len(found) == 4


def test_refills_end_when_every_task_was_drawn():
    groups = sampled("dapo", easy=1000, tasks=FewTasks())
    assert len(groups.next(1, 4)) == 4
    assert len(groups.setup.generator.seeds) == 2  # the fifth task, and no more


def test_fillers_are_dealt_evenly_over_the_updates_of_a_batch():
    groups = sampled("dapo", easy=1000, max_refills=1)
    learnable, fillers = groups.next(1, 20), groups.next(2, 12)
    for kept, filled, updates in ((20, 12, 2), (4, 12, 2), (14, 2, 4), (12, 4, 4)):
        dealt = interleaved(learnable[:kept], fillers[:filled])
        size = len(dealt) // updates
        shares = [sum(g in fillers for g in dealt[k : k + size]) for k in range(0, len(dealt), size)]
        assert max(shares) - min(shares) <= 1
        assert [g for g in dealt if g not in fillers] == learnable[:kept]
