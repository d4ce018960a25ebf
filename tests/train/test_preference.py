"""Pairs and labels from groups; the learners' losses on a real model against formulas; law 1 for each of them."""

import math
from collections import Counter

import pytest
import torch

from grpo_kit.config import OptimizerConfig
from grpo_kit.objective.algorithms import resolve_objective
from grpo_kit.observe.measure import Measures
from grpo_kit.policy.packing import TrainingSequence
from grpo_kit.policy.value_model import ValueModel
from grpo_kit.train.learner import LearnerSettings
from grpo_kit.train.pairs import mine_labels, mine_pairs
from grpo_kit.train.preference import LabelLearner, PairLearner, RewardModelLearner, mismatched_pairs
from grpo_kit.types import Completion, Group, Prompt, Score, Task
from tests.kit.episodes import episode_groups
from tests.kit.tiny import make_policy


def group(name, rewards, texts, statuses=None, margin=None):
    completions = [Completion(name, i, list(t), [], "", "stop", 0) for i, t in enumerate(texts)]
    statuses = statuses or ["ok"] * len(rewards)
    scores = [Score(r, s) for r, s in zip(rewards, statuses, strict=True)]
    task = Task(name, ({"role": "user", "content": name},), "", {"margin": margin})
    return Group(task, Prompt(name, (1, 2, len(name))), completions, scores)


def ids(pairs):
    return [(list(p.chosen.completion_ids), list(p.rejected.completion_ids)) for p in pairs]


def test_pairs_are_the_best_against_the_worst():
    g = group("a", [0.2, 1.0, 0.0, 0.6], [[1], [2], [3], [4]])
    assert ids(mine_pairs([g], 1, Counter())) == [([2], [3])]
    assert ids(mine_pairs([g], 4, Counter())) == [([2], [3]), ([4], [1])]


def test_what_makes_no_pair_is_counted():
    dropped = Counter()
    agreeing = group("a", [1.0, 1.0], [[1], [2]])
    failed = group("b", [1.0, 0.0], [[1], [2]], ["ok", "timeout"])
    same_text = group("c", [1.0, 0.0], [[5], [5]])
    assert mine_pairs([agreeing, failed, same_text], 1, dropped) == []
    assert dropped == {"no_pair": 3, "timeout": 1}


def test_labels_are_full_marks():
    g = group("a", [1.0, 0.5, 0.0], [[1], [2], [3]], ["ok", "ok", "abstain"])
    assert [(list(e.sequence.completion_ids), e.good) for e in mine_labels([g], Counter())] == [
        ([1], True),
        ([2], False),
    ]


GROUPS = [
    group("a", [1.0, 0.0], [[5, 6, 7], [8, 9]], margin=0.5),
    group("bb", [0.0, 1.0], [[10], [11, 12, 13, 14]]),
    group("ccc", [1.0, 0.0], [[15, 16], [17, 18, 19]]),
]
RIGHT = [([5, 6, 7], [8, 9]), ([11, 12, 13, 14], [10]), ([15, 16], [17, 18, 19])]


def settings(token_budget, learning_rate=1e-3):
    return LearnerSettings(OptimizerConfig(learning_rate=learning_rate), 4, 1, 1, token_budget, 1.0, 8)


def logprob(policy, prompt, tokens):
    logits = policy.model(input_ids=torch.tensor([[*prompt, *tokens]])).logits[0, len(prompt) - 1 : -1]
    return logits.log_softmax(-1).gather(-1, torch.tensor(tokens)[:, None])[:, 0].sum()


def log_sigmoid(x):
    return torch.nn.functional.logsigmoid(x)


def margin_of(policy, reference, prompt, tokens):
    with torch.no_grad():
        base = logprob(reference, prompt, tokens)
    return logprob(policy, prompt, tokens) - base


def paper_pairs(policy, reference, name, beta):
    total = 0.0
    for g, (good, bad) in zip(GROUPS, RIGHT, strict=True):
        m, n = (margin_of(policy, reference, g.prompt.token_ids, t) for t in (good, bad))
        if name == "dpo":
            total = total - log_sigmoid(beta * (m - n)) / 3
        else:
            total = total + (m / len(good) - n / len(bad) - 1 / (2 * beta)) ** 2 / 3
    return total


def paper_kto(policy, reference, beta):
    flat = [
        (g.prompt.token_ids, c.token_ids, s.value == 1.0)
        for g in GROUPS
        for c, s in zip(g.completions, g.scores, strict=True)
    ]
    others = [flat[(i + 1) % len(flat)][0] for i in range(len(flat))]
    drift = [margin_of(policy, reference, other, tokens) for other, (_, tokens, _) in zip(others, flat, strict=True)]
    z = max(0.0, float(sum(drift)) / len(flat))
    total = 0.0
    for prompt, tokens, good in flat:
        m = margin_of(policy, reference, prompt, tokens)
        total = total + (1 - torch.sigmoid(beta * ((m - z) if good else (z - m)))) / len(flat)
    return total


def gradient_of(model):
    return torch.cat([p.grad.flatten() for p in model.parameters()])


def ours(learner, groups):
    """Loss and gradient of one step, without taking it."""
    examples = learner.examples(groups, Counter())
    learner.prepare(examples)
    metrics = Measures()
    kept = {}

    def instead(batches, loss, into):
        learner.trained.model.zero_grad()
        parts = [loss(b, into) for b in batches]
        sum(parts).backward()
        kept["loss"], kept["parts"] = float(sum(parts)), len(parts)

    learner.step = instead
    learner.update(examples, metrics)
    return kept["loss"], gradient_of(learner.trained.model), kept["parts"]


def moved_pair():
    policy, reference = make_policy(seed=0, dtype=torch.float64), make_policy(seed=0, dtype=torch.float64)
    with torch.no_grad():
        generator = torch.Generator().manual_seed(5)
        for parameter in policy.model.parameters():
            parameter.add_(0.1 * torch.randn(parameter.shape, generator=generator, dtype=torch.float64))
    return policy, reference


@pytest.mark.parametrize("name", ["dpo", "ipo", "kto"])
@pytest.mark.parametrize("token_budget", [1, 10**6])
def test_loss_and_gradient_equal_the_paper(name, token_budget):
    policy, reference = moved_pair()
    row = resolve_objective(name, {"beta": 0.3})
    learner = {"dpo": PairLearner, "ipo": PairLearner, "kto": LabelLearner}[name](
        policy, row, settings(token_budget), reference
    )
    loss, found, parts = ours(learner, GROUPS)
    assert (parts > 1) == (token_budget == 1)
    policy.model.zero_grad()
    expected = paper_kto(policy, reference, 0.3) if name == "kto" else paper_pairs(policy, reference, name, 0.3)
    expected.backward()
    wanted = gradient_of(policy.model)
    assert loss == pytest.approx(expected.item(), rel=1e-9)
    assert (found - wanted).norm() / wanted.norm() < 1e-9


@pytest.mark.parametrize("token_budget", [1, 10**6])
def test_the_reward_model_scores_the_last_token(token_budget):
    policy = make_policy(seed=0, dtype=torch.float64)
    model = ValueModel.from_policy(policy)
    with torch.no_grad():
        model.model.score.weight.normal_(generator=torch.Generator().manual_seed(2))
    learner = RewardModelLearner(model, resolve_objective("reward_model", {}), settings(token_budget))
    loss, found, _ = ours(learner, GROUPS)
    model.model.zero_grad()
    total = 0.0
    for g, (good, bad) in zip(GROUPS, RIGHT, strict=True):
        r = [model.model(input_ids=torch.tensor([[*g.prompt.token_ids, *t]])).logits[0, 0] for t in (good, bad)]
        total = total - log_sigmoid(r[0] - r[1] - (g.task.meta["margin"] or 0.0)) / 3
    total.backward()
    assert loss == pytest.approx(total.item(), rel=1e-9)
    wanted = gradient_of(model.model)
    assert (found - wanted).norm() / wanted.norm() < 1e-9


@pytest.mark.parametrize("name", ["dpo", "ipo", "kto", "reward_model"])
def test_learning_widens_the_margin(name):
    policy = make_policy()
    row = resolve_objective(name, {"beta": 0.5})
    if name == "reward_model":
        learner = RewardModelLearner(ValueModel.from_policy(policy), row, settings(64))
    else:
        kind = LabelLearner if name == "kto" else PairLearner
        learner = kind(policy, row, settings(64), policy.reference())
    metrics = [learner.learn(GROUPS).metrics for _ in range(6)]
    key = "kto/good_margin" if name == "kto" else "pairs/margin"
    assert metrics[-1][key] > metrics[0][key]
    assert all(math.isfinite(m["loss"]) for m in metrics)


def test_a_batch_without_pairs_changes_nothing():
    policy = make_policy()
    before = [p.detach().clone() for p in policy.model.parameters()]
    learner = PairLearner(policy, resolve_objective("online_dpo", {}), settings(64), policy.reference())
    learned = learner.learn([group("a", [1.0, 1.0], [[1], [2]])])
    assert learned.dropped["no_pair"] == 1
    assert all(torch.equal(a, b) for a, b in zip(before, policy.model.parameters(), strict=True))


@pytest.mark.parametrize("sizes", [[2, 2, 2], [8, 8], [1, 3, 4], [7, 1]])
def test_the_reference_point_of_kto_is_of_other_prompts(sizes):
    """Examples come group by group, so the next one mostly answers the same prompt (arXiv:2402.01306, section 4.1)."""
    sequences = [TrainingSequence((g,), [g, i], 0.0, 0.0) for g, size in enumerate(sizes) for i in range(size)]
    pairs = mismatched_pairs(sequences)
    assert [p.completion_ids for p in pairs] == [s.completion_ids for s in sequences]
    assert all(p.prompt_ids != s.prompt_ids for p, s in zip(pairs, sequences, strict=True))


def test_kto_without_another_prompt_has_the_reference_point_zero():
    assert mismatched_pairs([TrainingSequence((1,), [i], 0.0, 0.0) for i in range(4)]) == []
    policy = make_policy()
    learner = LabelLearner(policy, resolve_objective("kto", {}), settings(64), make_policy(seed=1))
    learned = learner.learn([group("a", [1.0, 0.0, 1.0], [[5], [6, 7], [8]])])
    assert (learned.metrics["kto/baseline"], learned.metrics["kto/mismatched_pairs"]) == (0.0, 0.0)


@pytest.mark.parametrize(("good", "bad", "share"), [(1.0, 1.0, 2 / 3), (0.5, 1.0, 0.5), (1.0, 4.0, 1 / 3)])
def test_kto_logs_how_the_weight_is_shared(good, bad, share):
    policy = make_policy()
    row = resolve_objective("kto", {"good_weight": good, "bad_weight": bad})
    learned = LabelLearner(policy, row, settings(64), policy.reference()).learn(
        [group("a", [1, 0, 1], [[5], [6], [7]])]
    )
    assert learned.metrics["kto/good_share_of_weight"] == pytest.approx(share)


def test_pairs_labels_and_their_mismatched_prompts_keep_what_was_inserted():
    episodes = episode_groups()
    of = {tuple(c.token_ids): tuple(c.inserted) for g in episodes for c in g.completions}
    made = [s for p in mine_pairs(episodes, 2, Counter()) for s in (p.chosen, p.rejected)]
    made += [e.sequence for e in mine_labels(episodes, Counter())]
    made += mismatched_pairs(made)
    assert len(made) > 20
    assert all(s.inserted == of[tuple(s.completion_ids)] for s in made)


def test_equal_tokens_after_different_replies_are_a_pair():
    made = group("a", [1.0, 0.0], [[1, 2], [1, 2]])
    made.completions[0].inserted, made.completions[1].inserted = [(1, [7])], [(1, [8])]
    (pair,) = mine_pairs([made], 1, Counter())
    assert (pair.chosen.inserted, pair.rejected.inserted) == (((1, [7]),), ((1, [8]),))
