"""Loading, building and saving policies."""

import copy

import pytest
import torch
from torch import nn

from grpo_kit.config import ModelConfig
from grpo_kit.config.read import load_recipe
from grpo_kit.errors import UserError
from grpo_kit.policy import models
from grpo_kit.policy.layers import compile_layers
from grpo_kit.policy.logprobs import head_of
from grpo_kit.policy.models import load_policy, model_skeleton
from grpo_kit.policy.packing import micro_batches
from grpo_kit.train import assemble
from grpo_kit.train.assemble import prepare_policy
from grpo_kit.train.preflight import preflight
from tests.kit.runs import recipe
from tests.kit.sequences import random_groups, random_sequences
from tests.kit.tiny import TINY_RECIPE, make_policy


def test_the_same_seed_builds_the_same_model():
    first, second, other = make_policy(3), make_policy(3), make_policy(4)
    for a, b in zip(first.model.parameters(), second.model.parameters(), strict=True):
        assert torch.equal(a, b)
    assert not all(torch.equal(a, b) for a, b in zip(first.model.parameters(), other.model.parameters(), strict=True))


def test_saved_policies_load_again(policy, tmp_path):
    policy.save(tmp_path / "model")
    again = load_policy(ModelConfig(path=str(tmp_path / "model")), torch.device("cpu"))
    ids = torch.arange(1, 9)[None]
    torch.testing.assert_close(again.hidden(ids), policy.hidden(ids))
    skeleton, tokenizer = model_skeleton(ModelConfig(path=str(tmp_path / "model")))
    assert sum(p.numel() for p in skeleton.parameters()) == policy.parameter_count
    assert len(tokenizer) == len(policy.tokenizer) == policy.model.config.vocab_size
    assert (tokenizer.eos_token_id, tokenizer.pad_token_id) == (
        policy.tokenizer.eos_token_id,
        policy.tokenizer.pad_token_id,
    )
    for text in ("47+85=", "naïve £5 → 日本\n\t\\boxed{1}", "a <|endoftext|> b"):
        assert tokenizer.encode(text) == policy.tokenizer.encode(text)
        assert tokenizer.decode(tokenizer.encode(text)) == text


def test_the_tokenizer_spells_any_text(policy):
    text = "naïve £5 → 日本\n\t\\boxed{1}"
    assert policy.tokenizer.decode(policy.tokenizer.encode(text)) == text


def test_hidden_states_and_head_give_the_models_logits(policy):
    ids = torch.arange(1, 17).reshape(2, 8)
    torch.testing.assert_close(head_of(policy.model).logits(policy.hidden(ids)), policy.model(input_ids=ids).logits)


@pytest.fixture
def compiled():
    """A policy whose layers are compiled by a backend that keeps the graphs and runs them as they are."""
    policy, graphs = make_policy(layers=4), []
    assert policy.share_prompts() is None

    def backend(graph, _):
        graphs.append(graph)
        return graph.forward

    torch._dynamo.reset()
    compile_layers(policy.model, backend=backend)
    yield policy, graphs
    torch._dynamo.reset()


def test_compiled_layers_train_the_model_and_are_compiled_once(compiled):
    policy, graphs = compiled
    batch = next(micro_batches(random_sequences(3), 10**6))
    found, _ = policy.logprobs(batch, 1.0)
    assert len(graphs) == 1
    torch.testing.assert_close(found, copy.deepcopy(policy).logprobs(batch, 1.0)[0])
    found.sum().backward()
    assert all(p.grad is not None for p in policy.model.parameters())
    other = next(micro_batches(random_sequences(5, seed=1), 10**6))
    policy.logprobs(other, 1.0)[0].sum().backward()
    assert len(graphs) <= 2  # for other numbers of rows and columns than the first


def test_generation_and_copies_compile_nothing(compiled):
    policy, graphs = compiled
    ids = torch.arange(1, 9)[None]
    policy.model(input_ids=ids, use_cache=True)
    copy.deepcopy(policy).hidden(ids)
    policy.reference().hidden(ids)
    assert not graphs
    policy.hidden(ids)
    assert graphs


def test_a_cache_that_comes_by_position_is_one(policy):
    from transformers import GPT2Config, GPT2LMHeadModel

    graphs = []
    torch._dynamo.reset()
    policy.model = GPT2LMHeadModel(GPT2Config(vocab_size=64, n_embd=16, n_layer=4, n_head=2, use_cache=True))
    compile_layers(policy.model, backend=lambda graph, _: graphs.append(graph) or graph.forward)
    ids = torch.arange(1, 9)[None]
    policy.model(input_ids=ids, use_cache=True)
    assert not graphs
    policy.model(input_ids=ids, use_cache=False)
    assert graphs
    torch._dynamo.reset()


def test_compiled_layers_have_no_second_derivatives(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    config = load_recipe("ppo/trpo", ["model.compile=true"])
    with pytest.raises(UserError, match=r"model\.compile has no second derivatives"):
        preflight(config, None)


def test_looks_at_a_few_tokens_come_before(monkeypatch):
    """Whether a network's head and its trees are right is tried with what is not worth a compilation."""
    tried, prepared = [], []
    monkeypatch.setattr(models, "share_prompts", lambda *_: tried.append("trees"))
    monkeypatch.setattr(models, "_check_head", lambda _: tried.append("head"))
    monkeypatch.setattr(assemble, "compile_layers", lambda network: prepared.append((network, *tried)))
    policy = prepare_policy(recipe("grpo", "model.compile=true"))
    assert prepared == [(policy.model, "head", "trees")]


def test_compiled_layers_share_prompts(compiled):
    policy, graphs = compiled
    for seed in range(3):
        batch = next(micro_batches(random_groups(seed=seed), 10**6, share=True))
        assert batch.tree is not None
        found, _ = policy.logprobs(batch, 1.0)
        torch.testing.assert_close(found, copy.deepcopy(policy).logprobs(batch, 1.0)[0])
    assert graphs


def test_a_network_without_a_list_of_layers_is_not_compiled(policy):
    policy.model.model.layers = nn.Sequential(*policy.model.model.layers)
    with pytest.raises(UserError, match=r"model\.compile: Qwen2ForCausalLM has no list of layers"):
        compile_layers(policy.model)


def test_dropout_is_off(policy, tmp_path):
    from transformers import GPT2Config, GPT2LMHeadModel

    folder = tmp_path / "gpt2"
    GPT2LMHeadModel(GPT2Config(vocab_size=len(policy.tokenizer), n_embd=16, n_layer=1, n_head=2)).save_pretrained(
        folder
    )
    policy.tokenizer.save_pretrained(folder)
    loaded = load_policy(ModelConfig(path=str(folder)), torch.device("cpu"))
    loaded.model.train()
    ids = torch.arange(1, 9)[None]
    torch.testing.assert_close(loaded.hidden(ids), loaded.hidden(ids), rtol=0, atol=0)
    assert all(m.p == 0 for m in loaded.model.modules() if isinstance(m, nn.Dropout))


def test_a_model_without_a_chat_template_needs_one_from_the_recipe(policy, tmp_path):
    policy.tokenizer.chat_template = None
    policy.save(tmp_path / "model")
    recipe, folder = tmp_path / "recipe.yaml", f"model={{path: {tmp_path / 'model'}}}"
    recipe.write_text(TINY_RECIPE)
    with pytest.raises(UserError, match=r"has no chat template.*chat\.arguments\.chat_template"):
        preflight(load_recipe(str(recipe), [folder]), None)
    template = "{% for message in messages %}{{ message.content }}{% endfor %}"
    config = load_recipe(str(recipe), [folder, f'chat.arguments.chat_template="{template}"'])
    assert "<|" not in preflight(config, None).prompts[0]
    # What was trained with it has it from then on.
    prepared = prepare_policy(config)
    assert prepared.tokenizer.chat_template == template


def test_damaged_weights_are_refused(policy, tmp_path):
    policy.save(tmp_path / "model")
    (tmp_path / "model" / "model.safetensors").write_bytes(b"not weights")
    with pytest.raises(UserError, match=r"model\.path: .* could not be loaded"):
        load_policy(ModelConfig(path=str(tmp_path / "model")), torch.device("cpu"))


def test_an_unusual_head_is_refused(policy, tmp_path, monkeypatch):
    """A model whose logits are not what its head says would train on wrong probabilities, silently."""
    from transformers import Qwen2ForCausalLM

    policy.save(tmp_path / "model")
    original = Qwen2ForCausalLM.forward

    def doubled(self, *args, **kwargs):
        output = original(self, *args, **kwargs)
        output.logits = output.logits * 2 + 1
        return output

    monkeypatch.setattr(Qwen2ForCausalLM, "forward", doubled)
    with pytest.raises(UserError, match="computes its logits in a way"):
        load_policy(ModelConfig(path=str(tmp_path / "model")), torch.device("cpu"))
