"""The sampler: every row once per epoch, no prompt over the limit, and exact continuation."""

import json

import pytest

from grpo_kit.config import DataConfig
from grpo_kit.data.datasets import DatasetSource
from grpo_kit.data.sampler import TaskSampler
from grpo_kit.data.tasks import ProceduralSource
from grpo_kit.errors import UserError
from grpo_kit.policy.scratch import build_tokenizer

TOKENIZER = build_tokenizer()


def source(tmp_path, count=10, long_rows=()):
    rows = [{"prompt": "x" * (200 if i in long_rows else 5) + str(i), "answer": "1"} for i in range(count)]
    (tmp_path / "d.jsonl").write_text("".join(json.dumps(r) + "\n" for r in rows))
    return DatasetSource(DataConfig(path=str(tmp_path / "d.jsonl")))


def sampler(from_source, seed=0, limit=100):
    return TaskSampler(from_source, TOKENIZER, seed=seed, max_prompt_tokens=limit)


def ids(chosen):
    return [task.id for task, _ in chosen]


def test_each_epoch_visits_every_row_once_in_a_new_order(tmp_path):
    drawn = sampler(source(tmp_path))
    first, second = ids(drawn.next(10)), ids(drawn.next(10))
    assert sorted(first) == sorted(second) == sorted(f"d/{i}" for i in range(10))
    assert first != second


def test_continuation_is_exact_at_any_position(tmp_path):
    data = source(tmp_path)
    straight = sampler(data)
    expected = [ids(straight.next(3)) for _ in range(8)]
    for cut in range(8):
        before = sampler(data)
        for _ in range(cut):
            before.next(3)
        after = sampler(data)
        after.load_state_dict(json.loads(json.dumps(before.state_dict())))
        assert [ids(after.next(3)) for _ in range(8 - cut)] == expected[cut:]


def test_long_prompts_are_skipped_and_counted(tmp_path):
    drawn = sampler(source(tmp_path, long_rows={2, 5}))
    assert not {"d/2", "d/5"} & set(ids(drawn.next(8)))
    assert drawn.position == 8 + drawn.skipped_long
    drawn.next(8)
    assert drawn.skipped_long >= 2


def test_no_short_prompt_at_all(tmp_path):
    with pytest.raises(UserError, match=r"data.max_prompt_tokens: no prompt .* has at most 4 tokens"):
        sampler(source(tmp_path), limit=4).next(1)


def test_tasks_of_one_call_differ_even_in_an_endless_stream():
    drawn = sampler(ProceduralSource("chain_sum", 1, 0, False))
    for _ in range(20):
        chosen = ids(drawn.next(64))
        assert len(set(chosen)) == 64


def test_a_dataset_smaller_than_a_batch_is_refused(tmp_path):
    with pytest.raises(UserError, match=r"rollout\.prompts_per_step"):
        sampler(source(tmp_path, count=3)).next(8)


def test_changed_data_is_refused(tmp_path):
    state = sampler(source(tmp_path)).state_dict()
    with pytest.raises(UserError, match="not the data that the checkpoint was trained on"):
        sampler(source(tmp_path, count=9)).load_state_dict(state)
