"""What every source of groups does, whatever it reads or samples from; a new one is a line in SOURCES."""

import threading

import pytest
import torch

from grpo_kit.data.sampler import OtherData
from tests.kit.patience import wait_until
from tests.kit.sources import FewTasks, ahead, curriculum_sampler, mixed_sampler, recorded, replayed, sampled

SOURCES = {
    "sampled": sampled,
    "dynamic": lambda **options: sampled("dapo", easy=2, **options),
    "ahead": ahead,
    "far ahead": lambda **options: ahead(max_staleness=4, **options),
    "dynamic ahead": lambda **options: ahead("dapo", easy=2, **options),
    "recorded": recorded,
    "pools": lambda **options: sampled(sampler=curriculum_sampler("pools"), **options),
    "thompson": lambda **options: sampled(sampler=curriculum_sampler("thompson"), **options),
    "thompson dynamic": lambda **options: sampled("dapo", easy=2, sampler=curriculum_sampler("thompson"), **options),
    "mixture": lambda **options: sampled(sampler=mixed_sampler("order"), **options),
    "mixture ahead": lambda **options: ahead(sampler=mixed_sampler("order"), **options),
    "replayed": replayed,
    "replayed ahead": lambda **options: replayed(ahead, **options),
    "thompson mixture": lambda **options: sampled(sampler=mixed_sampler("thompson"), **options),
    "pools mixture dynamic": lambda **options: sampled("dapo", easy=2, sampler=mixed_sampler("pools"), **options),
}
SAMPLING = [name for name in SOURCES if name != "recorded"]
STEPS, COUNT = 6, 3


@pytest.fixture
def opened():
    """Makes sources of a kind, and closes them."""
    made = []

    def make(kind, **options):
        made.append(SOURCES[kind](**options))
        return made[-1]

    yield make
    for source in made:
        source.close()


def tasks_of(groups):
    return [group.task.id for group in groups]


def straight(source):
    return [tasks_of(source.next(step, COUNT)) for step in range(1, STEPS + 1)]


@pytest.mark.parametrize("kind", SOURCES)
def test_steps_come_in_an_order_that_can_be_repeated(opened, kind):
    first = straight(opened(kind))
    assert first == straight(opened(kind))
    assert all(len(set(step)) == len(step) == COUNT for step in first)
    assert first[0] != first[1]


@pytest.mark.parametrize("kind", SOURCES)
def test_groups_are_scored_and_whole(opened, kind):
    for group in opened(kind).next(1, COUNT):
        assert len(group.scores) == len(group.completions) > 0
        assert {c.task_id for c in group.completions} == {group.task.id} == {group.prompt.task_id}


@pytest.mark.parametrize("kind", SOURCES)
@pytest.mark.parametrize("done", [0, 1, 4])
def test_a_position_is_where_the_first_step_begins_that_nobody_learned_from(opened, kind, done, tmp_path):
    """Also when that step has been given, as a stop may come before it is learned from; and through a file."""
    expected, left = straight(opened(kind)), opened(kind)
    for step in range(1, done + 1):
        left.next(step, COUNT)
    positions = [left.position(done)]
    left.next(done + 1, COUNT)
    positions.append(left.position(done))
    torch.save(positions, tmp_path / "position.pt")
    for position in torch.load(tmp_path / "position.pt", weights_only=True):
        # What a step is paid for decides with dynamic sampling what the next one begins with: here as it was.
        resumed = opened(kind) if done == 0 or "dynamic" not in kind else never_easy(opened, kind)
        resumed.restore(position)
        assert resumed.position(done) == position
        assert [tasks_of(resumed.next(step, COUNT)) for step in range(done + 1, STEPS + 1)] == expected[done:]


def never_easy(opened, kind):
    source = opened(kind)
    source.setup.scorer.easy = 0
    return source


@pytest.mark.parametrize("kind", SOURCES)
def test_a_position_in_other_data_is_refused_and_nothing_moves(opened, kind):
    source, expected = opened(kind), straight(opened(kind))
    before = source.position(0)
    with pytest.raises(OtherData, match=r"not the data (sets )?that the checkpoint was trained on"):
        source.restore(before | {"fingerprint": FewTasks.fingerprint, "position": 3})
    assert source.position(0) == before
    assert straight(source) == expected


@pytest.mark.parametrize("kind", SOURCES)
def test_statistics_are_of_the_step_that_was_given_and_are_told_once(opened, kind):
    source = opened(kind)
    for step in (1, 2):
        source.next(step, COUNT)
        told = source.statistics()
        assert told["prompts_too_long"] == 0
        assert all(isinstance(value, (int, float)) for value in told.values())
        if "dynamic" in kind:
            assert told["refill/rounds"] == float(step == 1)
        assert not [name for name in source.statistics() if name.startswith(("refill/", "staleness/"))]


@pytest.mark.parametrize("kind", SAMPLING)
def test_what_is_counted_is_told_with_the_step_that_it_belongs_to(opened, kind):
    """Whatever is prepared meanwhile: verifiers count the groups of a step, and no others."""
    source, counts = opened(kind), []
    for step in range(1, STEPS + 1):
        source.next(step, COUNT)
        counts.append(source.statistics()["scored/count"])
        with source.paused():
            source.setup.scorer.statistics()  # as whoever evaluates does
    refilled = 2.0 if "dynamic" in kind else 0.0
    assert counts == [COUNT + refilled, *[COUNT] * (STEPS - 1)]


@pytest.mark.parametrize("kind", SOURCES)
def test_a_pause_changes_no_order_and_leaves_the_scorer_alone(opened, kind):
    source, expected = opened(kind), straight(opened(kind))
    found = []
    with source.paused():  # before the first step
        pass
    for step in range(1, STEPS + 1):
        found.append(tasks_of(source.next(step, COUNT)))
        with source.paused():
            if kind != "recorded":
                scorer = source.setup.scorer
                scored = scorer.scored
                assert scorer.at_work == 0
                threading.Event().wait(0.02)  # long enough for a thread that does not wait
                assert scorer.scored == scored
    assert found == expected


@pytest.mark.parametrize("kind", SOURCES)
def test_a_pause_ends_with_whatever_ends_it(opened, kind):
    source, expected = opened(kind), straight(opened(kind))
    found = [tasks_of(source.next(1, COUNT))]
    with pytest.raises(KeyError), source.paused():
        raise KeyError("abandoned")
    assert found + [tasks_of(source.next(step, COUNT)) for step in range(2, STEPS + 1)] == expected


@pytest.mark.parametrize("kind", SAMPLING)
@pytest.mark.parametrize("place", ["generator", "scorer"])
def test_what_fails_surfaces_in_the_step_that_needed_it(opened, kind, place):
    source = opened(kind)
    setup = source.setup

    def broken(*_, **__):
        raise ConnectionError("gone")
        yield

    if place == "generator":
        setup.generator.generate = broken
    else:
        setup.scorer.score_groups = broken
    before = source.position(0)
    for _ in range(2):
        with pytest.raises(ConnectionError, match="gone"):
            source.next(1, COUNT)
    assert source.position(0) == before


@pytest.mark.parametrize("kind", ["sampled", "dynamic"])
def test_a_step_that_was_abandoned_is_given_again(opened, kind):
    """What has a thread of its own goes on with it meanwhile; what has none begins anew."""
    source, expected = opened(kind), straight(opened(kind))
    scorer = source.setup.scorer
    plain, easy = scorer.score_groups, scorer.easy

    def interrupted(groups):
        yield next(plain(groups))
        raise KeyboardInterrupt

    scorer.score_groups = interrupted
    with pytest.raises(KeyboardInterrupt):
        source.next(1, COUNT)
    scorer.score_groups, scorer.easy = plain, easy
    assert straight(source) == expected


@pytest.mark.parametrize("kind", SOURCES)
@pytest.mark.parametrize("steps", [0, 2])
def test_it_closes_at_any_time_and_more_than_once(opened, kind, steps):
    threads = set(threading.enumerate())
    source = opened(kind)
    for step in range(1, steps + 1):
        source.next(step, COUNT)
    for _ in range(2):
        source.close()
    wait_until(lambda: set(threading.enumerate()) <= threads, "the threads of a source that is closed")


@pytest.mark.parametrize("kind", SOURCES)
def test_what_is_recorded_already_says_so(opened, kind):
    assert opened(kind).recorded == (kind == "recorded")


def test_sampling_ahead_gives_what_sampling_gives(opened):
    """The same tasks with the same random numbers, with and without dynamic sampling."""
    for kind, other in (("sampled", "ahead"), ("sampled", "far ahead"), ("dynamic", "dynamic ahead")):
        one, two = opened(kind), opened(other)
        assert straight(one) == straight(two)
        assert one.setup.generator.seeds == two.setup.generator.seeds


def test_a_row_of_ones_own_is_sampled_as_it_says(opened):
    from grpo_kit.objective.algorithms import ALGORITHMS

    greedy = ALGORITHMS["grpo"].model_copy(update={"baseline": ALGORITHMS["remax"].baseline})
    for make in (sampled, ahead):
        source = make(greedy)
        assert [group.greedy.value for group in source.next(1, COUNT)] == [0.25] * COUNT
        source.close()
