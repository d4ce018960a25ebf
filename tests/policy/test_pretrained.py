"""Models come whole from their files or not at all, and go back with everything they came with."""

import json

import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import AutoModelForSequenceClassification, GenerationConfig

from grpo_kit.config import LoraConfig, ModelConfig
from grpo_kit.errors import UserError
from grpo_kit.policy.models import load_policy, model_skeleton
from grpo_kit.policy.pretrained import check_tokenizer, check_weights, load_whole
from grpo_kit.policy.value_model import ValueModel
from tests.kit.optional import needs_extra
from tests.kit.tiny import make_policy

CPU = torch.device("cpu")


@pytest.fixture
def folder(tmp_path):
    make_policy().save(tmp_path / "model")
    return tmp_path / "model"


def load(folder):
    return load_policy(ModelConfig(path=str(folder)), CPU)


def check(folder):
    return check_weights(str(folder), model_skeleton(ModelConfig(path=str(folder)))[0])


def rewrite(folder, change):
    weights = load_file(folder / "model.safetensors")
    save_file(change(weights), folder / "model.safetensors", metadata={"format": "pt"})


def without(weights, part):
    return {name: w for name, w in weights.items() if part not in name}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda w: {f"base_model.model.{k}": v for k, v in w.items()}, r"in their place.*merged first"),
        (
            lambda w: without(w, "layers.1.mlp.down_proj"),
            r"lacks 1 of the model's weights, model\.layers\.1\.mlp\.down_proj",
        ),
        (lambda w: without(w, "layers.1."), "lacks 1[0-9] of the model's weights"),
        (lambda w: w | {"model.norm.weight": torch.ones(7)}, r"model\.norm\.weight is \[7\] in the files and \[32\]"),
    ],
    ids=["wrapped", "a tensor", "a layer", "a shape"],
)
def test_weights_that_are_not_all_there_are_refused_and_never_made_up(folder, change, message):
    rewrite(folder, change)
    for refuse in (check, load):
        with pytest.raises(UserError, match=message):
            refuse(folder)


def test_an_untied_head_that_is_missing_is_refused(folder):
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | {"tie_word_embeddings": False}))
    for refuse in (check, load):
        with pytest.raises(UserError, match=r"lacks 1 of the model's weights, lm_head\.weight"):
            refuse(folder)


def test_names_without_a_place_are_named(folder):
    assert check(folder) == []
    rewrite(folder, lambda w: w | {"visual.patch.weight": torch.ones(2)})
    assert check(folder) == ["visual.patch.weight"]
    load(folder)


def test_a_critic_is_not_begun_from_a_language_model(folder):
    """Its score layer would be drawn at random without a word."""
    with pytest.raises(UserError, match=r"critic\.path: .* lacks 1 of the model's weights, score\.weight"):
        load_whole(AutoModelForSequenceClassification, str(folder), "critic.path")
    ValueModel.from_policy(make_policy()).save(folder.parent / "critic")
    ValueModel.load(str(folder.parent / "critic"), make_policy())


# What published models have, and what transformers refuses to save of it (all but the last two).
GENERATION = {
    "temperature": {"temperature": 0.6},
    "top_p": {"top_p": 0.9},
    "top_k": {"top_k": 20},
    "min_p": {"min_p": 0.1},
    "length_penalty": {"length_penalty": 0.5},
    "pad": {"pad_token_id": -1},
    "sampling": {"do_sample": True, "temperature": 0.6, "top_p": 0.95, "repetition_penalty": 1.1},
    "two ends": {"eos_token_id": [257, 258]},
}


@pytest.mark.parametrize("name", GENERATION)
@pytest.mark.parametrize("lora", [False, True])
def test_the_generation_config_goes_back_as_it_came(folder, tmp_path, name, lora):
    if lora:
        needs_extra("peft", "peft")
    text = json.dumps({"eos_token_id": 257, "unknown_key": [1]} | GENERATION[name], indent=1)
    (folder / "generation_config.json").write_text(text)
    policy = load(folder)
    if lora:
        from grpo_kit.policy.lora import attach_lora

        policy = attach_lora(policy, LoraConfig(rank=2))
    policy.save(tmp_path / "saved")
    assert (tmp_path / "saved" / "generation_config.json").read_text() == text
    again = load(tmp_path / "saved")
    assert again.generation_config == text
    kept = policy.model.get_base_model() if lora else policy.model
    assert isinstance(kept.generation_config, GenerationConfig)
    assert kept.generation_config.eos_token_id == json.loads(text)["eos_token_id"]


def test_a_model_that_came_without_one_is_saved_as_transformers_would(folder):
    assert load(folder).generation_config is not None  # what transformers wrote for a model made here
    (folder / "generation_config.json").unlink()
    assert load(folder).generation_config is None


def test_a_tokenizer_of_another_model_is_refused(folder):
    policy = load(folder)
    policy.tokenizer.add_tokens([f"word{i}" for i in range(3)])
    with pytest.raises(UserError, match="has ids up to 262, and the model's embedding has 260 rows"):
        check_tokenizer(policy.tokenizer, policy.model, "here")


def test_a_special_token_that_text_never_holds_is_borne(folder):
    policy = load(folder)
    policy.tokenizer.add_special_tokens({"additional_special_tokens": ["<image>"]})
    check_tokenizer(policy.tokenizer, policy.model, "here")


def test_a_tokenizer_without_its_files_is_refused(folder):
    (folder / "tokenizer.json").unlink()
    with pytest.raises(UserError, match="reads no text: its files"):
        load(folder)


def test_a_model_that_cannot_end_a_response_is_refused(folder):
    policy = load(folder)
    policy.tokenizer.eos_token = None
    policy.tokenizer.chat_template = "{% for m in messages %}{{ m.content }}\n{% endfor %}"
    policy.model.generation_config.eos_token_id = None
    with pytest.raises(UserError, match="nothing says how a response of here ends"):
        check_tokenizer(policy.tokenizer, policy.model, "here")


def test_weights_that_are_not_finite_are_called_so(tmp_path):
    policy = make_policy()
    policy.model.get_decoder().norm.weight.data[3] = float("nan")
    policy.save(tmp_path / "model")
    with pytest.raises(UserError, match=r"model\.path: model\.norm\.weight and 0 other weights are not finite"):
        load_policy(ModelConfig(path=str(tmp_path / "model")), torch.device("cpu"))
