"""What is wrong with data is said before the first step: repeated ids, evaluations that are trained on, empty lessons."""

import json

import pytest
from pydantic import ValidationError

from grpo_kit.config import Config
from grpo_kit.config.read import load_recipe
from grpo_kit.data.tasks import is_held_out
from grpo_kit.errors import UserError
from grpo_kit.train.preflight import preflight
from tests.kit.tiny import make_policy


def write(path, rows):
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return str(path)


def sums(first, last, **more):
    return [{"prompt": f"{i}+1=", "answer": str(i + 1), **more} for i in range(first, last)]


@pytest.fixture
def check(tiny_recipe, tmp_path):
    """Runs the checks of the tiny recipe on a file of rows; gives the notes."""

    def run(rows, *overrides):
        path = write(tmp_path / "rows.jsonl", rows)
        recipe = ["data.task=null", f"data.path={path}", "rollout.prompts_per_step=2", *overrides]
        return preflight(load_recipe(tiny_recipe, recipe), None).notes

    return run


def test_data_with_nothing_wrong_has_nothing_to_say(check):
    assert check(sums(0, 12)) == []
    assert check(sums(0, 1), "rollout.prompts_per_step=1") == []


def test_an_evaluation_that_is_trained_on_is_refused_and_a_few_prompts_are_named(check, tmp_path):
    same = write(tmp_path / "same.jsonl", sums(0, 12))
    with pytest.raises(UserError, match=r"evaluation\.data: 12 of 12 prompts are trained on"):
        check(sums(0, 12), f"evaluation={{data: {{path: {same}, max_prompt_tokens: 64}}}}")
    some = write(tmp_path / "some.jsonl", sums(10, 30))
    assert check(sums(0, 12), f"evaluation={{data: {{path: {some}, max_prompt_tokens: 64}}}}") == [
        "evaluation.data: 2 of 20 prompts are trained on as well"
    ]
    other = write(tmp_path / "other.jsonl", sums(20, 30))
    assert check(sums(0, 12), f"evaluation={{data: {{path: {other}, max_prompt_tokens: 64}}}}") == []


def test_examples_are_held_against_the_evaluation_as_well(check, tmp_path):
    lessons = write(tmp_path / "lessons.jsonl", [{"prompt": f"{i}+1=", "response": str(i + 1)} for i in range(20, 40)])
    tested = write(tmp_path / "tested.jsonl", sums(20, 40))
    sft = (
        "algorithm=sft",
        f"examples={{path: {lessons}}}",
        f"evaluation={{data: {{path: {tested}, max_prompt_tokens: 64}}}}",
    )
    with pytest.raises(UserError, match="20 of 20 prompts are trained on"):
        check(sums(0, 12), *sft)


def test_repeated_ids_are_named_where_they_are(check, tmp_path):
    repeated = write(tmp_path / "e.jsonl", sums(20, 30, uid="a"))
    data = f"evaluation={{data: {{path: {repeated}, max_prompt_tokens: 64, fields: {{id: uid}}}}}}"
    with pytest.raises(
        UserError, match=r"evaluation\.data\.fields\.id: 1 ids stand in several rows, the first being 'a'"
    ):
        check(sums(0, 12), data)
    with pytest.raises(UserError, match=r"data\.fields\.id: 12 rows have only 1 different ids"):
        check(sums(0, 12, uid=None), "data.fields.id=uid")


def test_one_question_with_several_answers_is_named(check):
    rows = [{"prompt": "which?", "answer": str(i)} for i in range(4)] + sums(0, 4)
    (note,) = check(rows)
    assert note.startswith("data: 1 prompts stand in several rows with different answers")


@pytest.mark.parametrize("empty", [None, "", " ", [], {}, float("nan")])
def test_an_empty_column_of_answers_is_no_fault_of_the_verifier(check, empty):
    with pytest.raises(UserError, match=r"data\.fields\.answer: the column 'answer' is empty in all 4 rows"):
        check([row | {"answer": empty} for row in sums(0, 4)])


def test_a_late_row_that_cannot_be_read_is_found_before_it_has_its_turn(check):
    with pytest.raises(UserError, match="row 700: the prompt is empty"):
        check([*sums(0, 700), {"prompt": " ", "answer": "1"}])


def test_the_context_is_held_against_the_evaluations_own_limit(check, tmp_path):
    other = write(tmp_path / "other.jsonl", sums(20, 30))
    with pytest.raises(UserError, match=r"evaluation\.data\.max_prompt_tokens 8000 \+ rollout\.max_tokens 12 = 8012"):
        check(sums(0, 12), f"evaluation={{data: {{path: {other}, max_prompt_tokens: 8000}}}}")


def test_what_a_single_file_does_not_have_is_said_to_be_passed_over(check):
    (note,) = check(sums(0, 12), "data.split=tset", "data.subset=main")
    assert "rows.jsonl is one file and is read whole" in note
    assert "split tset" in note


# --- examples ------------------------------------------------------------------------------------------------------


@pytest.fixture
def learn(check, tmp_path):
    def run(algorithm, rows, *overrides):
        path = write(tmp_path / "examples.jsonl", rows)
        return check(sums(0, 12), f"algorithm={algorithm}", f"examples={{path: {path}}}", *overrides)

    return run


@pytest.mark.parametrize(
    ("label", "mark"), [(True, 1), (0, 0), ("true", 1), ("bad", 0), ("Good", 1), ("0", 0), (1.0, 1)]
)
def test_labels_however_they_are_written(learn, label, mark):
    good = {"prompt": "a", "response": "x", "label": True}
    if mark:
        learn("sft", [{"prompt": "b", "response": "y", "label": label}])
    else:
        with pytest.raises(UserError, match="none of the 1 prompts has one"):
            learn("sft", [{"prompt": "b", "response": "y", "label": label}])
    bad = {"prompt": "c", "response": "z", "label": False}
    assert learn("kto", [good, bad, {"prompt": "b", "response": "y", "label": label}]) == []


@pytest.mark.parametrize("label", [None, "maybe", float("nan"), [1]])
def test_a_label_that_says_nothing_is_refused(learn, label):
    with pytest.raises(UserError, match=r"row 1: the label is .*; it says whether the response is good"):
        learn("kto", [{"prompt": "a", "response": "x", "label": 1}, {"prompt": "b", "response": "y", "label": label}])


def test_margins_are_numbers(learn):
    pair = {"prompt": "a", "chosen": "x", "rejected": "y"}
    assert learn("dpo", [pair | {"margin": "0.5"}, pair | {"margin": None}]) == []
    with pytest.raises(UserError, match="row 0: the margin is 'small', and not a number"):
        learn("dpo", [pair | {"margin": "small"}])


@pytest.mark.parametrize("algorithm", ["dpo", "ipo", "reward_model"])
def test_pairs_are_not_made_from_single_responses(learn, algorithm):
    with pytest.raises(
        UserError, match="learns from pairs, and none of the 1 prompts has a better and a worse response"
    ):
        learn(algorithm, [{"prompt": "a", "response": "x"}])


def test_conversations_as_prompts_and_answers(learn):
    asked = [{"role": "user", "content": "2+2"}]
    good, bad = ([{"role": "assistant", "content": text}] for text in ("4", "5"))
    assert learn("dpo", [{"prompt": asked, "chosen": good, "rejected": bad}]) == []
    assert learn("sft", [{"prompt": json.dumps(asked), "response": "4"}]) == []
    with pytest.raises(UserError, match="row 0: chosen is a conversation whose beginning is not the prompt of the row"):
        learn("dpo", [{"prompt": "a", "chosen": [*asked, *good], "rejected": [*asked, *bad]}])


def test_what_does_not_fit_the_model_is_left_out_and_counted(learn):
    rows = [
        {"prompt": "a", "response": "x"},
        {"prompt": "b", "response": "y" * 600},
        {"prompt": "c" * 90, "response": "x"},
    ]
    first, second = learn("sft", rows)
    assert first == "examples: 1 of 3 are left out: their prompt is longer than data.max_prompt_tokens = 64"
    assert (
        second == "examples: 1 of 3 are left out: with their response they are longer than the model's context of 512"
    )
    with pytest.raises(UserError, match="longer than the model's context of 512"):
        learn("sft", rows[1:2])


# --- numbers and settings ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "override",
    [
        "seed=99999999999999999999999",
        "seed=-1",
        "optimizer.learning_rate=.inf",
        "rollout.temperature=.inf",
        "optimizer.max_grad_norm=.nan",
        "objective.beta=.inf",
    ],
)
def test_numbers_that_no_run_survives_are_refused_with_their_key(tiny_recipe, override):
    with pytest.raises(UserError, match=override.partition("=")[0]):
        load_recipe(tiny_recipe, [override])


def test_best_checkpoints_need_an_evaluation(tiny_recipe):
    with pytest.raises(UserError, match=r"train\.keep_best keeps the checkpoints of highest held-out accuracy"):
        load_recipe(tiny_recipe, ["train.keep_best=1"])
    load_recipe(tiny_recipe, ["train.keep_best=1", "evaluation={tasks: 4}"])


def test_a_warm_up_longer_than_the_run_is_said(tiny_recipe):
    (note,) = preflight(load_recipe(tiny_recipe, ["optimizer.warmup_steps=9"]), None).notes
    assert note == "optimizer.warmup_steps 9 is not over when the run is, after 3 updates"


def test_adapters_are_looked_for_before_the_model_is_loaded(tiny_recipe):
    with pytest.raises(UserError, match=r"model\.lora\.targets: no layer is called 'nope'; there are down_proj"):
        preflight(load_recipe(tiny_recipe, ["model.lora={targets: [nope]}"]), None)


def test_no_number_of_a_recipe_may_be_infinite():
    with pytest.raises(ValidationError):
        Config.model_validate({"seed": float("inf")})


def test_an_evaluation_smaller_than_asked_for_is_said_with_what_it_can_tell(check, tmp_path):
    """A tenth of a small file is a handful of problems, and an accuracy of a handful says little."""
    held_out = sum(is_held_out(f"{i}+1=") for i in range(60))
    assert 2 <= held_out <= 8
    (note,) = check(sums(0, 60), "evaluation={tasks: 32, samples: 1}")
    assert note.startswith(f"evaluation.tasks 32: only {held_out} problems are held out (a tenth of the data is)")
    assert f"up to {min(50, 98 / held_out**0.5):.0f} points to either side" in note
    assert check(sums(0, 60), f"evaluation={{tasks: {held_out}, samples: 1}}") == []
    own = write(tmp_path / "own.jsonl", sums(60, 65))
    section = f"evaluation={{tasks: 8, data: {{path: {own}, max_prompt_tokens: 64}}}}"
    (note,) = check(sums(0, 12), section)
    assert note.startswith("evaluation.tasks 8: only 5 problems are in evaluation.data;")
    assert check(sums(0, 12), section.replace("tasks: 8, ", "")) == []


def test_problems_that_are_too_long_to_be_asked_are_counted(check, tmp_path):
    own = write(tmp_path / "own.jsonl", [*sums(60, 62), {"prompt": "1" * 90, "answer": "1"}])
    section = f"evaluation={{tasks: 3, data: {{path: {own}, max_prompt_tokens: 40}}}}"
    assert check(sums(0, 12), section) == [
        "evaluation.data: 1 of 3 problems are left out: their prompt is longer than evaluation.data.max_prompt_tokens"
    ]
    with pytest.raises(UserError, match="none of the 3 problems is short enough"):
        check(sums(0, 12), section.replace("max_prompt_tokens: 40", "max_prompt_tokens: 2"))


def test_an_empty_column_of_an_evaluation_is_found_as_well(check, tmp_path):
    path = write(tmp_path / "e.jsonl", [{"prompt": f"{i}+7=", "answer": None} for i in range(20)])
    with pytest.raises(
        UserError, match=r"evaluation\.data\.fields\.answer: the column 'answer' is empty in all 20 rows"
    ):
        check(sums(0, 12), f"evaluation={{data: {{path: {path}, max_prompt_tokens: 64}}}}")


def test_a_few_rows_without_an_answer_and_ids_that_repeat_are_named(check):
    rows = [*sums(0, 98), {"prompt": "x", "answer": float("nan")}]
    assert check(rows) == ["data.fields.answer: 1 of 99 rows have no answer, the first being rows/98"]
    assert check([{**row, "uid": i // 2} for i, row in enumerate(sums(0, 12))], "data.fields.id=uid") == [
        "data.fields.id: 6 ids stand in several rows, the first being '0': a step takes one row of each"
    ]


def test_adapters_have_to_be_of_some_layers(tiny_recipe):
    with pytest.raises(UserError, match=r"model\.lora\.targets: the list is empty; there are down_proj"):
        preflight(load_recipe(tiny_recipe, ["model.lora.targets=[]"]), None)


def test_responses_that_open_the_reasoning_a_second_time_are_named(tiny_recipe, tmp_path):
    policy = make_policy()
    policy.tokenizer.chat_template = (
        "{% for m in messages %}<|{{ m.role }}|>{{ m.content }}{% endfor %}"
        "{% if add_generation_prompt %}<|assistant|><think>\n{% endif %}"
    )
    policy.save(tmp_path / "model")
    lessons = write(
        tmp_path / "l.jsonl",
        [{"prompt": f"{i}", "response": "<think>a</think>b" if i < 3 else "a</think>b"} for i in range(8)],
    )
    recipe = [f"model.path={tmp_path / 'model'}", "algorithm=sft", f"examples.path={lessons}"]
    assert preflight(load_recipe(tiny_recipe, recipe), None).notes == [
        "examples.path: 3 of 8 responses begin with <think>, which the chat template has written already"
    ]
