"""Chains: stages merged over what is common, wired to each other's runs, resumed where they stopped."""

import pytest

from grpo_kit.errors import UserError
from grpo_kit.run.chain import is_chain, load_chain
from grpo_kit.run.dispatch import train
from grpo_kit.run.request import TrainRequest

CHAIN = """\
data: {task: addition, max_prompt_tokens: 64}
verifiers:
  - name: math
scoring: {workers: 0}
rollout: {prompts_per_step: 4, group_size: 4, max_tokens: 8}
train: {steps: 2, token_budget: 256}
stages:
  sft:
    algorithm: sft
    model:
      scratch: {hidden_size: 32, intermediate_size: 64, layers: 2, heads: 2, context_length: 512}
    examples: {demonstrations: true}
  reward_model:
    algorithm: reward_model
    model: {path: "{sft}/model"}
    examples: {demonstrations: true}
  ppo:
    algorithm: ppo
    model: {path: "{sft}/model"}
    verifiers:
      - name: math
        weight: 0.0
      - name: reward_model
        options: {model: "{reward_model}/model"}
    critic: {path: "{reward_model}/model"}
"""


@pytest.fixture
def chain(tmp_path):
    path = tmp_path / "chain.yaml"
    path.write_text(CHAIN)
    return path


def test_stages_share_what_is_common_and_know_the_runs_before_them(chain, tmp_path):
    assert is_chain(str(chain))
    stages = load_chain(str(chain), ["stages.ppo.train.steps=7", "seed=3"], tmp_path / "run")
    assert list(stages) == ["sft", "reward_model", "ppo"]
    assert [c.train.steps for c in stages.values()] == [2, 2, 7]
    assert {c.seed for c in stages.values()} == {3}
    assert stages["ppo"].model.path == f"{tmp_path}/run/sft/model"
    assert stages["ppo"].verifiers[1].options == {"model": f"{tmp_path}/run/reward_model/model"}
    assert stages["ppo"].train.token_budget == 256


def test_a_mistake_is_named_with_its_stage_and_line(chain, tmp_path):
    chain.write_text(CHAIN.replace("algorithm: ppo", "algorithm: pppo"))
    with pytest.raises(UserError, match=r"(?s)stage ppo: .*chain.yaml:18: algorithm: found 'pppo'.* Did you mean ppo"):
        load_chain(str(chain), [], tmp_path)


def test_stages_must_be_a_mapping(chain, tmp_path):
    chain.write_text("stages: [1]\n")
    with pytest.raises(UserError, match="stages must map"):
        load_chain(str(chain), [], tmp_path)


def test_the_classical_chain_runs_and_resumes(grpo_kit, chain, tmp_path):
    """Four models in the last stage: policy, reference, reward model and critic."""
    planned = grpo_kit("train", chain, "--dry-run", "--run-dir", "run")
    assert planned.returncode == 0, planned.stderr
    assert not (tmp_path / "run").exists()
    broken = grpo_kit("train", chain, "stages.ppo.critic.path=nowhere/at/all", "--run-dir", "run")
    assert (broken.returncode, "critic.path" in broken.stderr) == (2, True)
    resumed = grpo_kit("train", chain, "--run-dir", "run2")
    assert resumed.returncode == 0, resumed.stderr
    for stage in ("sft", "reward_model", "ppo"):
        assert (tmp_path / "run2" / stage / "model" / "model.safetensors").is_file()
    again = grpo_kit("train", chain, "--run-dir", "run2", "--resume")
    assert again.returncode == 0, again.stderr
    assert "stage" not in again.stdout


@pytest.mark.slow
def test_every_stage_has_several_processes(grpo_kit, chain, tmp_path):
    text = CHAIN.partition("  ppo:")[0] + "device: cpu\nthreads: 1\n"
    chain.write_text(text)
    trained = grpo_kit("train", chain, "--nproc", "2", "--run-dir", "run")
    assert trained.returncode == 0, trained.stderr
    assert trained.stdout.count("2 processes, this one on cpu") == 2
    for stage in ("sft", "reward_model"):
        assert (tmp_path / "run" / stage / "model" / "model.safetensors").is_file()


def test_torchrun_cannot_train_a_chain(chain, tmp_path, monkeypatch):
    for name in ("RANK", "WORLD_SIZE", "MASTER_ADDR"):
        monkeypatch.setenv(name, "1")
    with pytest.raises(UserError, match="use `grpo-kit train --nproc N`"):
        train(TrainRequest(str(chain), run_dir=tmp_path / "run"))
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("override", "named"),
    [
        ("algorithm=grpo", "stages.sft.algorithm=grpo"),
        ("model.path=m", "stages.ppo.model.path=m"),
        ("critic={path: x}", "stages.ppo.critic={path: x}"),
        ("examples.mistakes=0.5", "stages.reward_model.examples.mistakes=0.5"),
        ("stages.sfft.seed=1", "there are sft, reward_model, ppo"),
    ],
)
def test_an_override_that_a_stage_would_not_see_is_refused(chain, tmp_path, override, named):
    if override.startswith("examples"):
        chain.write_text(CHAIN.replace("demonstrations: true}", "demonstrations: true, mistakes: 0.1}"))
    with pytest.raises(UserError) as caught:
        load_chain(str(chain), [override], tmp_path / "run")
    assert named in str(caught.value)


def test_an_override_reaches_every_stage(chain, tmp_path):
    loaded = load_chain(str(chain), ["stages.*.train.steps=3", "seed=5", "rollout.max_tokens=9"], tmp_path / "run")
    assert {(c.train.steps, c.seed, c.rollout.max_tokens) for c in loaded.values()} == {(3, 5, 9)}
    assert loaded["sft"].train.token_budget == 256
