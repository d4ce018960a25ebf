"""A float32 output head beside bfloat16 products: nearer the exact log-probabilities, in training and in sampling."""

import torch

from grpo_kit.config import ModelConfig, ScratchModelConfig
from grpo_kit.generate.base import SamplingParams
from grpo_kit.generate.decoder import can_decode
from grpo_kit.generate.torch_engine import TorchEngine
from grpo_kit.objective.algorithms import resolve_objective
from grpo_kit.policy.logprobs import Head, select_logprobs
from grpo_kit.policy.models import load_policy
from grpo_kit.policy.packing import TrainingSequence, micro_batches
from grpo_kit.train.reference import open_reference
from grpo_kit.types import Prompt
from tests.kit.runs import recipe
from tests.kit.sequences import random_sequences


def tiny(dtype, head):
    scratch = ScratchModelConfig(hidden_size=64, intermediate_size=128, layers=2, heads=2, context_length=512)
    policy = load_policy(ModelConfig(scratch=scratch, dtype=dtype, head_dtype=head), torch.device("cpu"))
    with (
        torch.no_grad()
    ):  # random logits are all but equal; trained ones are not, and rounding is in proportion to them
        policy.model.get_output_embeddings().weight.mul_(20.0)
    return policy


def logprobs(policy):
    batch = next(micro_batches(random_sequences(8), 10**6))
    return policy.logprobs(batch, 1.0)[0].detach()


def test_it_halves_the_error_of_training():
    exact = logprobs(tiny("float32", "same"))
    same, full = [(logprobs(tiny("bfloat16", head)) - exact).abs().mean() for head in ("same", "float32")]
    assert 0 < full < same / 2


def test_it_changes_nothing_in_float32():
    assert torch.equal(logprobs(tiny("float32", "same")), logprobs(tiny("float32", "float32")))


def test_what_is_sampled_is_of_the_same_head():
    def mismatch(sampled_with, trained_with):
        engine, policy = TorchEngine(tiny("bfloat16", sampled_with)), tiny("bfloat16", trained_with)
        assert can_decode(policy)  # or the engine would run the model's own forward
        prompts = [Prompt(str(i), tuple(range(3, 9 + i))) for i in range(8)]
        off = []
        for group in engine.generate(prompts, SamplingParams(n=4, max_tokens=16, temperature=8.0)):
            for c in group:
                prompt = prompts[int(c.task_id)].token_ids
                batch = next(micro_batches([TrainingSequence(list(prompt), c.token_ids, 0.0, 1.0)], 10**6))
                off.append(policy.logprobs(batch, 8.0)[0].detach() - torch.tensor(c.logprobs))
        return torch.cat(off).abs().mean()

    assert mismatch("float32", "float32") < mismatch("same", "float32") / 4
    assert mismatch("same", "same") < mismatch("float32", "same") / 4


def test_its_gradient_is_that_of_float32_products():
    torch.manual_seed(0)
    hidden, weight = torch.randn(12, 16), torch.randn(30, 16)
    targets = torch.randint(30, (12,))

    def gradients(precision, full, chunk):
        h, w = hidden.clone().requires_grad_(), weight.clone().requires_grad_()
        with torch.autocast("cpu", dtype=torch.bfloat16, enabled=precision):
            chosen, _ = select_logprobs(h, Head(w, full=full), targets, 0.7, chunk)
        return torch.autograd.grad(chosen.sum(), (h, w))

    wanted = gradients(False, False, 10**6)
    for chunk in (10**6, 90):  # in one piece, and recomputed in the backward pass
        for found, exact in zip(gradients(True, True, chunk), wanted, strict=True):
            torch.testing.assert_close(found, exact)


def test_a_teacher_has_the_head_of_the_policy(tmp_path):
    tiny("float32", "same").save(tmp_path / "model")

    def said(dtype, head):
        model = f"model={{path: {tmp_path / 'model'}, dtype: {dtype}, head_dtype: {head}}}"
        config = recipe("on_policy_distillation", model, f"reference.path={tmp_path / 'model'}")
        row = resolve_objective(config.algorithm, config.objective)
        return logprobs(open_reference(config, row, load_policy(config.model, torch.device("cpu"))))

    exact = said("float32", "same")
    same, full = [(said("bfloat16", head) - exact).abs().mean() for head in ("same", "float32")]
    assert 0 < full < same / 2
