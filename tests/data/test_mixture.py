"""Several data sets: each in its share, under its name, and in an order that can be left and come back to."""

import json

import pytest

from grpo_kit.config.read import apply_override, validate
from grpo_kit.config.source import parse_yaml
from grpo_kit.data.datasets import as_one, demonstrated_source, evaluation_tasks, training_sets, training_source
from grpo_kit.data.mixture import largest_shares, shares
from grpo_kit.data.sampler import OtherData
from grpo_kit.data.samplers import open_sampler
from grpo_kit.data.tasks import ProceduralSource
from grpo_kit.errors import UserError
from grpo_kit.evaluate.judge import find_judge
from grpo_kit.policy.scratch import build_tokenizer
from grpo_kit.run.resume import changes
from grpo_kit.train.preflight import preflight
from tests.kit.tiny import TINY_RECIPE

TOKENIZER = build_tokenizer()
SUMS = {"name": "sums", "task": "addition", "weight": 3, "max_prompt_tokens": 64}
CHAINS = {"name": "chains", "task": "chain_sum", "max_prompt_tokens": 64, "prompt_template": "calc {prompt}"}


def recipe(sets, *overrides):
    source = parse_yaml(TINY_RECIPE, "tiny.yaml")
    for override in (f"data={json.dumps(sets)}", *overrides):
        apply_override(source, override)
    return validate(source)


def sampler(config):
    return open_sampler(config, training_sets(config), TOKENIZER)


def ids(pairs):
    return [task.id for task, _ in pairs]


def rows(folder, name, count):
    path = folder / f"{name}.jsonl"
    path.write_text("".join(json.dumps({"prompt": f"{name} {i}", "answer": str(i)}) + "\n" for i in range(count)))
    return {"name": name, "path": str(path), "max_prompt_tokens": 64}


@pytest.mark.parametrize("weights", [[1, 1], [3, 1], [0.1, 0.7], [5, 3, 1], [1, 1, 1, 8]])
def test_after_any_number_of_prompts_each_data_set_has_its_share(weights):
    total = sum(weights)
    order = shares(weights, [0] * len(weights), 400)
    for n in range(1, 401):
        for number, weight in enumerate(weights):
            assert abs(order[:n].count(number) - n * weight / total) <= len(weights) - 1
    # In pieces it is the same order.
    given, pieces = [0] * len(weights), []
    for size in (1, 7, 64, 100):
        piece = shares(weights, given, size)
        pieces += piece
        given = [given[i] + piece.count(i) for i in range(len(weights))]
    assert pieces == order[: len(pieces)]


def test_prompts_are_drawn_by_weight_under_their_names_and_templates():
    drawn = sampler(recipe([SUMS, CHAINS])).next(40)
    names = [task.data_set for task, _ in drawn]
    assert (names.count("sums"), names.count("chains")) == (30, 10)
    assert all(name in ("sums", "chains") for name in names)
    assert all(task.id.startswith(f"{task.data_set}/") for task, _ in drawn)
    assert all(task.prompt.startswith("calc ") == (task.data_set == "chains") for task, _ in drawn)
    assert {names[:20].count("chains"), names[20:].count("chains")} == {5}  # each part of a step has its part


def test_a_data_set_gives_what_it_would_give_alone():
    """In a mixture too, the order within a data set is that of its own sampler."""
    config = recipe([SUMS, CHAINS])
    of_sums = [task.id for task, _ in sampler(config).next(40) if task.data_set == "sums"]
    alone = sampler(config.of_set(config.mixture[0])).next(30)
    assert of_sums == [f"sums/{task.id}" for task, _ in alone]


@pytest.mark.parametrize("kind", ["order", "pools", "thompson"])
def test_continuation_is_exact_at_any_step(kind):
    config = recipe([SUMS | {"limit": 30}, CHAINS | {"limit": 20}], f"curriculum.sampler={kind}")
    straight = sampler(config)
    expected = [ids(straight.next(7)) for _ in range(8)]
    for cut in range(8):
        before = sampler(config)
        for _ in range(cut):
            before.next(7)
        after = sampler(config)
        after.load_state_dict(json.loads(json.dumps(before.state_dict())))
        assert [ids(after.next(7)) for _ in range(8 - cut)] == expected[cut:]


@pytest.mark.parametrize(
    "other",
    [
        [SUMS, CHAINS | {"level": 2}],
        [SUMS | {"weight": 2}, CHAINS],
        [SUMS, CHAINS | {"name": "others"}],
        [SUMS, CHAINS, CHAINS | {"name": "more"}],
        [CHAINS, SUMS],
    ],
)
def test_other_data_sets_names_or_weights_are_other_data_and_nothing_moves(other):
    before, now = sampler(recipe([SUMS, CHAINS])), sampler(recipe(other))
    before.next(8)
    untouched = now.state_dict()
    with pytest.raises(OtherData, match="not the data sets that the checkpoint was trained on"):
        now.load_state_dict(before.state_dict())
    assert now.state_dict() == untouched


def test_the_data_set_whose_rows_changed_is_named(tmp_path):
    before = sampler(recipe([SUMS, rows(tmp_path, "few", 4)]))
    now = sampler(recipe([SUMS, rows(tmp_path, "few", 3)]))
    with pytest.raises(OtherData, match=r"weights: data\.1 \(few\) has other rows"):
        now.load_state_dict(before.state_dict())


def test_a_list_of_one_is_the_section_that_it_holds():
    one = {"task": "addition", "level": 1, "max_prompt_tokens": 64}
    listed, plain = recipe([one | {"name": "sums", "weight": 2}]), recipe(one)
    assert listed == plain
    assert listed.model_dump() == plain.model_dump()
    assert sampler(listed).state_dict() == sampler(plain).state_dict()
    own = recipe([one | {"verifiers": [{"name": "exact"}]}])
    assert [v.name for v in own.verifiers] == ["exact"]


def test_files_whose_rows_have_one_name_are_told_apart(tmp_path):
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    sets = [rows(tmp_path / "a", "one", 6), rows(tmp_path / "b", "one", 6) | {"name": "two"}]
    drawn = ids(sampler(recipe(sets)).next(12))
    assert len(set(drawn)) == 12


def test_names_come_from_the_task_or_the_file(tmp_path):
    path = rows(tmp_path, "7-hard.problems", 3) | {"name": None}
    config = recipe([{"task": "addition", "level": 3}, path])
    assert [part.name for part in training_sets(config)] == ["addition-3", "hard"]


def test_a_data_set_with_too_few_prompts_is_named_with_its_weight(tmp_path):
    config = recipe([rows(tmp_path, "few", 3), SUMS | {"weight": 1}])
    with pytest.raises(UserError, match=r"data\.0 has only 3 .* lower rollout\.prompts_per_step or data\.0\.weight"):
        sampler(config).next(8)


def test_a_data_set_that_is_used_up_within_a_step_leaves_later_steps_as_they_were(tmp_path):
    config = recipe([rows(tmp_path, "few", 4), SUMS | {"weight": 1}])
    drawn = sampler(config)
    first = ids(drawn.next(8))
    more = drawn.next(8, first)  # none of the four is left
    assert {task.data_set for task, _ in more} == {"sums"}
    later = [task.data_set for task, _ in drawn.next(8)]
    assert later.count("few") == 4


@pytest.mark.parametrize(
    "weights", [(1.0, 1.0), (1.0, 1.3), (3.0, 1.0, 1.0), (1.0, 2.0, 4.0), (0.01, 1.0), (2.23, 1.2, 1.108)]
)
@pytest.mark.parametrize("steps", [1, 20, 400])
@pytest.mark.parametrize("wanted", [8, 12])
def test_the_largest_share_of_a_run_is_known_beforehand(weights, steps, wanted):
    most, drawn = [0] * len(weights), [0] * len(weights)
    for _ in range(steps):
        order = shares(weights, drawn, wanted)
        counts = [order.count(number) for number in range(len(weights))]
        drawn = [a + b for a, b in zip(drawn, counts, strict=True)]
        most = [max(pair) for pair in zip(most, counts, strict=True)]
    assert largest_shares(weights, wanted, steps) == most


def test_a_share_of_three_data_sets_may_be_more_than_one_above_its_mean_in_a_late_step():
    assert largest_shares([2.23, 1.2, 1.108], 12, 64) == [6, 4, 3]
    assert largest_shares([2.23, 1.2, 1.108], 12, 400) == [6, 4, 4]


@pytest.mark.parametrize(("steps", "refills", "most"), [(50, 0, [1, 1, 1]), (50, 1, [1, 1, 2]), (1, 1, [1, 0, 1])])
def test_after_rounds_of_dynamic_sampling_a_step_may_begin_anywhere(steps, refills, most):
    """The order is c a b c, c a b c: two prompts at a time are never c c, and they are where a third was drawn before."""
    assert shares([1.0, 1.0, 2.0], [0, 0, 0], 8) == [2, 0, 1, 2] * 2
    assert largest_shares([1.0, 1.0, 2.0], 2, steps, refills) == most


def test_a_data_set_that_is_too_small_for_a_later_step_is_refused_before_the_first(tmp_path):
    """A share of 3.5 prompts is 3 in the first step, and 4 in the second."""
    sets = [rows(tmp_path, "few", 3), SUMS | {"weight": 1.3}]
    changes = ("rollout.prompts_per_step=8", "verifiers=[{name: math}]", "scoring.max_rejected_gold=1")
    with pytest.raises(UserError, match=r"4 different prompts are wanted at a time, and data\.0 has only 3"):
        preflight(recipe(sets, *changes, "train.steps=2"), None)
    assert preflight(recipe(sets, *changes, "train.steps=1"), None).prompts


def test_a_data_set_that_is_too_small_for_a_step_after_other_rounds_is_refused_too(tmp_path):
    sets = [SUMS | {"weight": 1}, CHAINS | {"weight": 1}, rows(tmp_path, "few", 1) | {"weight": 2}]
    changes = ("rollout.prompts_per_step=2", "verifiers=[{name: math}]", "scoring.max_rejected_gold=1")
    assert preflight(recipe(sets, *changes), None).prompts
    with pytest.raises(UserError, match=r"2 different prompts are wanted at a time, and data\.2 has only 1"):
        preflight(recipe(sets, *changes, "algorithm=dapo"), None)


def test_the_evaluation_is_of_each_data_set_in_equal_parts_and_of_nothing_that_is_trained_on(tmp_path):
    config = recipe([SUMS, CHAINS, rows(tmp_path, "rows", 200)], "evaluation={tasks: 20}")
    tasks = evaluation_tasks(config)
    names = [task.data_set for task in tasks]
    assert [names.count(name) for name in ("sums", "chains", "rows")] == [7, 7, 6]
    assert len({task.id for task in tasks}) == 20
    trained = as_one(training_sets(config)[2:])
    assert not {trained.task(i).prompt for i in range(trained.size)} & {t.prompt for t in tasks}


def test_one_source_of_all_takes_turns_until_each_ends(tmp_path):
    source = training_source(recipe([rows(tmp_path, "a", 2), rows(tmp_path, "b", 4)]))
    assert [source.task(i).id for i in range(source.size)] == ["a/a/0", "b/b/0", "a/a/1", "b/b/1", "b/b/2", "b/b/3"]
    endless = training_source(recipe([rows(tmp_path, "a", 2), SUMS]))
    assert endless.size is None
    assert [endless.task(i).id for i in (0, 2, 4)] == ["a/a/0", "a/a/1", "a/a/0"]


def test_worked_solutions_are_of_every_task_in_turn():
    source = demonstrated_source(recipe([SUMS, CHAINS]))
    for index in range(6):
        asked, problem = source.task(index).prompt, source.problem(index)
        assert asked == (f"calc {problem.prompt}" if index % 2 else problem.prompt)


def test_a_limit_is_so_many_different_problems():
    source = ProceduralSource("chain_sum", 1, 0, False, limit=300)
    assert source.size == 300 == len({source.task(i).id for i in range(300)})
    endless = ProceduralSource("chain_sum", 1, 0, False)
    assert source.task(0) == endless.task(0)
    assert source.fingerprint != endless.fingerprint
    with pytest.raises(UserError, match=r"data\.limit: addition at level 1 has only \d+ problems"):
        ProceduralSource("addition", 1, 0, False, limit=100_000)


def test_what_changed_in_a_list_is_said_by_its_entry():
    before, after = recipe([SUMS, CHAINS]), recipe([SUMS | {"weight": 5}, CHAINS])
    assert [str(change) for change in changes(before, after)] == ["data.0.weight: 3.0 -> 5.0"]


def test_each_data_set_is_judged_by_what_judges_it_alone():
    letters = {"task": "sort_letters", "name": "letters", "verifiers": [{"name": "exact"}]}
    judge = find_judge(recipe([SUMS, CHAINS, letters]))
    assert {name: one.name for name, one in judge.of_sets.items()} == {
        "sums": "math",
        "chains": "math",
        "letters": "exact",
    }
    assert str(judge) == "math (sums, chains) and exact (letters)"
    chosen = find_judge(recipe([SUMS, letters], "evaluation={verifier: exact}"))
    assert (str(chosen), chosen.chosen, chosen.spec.name) == ("exact", True, "exact")
    # What is of none of the data sets is judged by the recipe's own.
    own = recipe([SUMS, letters], "verifiers=[{name: length}, {name: math}]", "evaluation={data: {task: addition}}")
    assert find_judge(own).spec.name == "math"


REFUSED = {
    "data.0.weight: found 0, must be above 0; take a data set out": ([SUMS | {"weight": 0}, CHAINS],),
    "data.0 and data.1 are both called 'sums'; give each a name": ([SUMS, CHAINS | {"name": "sums"}],),
    "an empty list has nothing to train on": ([],),
    "share its environment: give environment beside data": ([SUMS, CHAINS | {"environment": {"name": "guess_number"}}],),
    "data.1.verifiers: an empty list scores nothing": ([SUMS, CHAINS | {"verifiers": []}],),
    "unknown key data.1.wieght; allowed here: task.*weight": ([SUMS, CHAINS | {"wieght": 2}],),
    "examples brings its own prompts: give data one section": (
        [SUMS, CHAINS], "algorithm=sft", "examples={demonstrations: true}",
    ),
    "name who judges it in evaluation.verifier": (
        [SUMS | {"verifiers": [{"name": "math"}]}, CHAINS | {"verifiers": [{"name": "exact"}]}],
        "verifiers=[]", "evaluation={data: {task: addition}}",
    ),
    "data.0.task addition never gives one twice: set data.0.limit": ([SUMS, CHAINS | {"limit": 9}], "curriculum.sampler=pools"),
    "hard 0.9 must be below easy 0.5": ([SUMS, CHAINS], "curriculum={hard: 0.9, easy: 0.5}"),
    "set rollout.max_staleness to 0, or curriculum.sampler to order": (
        [SUMS | {"limit": 9}, CHAINS | {"limit": 9}], "curriculum.sampler=thompson", "rollout.max_staleness=1",
        "rollout.engine=vllm_server", "rollout.vllm.servers=[http://127.0.0.1:1]", "objective.correction=truncated",
    ),
}  # fmt: skip


@pytest.mark.parametrize("said", REFUSED)
def test_what_does_not_fit_is_refused_with_its_field_and_the_way_out(said):
    with pytest.raises(UserError, match=said):
        recipe(*REFUSED[said])


def test_an_entry_is_reached_by_its_number_and_by_its_name():
    config = recipe([SUMS, CHAINS], "data.chains.level=2", "data.0.weight=5", "data.sums.limit=7")
    assert (config.mixture[1].level, config.mixture[0].weight, config.mixture[0].limit) == (2, 5.0, 7)
    with pytest.raises(UserError, match=r"data\.others is not an entry of a list of 2; .* and named sums, chains"):
        recipe([SUMS, CHAINS], "data.others.level=2")


def test_a_run_too_long_to_look_at_whole_is_thought_to_ask_for_one_more():
    looked_at = largest_shares([2.23, 1.2, 1.108], 12, 80_000)
    assert largest_shares([2.23, 1.2, 1.108], 12, 10**9) == [most + 1 for most in looked_at]
    assert largest_shares([1.0, 1e-9], 4, 10**9) == [4, 1]
