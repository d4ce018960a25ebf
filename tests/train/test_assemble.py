"""What a recipe says reaches the parts of a run, and each family's line has the numbers that tell whether it is well."""

import pytest

from grpo_kit.train.assemble import open_scorer
from grpo_kit.train.headline import headline
from tests.kit.runs import recipe


def test_the_room_of_scoring_workers():
    with open_scorer(recipe("grpo", "scoring.workers=1", "scoring.memory_mb=300")) as scorer:
        assert scorer.memory_mb == 300


COMMON = {"tokens_per_second": 1234.4, "loss": 0.6875, "length/mean": 25.04, "reward/mean": 0.5, "judge/right": 0.5}
PAIRS = {"pairs/accuracy": 0.875, "pairs/margin": 1.5}


@pytest.mark.parametrize(
    ("metrics", "shown"),
    [
        ({"entropy": 0.25}, {"reward": "0.500", "length": "25.0", "entropy": "0.250"}),
        ({"judge/right": 0.25}, {"reward": "0.500", "right": "25.0%", "length": "25.0"}),
        (
            {"verifier/math/mean": 0.25, "verifier/mine/mean": 0.125, "judge/right": 0.25},
            {"reward": "0.500", "math": "0.25", "mine": "0.12", "length": "25.0"},
        ),
        (
            {"critic/loss": 0.125, "critic/explained_variance": -0.5, "critic/warmup": 1.0},
            {
                "reward": "0.500",
                "length": "25.0",
                "critic loss": "0.125",
                "explained": "-0.500",
                "critic warm-up": "the policy rests",
            },
        ),
        ({"perplexity": 2.0, "data/recorded": 1.0}, {"loss": "0.6875", "perplexity": "2.000"}),
        (PAIRS | {"data/recorded": 1.0}, {"loss": "0.6875", "pair accuracy": "0.875", "margin": "1.500"}),
        (PAIRS, {"loss": "0.6875", "reward": "0.500", "pair accuracy": "0.875", "margin": "1.500"}),
        (
            {"kto/baseline": 0.0, "kto/good_margin": 0.5, "kto/bad_margin": -0.25, "data/recorded": 1.0},
            {"loss": "0.6875", "good": "0.500", "bad": "-0.250"},
        ),
    ],
    ids=["grpo", "judge beside", "several verifiers", "ppo", "sft", "dpo or reward model", "online dpo", "kto"],
)
def test_the_line_of_each_family(metrics, shown):
    """No reward where nothing was rewarded, no loss where it says nothing."""
    assert headline(COMMON | metrics) == shown | {"tok/s": "1234"}
