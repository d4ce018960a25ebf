"""What a recipe says reaches the parts of a run."""

from grpo_kit.train.prepare import open_scorer

from .test_every_algorithm_runs import recipe


def test_the_room_of_scoring_workers():
    with open_scorer(recipe("grpo", "scoring.workers=1", "scoring.memory_mb=300")) as scorer:
        assert scorer.memory_mb == 300
