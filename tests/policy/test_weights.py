"""What is handed to an engine: every name of the model, tied ones under both, adapters merged."""

import pytest
import torch

from grpo_kit.policy.weights import exported_weights


def test_every_weight_under_every_name_without_a_copy(policy):
    weights = dict(exported_weights(policy.model))
    assert weights.keys() == policy.model.state_dict().keys()
    assert "lm_head.weight" in weights
    for name, tensor in policy.model.state_dict().items():
        assert weights[name].data_ptr() == tensor.data_ptr()
        assert not weights[name].requires_grad


def test_lora_adapters_are_merged(policy):
    peft = pytest.importorskip("peft")
    names = set(policy.model.state_dict())
    config = peft.LoraConfig(
        r=4, target_modules=["q_proj", "down_proj"], task_type="CAUSAL_LM", init_lora_weights=False
    )
    adapted = peft.get_peft_model(policy.model, config).eval()
    ids = torch.tensor([[5, 6, 7, 8]])
    expected = adapted(input_ids=ids).logits
    weights = dict(exported_weights(adapted))
    assert set(weights) == names
    plain = adapted.unload()
    before = plain(input_ids=ids).logits
    plain.load_state_dict(weights)
    after = plain(input_ids=ids).logits
    assert (before - expected).abs().max() > 1e-3
    assert torch.allclose(after, expected, atol=1e-5)
