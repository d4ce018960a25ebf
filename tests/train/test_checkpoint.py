"""Checkpoints: whole or not there, damage found, the one before used."""

import errno
import shutil

import pytest
import torch

from grpo_kit.errors import UserError
from grpo_kit.train import checkpoint as checkpoints
from tests.kit.tiny import make_policy


def save(folder, step, policy, keep_last=5, keep_best=0, **more):
    path = checkpoints.save_checkpoint(folder, step, policy, {"step": step}, **more)
    checkpoints.prune(folder, keep_last, keep_best)
    return path


def test_round_trip_loads_in_transformers_and_here(tmp_path, policy):
    from transformers import AutoModelForCausalLM, AutoTokenizer

    path = save(tmp_path, 3, policy)
    assert checkpoints.find_damage(path) is None
    assert checkpoints.load_state(path) == {"step": 3}
    theirs = AutoModelForCausalLM.from_pretrained(path / "model")
    other = make_policy(seed=5)
    other.load_weights(path / "model")
    for name, parameter in policy.model.named_parameters():
        assert torch.equal(parameter, theirs.get_parameter(name))
        assert torch.equal(parameter, other.model.get_parameter(name))
    tokenizer = AutoTokenizer.from_pretrained(path / "model")
    messages = [{"role": "user", "content": "1+2="}]
    options = {"tokenize": True, "add_generation_prompt": True, "return_dict": False}
    assert tokenizer.apply_chat_template(messages, **options) == policy.tokenizer.apply_chat_template(
        messages, **options
    )


def test_only_the_newest_are_kept(tmp_path, policy):
    for step in (1, 2, 3, 4):
        save(tmp_path, step, policy, keep_last=2)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["step-000003", "step-000004"]


def flip_a_byte(path):
    file = path / "model" / "model.safetensors"
    data = bytearray(file.read_bytes())
    data[len(data) // 2] ^= 1
    file.write_bytes(data)


def truncate(path):
    file = path / "state" / "trainer.pt"
    file.write_bytes(file.read_bytes()[:-10])


DAMAGES = {
    "a flipped byte": (flip_a_byte, "does not hold what was written"),
    "a truncated file": (truncate, "bytes"),
    "a missing file": (lambda p: (p / "model" / "config.json").unlink(), "is missing"),
    "no manifest": (lambda p: (p / "manifest.json").unlink(), "no readable manifest.json"),
    "half a manifest": (lambda p: (p / "manifest.json").write_text("{"), "no readable manifest.json"),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_damage_is_found_and_the_previous_checkpoint_used(tmp_path, policy, damage):
    first, second = save(tmp_path, 1, policy), save(tmp_path, 2, policy)
    harm, message = DAMAGES[damage]
    harm(second)
    warnings = []
    assert checkpoints.latest_checkpoint(tmp_path, warnings.append) == first
    assert "step-000002 is damaged" in warnings[0]
    assert message in warnings[0]


def test_no_usable_checkpoint(tmp_path, policy):
    flip_a_byte(save(tmp_path, 1, policy))
    with pytest.raises(UserError, match="holds no usable checkpoint"):
        checkpoints.latest_checkpoint(tmp_path, lambda text: None)


def test_a_full_disk_leaves_the_previous_checkpoint_and_no_half_one(tmp_path, policy, monkeypatch):
    first = save(tmp_path, 1, policy)

    def no_space(*args, **kwargs):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(torch, "save", no_space)
    with pytest.raises(checkpoints.SaveRefused, match=r"needs .* bytes, .* are free.*No space left on device"):
        save(tmp_path, 2, policy)
    assert [p.name for p in tmp_path.iterdir()] == ["step-000001"]
    assert checkpoints.find_damage(first) is None


def test_leftovers_of_a_killed_save_are_ignored_and_replaced(tmp_path, policy):
    first = save(tmp_path, 1, policy)
    shutil.copytree(first, tmp_path / ".writing-step-000002")
    (tmp_path / ".writing-step-000002" / "manifest.json").unlink()
    assert checkpoints.latest_checkpoint(tmp_path, pytest.fail) == first
    second = save(tmp_path, 2, policy)
    assert checkpoints.latest_checkpoint(tmp_path, pytest.fail) == second
    assert sorted(p.name for p in tmp_path.iterdir()) == ["step-000001", "step-000002"]
