"""What the process of `test_vllm_adapters` does: ten updates of adapters, pushed to a real vLLM; says what it saw."""

import json
import sys
from pathlib import Path

import torch

from grpo_kit.config import LoraConfig
from grpo_kit.generate.base import SamplingParams
from grpo_kit.generate.vllm_engine import VllmEngine
from grpo_kit.policy.lora import attach_lora
from grpo_kit.types import Prompt
from tests.kit.vllm import MAX_SEQUENCES, rollout, vllm_policy


def move(policy, seed):
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in policy.model.parameters():
            if parameter.requires_grad:
                parameter.add_(0.05 * torch.randn(parameter.shape, generator=generator).to(parameter.device))


def main(target: Path) -> None:
    torch.manual_seed(0)
    policy = attach_lora(vllm_policy(), LoraConfig(rank=4))
    settings = rollout(vllm={"max_sequences": MAX_SEQUENCES, "cache_gb": 0.1, "adapters": True})
    engine = VllmEngine(policy, settings, longest=400)
    probes, sizes, sampled = [], [], []
    for version in range(11):
        if version:
            move(policy, version)
        engine.sync(policy.model, version)
        seen = dict(engine.statistics())
        probes.append(seen["mismatch/probe"])
        sizes.append(seen["sync/bytes"])
        (group,) = engine.generate([Prompt("one", tuple(range(30, 50)))], SamplingParams(n=2, max_tokens=8))
        sampled.append([(c.policy_version, list(c.token_ids), sum(c.logprobs)) for c in group])
    engine.sync(policy.model, 10)  # the same version once more, as a run does that goes on
    engine.close()
    whole = sum(p.nbytes for p in policy.model.parameters())
    target.write_text(json.dumps({"probes": probes, "sizes": sizes, "sampled": sampled, "whole": whole}))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
