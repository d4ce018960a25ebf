"""Law 14: a prompt that goes through the model once for all of its completions changes time and memory alone."""

import pytest
import torch
from transformers import AutoConfig, AutoModelForCausalLM

from grpo_kit.config import LoraConfig
from grpo_kit.observe.measure import Measures
from grpo_kit.policy.attention import attends_to_trees, last_hidden, share_prompts
from grpo_kit.policy.dealing import rank_batches
from grpo_kit.policy.layers import checkpoint_layers
from grpo_kit.policy.lora import attach_lora
from grpo_kit.policy.packing import micro_batches, unit_batches
from grpo_kit.policy.prefix import PrefixTree
from grpo_kit.policy.value_model import ValueModel
from grpo_kit.train.trust_region import TrustRegionStep
from tests.kit.distributed_gradient import step
from tests.kit.gradients import GRADIENT_ROWS, gradient, in_full_precision
from tests.kit.optional import needs_extra
from tests.kit.sequences import random_groups
from tests.kit.tiny import make_policy
from tests.kit.torchrun import succeed

CLOSE = [(torch.float64, 1e-10), (torch.float32, 1e-5)]
BUDGETS = (1, 64, 150, 10**6)  # one completion after another, pieces of groups, groups, all


def network(dtype, share, **shape):
    policy = make_policy(dtype=dtype, **shape)
    in_full_precision(policy.model)
    if share:
        assert policy.share_prompts() is None
    return policy


def far(mine, theirs):
    assert theirs.norm() > 0
    return float((mine - theirs).norm() / theirs.norm())


def flat_gradient(model):
    return torch.cat([p.grad.flatten() for p in model.parameters() if p.grad is not None])


@pytest.mark.parametrize("algorithm", GRADIENT_ROWS)
@pytest.mark.parametrize(("dtype", "tolerance"), CLOSE)
def test_the_gradient_of_every_row(algorithm, dtype, tolerance):
    loss, whole = gradient(network(dtype, share=False), random_groups(), algorithm, 10**6)
    sharing = network(dtype, share=True)
    for budget in BUDGETS:
        other_loss, other = gradient(sharing, random_groups(seed=0), algorithm, budget)
        assert far(other, whole) < tolerance
        assert other_loss == pytest.approx(loss, rel=tolerance * 10)


@pytest.mark.parametrize("sizes", [(1, 1, 1), (8,), (2, 8, 1, 3)])
@pytest.mark.parametrize("checkpointing", [False, True])
def test_groups_of_any_size_with_and_without_checkpointing(sizes, checkpointing):
    found = []
    for share in (False, True):
        policy = network(torch.float64, share)
        if checkpointing:
            checkpoint_layers(policy.model)
            policy.model.train()
        for batch in micro_batches(random_groups(sizes), 10**6, dtype=torch.float64, share=share):
            logprobs, entropies = policy.logprobs(batch, 0.7, entropy_gradient=True)
            ((logprobs * batch.advantages + 0.1 * entropies) * batch.weights).sum().backward()
        found.append(flat_gradient(policy.model))
    assert far(found[1], found[0]) < 1e-10


def test_prompts_are_passed_once():
    sequences = random_groups((4, 4))
    (batch,) = micro_batches(sequences, 10**6, share=True)
    prompts = {tuple(s.prompt_ids) for s in sequences}
    assert batch.passed == sum(map(len, prompts)) + sum(len(s.completion_ids) for s in sequences)
    assert batch.passed == batch.input_ids.numel()  # and nothing is padded
    for budget in (40, 80, 200):
        for part in micro_batches(sequences, budget, share=True):
            assert part.input_ids.numel() <= budget or len(part.sequences) == 1


@pytest.mark.parametrize(("dtype", "tolerance"), CLOSE)
def test_a_critic_and_a_reward_model(dtype, tolerance):
    found = []
    for share in (False, True):
        critic = ValueModel.from_policy(network(dtype, share))
        assert attends_to_trees(critic.model) is share
        in_full_precision(critic.model)
        torch.nn.init.normal_(critic.model.score.weight, generator=torch.Generator().manual_seed(0))
        sequences = random_groups()
        values, rewards = {}, {}
        for batch in micro_batches(sequences, 150, dtype=dtype, share=share):
            values |= dict(zip(map(id, batch.sequences), batch.split(critic.values(batch)), strict=True))
            rewards |= dict(zip(map(id, batch.sequences), critic.rewards(batch), strict=True))
        said = torch.cat([torch.cat([values[id(s)], rewards[id(s)][None]]) for s in sequences])
        (said * torch.arange(len(said)).sin()).sum().backward()
        found.append((said.detach(), flat_gradient(critic.model)))
    assert far(found[1][0], found[0][0]) < tolerance
    assert far(found[1][1], found[0][1]) < tolerance * 10


def test_pairs_keep_their_order():
    sequences = random_groups((4, 2, 2))
    units = [pair for group in (0, 1, 2) for pair in _pairs([s for s in sequences if s.group == group])]
    found = []
    for share in (False, True):
        policy = network(torch.float64, share)
        margins = {}
        for batch in unit_batches(units, 100, dtype=torch.float64, share=share):
            sums = batch.sum_sequences(policy.logprobs(batch, 1.0)[0])
            pairs = zip(batch.sequences[0::2], batch.sequences[1::2], sums[0::2] - sums[1::2], strict=True)
            margins |= {(id(chosen), id(rejected)): margin.item() for chosen, rejected, margin in pairs}
        found.append([margins[id(chosen), id(rejected)] for chosen, rejected in units])
    assert found[1] == pytest.approx(found[0], abs=1e-10)


def _pairs(sequences):
    return list(zip(sequences[0::2], sequences[1::2], strict=True))


def test_adapters_learn_the_same():
    needs_extra("peft", "peft")
    found = []
    for share in (False, True):
        torch.manual_seed(0)
        policy = attach_lora(network(torch.float64, share), LoraConfig(rank=4))
        policy.model.double()
        assert attends_to_trees(policy.model) is share
        for name, parameter in policy.model.named_parameters():
            if "lora_" in name:
                torch.nn.init.normal_(parameter, std=0.2, generator=torch.Generator().manual_seed(len(name)))
        for batch in micro_batches(random_groups(), 150, dtype=torch.float64, share=share):
            assert (batch.tree is not None) is share
            (policy.logprobs(batch, 1.0)[0] * batch.advantages * batch.weights).sum().backward()
        found.append(flat_gradient(policy.model))
    assert far(found[1], found[0]) < 1e-10


def test_the_step_of_a_trust_region():
    found = []
    for share in (False, True):
        policy = network(torch.float64, share)
        step = TrustRegionStep(policy, 0.01, 1.0)
        batches = list(micro_batches(random_groups(), 10**6, dtype=torch.float64, share=share))

        def loss(batch, metrics, policy=policy):
            return -(policy.logprobs(batch, 1.0)[0] * batch.advantages * batch.weights).sum()

        before = torch.nn.utils.parameters_to_vector(policy.model.parameters()).detach().clone()
        step(batches, loss, Measures())
        found.append(torch.nn.utils.parameters_to_vector(policy.model.parameters()).detach() - before)
    assert far(found[1], found[0]) < 1e-8  # conjugate gradients amplify what is left of rounding


def test_the_updater_shares_where_the_network_can_and_it_pays():
    policy = network(torch.float32, share=True)
    loss, _ = gradient(policy, random_groups((4, 4)), "grpo", 10**6)
    assert loss != 0.0

    def trees(sequences, policy):
        return [b.tree is not None for b in rank_batches(sequences, 10**6, policy.device, policy.model)]

    assert trees(random_groups((4, 4)), policy) == [True]
    assert trees(random_groups((1, 1, 1)), policy) == [False]  # a row per sequence is the faster one then
    assert trees(random_groups((4, 4)), network(torch.float32, share=False)) == [False]


@pytest.mark.parametrize(("ranks", "how"), [(2, ("checkpointing",)), (4, ())])
def test_among_ranks(ranks, how, tmp_path):
    here = step(torch.float64, groups=True)
    succeed(ranks, "tests.kit.distributed_gradient", tmp_path / "result.pt", "float64", "shared", *how)
    there = torch.load(tmp_path / "result.pt")
    assert there["trees"]
    assert far(there["gradient"], here["gradient"]) < 1e-10
    assert there["loss"] == pytest.approx(here["loss"], rel=1e-9)


SIZES = {"vocab_size": 256, "hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "head_dim": 8}
SIZES |= {"num_attention_heads": 4, "num_key_value_heads": 2, "pad_token_id": 0, "bos_token_id": 1, "eos_token_id": 2}


@pytest.mark.parametrize(
    ("kind", "reason"),
    [
        ("llama", None),
        ("qwen2", None),
        ("qwen3", None),
        ("gpt2", None),
        ("olmo2", None),
        ("gpt_neox", None),
        ("mistral", "not of full attention alone (a sliding window)"),
        ("gemma2", "not of full attention alone (full_attention, sliding_attention)"),
        ("bloom", "its attention is 'eager', not 'sdpa'"),
        ("nemotron", "its hidden states differ"),
        ("deepseek_v3", "its code does not take a tree"),
    ],
)
def test_networks_that_can_and_why_others_cannot(kind, reason):
    torch.manual_seed(0)
    model = AutoModelForCausalLM.from_config(AutoConfig.for_model(kind, **SIZES)).eval()
    before = model.config._attn_implementation
    said = share_prompts(model, model.get_decoder())
    if reason is None:
        assert said is None
        assert attends_to_trees(model)
    else:
        assert reason in said
        assert model.config._attn_implementation == before


def test_a_network_whose_states_would_differ_is_found_out(monkeypatch):
    def blind(self, query, key, value, scale):
        """Attends to everything before it, as attention without the tree would."""
        own = torch.nn.functional.scaled_dot_product_attention(query, key, value, is_causal=True, scale=scale)
        return own.transpose(1, 2)

    monkeypatch.setattr(PrefixTree, "attend", blind)
    policy = make_policy()
    assert "its hidden states differ" in policy.share_prompts()
    assert not attends_to_trees(policy.model)


def test_attention_of_a_tree_is_that_of_its_mask():
    groups = [(3, [2, 4]), (2, [1]), (5, [3, 1, 2])]
    tree = PrefixTree.of(groups)
    trunk_of, branch_of = [], []
    for group, (trunk, branches) in enumerate(groups):
        trunk_of += [group] * (trunk + sum(branches))
        branch_of += [-1] * trunk + [n for n, length in enumerate(branches) for _ in range(length)]
    tokens = len(trunk_of)
    mask = torch.tensor(
        [
            [j <= i and trunk_of[i] == trunk_of[j] and branch_of[j] in (-1, branch_of[i]) for j in range(tokens)]
            for i in range(tokens)
        ]
    )
    generator = torch.Generator().manual_seed(0)
    query = torch.randn(1, 4, tokens, 8, dtype=torch.float64, generator=generator)
    key, value = (torch.randn(1, 2, tokens, 8, dtype=torch.float64, generator=generator) for _ in range(2))
    theirs = torch.nn.functional.scaled_dot_product_attention(query, key, value, attn_mask=mask, enable_gqa=True)
    torch.testing.assert_close(tree.attend(query, key, value, None), theirs.transpose(1, 2))


def test_a_tree_goes_through_a_network_as_it_is(policy):
    assert policy.share_prompts() is None
    tree = PrefixTree.of([(3, [2, 2])])
    ids = torch.tensor([[1, 2, 3, 4, 5, 6, 7]])
    hidden = last_hidden(policy.backbone, ids, tree)[0]
    for branch, at in (([4, 5], [0, 1, 2, 3, 4]), ([6, 7], [0, 1, 2, 5, 6])):
        alone = last_hidden(policy.backbone, torch.tensor([[1, 2, 3, *branch]]))[0]
        torch.testing.assert_close(hidden[at], alone)
