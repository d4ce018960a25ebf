"""Where groups come from: dynamic sampling refills, greedy baselines, and records read back."""

import gzip
import json

import pytest

from grpo_kit.data.records import open_records, read_rollouts
from grpo_kit.data.sampler import TaskSampler
from grpo_kit.data.tasks import ProceduralSource, is_held_out
from grpo_kit.errors import RunFailed, UserError
from grpo_kit.generate.base import SamplingParams
from grpo_kit.objective.algorithms import ALGORITHMS
from grpo_kit.observe.clock import Clock
from grpo_kit.observe.measure import Measures
from grpo_kit.observe.run_directory import RunDirectory
from grpo_kit.policy.scratch import build_tokenizer
from grpo_kit.train.learners import open_learner
from grpo_kit.train.preflight import preflight
from grpo_kit.train.rollouts import SampledGroups, interleaved
from grpo_kit.types import Completion, Group, Prompt, Score, Task
from tests.conftest import make_policy
from tests.train.test_every_algorithm_runs import recipe


class FakeGenerator:
    """Completions whose text is the sample's index; greedy ones say so. Remembers every seed it was given."""

    policy_version = 3

    def __init__(self, version=3):
        self.version, self.seeds = version, []

    def generate(self, prompts, sampling):
        self.seeds.append(sampling.seed)
        for p in prompts:
            text = "greedy" if sampling.greedy else "{}"
            yield [
                Completion(p.task_id, i, [7], [-1.0], text.format(i), "stop", self.version) for i in range(sampling.n)
            ]

    def weights_stand(self, stand):
        self.standing = stand

    def statistics(self):
        return Measures()


class FakeScorer:
    """The first ``easy`` prompts get full marks whatever they answer; of others one sample in two is right."""

    def __init__(self, easy):
        self.easy = easy

    def score_groups(self, groups):
        for group in groups:
            if group.completions[0].text == "greedy":
                group.scores = [Score(0.25)]
            else:
                agree = self.easy > 0
                self.easy -= 1
                group.scores = [Score(1.0 if agree else float(i % 2)) for i in range(len(group.completions))]
            yield group

    def statistics(self):
        return Measures()


def source(algorithm, easy=0, version=3, max_refills=4):
    tasks = ProceduralSource("addition", 1, 0, held_out=False)
    sampler = TaskSampler(tasks, build_tokenizer(), seed=0, max_prompt_tokens=64)
    generator = FakeGenerator(version)
    made = SampledGroups(
        sampler, generator, FakeScorer(easy), SamplingParams(n=4), ALGORITHMS[algorithm], Clock(), max_refills
    )
    return made, generator


def agrees(group):
    return len({s.value for s in group.scores}) == 1


def test_dynamic_sampling_refills_the_batch():
    groups, generator = source("dapo", easy=5)
    found = groups.next(1, 8)
    assert len(found) == 8
    assert not any(agrees(g) for g in found)
    assert len({g.task.id for g in found}) == 8
    assert len(generator.seeds) == len(set(generator.seeds)) == 2
    statistics = groups.statistics()
    assert statistics["refill/rounds"] == 1
    assert statistics["refill/discarded_groups"] == 5
    assert statistics["refill/discarded_tokens"] == 20


def test_refilling_ends_and_never_shrinks_the_batch():
    groups, _ = source("dapo", easy=1000, max_refills=2)
    found = groups.next(1, 4)
    assert len(found) == 4
    assert all(agrees(g) for g in found)
    assert groups.statistics()["refill/agreeing_groups_used"] == 4


def test_other_algorithms_take_what_comes():
    groups, generator = source("grpo", easy=5)
    assert sum(agrees(g) for g in groups.next(1, 8)) == 5
    assert len(generator.seeds) == 1


def test_the_greedy_baseline_is_one_more_sample_per_prompt():
    groups, _ = source("remax")
    found = groups.next(1, 3)
    assert [g.greedy.value for g in found] == [0.25] * 3
    assert all(len(g.completions) == 4 for g in found)
    plain, _ = source("grpo")
    assert plain.next(1, 3)[0].greedy is None


def test_completions_of_another_version_stop_the_run():
    groups, _ = source("grpo", version=2)
    with pytest.raises(RunFailed, match=r"versions \[2\] reached the update of 3"):
        groups.next(1, 2)


# --- records -----------------------------------------------------------------------------------------------------


def write(path, rows):
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))


def records(algorithm, tmp_path, rows=None, **examples):
    if rows is not None:
        write(tmp_path / "rows.jsonl", rows)
        examples = {"path": str(tmp_path / "rows.jsonl")}
    config = recipe(algorithm)
    config = config.model_copy(
        update={"examples": config.examples.model_copy(update={"demonstrations": False, **examples})}
    )
    return open_records(config, build_tokenizer(), pairs=ALGORITHMS[algorithm].family != "policy_gradient")


def test_pairs_from_a_file(tmp_path):
    rows = [{"prompt": "1+1=", "chosen": "2", "rejected": "3", "margin": 0.5}]
    (group,) = records("dpo", tmp_path, rows).next(1, 1)
    tokenizer = build_tokenizer()
    assert [s.value for s in group.scores] == [1.0, 0.0]
    assert [tokenizer.decode(c.token_ids) for c in group.completions] == ["2<|endoftext|>", "3<|endoftext|>"]
    assert tokenizer.decode(group.prompt.token_ids) == "<|user|>1+1=<|assistant|>"
    assert group.task.meta["margin"] == 0.5


def test_labels_and_demonstrations_from_a_file(tmp_path):
    rows = [{"prompt": "a", "response": "x", "label": False}, {"prompt": "b", "response": "y", "label": True}]
    found = records("kto", tmp_path, rows).next(1, 2)
    assert {(g.task.prompt, g.scores[0].value) for g in found} == {("a", 0.0), ("b", 1.0)}
    (group,) = records("sft", tmp_path, [{"prompt": "a", "response": "x"}]).next(1, 1)
    assert group.scores[0].value == 1.0


def test_every_epoch_is_a_new_order_of_all_rows(tmp_path):
    made = records("sft", tmp_path, [{"prompt": f"p{i}", "response": "x"} for i in range(6)])
    first = [g.task.prompt for s in (1, 2) for g in made.next(s, 3)]
    second = [g.task.prompt for s in (3, 4) for g in made.next(s, 3)]
    assert sorted(first) == sorted(second) == [f"p{i}" for i in range(6)]
    assert first != second
    assert [g.task.prompt for g in made.next(2, 3)] == first[3:]


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ([{"prompt": "a", "answer": "x"}], "needs columns prompt, chosen and rejected, or prompt and response"),
        ([{"prompt": "a", "response": ""}], "row 0: prompt and responses must be text"),
        ([{"prompt": "a" * 100, "response": "x"}], "none of the 1 prompts has at most"),
    ],
)
def test_bad_rows_are_one_clear_paragraph(tmp_path, rows, message):
    with pytest.raises(UserError, match=message):
        records("sft", tmp_path, rows)


def test_demonstrations_of_pairs_are_right_against_wrong():
    config = recipe("dpo")
    (group,) = open_records(config, build_tokenizer(), pairs=True).next(1, 1)
    right, wrong = group.completions
    assert right.text != wrong.text
    assert right.text.endswith("}")
    single = recipe("sft", "examples.mistakes=1.0")
    (mistaken,) = open_records(single, build_tokenizer(), pairs=False).next(1, 1)
    assert mistaken.completions[0].text == wrong.text


def test_rollouts_read_back_are_what_was_logged(tmp_path):
    run = RunDirectory(tmp_path)
    run.rollouts.mkdir()
    task = ProceduralSource("addition", 1, 0, held_out=False).task(0)
    completions = [Completion(task.id, i, [5, i], [-0.5, -1.5], "t", "stop", 7) for i in range(2)]
    scores = [Score(0.75), Score(status="timeout")]
    group = Group(task, Prompt(task.id, (1, 2)), completions, scores, [{"math": s} for s in scores])
    run.log_rollouts(1, [group], [[0.1, 0.0]])
    (found,) = read_rollouts(tmp_path)
    assert found.completions == completions
    assert found.prompt == group.prompt
    assert [(s.value, s.status) for s in found.scores] == [(0.75, "ok"), (scores[1].value, "timeout")]
    assert found.parts[0]["math"].value == 0.75


def test_a_folder_without_rollouts_is_named(tmp_path):
    with pytest.raises(UserError, match="holds no recorded rollouts"):
        read_rollouts(tmp_path)
    (tmp_path / "rollouts").mkdir()
    with gzip.open(tmp_path / "rollouts" / "step-000001.jsonl.gz", "wt"):
        pass
    assert read_rollouts(tmp_path) == []


def test_a_row_can_be_changed_without_code():
    """Dynamic sampling is an axis: any algorithm can have it."""
    groups, _ = source("grpo", easy=2)
    groups.objective = groups.objective.model_copy(update={"dynamic_sampling": True})
    assert not any(agrees(g) for g in groups.next(1, 4))


# --- refills and what is recorded of them --------------------------------------------------------------------------


class FewTasks:
    """So few problems that an epoch ends within a step."""

    size, fingerprint = 5, "five"

    def task(self, index):
        return Task(f"t{index}", ({"role": "user", "content": f"{index}+1="},), "1")


def test_a_refill_draws_no_task_that_the_step_has_already():
    groups, _ = source("dapo", easy=3)
    groups.sampler = TaskSampler(FewTasks(), build_tokenizer(), seed=0, max_prompt_tokens=64)
    for step in (1, 2, 3):
        found = groups.next(step, 4)
        assert len({g.task.id for g in found}) == len(found) == 4


def test_refills_end_when_every_task_was_drawn():
    groups, generator = source("dapo", easy=1000)
    groups.sampler = TaskSampler(FewTasks(), build_tokenizer(), seed=0, max_prompt_tokens=64)
    assert len(groups.next(1, 4)) == 4
    assert len(generator.seeds) == 2  # the fifth task, and no more


def test_fillers_are_dealt_evenly_over_the_updates_of_a_batch():
    groups, _ = source("dapo", easy=1000, max_refills=1)
    learnable, fillers = groups.next(1, 20), groups.next(2, 12)
    for kept, filled, updates in ((20, 12, 2), (4, 12, 2), (14, 2, 4), (12, 4, 4)):
        dealt = interleaved(learnable[:kept], fillers[:filled])
        size = len(dealt) // updates
        shares = [sum(g in fillers for g in dealt[k : k + size]) for k in range(0, len(dealt), size)]
        assert max(shares) - min(shares) <= 1
        assert [g for g in dealt if g not in fillers] == learnable[:kept]


def test_two_groups_of_one_task_stay_two_in_the_record(tmp_path):
    run = RunDirectory(tmp_path)
    run.rollouts.mkdir()
    task = ProceduralSource("addition", 1, 0, held_out=False).task(0)
    made = []
    for number in range(2):
        completions = [Completion(task.id, i, [5, i, number], [-0.5] * 3, "t", "stop", 7) for i in range(2)]
        scores = [Score(1.0), Score(float(number))]
        made.append(Group(task, Prompt(task.id, (1, 2)), completions, scores, [{"math": s} for s in scores]))
    run.log_rollouts(1, made, [[0.1, 0.0]] * 2)
    assert [g.completions for g in read_rollouts(tmp_path)] == [g.completions for g in made]


def test_held_out_prompts_of_a_file_are_not_learned_from(tmp_path):
    """The evaluation holds them out of data; examples of the same problems must not bring them back."""
    rows = [{"prompt": f"{i}+{i}=", "response": "x"} for i in range(200)]
    write(tmp_path / "rows.jsonl", rows)
    config = recipe("sft", "evaluation={tasks: 4}")
    config = config.model_copy(
        update={
            "examples": config.examples.model_copy(
                update={"demonstrations": False, "path": str(tmp_path / "rows.jsonl")}
            )
        }
    )
    found = open_records(config, build_tokenizer(), pairs=False)
    assert 100 < found.size < 200
    assert not any(is_held_out(found.group(i).task.prompt) for i in range(found.size))


def test_a_record_of_another_tokenizer_is_refused(tmp_path):
    run = RunDirectory(tmp_path)
    run.rollouts.mkdir()
    task = ProceduralSource("addition", 1, 0, held_out=False).task(0)
    ids = build_tokenizer().encode("12", add_special_tokens=False)
    for text, refused in (("12", False), ("21", True)):
        group = Group(
            task, Prompt(task.id, (1, 2)), [Completion(task.id, 0, ids, [-1.0] * 2, text, "stop", 0)], [Score(1.0)]
        )
        group.parts.append({"math": Score(1.0)})
        run.log_rollouts(1, [group], [[0.0]])
        if refused:
            with pytest.raises(UserError, match="sampled with another tokenizer"):
                records("offline_pg", tmp_path, rollouts=str(tmp_path))
        else:
            assert records("offline_pg", tmp_path, rollouts=str(tmp_path)).size == 1


def test_recorded_log_probabilities_are_of_the_temperature_that_sampled(tmp_path):
    """Their ratio means nothing at another one; a likelihood is taken at 1 whatever the recipe samples with."""
    run = RunDirectory(tmp_path)
    run.rollouts.mkdir()
    run.write_config(recipe("grpo", "rollout.temperature=0.7"))
    ids = build_tokenizer().encode("12", add_special_tokens=False)
    for number in range(4):
        task = ProceduralSource("addition", 1, 0, held_out=False).task(number)
        made = Group(
            task, Prompt(task.id, (1, 2)), [Completion(task.id, 0, ids, [-1.0] * 2, "12", "stop", 0)], [Score(1.0)]
        )
        made.parts.append({"math": Score(1.0)})
        run.log_rollouts(number + 1, [made], [[0.0]])
    loose = ("scoring.max_rejected_gold=1.0", f"examples={{rollouts: {tmp_path}}}")
    with pytest.raises(UserError, match=r"was sampled at 0\.7.*Set rollout\.temperature=0\.7"):
        preflight(recipe("offline_pg", *loose), None)
    preflight(recipe("offline_pg", *loose, "rollout.temperature=0.7"), None)
    config = recipe("sft", *loose, "rollout.temperature=0.5")
    preflight(config, None)
    learner = open_learner(config, ALGORITHMS["sft"], make_policy())
    assert learner.updater.temperature == 1.0
