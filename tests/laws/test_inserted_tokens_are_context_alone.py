"""Laws 11, 12, 14 and 1 for episodes: what an environment inserts is context and nothing else, for every row of the table.

Either it stands behind what was there, or, for templates that rewrite earlier turns, in its place: then each turn has a prompt
of its own, and the turns of an episode are one sequence all the same.
"""

import random
from copy import deepcopy
from dataclasses import replace

import pytest
import torch

import grpo_kit.policy.models
import grpo_kit.policy.value_model
from grpo_kit.objective.algorithms import ALGORITHMS, resolve_objective
from grpo_kit.policy.packing import TrainingSequence, micro_batches
from grpo_kit.policy.value_model import ValueModel
from grpo_kit.train.learners import open_learner
from tests.kit.episodes import INSERTED, as_episodes, episode_groups
from tests.kit.gradients import GRADIENT_ROWS, gradient, in_full_precision
from tests.kit.runs import recipe
from tests.kit.sequences import random_groups, random_sequences
from tests.kit.tiny import make_policy

OF_RESPONSES = ("geometric_clip",)  # of the ratios of tokens, made one number of all turns
PER_TOKEN_ROWS = [
    n
    for n in GRADIENT_ROWS
    if resolve_objective(n, {}).ratio_level == "token" and ALGORITHMS[n].surrogate not in OF_RESPONSES
]


def network(dtype=torch.float64, share=False):
    policy = make_policy(dtype=dtype)
    in_full_precision(policy.model)
    if share:
        assert policy.share_prompts() is None
    return policy


def learned(algorithm, share):
    """Numbers and weights, a critic's too, after one step over episodes."""
    policy = make_policy()
    if share:
        assert policy.share_prompts() is None
    objective = resolve_objective(algorithm, {})
    learner = open_learner(recipe(algorithm, "critic.warmup=0", "train.token_budget=200"), objective, policy)
    before = {name: value.clone() for name, value in learner.trained.model.state_dict().items()}
    metrics = learner.learn(episode_groups()).metrics
    state = dict(learner.trained.model.state_dict())
    assert any(not torch.equal(state[name], value) for name, value in before.items())
    if objective.needs_critic:
        state |= learner.state_dict()["critic"]["model"]
    for number, twin in enumerate(learner.state_dict().get("twins", ())):
        state |= {f"{name} of twin {number}": value for name, value in twin["model"].items()}
    return {k: v for k, v in metrics.items() if not k.endswith("seconds")}, state


@pytest.fixture
def poison(monkeypatch):
    """From its call on, every state that predicts an inserted token is not a number. Counts those states."""
    seen = []

    def poisoned(original):
        def states(run, input_ids, tree=None):
            hidden = original(run, input_ids, tree)
            following = torch.cat([input_ids[:, 1:], torch.zeros_like(input_ids[:, :1])], dim=1)
            unread = following >= INSERTED.start  # no sequence begins with one, so it is of the same branch
            seen.append(int(unread.sum()))
            return hidden.masked_fill(unread[..., None], float("nan"))

        return states

    def install():
        for module in (grpo_kit.policy.models, grpo_kit.policy.value_model):
            monkeypatch.setattr(module, "last_hidden", poisoned(module.last_hidden))
        return seen

    return install


@pytest.mark.parametrize("share", [False, True])
@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_nothing_at_an_inserted_position_is_read(algorithm, share, poison):
    metrics, weights = learned(algorithm, share)
    found = poison()
    other_metrics, other_weights = learned(algorithm, share)
    assert sum(found) > 0
    assert other_metrics == metrics
    assert all(torch.equal(other_weights[name], value) for name, value in weights.items())


@pytest.mark.parametrize("share", [False, True])
def test_a_sampled_token_is_predicted_with_all_that_stands_before_it(share):
    policy = network(share=share)
    sequences = as_episodes(random_groups())
    assert sum(len(s.inserted) for s in sequences) > 8
    passed = 0
    for batch in micro_batches(sequences, 150, dtype=torch.float64, share=share):
        passed += len(batch.sequences)
        parts = batch.split(policy.logprobs(batch, 1.0)[0])
        for number, (sequence, mine, end) in enumerate(zip(batch.sequences, parts, batch.ends, strict=True)):
            ids = list(sequence.completion_ids)
            for index, added in reversed(sequence.inserted):
                ids[index:index] = added
            whole = torch.tensor([[*sequence.prompt_ids, *ids]])
            following = policy.model(whole).logits[0, :-1].log_softmax(-1).gather(-1, whole[0, 1:, None])[:, 0]
            sampled = whole[0, len(sequence.prompt_ids) :] < INSERTED.start
            torch.testing.assert_close(mine, following[len(sequence.prompt_ids) - 1 :][sampled])
            assert batch.input_ids[0 if share else number, end] == whole[0, -1]
    assert passed == len(sequences)


@pytest.mark.parametrize("algorithm", PER_TOKEN_ROWS)
def test_an_episode_is_its_turns_where_the_objective_is_per_token(algorithm):
    """Law 12: each turn as a sequence of its own, whose prompt is everything before it."""
    policy = network()
    episodes = as_episodes(random_sequences())
    loss, whole = gradient(policy, episodes, algorithm, 10**6)
    turns = [turn for episode in episodes for turn in segments(episode)]
    assert len(turns) > len(episodes)
    other_loss, other = gradient(policy, turns, algorithm, 10**6)
    assert (other - whole).norm() / whole.norm() < 1e-10
    assert other_loss == pytest.approx(loss, rel=1e-9)


def segments(episode):
    """Its turns, each with all that stands before it as its prompt."""
    prompt, made = list(episode.prompt_ids), []
    starts = [0, *(index for index, _ in episode.inserted)]
    added = [[], *(ids for _, ids in episode.inserted)]
    ends = [*starts[1:], len(episode.completion_ids)]
    for start, end, ids in zip(starts, ends, added, strict=True):
        prompt += ids
        turn = list(episode.completion_ids[start:end])
        behaviour = episode.behaviour_logprobs[start:end]
        made.append(TrainingSequence(list(prompt), turn, episode.advantage, episode.weight, behaviour))
        prompt += turn
    return made


@pytest.mark.parametrize(
    ("algorithm", "dtype", "tolerance"),
    [  # that float32 is as exact for every row is law 14's own test
        *((row, torch.float64, 1e-10) for row in GRADIENT_ROWS),
        *((row, torch.float32, 1e-5) for row in GRADIENT_ROWS[::4]),
    ],
)
def test_neither_the_split_nor_sharing_prompts_changes_the_gradient(algorithm, dtype, tolerance):
    """Laws 1 and 14."""
    policy, sharing = network(dtype), network(dtype, share=True)
    sequences = as_episodes(random_groups())
    loss, whole = gradient(policy, sequences, algorithm, 10**6)
    assert whole.norm() > 0
    for budget, other in ((1, policy), (150, policy), (64, sharing), (150, sharing)):
        shuffled = random.Random(budget).sample(sequences, len(sequences))
        other_loss, found = gradient(other, deepcopy(shuffled), algorithm, budget)
        assert (found - whole).norm() / whole.norm() < tolerance
        assert other_loss == pytest.approx(loss, rel=tolerance * 10)


def whole_history(episode):
    """The same episode with prompts of their own for all turns, each of which says everything before it."""
    before = [list(turn.prompt_ids) for turn in segments(episode)[1:]]
    inserted = [(index, ids) for (index, _), ids in zip(episode.inserted, before, strict=True)]
    return replace(episode, inserted=inserted, fresh=True)


@pytest.mark.parametrize("algorithm", GRADIENT_ROWS)
def test_turns_with_prompts_of_their_own_are_one_sequence(algorithm):
    """One ratio of the sequence, one length, one advantage: where the prompts say what stood there, nothing changes."""
    policy, sharing = network(), network(share=True)
    episodes = as_episodes(random_groups())
    loss, whole = gradient(policy, episodes, algorithm, 10**6)
    for budget, other in ((1, policy), (150, policy), (64, sharing), (10**6, sharing)):
        other_loss, found = gradient(other, [whole_history(e) for e in episodes], algorithm, budget)
        assert (found - whole).norm() / whole.norm() < 1e-10
        assert other_loss == pytest.approx(loss, rel=1e-9)


@pytest.mark.parametrize("share", [False, True])
def test_a_turn_sees_its_own_prompt_and_nothing_else(share):
    policy = network(share=share)
    episodes = [replace(e, fresh=True) for e in as_episodes(random_groups())]
    assert sum(len(e.inserted) for e in episodes) > 8
    for batch in micro_batches(episodes, 150, dtype=torch.float64, share=share):
        for episode, mine in zip(batch.sequences, batch.split(policy.logprobs(batch, 1.0)[0]), strict=True):
            prompts = [list(episode.prompt_ids), *(ids for _, ids in episode.inserted)]
            cuts = [0, *(index for index, _ in episode.inserted), len(episode.completion_ids)]
            theirs = []
            for prompt, start, end in zip(prompts, cuts, cuts[1:], strict=False):
                ids = torch.tensor([prompt + list(episode.completion_ids[start:end])])
                said = policy.model(ids).logits[0, :-1].log_softmax(-1).gather(-1, ids[0, 1:, None])[:, 0]
                theirs.append(said[len(prompt) - 1 :])
            torch.testing.assert_close(mine, torch.cat(theirs))


@pytest.mark.parametrize("share", [False, True])
def test_a_critic_and_a_reward_model_read_the_last_turn(share):
    critic = ValueModel.from_policy(network(share=share))
    in_full_precision(critic.model)
    torch.nn.init.normal_(critic.model.score.weight, generator=torch.Generator().manual_seed(0))
    episodes = as_episodes(random_groups())
    found = []
    for made in (episodes, [whole_history(e) for e in episodes]):
        values, rewards = {}, {}
        for batch in micro_batches(made, 200, dtype=torch.float64, share=share):
            values |= dict(zip(map(id, batch.sequences), batch.split(critic.values(batch)), strict=True))
            rewards |= dict(zip(map(id, batch.sequences), critic.rewards(batch), strict=True))
        found.append(torch.cat([torch.cat([values[id(s)], rewards[id(s)][None]]) for s in made]))
    torch.testing.assert_close(found[1], found[0])


@pytest.mark.parametrize("fresh", [False, True])
@pytest.mark.parametrize("share", [False, True])
def test_budgets_count_what_is_inserted(share, fresh):
    sequences = [replace(s, fresh=fresh) for s in as_episodes(random_groups((4, 4)))]
    for budget in (64, 100, 200):
        for batch in micro_batches(sequences, budget, share=share):
            assert batch.input_ids.numel() <= budget or len(batch.sequences) == 1
    (batch,) = micro_batches(sequences, 10**6, share=share)
    inserted = sum(len(ids) for s in sequences for _, ids in s.inserted)
    sampled = sum(len(s.completion_ids) for s in sequences)
    prompts = {tuple(s.prompt_ids) for s in sequences} if share else [s.prompt_ids for s in sequences]
    assert batch.passed == sum(map(len, prompts)) + sampled + inserted
    assert len(batch.targets) == len(batch.columns) == len(batch.advantages) == sampled
    assert set(batch.targets.tolist()).isdisjoint(INSERTED)


@pytest.mark.parametrize("inserted", [[(3, [9])], [(2, [9]), (1, [9])], [(-1, [9])]])
def test_what_is_inserted_stands_before_a_sampled_token(inserted):
    with pytest.raises(ValueError, match="inserted before the sampled token"):
        TrainingSequence([1], [5, 6, 7], 0.0, 1.0, inserted=inserted).segments()
