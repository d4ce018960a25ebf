"""Models in one file come whole and as they describe themselves, once; everything else is refused, and nothing is left behind."""

import json
import sys
import tomllib
from pathlib import Path

import numpy as np
import pytest
import torch
from transformers import AutoModelForCausalLM, LlamaConfig, LlamaForCausalLM

from grpo_kit.config import ModelConfig
from grpo_kit.errors import UserError
from grpo_kit.policy import gguf
from grpo_kit.policy.models import load_policy, model_skeleton
from grpo_kit.policy.pretrained import check_weights
from tests.kit.optional import needs_extra
from tests.kit.places import ROOT

needs_extra("gguf", "gguf")

CPU = torch.device("cpu")
TEMPLATE = (
    "{% for m in messages %}<|im_start|>{{ m['role'] }}\n{{ m['content'] }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
HEADS = {"q_proj": 4, "k_proj": 2}
NAMES = {
    "model.embed_tokens.weight": "token_embd.weight",
    "model.norm.weight": "output_norm.weight",
    "self_attn.q_proj": "attn_q",
    "self_attn.k_proj": "attn_k",
    "self_attn.v_proj": "attn_v",
    "self_attn.o_proj": "attn_output",
    "mlp.gate_proj": "ffn_gate",
    "mlp.up_proj": "ffn_up",
    "mlp.down_proj": "ffn_down",
    "post_attention_layernorm": "ffn_norm",
    "input_layernorm": "attn_norm",
    "model.layers.": "blk.",
}


def vocabulary():
    from transformers.convert_slow_tokenizer import bytes_to_unicode

    return ["<|endoftext|>", "<|im_start|>", "<|im_end|>", *bytes_to_unicode().values(), "ĠĠ"]


@pytest.fixture(scope="module")
def model():
    torch.manual_seed(0)
    shape = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "max_position_embeddings": 512}
    heads = {"num_attention_heads": 4, "num_key_value_heads": 2, "head_dim": 8, "tie_word_embeddings": True}
    ends = {"bos_token_id": 1, "eos_token_id": 2, "pad_token_id": 2, "rms_norm_eps": 1e-5}
    return LlamaForCausalLM(LlamaConfig(vocab_size=len(vocabulary()), **shape, **heads, **ends))


def write(path, model, *, architecture="llama", template=TEMPLATE, layers=2, parts=None, without=(), quantised=False):
    """The file that llama.cpp's converter would write of the model."""
    from gguf import GGMLQuantizationType, GGUFWriter, quantize

    writer, config = GGUFWriter(path, architecture), model.config
    writer.add_context_length(config.max_position_embeddings)
    writer.add_embedding_length(config.hidden_size)
    writer.add_block_count(layers)
    writer.add_feed_forward_length(config.intermediate_size)
    writer.add_head_count(config.num_attention_heads)
    writer.add_head_count_kv(config.num_key_value_heads)
    writer.add_layer_norm_rms_eps(config.rms_norm_eps)
    writer.add_rope_freq_base(10000.0)
    writer.add_vocab_size(config.vocab_size)
    if parts:
        writer.add_uint16("split.count", parts)
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("smollm")
    writer.add_token_list(vocabulary())
    writer.add_token_types([3, 3, 3] + [1] * (len(vocabulary()) - 3))
    writer.add_token_merges(["Ġ Ġ"])
    writer.add_bos_token_id(1)
    writer.add_eos_token_id(2)
    writer.add_pad_token_id(2)
    writer.add_unk_token_id(0)
    if template:
        writer.add_chat_template(template)
    for name, weight in model.state_dict().items():
        if name == "lm_head.weight" or any(part in name for part in without):
            continue
        array = weight.numpy()
        heads = next((n for part, n in HEADS.items() if part in name), None)
        if heads:  # llama.cpp rotates neighbours, transformers halves
            array = array.reshape(heads, 2, -1, array.shape[1]).swapaxes(1, 2).reshape(array.shape)
        for theirs, ours in NAMES.items():
            name = name.replace(theirs, ours)
        if quantised and array.ndim == 2:
            kind = GGMLQuantizationType.Q8_0
            writer.add_tensor(name, quantize(array, kind), raw_dtype=kind)
        else:
            writer.add_tensor(name, array.astype(np.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


@pytest.fixture
def file(tmp_path, model):
    return write(tmp_path / "tiny.gguf", model)


def load(file):
    return load_policy(ModelConfig(path=str(file)), CPU)


def folders(place):
    return sorted(p.name for p in place.iterdir() if p.is_dir())


def test_the_weights_are_those_of_the_model_and_the_folder_is_anybodys(file, model, capsys):
    policy = load(file)
    loaded = policy.model.state_dict()
    for name, weight in model.state_dict().items():
        torch.testing.assert_close(loaded[name], weight, rtol=0, atol=0)
    (name,) = folders(file.parent)
    assert f"is dequantised into {file.parent / name}" in capsys.readouterr().err
    plain = AutoModelForCausalLM.from_pretrained(file.parent / name)
    ids = torch.arange(3, 20)[None]
    with torch.no_grad():
        torch.testing.assert_close(plain(ids).logits, model.eval()(ids).logits)
    assert "quantization" not in (file.parent / name / "config.json").read_text()
    assert policy.tokenizer.eos_token == "<|im_end|>"
    assert policy.tokenizer.chat_template == TEMPLATE
    assert json.loads(str(policy.generation_config))["eos_token_id"] == 2


def test_quantised_weights_are_what_the_package_makes_of_them(tmp_path, model):
    from gguf import GGMLQuantizationType, dequantize, quantize

    policy = load(write(tmp_path / "q8.gguf", model, quantised=True))
    weight = model.state_dict()["model.layers.1.mlp.up_proj.weight"].numpy()
    kind = GGMLQuantizationType.Q8_0
    expected = torch.from_numpy(dequantize(quantize(weight, kind), kind))
    loaded = policy.model.state_dict()["model.layers.1.mlp.up_proj.weight"]
    torch.testing.assert_close(loaded, expected, rtol=0, atol=0)
    assert not torch.equal(loaded, torch.from_numpy(weight))


def test_digits_are_split_as_the_file_says(file):
    """transformers passes over the pre-tokenizer of this family, and joins blanks before a digit in another way."""
    tokenizer = load(file).tokenizer
    assert tokenizer.convert_ids_to_tokens(tokenizer.encode("a  15", add_special_tokens=False)) == ["a", "ĠĠ", "1", "5"]


def test_it_is_made_once_and_for_each_content(file, model, capsys):
    load(file)
    capsys.readouterr()
    skeleton, _ = model_skeleton(ModelConfig(path=str(file)))
    assert check_weights(str(file), skeleton) == []
    load(file)
    assert "dequantised" not in capsys.readouterr().err
    write(file, model, template=TEMPLATE + " ")
    assert load(file).tokenizer.chat_template.endswith(" ")
    assert len(folders(file.parent)) == 2


def test_where_nothing_can_be_written_the_folder_goes_to_the_cache(file, monkeypatch, tmp_path_factory):
    cache = tmp_path_factory.mktemp("cache")
    monkeypatch.setenv("XDG_CACHE_HOME", str(cache))
    monkeypatch.setattr(gguf.os, "access", lambda place, mode: Path(place) != file.parent)
    made = Path(gguf.model_folder(str(file)))
    assert made.parent == cache / "grpo-kit" / "gguf"
    assert folders(file.parent) == []


def test_where_there_is_no_room_both_places_are_named(file, monkeypatch, tmp_path_factory):
    cache = tmp_path_factory.mktemp("cache")
    monkeypatch.setenv("XDG_CACHE_HOME", str(cache))
    full = type("Usage", (), {"free": 1000})
    monkeypatch.setattr(gguf.shutil, "disk_usage", lambda place: full)
    with pytest.raises(UserError, match=rf"there is no place for it: {file.parent} has 0\.0 GB left; {cache}"):
        load(file)


def test_what_a_killed_process_left_is_cleared(file):
    name = Path(gguf.model_folder(str(file))).name
    for path in (file.parent / name).iterdir():
        path.unlink()
    (file.parent / name).rmdir()
    (file.parent / f"{name}.0123456789ab.tmp").mkdir()
    load(file)
    assert folders(file.parent) == [name]


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (
            {"architecture": "clip"},
            "of the architecture 'clip', which transformers .* does not read from GGUF; it reads .*llama",
        ),
        ({"parts": 3}, "is one of 3 parts of a model; join them first"),
        ({"template": None}, "holds no chat template .* instruction-tuned"),
        ({"without": ("layers.1.mlp.up_proj",)}, r"lacks 1 of the model's weights, model\.layers\.1\.mlp\.up_proj"),
        ({"layers": 1}, "says of itself: weights"),
    ],
    ids=["architecture", "parts", "template", "a weight", "layers"],
)
def test_models_that_are_not_whole_are_refused_and_leave_nothing(tmp_path, model, settings, message):
    file = write(tmp_path / "bad.gguf", model, **settings)
    with pytest.raises(UserError, match=message):
        load(file)
    assert folders(tmp_path) == []


@pytest.mark.parametrize("share", [0.0005, 0.01, 0.1, 0.5, 0.98])
def test_files_that_are_cut_off_are_refused_and_leave_nothing(file, share):
    content = file.read_bytes()
    file.write_bytes(content[: int(len(content) * share)])
    with pytest.raises(UserError, match=r"is damaged or cut off \(.+\); fetch it again"):
        load(file)
    assert folders(file.parent) == []


def test_other_files_are_refused(tmp_path):
    with pytest.raises(UserError, match=r"none\.gguf cannot be read: No such file"):
        load(tmp_path / "none.gguf")
    (tmp_path / "page.gguf").write_text("<html>")
    with pytest.raises(UserError, match=r"page\.gguf is no GGUF file: it begins with b'<htm'"):
        load(tmp_path / "page.gguf")


@pytest.mark.parametrize("package", gguf.NEEDED)
def test_without_a_package_its_extra_is_named_and_has_it(file, monkeypatch, package):
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    assert any(requirement.startswith(package) for requirement in extras["gguf"])
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(UserError, match=rf"package {package}, .* not installed: pip install 'grpo-kit\[gguf\]'"):
        load(file)
    assert not list(file.parent.glob("tiny-*"))  # and nothing was begun


def test_the_recipe_of_the_real_model_runs_with_a_tiny_one(zygote, model):
    """The real one is 93 MB away; everything but its size is the same."""
    file = write(zygote.folder / "tiny.gguf", model)
    overrides = [
        f"model.path={file}",
        "train.steps=1",
        "evaluation.tasks=4",
        "rollout.max_tokens=8",
        "data.max_prompt_tokens=400",
    ]
    done = zygote.run("train", "quickstart/word_problems", "--smoke", *overrides, "--run-dir", "words")
    assert done.code == 0, done.output
    steps = (zygote.folder / "words" / "metrics.jsonl").read_text()
    assert '"step": 1' in steps
    AutoModelForCausalLM.from_pretrained(zygote.folder / "words" / "model")
