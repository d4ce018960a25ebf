"""What a micro-batch joins of its sequences."""

import pytest
import torch

from grpo_kit.policy.dealing import computed, empty_batch
from grpo_kit.policy.packing import TrainingSequence, micro_batches

PER_TOKEN = ("behaviour_logprobs", "old_logprobs", "reference_logprobs", "values", "returns")


def sequences(lengths=(3, 1, 2)):
    return [TrainingSequence([1], [5] * n, 0.0, 0.5, group=g) for g, n in enumerate(lengths)]


@pytest.mark.parametrize("name", PER_TOKEN)
def test_tensors_of_sequences_are_joined_in_the_order_of_the_rows(name):
    made = sequences()
    for s in made:
        setattr(s, name, torch.full((len(s.completion_ids),), float(s.group), dtype=torch.float64))
    (batch,) = micro_batches(made, 100)
    joined = getattr(batch, name)
    assert joined.dtype == torch.float32
    assert joined.tolist() == [float(s.group) for s in batch.sequences for _ in s.completion_ids]
    assert [t.tolist() for t in batch.split(joined)] == [getattr(s, name).tolist() for s in batch.sequences]


@pytest.mark.parametrize("name", PER_TOKEN)
def test_what_no_sequence_has_is_none_and_what_some_lack_is_an_error(name):
    made = sequences()
    (batch,) = micro_batches(made, 100)
    assert getattr(batch, name) is None
    setattr(made[1], name, torch.zeros(1))
    with pytest.raises(ValueError, match="2 of 3 sequences lack what others have"):
        getattr(batch, name)


def test_a_mask_stays_boolean():
    made = sequences()
    for s in made:
        s.token_mask = torch.ones(len(s.completion_ids), dtype=torch.bool)
    (batch,) = micro_batches(made, 100)
    assert batch.token_mask.dtype == torch.bool


def test_an_empty_micro_batch_has_none_of_them():
    assert all(getattr(empty_batch(torch.device("cpu")), name) is None for name in (*PER_TOKEN, "token_mask"))


def test_what_is_computed_of_micro_batches_goes_back_to_the_sequences():
    made = [*sequences((3, 0, 1)), *sequences((4, 2))]

    def compute(batch):
        return batch.targets.float() * batch.rows, batch.columns

    found = computed(made, [*micro_batches(made, 6), empty_batch(torch.device("cpu"))], compute, "a test")
    assert {id(s) for s, _ in found} == {id(s) for s in made if s.completion_ids}
    for sequence, (values, columns) in found:
        assert len(values) == len(columns) == len(sequence.completion_ids)
        assert columns.tolist() == list(range(len(sequence.completion_ids)))
