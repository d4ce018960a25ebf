"""What is replayed: which groups, in what proportion, how old they may be, and all of it from the record."""

import math
import random
from dataclasses import replace

import pytest
import torch

from grpo_kit.config.replay import ReplayConfig
from grpo_kit.data.records import read_step
from grpo_kit.errors import UserError
from grpo_kit.observe.rollout_file import rollout_path
from grpo_kit.observe.run_directory import RunDirectory
from grpo_kit.train.sources.replay_buffer import LEAST_PRIORITY, bias_weight, inclusion, systematic
from grpo_kit.types import Score
from tests.kit.sources import ahead, replayed, sampled

COUNT = 3


def step_of(source, step, run, advantages=None):
    """One step as the loop takes it: groups, learning, the record, and what came of it."""
    groups = source.next(step, COUNT)
    for group in groups:
        group.parts = group.parts or [{"math": score} for score in group.scores]
    learned = [[advantages(group)] * len(group.completions) if advantages else [1.0, -1.0] * 2 for group in groups]
    fresh = [(g, a) for g, a in zip(groups, learned, strict=True) if g.replayed is None]
    assert run.log_rollouts(step, [g for g, _ in fresh], [a for _, a in fresh])
    source.learned(step, groups, learned)
    return groups


@pytest.fixture
def run(tmp_path):
    directory = RunDirectory(tmp_path)
    directory.rollouts.mkdir()
    return directory


def again(groups):
    return [group for group in groups if group.replayed is not None]


def places(groups):
    return [(g.replayed.step, g.replayed.number) for g in again(groups)]


def test_replayed_groups_are_those_of_the_last_steps_as_they_were_sampled(run):
    source, plain = replayed(folder=run.path, steps=2), sampled()
    sampled_at = {}
    for step in range(1, 7):
        groups = step_of(source, step, run)
        fresh = [g for g in groups if g.replayed is None]
        assert [g.task.id for g in fresh] == [g.task.id for g in plain.next(step, COUNT)]  # as if nothing were replayed
        sampled_at |= {(step, number): group for number, group in enumerate(fresh)}
        assert len(again(groups)) == (0 if step == 1 else 2)
        assert len(set(places(groups))) == len(again(groups))
        for group in again(groups):
            place = (group.replayed.step, group.replayed.number)
            assert step - 2 <= place[0] < step
            assert group.replayed.weight == 1.0
            assert (group.task.id, group.completions) == (sampled_at[place].task.id, sampled_at[place].completions)
            assert [s.value for s in group.scores] == [s.value for s in sampled_at[place].scores]


@pytest.mark.parametrize("exponent", [0.0, 0.6])
@pytest.mark.parametrize("fresh", [sampled, ahead])
def test_a_run_that_goes_on_draws_what_it_would_have_drawn(run, tmp_path, fresh, exponent):
    def source():
        return replayed(fresh, folder=run.path, steps=3, priority_exponent=exponent)

    def size(group):
        return 0.1 + sum(map(ord, group.task.id)) % 7

    straight = source()
    for step in range(1, 4):
        step_of(straight, step, run, size)
    torch.save(straight.position(3), tmp_path / "position.pt")
    expected = [places(step_of(straight, step, run, size)) for step in range(4, 7)]
    resumed = source()
    resumed.restore(torch.load(tmp_path / "position.pt", weights_only=True))
    resumed.next(4, COUNT)  # and what is given and not learned from changes nothing
    resumed = source()
    resumed.restore(torch.load(tmp_path / "position.pt", weights_only=True))
    assert [places(step_of(resumed, step, run, size)) for step in range(4, 7)] == expected
    assert resumed.position(6) == straight.position(6)


def test_ages_are_measured_in_policy_versions_and_cut(run):
    now = {"version": 3}
    source = replayed(folder=run.path, steps=9, max_age=2, count=99, version=lambda: now["version"])
    ages, left_out = [], []
    for step in range(1, 6):
        source.setup.generator.sync(None, now["version"])
        step_of(source, step, run)
        told = source.statistics()
        assert told["replay/candidates"] == told["replay/groups"] == COUNT * min(step - 1, 2)
        ages.append((told.get("replay/age_mean"), told.get("replay/age_max")))
        left_out.append(told["replay/too_old"])
        assert not [name for name in source.statistics() if name.startswith("replay/")]
        now["version"] += 1
    assert ages == [(None, None), (1.0, 1.0), (1.5, 2.0), (1.5, 2.0), (1.5, 2.0)]
    assert left_out == [0, 0, 0, COUNT, 2 * COUNT]


def test_the_age_of_a_group_is_that_of_its_oldest_token(run):
    """Also through the record, where weights changed within a response."""
    source = replayed(folder=run.path, max_age=2, count=99, version=lambda: 5)
    groups = source.next(1, COUNT)
    for group, first in zip(groups, (2, 3, 4), strict=True):
        group.parts = [{"math": score} for score in group.scores]
        for c in group.completions:
            c.token_ids, c.logprobs, c.policy_version, c.later_versions = [7, 8, 9], [-1.0] * 3, first, [(1, 5)]
    learned = [[1.0] * 4] * COUNT
    run.log_rollouts(1, groups, learned)
    source.learned(1, groups, learned)
    found = again(source.next(2, COUNT))
    assert sorted(g.completions[0].policy_version for g in found) == [3, 4]
    assert {tuple(g.completions[0].later_versions) for g in found} == {((1, 5),)}
    told = source.statistics()
    assert (told["replay/too_old"], told["replay/age_max"], told["replay/age_mean"]) == (1.0, 2.0, 0.5)


def test_a_priority_is_the_size_of_the_advantages_and_follows_them(run):
    source = replayed(folder=run.path, count=1, steps=9, priority_exponent=50.0)
    worth = {}
    first = step_of(source, 1, run, lambda group: -float(len(worth)))
    worth |= {group.task.id: 1.0 for group in first}
    step_of(source, 2, run, lambda group: 5.0 if group.replayed else 0.5)
    known = source.position(2)["replay"]["known"]
    (at,) = [(s, n) for s in known for n, (priority, _) in known[s].items() if priority == 5.0 + LEAST_PRIORITY]
    assert places(step_of(source, 3, run, lambda group: 0.0)) == [at]  # fifty powers above the others
    assert source.position(3)["replay"]["known"][at[0]][at[1]] == (LEAST_PRIORITY, 3)


def test_what_was_not_written_or_is_not_finite_is_not_replayed(run):
    source = replayed(folder=run.path, count=99)
    groups = step_of(source, 1, run)
    learned = [[1.0] * 4] * COUNT
    source.learned(2, [replace(group, replayed=None) for group in groups], learned)  # the disk refused this step
    assert {at[0] for at in places(source.next(3, COUNT))} == {1}
    groups[0].completions[0].logprobs = [math.nan]
    run.log_rollouts(3, groups, learned)
    source.learned(3, groups, learned)
    assert sorted(places(source.next(4, COUNT))) == [(1, 0), (1, 1), (1, 2), (3, 1), (3, 2)]


def test_a_record_that_is_gone_or_damaged_is_named(run):
    source = replayed(folder=run.path, count=99)
    step_of(source, 1, run)
    position, path = source.position(1), rollout_path(run.path, 1)
    whole = path.read_bytes()
    path.write_bytes(whole[:40])
    with pytest.raises(UserError, match=r"step-000001\.jsonl\.gz is damaged"):
        source.next(2, COUNT)
    assert source.position(1) == position  # nothing was drawn from the tasks either
    path.unlink()
    with pytest.raises(UserError, match=r"step-000001\.jsonl\.gz is gone, and replay draws from it"):
        replayed(folder=run.path).restore(position)


def test_a_fork_begins_with_an_empty_buffer(run, tmp_path):
    source = replayed(folder=run.path)
    step_of(source, 1, run)
    fork = RunDirectory(tmp_path / "fork")
    fork.path.mkdir()
    fork.write_json("fork.json", {"step": 1})
    forked = replayed(folder=fork.path)
    forked.restore(source.position(1))
    assert forked.next(2, COUNT)
    assert not forked.statistics()["replay/candidates"]
    plain = sampled()
    plain.restore(source.position(1))  # one that replays no more
    assert replayed(folder=run.path).restore(plain.position(1)) is None  # and one that begins to


@pytest.mark.parametrize("priorities", [[1.0] * 9, [0.1, 0.2, 0.3, 0.4, 5.0, 0.7, 0.1], [9.0, 8.0, 0.1, 0.1, 0.1]])
def test_everything_is_drawn_as_often_as_its_priority_says(priorities):
    count, draws, random_ = 3, 20_000, random.Random(0)
    shares = inclusion(priorities, count)
    assert sum(shares) == pytest.approx(count)
    assert max(shares) <= 1.0
    below = [(s, p) for s, p in zip(shares, priorities, strict=True) if s < 1.0]
    assert all(s / p == pytest.approx(below[0][0] / below[0][1]) for s, p in below)
    times = [0] * len(priorities)
    for _ in range(draws):
        drawn = systematic(shares, random_.random())
        assert len(set(drawn)) == len(drawn) == count
        for index in drawn:
            times[index] += 1
    for seen, share in zip(times, shares, strict=True):
        assert seen / draws == pytest.approx(share, abs=4 * math.sqrt(0.25 / draws))


def test_few_candidates_are_all_drawn():
    assert systematic(inclusion([0.3, 9.0], 3), 0.999) == [0, 1]
    assert systematic(inclusion([], 3), 0.5) == []


def test_weights_are_those_of_the_paper_and_only_scale_down():
    """(N P)^-beta with P = share / count: arXiv:1511.05952, section 3.4."""
    priorities = torch.tensor([1.0, 2.0, 4.0, 5.0], dtype=torch.float64)
    shares = inclusion(priorities.tolist(), 2)
    paper = (4 * torch.tensor(shares, dtype=torch.float64) / 2) ** -0.5
    found = [bias_weight(share, sum(shares) / len(shares), 0.5) for share in shares]
    assert found == pytest.approx(paper.clamp(max=1.0).tolist())
    assert bias_weight(shares[3], sum(shares) / 4, 0.0) == 1.0


def test_the_share_of_a_batch():
    assert [ReplayConfig(share=share).groups(32) for share in (0.5, 0.2, 0.75, 0.001)] == [32, 8, 96, 1]


def test_scores_keep_what_takes_no_part(run):
    """A response that no verifier judged is left out when it is replayed, as it was the first time."""
    source = replayed(folder=run.path, count=99)
    groups = source.next(1, COUNT)
    for group in groups:
        group.scores[1] = Score.abstain("nobody knows")
        group.parts = [{"math": score} for score in group.scores]
    run.log_rollouts(1, groups, [[1.0] * 4] * COUNT)
    source.learned(1, groups, [[1.0] * 4] * COUNT)
    assert {g.scores[1].status for g in again(source.next(2, COUNT))} == {"abstain"}


def test_a_batch_that_is_kept_says_what_was_replayed_and_its_weight(run):
    """`grpo-kit replay` learns from it again with the weights that it had."""
    source = replayed(folder=run.path)
    step_of(source, 1, run)
    groups = source.next(2, COUNT)
    for group in groups:
        group.parts = group.parts or [{"math": score} for score in group.scores]
    groups = [replace(g, replayed=replace(g.replayed, weight=0.25)) if g.replayed else g for g in groups]
    assert again(groups)
    assert [g.replayed for g in read_step(run.dump(2, groups, "not finite"))] == [g.replayed for g in groups]
