"""Sampling ahead of the training: bounded staleness, the order of tasks, stops, failures, and a run that learns."""

import threading

import pytest
import torch

from grpo_kit.config import RolloutConfig
from grpo_kit.errors import RunFailed, UserError
from grpo_kit.train import assemble
from tests.kit.ahead_runs import SERVERS, SETTINGS, OwnWeights
from tests.kit.patience import HANGS, wait_until
from tests.kit.rollouts import sampled_rows
from tests.kit.runs import ODD, recipe, run, weights
from tests.kit.sources import ahead, sampled
from tests.kit.torchrun import metrics, succeed, torchrun


class Versions:
    """A trainer that moves on by one version per step, and a generator that gets every one at once."""

    def __init__(self, max_staleness, steps=6, algorithm="grpo", easy=0):
        self.now = 0
        self.ahead = ahead(
            algorithm,
            easy=easy,
            version=lambda: self.now,
            max_staleness=max_staleness,
            steps=steps,
        )
        self.generator = self.ahead.setup.generator
        self.plain = sampled(algorithm, easy=easy)
        self.generator.version = 0

    def trained(self):
        self.now += 1
        self.generator.version = self.now


@pytest.mark.parametrize("max_staleness", [1, 2, 4])
def test_completions_are_as_old_as_allowed_and_no_older(max_staleness):
    versions, seen = Versions(max_staleness, steps=8), []
    for step in range(1, 9):
        found = versions.ahead.next(step, 3)
        # Let the thread prepare all it may, so that what it prepares is as old as it can be.
        with versions.ahead._condition:
            versions.ahead._condition.wait_for(
                lambda at=step: versions.ahead._finished[-1].step >= min(8, at + max_staleness), timeout=HANGS
            )
        assert [g.task.id for g in found] == [g.task.id for g in versions.plain.next(step, 3)]
        seen.append(versions.ahead.statistics())
        assert seen[-1]["staleness/max"] <= max_staleness
        assert versions.ahead._finished[-1].step <= step + max_staleness
        versions.trained()
    versions.ahead.close()
    assert max(s["staleness/max"] for s in seen) == max_staleness
    assert all(s["staleness/dropped_groups"] == 0 for s in seen)


def test_groups_that_are_too_old_are_dropped_and_counted():
    versions = Versions(1)
    groups = versions.ahead.next(1, 3)
    versions.now = 2  # as if the weights had moved twice meanwhile
    with pytest.raises(RunFailed, match="all 3 groups were sampled 2 or more policy versions ago"):
        versions.ahead._fresh(versions.ahead._finished[0])
    for completion in groups[0].completions:
        completion.policy_version = 2
    assert len(versions.ahead._fresh(versions.ahead._finished[0])) == 1
    assert versions.ahead.statistics()["staleness/dropped_groups"] == 2
    versions.ahead.close()


def test_staleness_is_counted_by_token_and_bounded_by_the_oldest():
    versions = Versions(1)
    versions.ahead.next(1, 3)
    versions.now, batch = 3, versions.ahead._finished[0]
    completions = [c for group in batch.groups for c in group.completions]
    for completion in completions:
        completion.token_ids, completion.logprobs = [7] * 8, [-1.0] * 8
        completion.policy_version, completion.later_versions = 2, [(6, 3)]
    assert completions[0].versions() == [(2, 6), (3, 2)]
    assert len(versions.ahead._fresh(batch)) == 3
    found = versions.ahead.statistics()
    assert found["staleness/mean"] == 6 / 8
    assert found["staleness/max"] == 1
    assert found["staleness/mixed_completions"] == len(completions)
    # One token that is too old is enough, however new the rest.
    completions[0].policy_version, completions[0].later_versions = 1, [(1, 3)]
    assert len(versions.ahead._fresh(batch)) == 2
    versions.ahead.close()


def test_the_position_is_that_of_the_first_groups_nobody_learned_from():
    versions = Versions(2)
    start = versions.ahead.position(0)
    versions.ahead.next(1, 3)
    assert versions.ahead.position(0) == start
    _, plain = versions.plain.next(1, 3), versions.plain.setup.sampler.state_dict()
    with versions.ahead._condition:
        versions.ahead._condition.wait_for(lambda: len(versions.ahead._finished) == 3, timeout=HANGS)
    assert versions.ahead.position(1) == plain
    assert versions.ahead.setup.sampler.state_dict() != plain
    versions.ahead.close()


def test_requests_of_the_next_step_do_not_wait_for_a_long_response():
    versions, calls = Versions(1), []
    plain, next_step = versions.generator.generate, threading.Event()

    def generate(prompts, sampling, replies=None):
        calls.append(sampling.seed)
        if len(calls) == 1:
            assert next_step.wait(HANGS), "the long response of the first step kept the second one from being asked for"
        else:
            next_step.set()
        yield from plain(prompts, sampling)

    versions.generator.generate = generate
    found = versions.ahead.next(1, 3)
    assert [g.task.id for g in found] == [g.task.id for g in versions.plain.next(1, 3)]
    assert len(calls) == 2
    versions.ahead.close()


def test_with_dynamic_sampling_tasks_are_drawn_step_by_step():
    """What a step refills with comes before the tasks of the next one, so that a run can be repeated and resumed."""
    versions, found = Versions(2, algorithm="dapo", easy=2), []
    for step in (1, 2, 3):
        found.append([g.task.id for g in versions.ahead.next(step, 3)])
        refills = versions.ahead.statistics()["refill/rounds"]
        assert refills == (1 if step == 1 else 0)
        versions.trained()
    assert found == [[g.task.id for g in versions.plain.next(step, 3)] for step in (1, 2, 3)]
    versions.ahead.close()


def test_whoever_evaluates_takes_no_counts_of_the_step_that_waits_meanwhile():
    """A step may be scored and not yet exchanged when the trainer pauses it, and asks the scorer for its own counts."""
    versions, rounds = Versions(1), []
    scorer = versions.ahead.setup.scorer
    plain = scorer.score_groups

    def score_groups(groups):
        yield from plain(groups)
        rounds.append(scorer.scored)
        if len(rounds) == 2:
            wait_until(lambda: versions.ahead._gate.pause_requested, "a pause in the second step")

    scorer.score_groups = score_groups
    counts = []
    for step in (1, 2):
        versions.ahead.next(step, 3)
        counts.append(versions.ahead.statistics()["scored/count"])
        if step == 1:
            with versions.ahead.paused():
                assert len(rounds) == 2
                scorer.statistics()
    assert counts == [3, 3]
    versions.ahead.close()


def test_what_fails_in_the_thread_fails_the_step():
    versions = Versions(1)

    def broken(prompts, sampling, replies=None):
        raise RunFailed("no server came back")

    versions.generator.generate = broken
    with pytest.raises(RunFailed, match="no server came back"):
        versions.ahead.next(1, 3)
    versions.ahead.close()


def test_the_embedded_engine_is_refused():
    with pytest.raises(ValueError, match="an engine with devices of its own"):
        RolloutConfig(max_staleness=1)
    with pytest.raises(UserError, match="correction must not be none"):
        recipe("grpo", *SERVERS, "rollout.max_staleness=1", "objective.correction=none")


def trained(folder, monkeypatch, *overrides, **options):
    monkeypatch.setattr(assemble, "open_generator", lambda rollout, longest, policy, path: OwnWeights(policy))
    monkeypatch.setattr("grpo_kit.train.preflight.check_engine", lambda *a: None)
    config = recipe("grpo", ODD, *SERVERS, *SETTINGS, *overrides)
    run(config, folder, **options)
    return metrics(folder)


def test_a_run_trains_on_what_older_weights_sampled_rows(tmp_path, monkeypatch):
    found = trained(tmp_path / "ahead", monkeypatch, "rollout.max_staleness=2")
    assert [line["step"] for line in found] == [1, 2, 3, 4, 5, 6]
    assert max(line["staleness/max"] for line in found) in (1, 2)
    assert all(line["staleness/max"] <= 2 for line in found)
    assert all("correction/weight" in line for line in found)
    trained(tmp_path / "cut", monkeypatch, "rollout.max_staleness=2", stop_after=2)
    resumed = trained(tmp_path / "cut", monkeypatch, "rollout.max_staleness=2", resume=True)
    assert [line["step"] for line in resumed] == [1, 2, 3, 4, 5, 6]


def test_no_staleness_is_the_synchronous_run_bit_for_bit(tmp_path, monkeypatch):
    """An engine with weights of its own at k = 0 against the embedded engine, which cannot be but synchronous."""
    zero = trained(tmp_path / "zero", monkeypatch, "rollout.max_staleness=0")
    monkeypatch.undo()
    run(recipe("grpo", ODD, *SETTINGS, "objective.correction=truncated"), tmp_path / "embedded")
    assert metrics(tmp_path / "embedded") == zero
    assert all(torch.equal(w, weights(tmp_path / "zero")[n]) for n, w in weights(tmp_path / "embedded").items())


EVALUATED = "evaluation={tasks: 4, samples: 2, every: 2}"
STILL = ("optimizer.learning_rate=0.0", "train.steps=8", EVALUATED)


def test_two_ranks_ahead_sample_what_one_process_samples(tmp_path, monkeypatch):
    """With weights that stand still every version samples alike, so nothing but the order of work can differ."""
    one = trained(tmp_path / "one", monkeypatch, *STILL)
    succeed(2, "tests.kit.ahead_runs", tmp_path / "two", "rollout.max_staleness=2", *STILL)
    assert len(sampled_rows(tmp_path / "one")) == 8 * 4 * 4
    # The weights stand still, their versions do not.
    assert [row[:-1] for row in sampled_rows(tmp_path / "two")] == [row[:-1] for row in sampled_rows(tmp_path / "one")]
    two = metrics(tmp_path / "two")
    assert 1 <= max(line.get("staleness/max", 0) for line in two) <= 2
    evaluations = [[line for line in found if "eval/sampled" in line] for found in (one, two)]
    assert len(evaluations[0]) == 5  # before, and after every second step
    assert evaluations[0] == evaluations[1]


def test_two_ranks_ahead_train_stop_and_go_on(tmp_path):
    settings = ("rollout.max_staleness=2", EVALUATED)
    succeed(2, "tests.kit.ahead_runs", tmp_path / "run", *settings, STOP_AFTER="3")
    assert [line["step"] for line in metrics(tmp_path / "run") if "loss" in line] == [1, 2, 3]
    succeed(2, "tests.kit.ahead_runs", tmp_path / "run", *settings, RESUME="1")
    found = [line for line in metrics(tmp_path / "run") if "loss" in line]
    assert [line["step"] for line in found] == [1, 2, 3, 4, 5, 6]
    assert all(line["staleness/max"] <= 2 for line in found)
    assert all(line["policy_version"] == line["step"] for line in found)


@pytest.mark.parametrize("where", ["training", "sampling"])
def test_a_rank_that_fails_while_both_sample_ahead_ends_the_run(where, tmp_path):
    done = torchrun(2, "tests.kit.ahead_runs", tmp_path / "run", "rollout.max_staleness=1", FAIL_WHILE=where)
    assert done.returncode == 1
    assert f"rank 1 fails while {where}" in done.stderr
