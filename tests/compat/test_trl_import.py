"""Scripts of TRL become recipes: read and never executed, loaded as recipes are, and trained."""

import json
import shutil
from pathlib import Path

import pytest
import yaml
from typer.testing import CliRunner

from grpo_kit.cli.app import app
from grpo_kit.compat.trl.importing import import_trl
from grpo_kit.compat.trl.plain import VERBATIM
from grpo_kit.config.read import load_recipe
from grpo_kit.errors import UserError
from tests.kit.optional import needs_extra
from tests.kit.runs import run

SCRIPTS = Path(__file__).with_name("trl_scripts")
TINY = (
    "model.path=null",
    "model.scratch={hidden_size: 32, intermediate_size: 64, layers: 2, heads: 2, context_length: 512}",
    "scoring.workers=0",
    "train.token_budget=512",
    "rollout.max_tokens=12",
    "data.max_prompt_tokens=128",
    "parallel.gradient_checkpointing=false",
    "device=cpu",
)
ROWS = {
    "word_problems.jsonl": [{"question": f"{i} and {i}?", "answer": f"added #### {2 * i}"} for i in range(8)],
    "problems.jsonl": [{"prompt": f"{i} + {i} =", "solution": str(2 * i), "kind": "sum"} for i in range(8)],
    "pairs.jsonl": [{"prompt": f"{i} + 1 =", "chosen": str(i + 1), "rejected": str(i + 2)} for i in range(8)],
    "conversations.jsonl": [
        {"messages": [{"role": "user", "content": f"{i}?"}, {"role": "assistant", "content": f"{i}!"}]}
        for i in range(8)
    ],
    "labelled.jsonl": [{"prompt": f"{i}?", "completion": str(i + i % 2), "label": i % 2 == 0} for i in range(8)],
}


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    """A folder of its own, with the data and the scripts."""
    monkeypatch.chdir(tmp_path)
    for name, rows in ROWS.items():
        Path(name).write_text("".join(json.dumps(row) + "\n" for row in rows))
    for script in SCRIPTS.iterdir():
        if script.is_file():
            shutil.copy(script, tmp_path)
    return tmp_path


def imported(name, *overrides, method=None):
    made, written = import_trl(Path(name), Path("recipe.yaml"), list(overrides), method)
    return made, load_recipe(written[0])


def source(text, name="script.py"):
    Path(name).write_text(text)
    return name


GRPO = """\
from datasets import load_dataset
from trl import GRPOConfig, GRPOTrainer
def reward(completions, **kwargs):
    return [1.0 for _ in completions]
if __name__ == "__main__":
    args = GRPOConfig({settings})
    GRPOTrainer(model="m", reward_funcs=[{rewards}], args=args, train_dataset={data}).train()
"""


def grpo(settings="max_steps=2", rewards="reward", data='load_dataset("openai/gsm8k", "main", split="train")'):
    return source(GRPO.format(settings=settings, rewards=rewards, data=data))


def lost(made):
    return {theirs.partition(" ")[0]: why for theirs, why in made.lost}


@pytest.mark.parametrize(
    "name",
    ["grpo_gsm8k.py", "grpo_two_rewards.py", "dpo_pairs.py", "sft_messages.py", "kto_labels.py", "reward_config.yaml"],
)
def test_what_is_imported_trains(name, here):
    if name == "grpo_two_rewards.py":
        needs_extra("peft", "peft")
    imported(name, method="reward" if name.endswith(".yaml") else None)
    config = load_recipe("recipe.yaml", [*TINY, "train.steps=2"])
    lines = run(config, here / "run")
    assert lines.progress.step == 2
    metrics = [json.loads(line) for line in (here / "run" / "metrics.jsonl").read_text().splitlines()]
    steps = [entry for entry in metrics if "loss" in entry]
    assert len(steps) == 2
    assert all(abs(entry["loss"]) < 1e6 and entry["grad_norm"] > 0.0 for entry in steps)


def test_a_script_with_a_function_of_its_own():
    made, config = imported("grpo_gsm8k.py")
    assert (config.seed, config.train.steps, config.optimizer.warmup_steps) == (3, 2, 1)
    assert (config.rollout.prompts_per_step, config.rollout.group_size, config.rollout.max_tokens) == (4, 4, 12)
    assert (config.optimizer.learning_rate, config.optimizer.schedule) == (1e-4, "cosine")
    assert (config.objective.beta, config.objective.kl_weighted, config.objective.aggregation) == (
        0.01,
        True,
        "token_mean",
    )
    data = config.only_set
    assert (data.path, data.fields.prompt, data.prompt_template) == (
        "word_problems.jsonl",
        "question",
        "{prompt} Be brief.",
    )
    assert (data.system_prompt, data.answer_pattern) == (
        "Reason step by step, then write the answer behind ####.",
        r"####\s*(.+)",
    )
    # The script trains when it is imported; what the reward uses of it, and no more, has a file of its own.
    assert [v.name for v in config.verifiers] == ["recipe_functions.py:right_number"]
    functions = Path("recipe_functions.py").read_text()
    assert "def found(" in functions
    assert "MARK = re.compile" in functions
    assert "trl" not in functions.partition('"""\n')[2]
    assert made.lost == []


def test_a_script_with_weights_and_adapters():
    made, config = imported("grpo_two_rewards.py")
    assert [(v.name, v.weight) for v in config.verifiers] == [
        ("grpo_two_rewards.py:solved", 1.0),
        ("grpo_two_rewards.py:short", 0.25),
    ]
    assert config.model.path == "Qwen/Qwen2.5-0.5B-Instruct"
    assert (config.model.lora.rank, config.model.lora.alpha, config.model.lora.targets) == (
        4,
        8.0,
        ("q_proj", "v_proj"),
    )
    objective = config.objective
    assert (objective.aggregation, objective.scale, objective.beta) == ("constant_length", "none", 0.0)
    assert (objective.clip_low, objective.clip_high, objective.dual_clip) == (0.1, 0.28, 2.5)
    assert config.only_set.fields.answer == "solution"
    # 32 completions of 8 prompts a step; two updates, two epochs each: 2 epochs of 8 rows are 2 steps.
    assert (config.rollout.prompts_per_step, config.train.updates_per_batch, config.train.epochs_per_batch) == (8, 2, 2)
    assert (config.train.steps, config.train.save_every) == (2, 2)
    assert lost(made).keys() == {"LoraConfig.lora_dropout", "optim"}


def test_methods_that_learn_from_files():
    _, config = imported("dpo_pairs.py")
    assert (config.algorithm, config.objective.beta, config.examples.path) == ("dpo", 0.2, "pairs.jsonl")
    assert (config.rollout.prompts_per_step, config.train.steps, config.optimizer.warmup_steps) == (4, 2, 1)
    Path("recipe.yaml").unlink()
    made, config = imported("sft_messages.py")
    assert (config.algorithm, config.optimizer.learning_rate, config.optimizer.schedule) == ("sft", 2e-5, "linear")
    assert ("learning_rate 2e-05", "optimizer.learning_rate: 2e-05") in made.defaults
    assert lost(made).keys() == {"assistant_only_loss", "max_length"}
    Path("recipe.yaml").unlink()
    _, config = imported("kto_labels.py")
    assert (config.algorithm, config.objective.beta, config.objective.bad_weight) == ("kto", 0.3, 1.5)
    Path("recipe.yaml").unlink()
    made, config = imported("reward_config.yaml", method="reward")
    assert config.algorithm == "reward_model"
    assert lost(made).keys() == {"center_rewards_coefficient", "max_length"}


REWARDS = ["accuracy_reward", "trl.rewards.think_format_reward", "my_lib.rewards.mine"]


def test_a_config_of_the_command_line():
    Path("c.yaml").write_text(
        yaml.safe_dump(
            {
                "model_name_or_path": "m", "dataset_name": "openai/gsm8k", "dataset_config": "main", "num_generations": 4,
                "reward_funcs": REWARDS, "max_steps": 10, "use_peft": True, "lora_r": 32,
                "lora_dropout": 0.05, "attn_implementation": "sdpa", "vllm_importance_sampling_mode": "token_truncate",
                "use_vllm": True, "gradient_accumulation_steps": 2,
            }
        )
    )  # fmt: skip
    made, config = imported("c.yaml")
    assert [v.name for v in config.verifiers] == ["math", "format", "my_lib.rewards:mine"]
    assert config.only_set.fields.answer == "solution"  # what TRL's accuracy_reward reads
    assert (config.only_set.path, config.only_set.subset) == ("openai/gsm8k", "main")
    assert (config.model.lora.rank, config.rollout.engine, config.rollout.vllm.sleep) == (32, "vllm", False)
    assert (config.objective.correction, config.objective.correction_level, config.objective.correction_cap) == (
        "truncated",
        "token",
        3.0,
    )
    assert {"attn_implementation", "LoraConfig.lora_dropout"} <= lost(made).keys()


def test_a_script_is_never_executed(here):
    name = source("open('executed', 'w')\n" + Path("grpo_gsm8k.py").read_text() + "\nraise SystemExit(3)\n")
    imported(name)
    assert not (here / "executed").exists()


def test_what_only_running_it_would_tell_is_said():
    made, config = imported(
        grpo("max_steps=2, beta=float(input()), learning_rate=rate, epsilon=unheard_of, nonsense=4")
    )
    assert config.objective.beta == 0.0
    assert "it is computed, `float(input())` (line 6); say it as objective.beta=..." in lost(made)["beta"]
    assert lost(made).keys() >= {"learning_rate", "epsilon", "nonsense", "the"}
    assert "# Not carried over:" in Path("recipe.yaml").read_text()


def test_what_decides_nothing_here_is_said():
    made, _ = imported(
        grpo("max_steps=2, loss_type='sapo', delta=2.0, epsilon=0.1, vllm_mode='server', save_steps=0.5")
    )
    assert lost(made).keys() >= {"delta", "epsilon", "vllm_mode", "save_steps"}
    Path("recipe.yaml").unlink()
    made, config = imported(
        grpo(
            "max_steps=2, use_vllm=True, vllm_importance_sampling_mode='token_truncate', vllm_importance_sampling_clip_min=0.5, "
            "loss_type='cispo', epsilon=0.1, epsilon_high=5.0"
        )
    )
    assert "an upper bound alone" in lost(made)["vllm_importance_sampling_clip_min"]
    assert (config.objective.clip_low, config.objective.clip_high) == (1.0, 4.0)
    assert ("epsilon_high 5.0", "objective.clip_high: 4.0") in made.carried


def test_a_name_that_is_assigned_in_a_branch_is_not_guessed():
    text = GRPO.format(settings="max_steps=2, learning_rate=rate", rewards="reward", data='load_dataset("d")["train"]')
    made, _ = imported(source("rate = 1e-3\nif big:\n    rate = 1e-5\n" + text))
    assert "it is computed, `rate`" in lost(made)["learning_rate"]


def test_what_is_changed_on_the_way_is_not_guessed():
    """A list that grows, a dict that is set, a field that a branch sets: what stands in the call is not what is given."""
    text = GRPO.format(settings="max_steps=2, **more", rewards="reward", data='load_dataset("d")["train"]')
    head = 'more = {"beta": 0.5}\nmore["beta"] = 0.1\n'
    made, config = imported(
        source(head + text.replace("    GRPOT", "    if debug:\n        args.temperature = 0.7\n    GRPOT"))
    )
    assert config.objective.beta == 0.0
    assert config.rollout.temperature == 1.0
    assert lost(made).keys() >= {"**more", "temperature"}
    grown = (
        text.replace(", **more", "")
        .replace("[reward]", "rewards")
        .replace("    args", "    rewards = [reward]\n    rewards.append(other)\n    args")
    )
    Path("recipe.yaml").unlink()
    with pytest.raises(UserError, match="no reward could be carried over"):
        imported(source(grown))


def test_lists_of_lists_end():
    lines = ["a0 = ['x', 'x']"] + [f"a{i} = [a{i - 1}, a{i - 1}]" for i in range(1, 38)]
    text = GRPO.format(
        settings="max_steps=2, chat_template_kwargs=a37", rewards="reward", data='load_dataset("d")["train"]'
    )
    made, _ = imported(source("\n".join(lines) + "\n" + text))
    assert "it is computed" in lost(made)["chat_template_kwargs"]


def test_prompts_of_plain_text_get_no_chat_template():
    """As in TRL; messages keep the model's own, and what cannot be told without loading is said."""
    made, config = imported(grpo(data='load_dataset("json", data_files="problems.jsonl", split="train")'))
    assert config.chat.arguments["chat_template"] == VERBATIM
    assert "no chat template" not in lost(made)
    Path("recipe.yaml").unlink()
    mapped = 'load_dataset("d")["train"].map(lambda row: {"prompt": "Q: " + row["q"], "answer": row["a"]})'
    assert "chat_template" in imported(grpo(data=mapped))[1].chat.arguments
    Path("recipe.yaml").unlink()
    made, config = imported("grpo_gsm8k.py")
    assert config.chat.arguments == {}
    Path("recipe.yaml").unlink()
    made, config = imported(grpo())
    assert config.chat.arguments == {}
    assert "cannot be told without loading" in dict(made.lost)["prompts of plain text"]


OFFLINE = """\
from datasets import load_dataset
from trl import {name}Config, {name}Trainer
rows = load_dataset("json", data_files="{file}", split="train")
{name}Trainer(model="m", args={name}Config({settings}), train_dataset=rows).train()
"""


def offline(name, file, settings="max_steps=2"):
    return source(OFFLINE.format(name=name, file=file, settings=settings))


def test_rows_of_a_file_are_read_as_trl_reads_them():
    """Prompt and response as one text; of plain text without a chat, so a model without a template trains as well."""
    for name, file in (("DPO", "pairs.jsonl"), ("KTO", "labelled.jsonl"), ("Reward", "pairs.jsonl")):
        _, config = imported(offline(name, file))
        assert config.examples.tokenized == "together"
        assert config.chat.arguments["chat_template"] == VERBATIM
        Path("recipe.yaml").unlink()
    Path("texts.jsonl").write_text('{"text": "Once upon a time."}\n')
    for file, learned in (("texts.jsonl", "all"), ("conversations.jsonl", "all"), ("labelled.jsonl", "response")):
        _, config = imported(offline("SFT", file))
        assert (config.examples.tokenized, config.examples.learned) == ("together", learned)
        Path("recipe.yaml").unlink()
    for given, learned in (("completion_only_loss=False", "all"), ("assistant_only_loss=True", "response")):
        _, config = imported(offline("SFT", "labelled.jsonl", f"max_steps=2, {given}"))
        assert config.examples.learned == learned
        Path("recipe.yaml").unlink()


def test_a_limit_of_trl_that_nothing_here_has_is_said_where_it_is_the_default_too():
    assert lost(imported(offline("DPO", "pairs.jsonl"))[0])["max_length"].startswith("nothing is cut")
    Path("recipe.yaml").unlink()
    assert "max_length" not in lost(imported(offline("DPO", "pairs.jsonl", "max_steps=2, max_length=None"))[0])


def test_a_model_that_is_moved_is_found_and_its_options_are_said():
    text = Path(grpo()).read_text().replace('model="m"', "model=model")
    head = (
        "from transformers import AutoModelForCausalLM\n"
        'model = AutoModelForCausalLM.from_pretrained("q", torch_dtype="auto", quantization_config=four_bits).to("cuda")\n'
    )
    made, config = imported(source(head + text))
    assert config.model.path == "q"
    assert list(lost(made)) == ["from_pretrained(quantization_config=`four_bits`", "the", "prompts"]


def test_a_part_of_the_data_is_what_the_script_says_or_is_said():
    """A split that only running tells, a file of a hub's name, and the first rows of shuffled ones are not guessed."""
    for data, said in (
        ('load_dataset("d")[split]', "`[split]` (line 7)"),
        ('load_dataset("d", data_files="part.csv", split="train")', "whose data_files a recipe cannot say"),
        ('load_dataset("d", split="train").shuffle(seed=1).select(range(5))', ".shuffle before the first 5 rows"),
    ):
        made, _ = imported(grpo(data=data))
        assert any(said in theirs for theirs, _ in made.lost), (data, made.lost)
        Path("recipe.yaml").unlink()
    with pytest.raises(UserError, match=r"say data\.path"):
        imported(grpo(data='load_dataset("text", data_files="a.txt", split="train")'))
    with pytest.raises(UserError, match=r"the data is `Dataset.from_list\("):
        imported(grpo(data='Dataset.from_list([{"prompt": "a"}])'))
    _, config = imported(
        grpo(data='load_dataset("d", split="train", token=secret).map(lambda x: {"prompt": x["q"]}).take(3)')
    )
    assert (config.only_set.fields.prompt, config.only_set.limit) == ("q", 3)


def test_rows_that_code_changes_are_said():
    made, config = imported(grpo(data='load_dataset("d")["train"].map(prepare).filter(long)'))
    assert config.only_set.path == "d"
    assert "write them once with .to_json" in dict(made.lost)["`.map(...)` (line 7), `.filter(...)` (line 7)"]


def test_trls_own_rewards_are_the_nearest_shipped_ones():
    name = grpo(rewards="accuracy_reward, think_format_reward, other_reward")
    text = "from trl.rewards import accuracy_reward, other_reward, think_format_reward\n" + Path(name).read_text()
    made, config = imported(source(text))
    assert [(v.name, v.options) for v in config.verifiers] == [("math", {}), ("format", {"shape": "think"})]
    assert config.only_set.fields.answer == "solution"
    assert "TRL's own" in dict(made.lost)["reward other_reward"]


def test_tools_and_rewards_by_path(here):
    (here / "mine.py").write_text("def good(completions, **kwargs):\n    return [1.0]\n")
    grpo(rewards="reward, mine.good, make()")
    name = source(
        "import mine\ndef search(text: str) -> str:\n    '''Look.'''\n"
        + Path("script.py").read_text().replace("args=args", "args=args, tools=[search], callbacks=[Watch()]")
    )
    made, config = imported(name)
    assert [v.name for v in config.verifiers] == ["script.py:reward", "mine.py:good"]
    assert config.environment.tools == ("script.py:search",)
    assert "is made when the script runs" in dict(made.lost)["reward make()"]
    assert "callbacks" in lost(made)


REFUSED = {
    "unknown loss": (lambda: grpo("max_steps=2, loss_type='new'"), "loss_type 'new' has no counterpart"),
    "unknown level": (lambda: grpo("max_steps=2, importance_sampling_level='x'"), "importance_sampling_level 'x'"),
    "no multiple": (lambda: grpo("max_steps=2, num_generations=3"), "no multiple of num_generations 3"),
    "rows unknown": (lambda: grpo("num_train_epochs=1"), "say train.steps=N"),
    "no reward": (lambda: grpo(rewards="make()"), "no reward could be carried over"),
    "weights": (lambda: grpo("max_steps=2, reward_weights=[1, 2]"), "2 numbers for 1 reward functions"),
    "not a number": (lambda: grpo("max_steps=2, learning_rate='fast'"), "optimizer.learning_rate: found 'fast'"),
    "a value of another kind": (lambda: grpo("max_steps=2, num_generations=None"), "cannot have"),
    "delta within the clip": (lambda: grpo("max_steps=2, delta=1.15"), "delta 1.15 with epsilon_high 0.2"),
    "cap below one": (lambda: grpo("max_steps=2, loss_type='cispo'"), "epsilon_high 0.2"),
    "no script": (lambda: "gone.py", "no such file"),
    "no trainer": (lambda: source("print(1)\n"), "makes none of TRL's trainers"),
    "two trainers": (lambda: source(Path("script_of_two.py").read_text()), "it makes 2 trainers (lines 7, 8)"),
    "no Python": (lambda: source("def f(:\n"), "it is no Python"),
    "a long integer": (lambda: grpo(f"max_steps=f(0x{'f' * 4000})"), "an integer of more than 10000 bits"),
    "a long integer elsewhere": (lambda: grpo(rewards=f"make(0x{'f' * 4000})"), "an integer of more than 10000 bits"),
    "settings from the command line": (lambda: source(Path("parsed.py").read_text()), "--method grpo"),
    "method": (lambda: source("learning_rate: 1.0e-5\n", "c.yaml"), "say --method grpo or dpo or sft"),
    "list": (lambda: source("- 1\n", "c.yaml"), "a mapping"),
    "binary": (lambda: Path("b.py").write_bytes(b"\xff\xfe") and "b.py", "no UTF-8 text"),
    "other file": (lambda: "pairs.jsonl", "give a training script"),
    "model": (lambda: source(Path("no_model.py").read_text()), "say model.path=NAME"),
    "a reward of the trainer": (lambda: source(Path("circular.py").read_text()), "loads or trains when it runs"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_bad_input_is_one_paragraph_and_writes_nothing(case, here):
    whole = GRPO.format(settings="max_steps=2", rewards="reward", data='load_dataset("d")["train"]')
    (here / "script_of_two.py").write_text(whole + whole.splitlines()[-1] + "\n")
    (here / "parsed.py").write_text(whole.replace("args = GRPOConfig(max_steps=2)", "args = parser.parse()"))
    (here / "no_model.py").write_text(whole.replace('model="m"', "model=arguments.model"))
    (here / "circular.py").write_text(
        whole.replace('if __name__ == "__main__":\n', "")
        .replace("    args =", "args =")
        .replace("    GRPOTrainer", "GRPOTrainer")
        .replace("return [1.0", "dataset\n    return [1.0")
        .replace("def reward", 'dataset = load_dataset("d")\ndef reward')
    )
    prepare, says = REFUSED[case]
    name = prepare()
    before = sorted(here.iterdir())
    result = CliRunner().invoke(app, ["import", "trl", name, "--out", "new.yaml"])
    assert isinstance(result.exception, UserError), result.output
    assert says in str(result.exception)
    assert "\n" not in str(result.exception).strip()
    assert sorted(here.iterdir()) == before


def test_nothing_is_overwritten(here):
    (here / "recipe_functions.py").write_text("mine")
    with pytest.raises(UserError, match=r"recipe_functions\.py exists"):
        imported("grpo_gsm8k.py")
    assert not (here / "recipe.yaml").exists()


def test_overrides_say_what_the_script_does_not():
    name = source(
        Path("grpo_gsm8k.py")
        .read_text()
        .replace("max_steps=2", "num_train_epochs=n")
        .replace('"Qwen/', "folder + '/'  + \"Qwen/")
    )
    _, config = imported(name, "model.path=mine", "train.steps=7", "verifiers.0.weight=0.5")
    assert (config.model.path, config.train.steps, config.verifiers[0].weight) == ("mine", 7, 0.5)


def test_what_is_said_on_the_terminal():
    result = CliRunner().invoke(app, ["import", "trl", "grpo_two_rewards.py"])
    assert result.exit_code == 0, result.output
    for said in ("Carried over:", "TRL's defaults", "Not carried over:", "paged_adamw_8bit", "grpo_two_rewards.yaml"):
        assert said in result.output
