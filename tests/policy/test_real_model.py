"""A model that people use, where it was fetched (`make fetch-model`): the same text and logits as in transformers alone."""

import os
import shutil
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from grpo_kit.config import ModelConfig
from grpo_kit.data.chat import stop_token_ids
from grpo_kit.generate.base import SamplingParams
from grpo_kit.generate.torch_engine import TorchEngine
from grpo_kit.observe.run_directory import RunDirectory
from grpo_kit.policy.models import load_policy
from grpo_kit.policy.smollm2 import FOLDER, MODEL
from grpo_kit.types import Prompt
from tests.kit import forked

FILE = Path(__file__).parents[2] / FOLDER / MODEL
QUESTIONS = ("What is the capital of France?", "Tom has 3 apples and buys 4 more. How many apples has he now?")
TOKENS = 12
pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def policy():
    if not FILE.is_file() and "GRPO_KIT_REQUIRE_MODEL" not in os.environ:
        pytest.skip(f"{FOLDER}/{MODEL} is not there; `make fetch-model` fetches it")
    return load_policy(ModelConfig(path=str(FILE)), torch.device("cpu"))


def asked(policy):
    chat = [[{"role": "user", "content": question}] for question in QUESTIONS]
    return [policy.tokenizer.apply_chat_template(c, add_generation_prompt=True, return_dict=False) for c in chat]


def test_greedy_text_is_that_of_transformers_after_saving(policy, tmp_path):
    from transformers import AutoModelForCausalLM, AutoTokenizer

    prompts = asked(policy)
    sampling = SamplingParams(
        temperature=0.0, max_tokens=TOKENS, stop_token_ids=stop_token_ids(policy.model, policy.tokenizer)
    )
    groups = TorchEngine(policy).generate([Prompt(str(i), tuple(p)) for i, p in enumerate(prompts)], sampling)
    ours = {group[0].task_id: group[0].token_ids for group in groups}

    with torch.no_grad():  # weights that were trained, and not those of the file
        policy.model.get_decoder().norm.weight.mul_(1.0625)
    policy.save(tmp_path)
    with torch.no_grad():
        policy.model.get_decoder().norm.weight.div_(1.0625)
    plain = AutoModelForCausalLM.from_pretrained(tmp_path)
    assert AutoTokenizer.from_pretrained(tmp_path).encode(QUESTIONS[1]) == policy.tokenizer.encode(QUESTIONS[1])
    with torch.no_grad():
        plain.get_decoder().norm.weight.div_(1.0625)
        for index, prompt in enumerate(prompts):
            ids = torch.tensor([prompt])
            assert torch.equal(plain(input_ids=ids).logits, policy.model(input_ids=ids).logits)
            text = plain.generate(ids, attention_mask=torch.ones_like(ids), do_sample=False, max_new_tokens=TOKENS)
            assert text[0, len(prompt) :].tolist() == ours[str(index)]


def test_two_steps_of_grpo_and_the_second_one_again(policy, tmp_path):
    """From a checkpoint the same responses are sampled, and the same weights learned, bit for bit."""
    (tmp_path / "letters.py").write_text("def letters(response):\n    return len(set(response)) / 100\n")
    words = [
        "quickstart/word_problems",
        f"model.path={FILE}",
        f"verifiers=[{{name: '{tmp_path}/letters.py:letters'}}]",
        "evaluation=null",
        "rollout.prompts_per_step=1",
        "rollout.group_size=3",
        "rollout.max_tokens=8",
        "train.steps=2",
        "train.save_every=1",
        "device=cpu",
        "threads=1",
    ]
    try:
        train(*words, "--run-dir", str(tmp_path / "run"))
        train(*words, "--run-dir", str(tmp_path / "again"), "--fork", f"{tmp_path / 'run'}@1")
        first, second = (RunDirectory.open(tmp_path / name).read_metrics()[-1] for name in ("run", "again"))
        assert first["grad_norm"] > 0
        kept = ("step", "loss", "grad_norm", "reward/mean", "length/mean", "entropy")
        assert {name: first[name] for name in kept} == {name: second[name] for name in kept}
        weights = [load_file(tmp_path / name / "model" / "model.safetensors") for name in ("run", "again")]
        assert all(torch.equal(weight, weights[1][name]) for name, weight in weights[0].items())
        assert any(not torch.equal(weight, policy.model.state_dict()[name]) for name, weight in weights[0].items())
    finally:
        for name in ("run", "again"):  # gigabytes
            shutil.rmtree(tmp_path / name, ignore_errors=True)


def train(*words):
    done = forked.run(forked.GRPO_KIT, "train", *words, cwd=Path.cwd(), env=dict(os.environ))
    assert done.returncode == 0, done.stdout + done.stderr
