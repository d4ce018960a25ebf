"""Advantages, the gate and the denominators of a batch of groups."""

from dataclasses import replace

import pytest
import torch

from grpo_kit.objective.algorithms import resolve_objective
from grpo_kit.train.batch import build_batch, rollout_metrics, samples_of
from grpo_kit.types import Completion, Group, Prompt, Replayed, Score, Task, Turn


def group(name, rewards, lengths=None, statuses=None):
    task = Task(name, ({"role": "user", "content": name},), "1")
    lengths = lengths or [4] * len(rewards)
    statuses = statuses or ["ok"] * len(rewards)
    completions = [
        Completion(name, i, [7] * n, [-1.0] * n, "text", "length" if n == 9 else "stop", 0)
        for i, n in enumerate(lengths)
    ]
    scores = [Score(r, s) for r, s in zip(rewards, statuses, strict=True)]
    return Group(task, Prompt(name, (1, 2)), completions, scores, [{"v": s} for s in scores])


def build(groups, updates=1, **overrides):
    return build_batch(groups, resolve_objective("grpo", {"beta": 0.0, **overrides}), max_tokens=16, updates=updates)


def test_weights_count_every_judged_completion_even_those_not_trained_on():
    """Zero-advantage sequences leave the work, not the denominator: the loss is that of the whole batch."""
    groups = [group("a", [1.0, 0.0], [4, 8]), group("b", [1.0, 1.0], [4, 4])]
    skipped, kept = build(groups), build(groups, beta=0.1)
    assert (len(skipped.sequences), len(kept.sequences)) == (2, 4)
    assert [s.weight for s in skipped.sequences] == pytest.approx([1 / (4 * 4), 1 / (4 * 8)])
    assert [s.weight for s in kept.sequences][:2] == [s.weight for s in skipped.sequences]
    assert skipped.dropped == {"zero_advantage": 2}


def test_what_is_left_out_is_counted_when_it_was_sampled_and_not_whenever_it_comes_again():
    groups = [group("a", [1.0, 0.0, 0.0], [4, 8, 9], ["ok", "ok", "error"]), group("b", [1.0, 1.0], [4, 9])]
    again = [replace(g, replayed=Replayed(1, 0, 1.0)) for g in groups]
    fresh = build(groups, mask_truncated=True).dropped
    assert fresh == {"error": 1, "truncated": 1, "zero_advantage": 1}
    assert build([*groups, *again], mask_truncated=True).dropped == fresh


def metrics_of(groups):
    batch = build(groups)
    return rollout_metrics(groups, batch.advantages, batch.dropped)


@pytest.mark.parametrize("status", ["abstain", "error", "timeout"])
def test_unjudged_completions_leave_baseline_loss_and_denominator(status):
    with_failure = build([group("a", [1.0, 0.0, 0.0], [4, 8, 6], ["ok", "ok", status])])
    without = build([group("a", [1.0, 0.0], [4, 8])])
    assert with_failure.dropped[status] == 1
    assert [(s.advantage, s.weight) for s in with_failure.sequences] == [
        (s.advantage, s.weight) for s in without.sequences
    ]


def test_denominators_belong_to_the_optimizer_step():
    groups = [group(name, [1.0, 0.0]) for name in "abcd"]
    batch = build(groups, updates=2, aggregation="token_mean")
    assert [len(update) for update in batch.updates] == [4, 4]
    assert all(s.weight == pytest.approx(1 / 16) for s in batch.sequences)


def test_a_batch_without_any_judged_completion_trains_nothing():
    batch = build([group("a", [0.0, 0.0], statuses=["error", "timeout"])])
    assert batch.updates == [[]]


def test_metrics_tell_easy_groups_from_hard_ones():
    groups = [
        group("easy", [1.0, 1.0]),
        group("hard", [0.0, 0.0]),
        group("mixed", [1.0, 0.0], [3, 9]),
        group("broken", [0.0, 0.0], statuses=["error", "error"]),
    ]
    metrics = metrics_of(groups)
    assert metrics["groups/all_right"] == 0.25
    assert metrics["groups/all_wrong"] == 0.25
    assert metrics["reward/mean"] == 0.5
    assert metrics["length/truncated"] == pytest.approx(1 / 8)
    assert (metrics["length/right"], metrics["length/wrong"]) == (pytest.approx(11 / 3), pytest.approx(17 / 3))
    assert metrics["dropped/error"] == 2.0


def test_sft_on_a_record_is_the_likelihood_of_the_right_responses():
    """Rewards are no weights there: nothing is unlearned, and what is wrong is in no denominator."""
    groups = [group("a", [1.0, 0.0, 0.0, -1.0], [4, 8, 6, 3]), group("b", [-0.1, -0.1]), group("c", [1.0, 1.0], [2, 2])]
    batch = build_batch(groups, resolve_objective("sft", {}), max_tokens=16)
    assert [(len(s.completion_ids), s.advantage) for s in batch.sequences] == [(4, 1.0), (2, 1.0), (2, 1.0)]
    assert [s.weight for s in batch.sequences] == [1 / 8] * 3
    assert batch.dropped["not_selected"] == 5


def test_trpo_keeps_what_the_mean_of_its_trust_region_is_over():
    """A response without an advantage moves no gradient, and the step moves its distribution all the same."""
    groups = [group("a", [1.0, 0.0]), group("b", [1.0, 1.0])]
    assert len(build_batch(groups, resolve_objective("trpo", {}), max_tokens=16).sequences) == 4


def test_an_empty_completion_with_a_kl_in_the_reward_is_no_error():
    groups = [group("a", [1.0, 0.0], [4, 0])]
    samples = samples_of(groups)
    for sample in samples[0][:1]:
        sample.sequence.old_logprobs = sample.sequence.reference_logprobs = torch.zeros(4)
    batch = build_batch(groups, resolve_objective("rloo", {}), max_tokens=16, samples=samples)
    assert batch.advantages == [[1.0, -1.0]]


def paid_in_turns(outcome, weight, total):
    """A group of two episodes whose first was paid 0.5 for its first turn of two tokens and nothing for the second."""
    made = group("a", [total, 0.0], [5, 5])
    made.completions[0].turns = [Turn(0, "", reward=0.5), Turn(2, "")]
    made.completions[0].outcome = outcome
    made.outcome_weight = weight
    return made


def returns_of(made):
    objective = resolve_objective("reinforce", {"discount": 1.0, "baseline": "none"})
    batch = build_batch([made], objective, max_tokens=16)
    return next(s for s in batch.sequences if s.token_advantages.any()).token_advantages.tolist()


def test_with_reward_to_go_a_turn_is_paid_at_its_own_end():
    # 0.5 for the turn and 1 at the end, twice each in the total of 3
    assert returns_of(paid_in_turns(Score(1.0), 2.0, 3.0)) == [3.0, 3.0, 2.0, 2.0, 2.0]
    assert returns_of(paid_in_turns(None, 1.0, 1.5)) == [1.5, 1.5, 1.0, 1.0, 1.0]


@pytest.mark.parametrize(("outcome", "weight"), [(Score(1.0), None), (Score.abstain("no opinion"), 1.0)])
def test_turns_that_are_no_part_of_the_reward_are_paid_nothing(outcome, weight):
    assert returns_of(paid_in_turns(outcome, weight, 3.0)) == [3.0] * 5


def test_equal_tokens_after_different_replies_are_two_verified_responses():
    made = group("a", [1.0, 1.0, 1.0])
    for completion, ids in zip(made.completions, ([8], [9], [8]), strict=True):
        completion.inserted = [(2, ids)]
    batch = build_batch([made], resolve_objective("rft", {}), max_tokens=16)
    assert [s.inserted for s in batch.sequences] == [((2, [8]),), ((2, [9]),)]


def test_metrics_of_conversations():
    made = [group("a", [1.0, 0.0], [5, 5]), group("b", [1.0], [5])]
    one, two = made[0].completions
    one.turns = [
        Turn(0, "", calls=2, invalid=1, seconds=0.5, reward=0.25),
        Turn(2, "", calls=1, failed=1, seconds=1.0),
        Turn(4, "", invalid=1),
    ]
    one.inserted, one.ending, one.outcome = [(2, [7] * 4), (4, [7] * 6)], "done", Score(1.0)
    two.turns, two.ending, two.outcome = [Turn(0, "", calls=1)], "turns", Score(status="error")
    found = metrics_of(made)
    assert {name: found[name] for name in found if name.split("/")[0] in ("turns", "calls", "environment")} == {
        "turns/mean": 2.0,
        "turns/max": 3.0,
        "turns/ended_done": 0.5,
        "turns/ended_length": 0.0,
        "turns/ended_turns": 0.5,
        "turns/ended_room": 0.0,
        "turns/ended_invalid": 0.0,
        "turns/ended_deadline": 0.0,
        "turns/ended_error": 0.0,
        "turns/misread": 0.25,
        "calls/mean": 2.0,
        "calls/invalid": 0.25,
        "calls/failed": 0.25,
        "environment/seconds": 0.75,
        "environment/reward": 1.25,
    }
    assert found["length/inserted"] == 5.0
    assert found["length/mean"] == 5.0


def test_without_an_environment_there_are_none():
    assert (
        not {"turns/mean", "calls/mean", "environment/seconds", "length/inserted"}
        & metrics_of([group("a", [1.0])]).keys()
    )


def test_episodes_are_alike_when_all_of_their_turns_are():
    made = [group("a", [1.0, 0.0]), group("b", [1.0, 0.0])]
    for number, completion in enumerate(c for g in made for c in g.completions):
        completion.turns = [Turn(0, f"looking up {number % 2}"), Turn(2, "Done.")]
    assert metrics_of(made)["completions/alike"] == 0.5


def test_groups_that_agree_take_no_part_in_loss_denominators_or_scale():
    """By who is right: a length punished in a group that is all right is no reason to learn from it."""
    agreeing = group("b", [1.0, 0.8], [4, 4])
    agreeing.parts = [{"v": Score(1.0)}, {"v": Score(1.0)}]
    groups = [group("a", [1.0, 0.0], [4, 8]), agreeing]
    dropped = build(groups, drop_agreeing=True, scale="batch_std", aggregation="token_mean")
    alone = build(groups[:1], scale="batch_std", aggregation="token_mean")
    assert dropped.dropped["agreeing"] == 2
    assert [(s.advantage, s.weight) for s in dropped.sequences] == [(s.advantage, s.weight) for s in alone.sequences]
    assert len(build(groups, scale="batch_std", aggregation="token_mean").sequences) == 4


def test_a_batch_of_groups_that_agree_teaches_nothing():
    batch = build([group("a", [1.0, 1.0]), group("b", [0.0, 0.0])], drop_agreeing=True)
    assert batch.updates == [[]]
    assert batch.dropped == {"agreeing": 4}


def advantages_of(groups, **overrides):
    batch = build_batch(groups, resolve_objective("grpo", {"beta": 0.0, "scale": "none", **overrides}), max_tokens=16)
    return [a for g in batch.advantages for a in g]


W_REINFORCE = {
    "beta": 0.0, "shape": "signed", "baseline": "none", "scale": "none", "positive_weight": 0.1, "aggregation": "token_mean",
}  # fmt: skip


def test_a_shape_looks_at_marks_and_not_at_rewards():
    made = group("a", [0.9, 0.2, 0.7])
    made.parts = [{"v": Score(1.0)}, {"v": Score(0.0)}, {"v": Score.abstain("no idea")}]
    batch = build_batch([made], resolve_objective("grpo", W_REINFORCE), max_tokens=16)
    assert batch.advantages == [[pytest.approx(0.1), -1.0, 0.0]]
    assert batch.dropped["no_mark"] == 1
    assert advantages_of([made], shape="pass_at_k", set_size=2) == [
        0.0,
        0.0,
        0.0,
    ]  # of two, one right: every pair succeeds


def test_without_positive_ones_right_responses_are_left_out_of_the_work_alone():
    """NSR: the denominators are those of all responses, as the authors' masked mean has it."""
    made = [group("a", [1.0, 0.0], [4, 8])]
    batch = build_batch(made, resolve_objective("grpo", W_REINFORCE | {"positive_weight": 0.0}), max_tokens=16)
    assert [(s.advantage, s.weight) for s in batch.sequences] == [(-1.0, pytest.approx(1 / 12))]
    assert batch.dropped == {"zero_advantage": 1}


def test_signs_are_weighted_for_tokens_too():
    made = [group("a", [1.0, 0.0], [2, 2])]
    objective = resolve_objective("reinforce", {"negative_weight": 0.5, "discount": 1.0})
    found = [s.token_advantages.tolist() for s in build_batch(made, objective, max_tokens=16).sequences]
    assert found == [[0.5, 0.5], [-0.25, -0.25]]


def test_opo_knows_the_lengths():
    found = advantages_of([group("a", [1.0, 0.0], [2, 6])], baseline="length_weighted_mean")
    assert found == pytest.approx([0.75, -0.25])


def test_gdpo_takes_the_parts_that_the_reward_is_of():
    """Against TRL's normalize_then_sum, written out: standard scores per verifier, weighted sum, standardised over the batch."""
    table = [[[1.0, 3.0], [0.0, 9.0], [1.0, 5.0]], [[0.0, 2.0], [0.0, 4.0], [1.0, 9.0]]]
    groups = []
    for name, rows in zip("ab", table, strict=True):
        made = group(name, [a + 0.5 * b for a, b in rows])
        made.parts = [{"v": Score(a), "length": Score(b), "judge": Score(9.0)} for a, b in rows]
        made.weights = {"v": 1.0, "length": 0.5}
        groups.append(made)
    scores = torch.tensor(table, dtype=torch.float64)
    each = (scores - scores.mean(1, keepdim=True)) / scores.std(1, keepdim=True)
    total = (each * torch.tensor([1.0, 0.5])).sum(-1).flatten()
    wanted = (total - total.mean()) / total.std()
    batch = build_batch(groups, resolve_objective("gdpo", {}), max_tokens=16)
    assert [a for g in batch.advantages for a in g] == pytest.approx(wanted.tolist(), rel=1e-4)
    for made in groups:
        made.weights = {}
    plain = build_batch(groups, resolve_objective("gdpo", {}), max_tokens=16)
    assert plain.advantages != batch.advantages  # without weights the reward is the one part


def test_gdpo_weighs_each_data_set_s_verifiers_as_that_one_does():
    """Both sets are paid by v, with weights of their own; in the second, length is a judge's that is no part of its reward."""
    table = [[[1.0, 3.0], [0.0, 9.0], [1.0, 5.0]], [[0.0, 2.0], [0.0, 4.0], [1.0, 9.0]]]
    weights = [{"v": 1.0, "length": 0.5}, {"v": 0.25}]
    groups = []
    for name, rows, own in zip("ab", table, weights, strict=True):
        made = group(name, [a for a, _ in rows])
        made.parts = [{"v": Score(a), "length": Score(b)} for a, b in rows]
        made.weights = own
        groups.append(made)
    scores = torch.tensor(table, dtype=torch.float64)
    each = (scores - scores.mean(1, keepdim=True)) / scores.std(1, keepdim=True)
    total = (each * torch.tensor([[[1.0, 0.5]], [[0.25, 0.0]]])).sum(-1).flatten()
    wanted = (total - total.mean()) / total.std()
    for order in (1, -1):
        batch = build_batch(groups[::order], resolve_objective("gdpo", {}), max_tokens=16)
        assert [a for g in batch.advantages[::order] for a in g] == pytest.approx(wanted.tolist(), rel=1e-4)


def test_a_replayed_group_counts_as_much_as_its_weight_says():
    """In the loss, and not in what it is compared with or divided by."""
    groups = [group("fresh", [1.0, 0.0]), group("again", [1.0, 0.0])]
    plain = build(groups).sequences
    groups[1].replayed = Replayed(step=3, number=0, weight=0.25)
    weighed = build(groups).sequences
    assert [s.weight for s in weighed] == [s.weight * (0.25 if s.group == 1 else 1.0) for s in plain]
    assert [s.advantage for s in weighed] == [s.advantage for s in plain]
