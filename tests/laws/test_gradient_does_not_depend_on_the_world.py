"""Law 1 among ranks: the gradient, the step it makes and the optimizer's state are those of one process."""

import pytest
import torch

from tests.kit.distributed_gradient import step
from tests.kit.torchrun import succeed


@pytest.fixture(scope="module")
def alone():
    return {dtype: step(getattr(torch, dtype)) for dtype in ("float64", "float32")}


@pytest.mark.parametrize(
    ("ranks", "dtype", "how"),
    [
        (1, "float64", ()),
        (2, "float64", ()),
        (4, "float64", ()),
        (2, "float64", ("checkpointing",)),
        (2, "float32", ()),
    ],
)
def test_gradient_of_a_step(ranks, dtype, how, alone, tmp_path):
    succeed(ranks, "tests.kit.distributed_gradient", tmp_path / "result.pt", dtype, *how)
    there, here = torch.load(tmp_path / "result.pt"), alone[dtype]
    tolerance = 1e-10 if dtype == "float64" else 1e-5
    assert here["gradient"].norm() > 0
    assert (there["gradient"] - here["gradient"]).norm() / here["gradient"].norm() < tolerance
    assert (there["critic"] - here["critic"]).norm() / here["critic"].norm() < tolerance
    assert there["norm"] == pytest.approx(here["norm"], rel=tolerance)
    assert there["gradient"].norm() == pytest.approx(1.0, rel=1e-5)  # clipped by the norm over all ranks
    assert there["loss"] == pytest.approx(here["loss"], rel=tolerance * 10)
    for mine, theirs in zip(here["moments"], there["moments"], strict=True):
        torch.testing.assert_close(mine, theirs, rtol=0, atol=tolerance)
    assert there["entropy"] == pytest.approx(here["entropy"], rel=tolerance * 10)
    assert there["ratio/max"] == pytest.approx(here["ratio/max"], rel=tolerance * 10)


@pytest.mark.parametrize("how", [("episodes",), ("episodes", "shared")])
def test_episodes_of_several_turns(how, tmp_path):
    shared = "shared" in how
    here = step(torch.float64, groups=shared, episodes=True)
    succeed(2, "tests.kit.distributed_gradient", tmp_path / "result.pt", "float64", *how)
    there = torch.load(tmp_path / "result.pt")
    assert there["trees"] is shared
    assert (there["gradient"] - here["gradient"]).norm() / here["gradient"].norm() < 1e-10
    assert there["loss"] == pytest.approx(here["loss"], rel=1e-9)
