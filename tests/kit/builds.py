"""Small models of the builds that the embedded engine writes out a decoding step for."""

import torch
from transformers import AutoModelForCausalLM, LlamaConfig, Qwen2Config, Qwen3Config

from grpo_kit.policy.models import Policy
from tests.kit.tiny import make_policy

SMALL = {"vocab_size": 90, "hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 2, "head_dim": 8}
BUILDS = {
    "grouped heads and biases": Qwen2Config(num_attention_heads=4, num_key_value_heads=2, **SMALL),
    "norms of queries and keys": Qwen3Config(num_attention_heads=4, num_key_value_heads=1, **SMALL),
    "scaled rotary, output biases": LlamaConfig(
        num_attention_heads=4,
        num_key_value_heads=4,
        attention_bias=True,
        rope_parameters={"rope_type": "linear", "factor": 2.0, "rope_theta": 1e4},
        **SMALL,
    ),
}


def policy_of(config, dtype=torch.float64):
    torch.manual_seed(4)
    model = AutoModelForCausalLM.from_config(config).to(dtype)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.2 * torch.randn_like(parameter))
    return Policy(model, make_policy().tokenizer, torch.device("cpu"))
