"""eval before it samples: what is wrong is found with no weights loaded and nothing left behind; tasks of every kind."""

import json

import pytest
from typer.testing import CliRunner

from grpo_kit.cli.app import app
from grpo_kit.errors import UserError
from grpo_kit.evaluate import checkpoints
from grpo_kit.evaluate.checkpoints import right_so_far
from grpo_kit.evaluate.protocol import read_evaluation
from grpo_kit.evaluate.tasks import Changes, _find, open_task
from tests.kit.tiny import TINY_RECIPE, make_policy


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    folder = tmp_path_factory.mktemp("models") / "one"
    make_policy(seed=1).save(folder)  # a context of 512 tokens
    return folder


@pytest.fixture
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def no_weights(monkeypatch):
    def refuse(*_, **__):
        raise AssertionError("weights were loaded")

    monkeypatch.setattr(checkpoints, "load_policy", refuse)


def evaluate(*arguments):
    return CliRunner().invoke(app, ["eval", *map(str, arguments)])


TASK = "data: {task: addition, level: 1}\nproblems: 3\nverifier: {name: %s}\nmax_tokens: 8\n"
BAD = {
    "top-p 0": (["--tasks", "addition", "--top-p", 0], "--top-p 0: must be above 0"),
    "temperature inf": (["--tasks", "addition", "--temperature", "inf"], "--temperature inf: must be a finite number"),
    "verifier of a task file": (["--tasks", "typo.yaml"], "task typo: verifier: there is no verifier named 'mth'"),
    "option of a task file": (
        ["--tasks", "option.yaml"],
        "task option: verifier: verifier 'math' has no option 'nope'",
    ),
    "verifier of the command line": (
        ["--tasks", "addition", "--verifier", "maths"],
        "there is no verifier named 'maths'",
    ),
    "option without verifier": (["--tasks", "addition", "-o", "a=1"], "--option is for --verifier"),
    "max-tokens": (
        ["--tasks", "addition", "--max-tokens", 5000],
        "and --max-tokens is 5000: together 50",
    ),
    "max_tokens of a task": (["--tasks", "long.yaml"], "and max_tokens of task long is 600"),
    "column": (["--tasks", "rows.jsonl", "--gold-field", "gild"], "has no column 'gild'"),
    "columns of a procedural task": (["--tasks", "addition", "--gold-field", "x"], "not for --prompt-field"),
    "columns of a recipe": (["--tasks", "quickstart/addition", "--gold-field", "x"], "a recipe names its own columns"),
}


@pytest.mark.usefixtures("no_weights")
@pytest.mark.parametrize("case", BAD)
def test_what_is_wrong_is_found_before_weights_and_leaves_nothing(case, model, here):
    (here / "typo.yaml").write_text(TASK % "mth")
    (here / "option.yaml").write_text(TASK % "math, options: {nope: 1}")
    (here / "long.yaml").write_text((TASK % "math").replace("max_tokens: 8", "max_tokens: 600"))
    (here / "rows.jsonl").write_text('{"question": "1+1", "answer": "2"}\n')
    arguments, expected = BAD[case]
    result = evaluate(model, *arguments, "--out", "o")
    assert isinstance(result.exception, UserError), result.output
    assert expected in str(result.exception)
    assert "rollout." not in str(result.exception)
    assert "data.max_prompt_tokens" not in str(result.exception)
    assert not (here / "o").exists()


@pytest.mark.usefixtures("no_weights")
def test_a_dry_run_shows_two_prompts_of_each_task(model, here):
    rows = [{"question": f"What is {i} + {i}?", "gold": str(2 * i)} for i in range(1, 6)]
    (here / "mine.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    result = evaluate(model, "--tasks", "mine.jsonl,addition", "-n", 4, "--limit", 3, "--max-tokens", 16, "--dry-run")
    assert result.exit_code == 0, result.exception
    assert (
        "mine: 3 of 5 problems x 4 sampled (temperature 1) and 1 greedy = 15 completions of at most 16" in result.output
    )
    assert "addition: 3 of 256 problems" in result.output
    assert result.output.count("--- prompt of") == 4
    assert "What is 1 + 1?" in result.output
    assert "What is 3 + 3?" not in result.output
    assert {p.name for p in here.iterdir()} == {"mine.jsonl"}


def test_fields_and_verifier_of_the_command_line(here):
    (here / "odd.jsonl").write_text('{"Body": "1+1", "key": "2"}\n')
    (here / "odd.csv").write_text("Body,key\n1+1,2\n")
    with pytest.raises(UserError, match="--prompt-field"):
        open_task("odd.jsonl")
    from grpo_kit.config import VerifierConfig

    changes = Changes(VerifierConfig(name="number", options={"tolerance": 0.5}), "Body", "key")
    for name in ("odd.jsonl", "odd.csv"):
        task = open_task(name, changes=changes)
        assert (str(task.problems[0].answer), task.spec.verifier.name) == ("2", "number")
        assert task.problems[0].prompt.startswith("1+1\n")
    assert open_task("addition", 2, changes=Changes(VerifierConfig(name="number"))).spec.verifier.name == "number"


def test_the_columns_of_a_table_have_usual_names_as_well(here):
    (here / "table.csv").write_text("question,answer\n1+1,007\n")
    (task,) = open_task("table.csv").problems
    assert task.answer == "007"
    assert task.prompt.startswith("1+1\n")


def test_usual_columns_are_looked_for_beyond_the_first_row(here):
    (here / "holes.jsonl").write_text('{"question": "1+1"}\n{"question": "1+2", "answer": "3"}\n')
    fields = _find("holes.jsonl", Changes())[1].data.fields
    assert (fields.prompt, fields.answer) == ("question", "answer")


def test_a_recipe_is_a_task_of_its_own_held_out_data_and_judge(here):
    from grpo_kit.config.read import load_recipe
    from grpo_kit.data.datasets import evaluation_tasks

    shipped = open_task("quickstart/addition", limit=5)
    config = load_recipe("quickstart/addition")
    assert [p.id for p in shipped.problems] == [t.id for t in evaluation_tasks(config)[:5]]
    assert (shipped.spec.verifier.name, shipped.spec.max_tokens) == (
        config.verifiers[0].name,
        config.rollout.max_tokens,
    )
    assert shipped.protocol()["of"] == config.evaluation.tasks
    rows = [{"prompt": f"{i} + {i} = ?", "answer": str(2 * i)} for i in range(200)]
    (here / "mine.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    recipe = TINY_RECIPE.replace("{task: addition, level: 1, max_prompt_tokens: 64}", "{path: mine.jsonl}")
    (here / "mine.yaml").write_text(recipe.replace("name: math", "name: number"))
    mine = open_task("mine.yaml")
    assert (mine.name, mine.spec.verifier.name) == ("mine", "number")
    assert 0 < len(mine.problems) < 100  # not what the run trains on
    (here / "bad.yaml").write_text(recipe.replace("train:", "trian:"))
    with pytest.raises(UserError, match="unknown key trian"):
        open_task("bad.yaml")


def test_a_limit_is_marked_in_the_table(model, here):
    result = evaluate(
        model, "--tasks", "quickstart/addition", "--limit", 4, "-n", 2, "--max-tokens", 4, "--workers", 0, "--out", "o"
    )
    assert result.exit_code == 0, result.exception
    assert "4 of 256" in result.output
    assert "sampled right so far" in result.output
    assert "greedy right so far" in result.output
    found, records = read_evaluation(here / "o")
    assert found.tasks["quickstart/addition"].protocol["of"] == 256
    assert len(records) == 12


def test_right_so_far_tells_sampled_from_greedy():
    assert right_so_far(3, 4, 1, 2) == {"sampled right so far": "75.0%", "greedy right so far": "50.0%"}
    assert right_so_far(0, 0, 1, 2) == {"greedy right so far": "50.0%"}


@pytest.mark.parametrize(
    ("tasks", "more", "thinks"),
    [
        ("plain.yaml", [], True),
        ("told.yaml", [], False),
        ("plain.yaml", ["--chat", "enable_thinking=false"], False),
        ("told.yaml", ["--chat", "enable_thinking=true"], True),
        ("plain.yaml,told.yaml", [], None),
        ("recipe.yaml", [], False),
    ],
)
def test_arguments_of_the_chat_template(here, no_weights, tasks, more, thinks):
    policy = make_policy()
    policy.tokenizer.chat_template = (
        "{% for m in messages %}<|{{ m.role }}|>{{ m.content }}{% endfor %}<|assistant|>"
        "{% if enable_thinking is not defined or enable_thinking %}<think>{% endif %}"
    )
    policy.save(here / "thinker")
    told = "chat: {arguments: {enable_thinking: false}}\n"
    (here / "plain.yaml").write_text(TASK % "math")
    (here / "told.yaml").write_text(TASK % "math" + told)
    (here / "recipe.yaml").write_text(TINY_RECIPE + told + "evaluation: {tasks: 2}\n")
    result = evaluate("thinker", "--tasks", tasks, "--dry-run", *more)
    assert result.exit_code == 0, result.output
    shown = result.output.count("<|assistant|><think>")
    assert (shown, result.output.count("<|assistant|>")) == {True: (2, 2), False: (0, 2), None: (2, 4)}[thinks]
    refused = evaluate("thinker", "--tasks", tasks, "--dry-run", "--chat", "tokenize=false")
    assert isinstance(refused.exception, UserError)
    assert "--chat: tokenize is decided by the kit" in str(refused.exception)


def test_ifeval_on_a_file_of_public_rows(model, here):
    rows = [
        {
            "key": i,
            "prompt": f"Write {i} words.",
            "instruction_id_list": [name],
            "kwargs": [{"num_words": 1, "relation": "at least"}],
        }
        for i, name in enumerate(["length_constraints:number_words"] * 3)
    ]
    for row in rows:
        row["kwargs"][0]["language"] = None  # the public rows name every argument
    (here / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    ran = evaluate(model, "--tasks", "ifeval=rows.jsonl", "--max-tokens", 8, "--out", "found")
    assert ran.exit_code == 0, ran.output
    assert (here / "found" / "results.json").is_file()
    samples = [json.loads(line) for line in (here / "found" / "samples.jsonl").read_text().splitlines()]
    assert {sample["id"] for sample in samples} == {"0", "1", "2"}
    assert len(samples) == 6  # one sampled and one greedy for each row
