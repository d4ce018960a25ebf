"""`GRPOTrainer` and `GRPOConfig` of this kit, given what the public examples of TRL give theirs."""

import json
import math
import subprocess
import sys
from pathlib import Path

import pytest
from datasets import Dataset

import grpo_kit
from grpo_kit.compat.trl import GRPOConfig, GRPOTrainer
from grpo_kit.data.chat import render, use_arguments
from grpo_kit.errors import UserError
from grpo_kit.types import Message, Task
from tests.compat.trl_rewards import different_letters, double, of_a_kind, right, short
from tests.kit.places import ROOT
from tests.kit.tiny import teacher_folder

SMALL = {
    "max_steps": 2, "per_device_train_batch_size": 8, "num_generations": 4, "max_completion_length": 8, "learning_rate": 1e-3,
    "use_cpu": True, "gradient_checkpointing": False, "logging_steps": 1, "report_to": "none", "disable_tqdm": True,
}  # fmt: skip
HERE = {"scoring.workers": 0, "train.token_budget": 512, "data.max_prompt_tokens": 128}
TEXTS = [{"prompt": f"{i} + {i} ="} for i in range(8)]
TALKS = [
    {
        "prompt": [{"role": "system", "content": "Be brief."}, {"role": "user", "content": f"{i} and {i}?"}],
        "answer": str(2 * i),
    }
    for i in range(8)
]


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


def loaded():
    from transformers import AutoModelForCausalLM, AutoTokenizer

    folder = teacher_folder()
    return AutoModelForCausalLM.from_pretrained(folder), AutoTokenizer.from_pretrained(folder)


def trainer(rows=TEXTS, rewards=different_letters, model=None, args=None, **more):
    args = GRPOConfig("out", **SMALL) if args is None else args
    model = str(teacher_folder()) if model is None else model
    return GRPOTrainer(
        model=model, reward_funcs=rewards, args=args, train_dataset=Dataset.from_list(rows), overrides=HERE, **more
    )


def texts_without_a_gold_answer():
    return trainer()


def conversations_and_weights():
    args = GRPOConfig("out", **SMALL, reward_weights=[1.0, 0.25], loss_type="dr_grpo", scale_rewards="none")
    args.beta = 0.01
    return trainer(TALKS, [right, short], args=args)


def a_loaded_model_with_adapters():
    from peft import LoraConfig

    model, tokenizer = loaded()
    lora = LoraConfig(r=4, lora_alpha=8, target_modules=["q_proj", "v_proj"], task_type="CAUSAL_LM")
    return trainer(TALKS, right, model, processing_class=tokenizer, peft_config=lora)


def updates_and_columns_and_evaluation():
    settings = SMALL | {
        "per_device_train_batch_size": 4,
        "steps_per_generation": 2,
        "num_iterations": 2,
        "max_steps": 8,
    }
    args = GRPOConfig("out", **settings, eval_strategy="steps", eval_steps=4)
    rows = [row | {"kind": ("sum", "difference")[i % 2]} for i, row in enumerate(TEXTS)]
    held_out = Dataset.from_list([{"prompt": f"{i} + 90 =", "kind": "sum"} for i in range(2)])
    return trainer(rows, of_a_kind, args=args, eval_dataset=held_out)


def trls_own_configuration():
    trl = pytest.importorskip("trl")
    return trainer(TALKS, [right], args=trl.GRPOConfig("out", **SMALL, loss_type="grpo", epsilon_high=0.28))


SHAPES = [
    texts_without_a_gold_answer,
    conversations_and_weights,
    a_loaded_model_with_adapters,
    updates_and_columns_and_evaluation,
    trls_own_configuration,
]


@pytest.mark.parametrize("shape", SHAPES, ids=lambda shape: shape.__name__)
def test_a_public_example_in_miniature_trains(shape, here):
    if shape is a_loaded_model_with_adapters:
        pytest.importorskip("peft")
    made = shape()
    output = made.train()
    config = made.recipe.config
    assert made.run.path == Path("out/run")
    assert made.run.finished
    assert config.train.steps == made.run.step == 2
    assert math.isfinite(output.training_loss)
    history = [line for line in made.state.log_history if "loss" in line]
    assert [line["step"] for line in history] == [1, 2]
    assert all(line["grad_norm"] > 0.0 and line["reward"] == line["reward/mean"] for line in history)
    made.save_model("saved")
    assert {"config.json", "tokenizer_config.json"} <= {path.name for path in Path("saved").iterdir()}
    assert made.model.config.hidden_size == 48


def test_what_the_recipes_of_the_examples_say():
    texts = texts_without_a_gold_answer().recipe.config
    assert texts.device == "cpu"
    assert "chat_template" in texts.chat.arguments
    assert texts.verifiers[0].name.endswith("trl_rewards.py:different_letters")
    talks = conversations_and_weights().recipe.config
    assert [verifier.weight for verifier in talks.verifiers] == [1.0, 0.25]
    assert (talks.objective.aggregation, talks.objective.scale, talks.objective.beta) == (
        "constant_length",
        "none",
        0.01,
    )
    assert talks.chat.arguments == {}
    rows = updates_and_columns_and_evaluation()
    config = rows.recipe.config
    assert (config.train.updates_per_batch, config.train.epochs_per_batch, config.train.steps) == (2, 2, 2)
    assert (config.evaluation.every, config.evaluation.samples) == (1, 4)
    assert config.evaluation.verifier.name.endswith(":of_a_kind")
    assert rows.state.max_steps == 8
    tools = trainer(TALKS, right, tools=[double], args=GRPOConfig("out", **SMALL, max_tool_calling_iterations=1))
    assert tools.recipe.config.environment.turns == 2
    assert tools.recipe.config.environment.tools[0].endswith("trl_rewards.py:double")


def test_a_prompt_of_plain_text_is_read_as_it_is():
    """TRL puts no chat template around it; nor does this."""
    _, tokenizer = loaded()
    use_arguments(tokenizer, trainer().recipe.config.chat.arguments)
    prompt = render(Task("0", (Message(role="user", content="1 + 1 ="),), None), tokenizer)
    assert list(prompt.token_ids) == tokenizer("1 + 1 =")["input_ids"]


def test_trls_own_configuration_says_the_same():
    trl = pytest.importorskip("trl")
    settings = SMALL | {
        "loss_type": "dr_grpo",
        "epsilon_high": 0.28,
        "lr_scheduler_type": "cosine",
        "seed": 3,
        "bf16": False,
    }
    ours, theirs = trainer(args=GRPOConfig("out", **settings)), trainer(args=trl.GRPOConfig("out", **settings))
    # With use_cpu TRL's object does not tell bf16=False from what it fills in.
    assert ours.recipe.config.model_copy(update={"model": None}) == theirs.recipe.config.model_copy(
        update={"model": None}
    )
    again = trl.GRPOConfig("out", **(settings | {"per_device_train_batch_size": 4, "generation_batch_size": 8}))
    assert trainer(args=again).recipe.config.train.updates_per_batch == 2


def test_a_run_is_gone_on_with():
    made = trainer()
    grpo_kit.train(made.recipe, run_dir="out/run", on_step=lambda _: True, progress=False)
    with pytest.raises(UserError, match="holds a run: name another output_dir"):
        made.train()
    with pytest.raises(UserError, match="names no step"):
        made.train(resume_from_checkpoint="somewhere")
    assert made.train(resume_from_checkpoint="out/run/checkpoints/step-1").global_step == 2


SCRIPT = """\
from datasets import Dataset
from grpo_kit.compat.trl import GRPOConfig, GRPOTrainer

LETTERS = "abc"

def letters(completions, **kwargs):
    return [float(sum(text.count(c) for c in LETTERS)) for text in completions]

args = GRPOConfig("out", max_steps=1, per_device_train_batch_size=8, num_generations=4, max_completion_length=4, use_cpu=True)
rows = Dataset.from_list([{"prompt": "1 + 1 ="}])
trainer = GRPOTrainer(%r, letters, args, rows)
print(trainer.recipe.config.verifiers[0].name)
"""


def test_functions_of_a_script_that_trains_when_it_is_imported(here):
    """Scoring imports them again; it must not train again."""
    (here / "script.py").write_text(SCRIPT % str(teacher_folder()))
    done = subprocess.run(
        [sys.executable, "script.py"],
        capture_output=True,
        text=True,
        env={"PYTHONPATH": str(ROOT), "PATH": "", "HOME": str(here)},
    )
    assert done.returncode == 0, done.stderr
    file, _, name = done.stdout.strip().rpartition(":")
    text = Path(file).read_text()
    assert name == "letters"
    assert "LETTERS" in text
    assert "GRPOTrainer(" not in text


def typed(completions, **kwargs):
    return [0.0] * len(completions)


def refused():
    model, _ = loaded()
    from transformers import TrainerCallback

    def inner(completions, **kwargs):
        return []

    model.is_quantized = True
    odd = Dataset.from_list([{"question": "?"}])
    return {
        "callbacks": ({"callbacks": [TrainerCallback()]}, "on_step"),
        "optimizers": ({"optimizers": (object(), None)}, "AdamW"),
        "a rollout function": ({"rollout_func": double}, "rollout_func"),
        "quantised": ({"model": model}, "is quantised"),
        "a quantisation": ({"quantization_config": object()}, "quantised training is not offered"),
        "a function in a function": ({"reward_funcs": inner}, "stands at the top of no file"),
        "a lambda": ({"reward_funcs": lambda completions, **_: []}, "stands at the top of no file"),
        "no dataset": ({"train_dataset": None}, "NoneType"),
        "no prompts": ({"train_dataset": odd}, "has the columns question"),
        "an adapter of another kind": ({"peft_config": object()}, "LoraConfig"),
        "settings of another kind": ({"args": {"seed": 1}}, "give a GRPOConfig"),
        "a field without a place": ({"args": GRPOConfig("out", **SMALL, top_p=0.9)}, "top_p 0.9: a cut distribution"),
        "several of them": (
            {"args": GRPOConfig("out", **SMALL, fp16=True, neftune_noise_alpha=5)},
            "neftune_noise_alpha 5",
        ),
        "evaluation without rows": (
            {"args": GRPOConfig("out", **SMALL, eval_strategy="steps")},
            "needs an eval_dataset",
        ),
        "no gold batch": (
            {"args": GRPOConfig("out", **(SMALL | {"num_generations": 3}))},
            "no multiple of num_generations",
        ),
    }


def test_what_is_not_here_is_refused_by_name():
    usual = {
        "model": str(teacher_folder()),
        "reward_funcs": typed,
        "args": GRPOConfig("out", **SMALL),
        "train_dataset": Dataset.from_list(TEXTS),
    }
    for case, (changed, said) in refused().items():
        with pytest.raises(UserError) as error:
            GRPOTrainer(**(usual | changed))
        assert said in str(error.value), case
    with pytest.raises(UserError, match="Did you mean learning_rate"):
        GRPOConfig("out", learning_rat=1.0)
    made = GRPOTrainer(**usual)
    assert not hasattr(made, "push_to_hub")
    with pytest.raises(UserError, match=r"grpo_kit\.evaluate"):
        made.evaluate()
    with pytest.raises(UserError, match="no trained model yet"):
        made.save_model()
    assert not Path("out/run").exists()
    (rows,) = Path("out/inputs").glob("train-*.jsonl")
    assert [json.loads(line)["prompt"] for line in rows.read_text().splitlines()] == [row["prompt"] for row in TEXTS]
