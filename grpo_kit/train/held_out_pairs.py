"""The evaluation of a reward model: pairs that training never meets, ranked by its scores."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence
from typing import Any

import torch

from grpo_kit.config import Config
from grpo_kit.data.held_out_records import held_out_groups
from grpo_kit.errors import UserError
from grpo_kit.evaluate.pairs import PairResult
from grpo_kit.evaluate.records import Record
from grpo_kit.policy.dealing import rank_unit_batches
from grpo_kit.policy.value_model import ValueModel
from grpo_kit.runtime import ranks
from grpo_kit.types import Group

from .learner import Learner
from .pairs import Pair, mine_pairs
from .preference import ranked_right


class PairEvaluation:
    """The held-out pairs of a recipe. Measuring draws nothing at random, so a resumed run goes on as it would have."""

    def __init__(self, pairs: Sequence[Pair], token_budget: int) -> None:
        self.pairs, self.token_budget = pairs, token_budget

    @property
    def size(self) -> int:
        return len(self.pairs)

    @torch.no_grad()
    def measure(self, learner: Learner, *_: Any) -> tuple[PairResult, list[Record]]:
        """Pair accuracy of the reward model that ``learner`` trains. There are no answers to show."""
        model = learner.trained
        assert isinstance(model, ValueModel)
        model.model.eval()
        mine: list[tuple[tuple[int, ...], float, float]] = []
        units = [(pair.chosen, pair.rejected) for pair in self.pairs]
        for batch in rank_unit_batches(units, self.token_budget, model.device, model.model):
            scores = model.rewards(batch).float()
            if batch.sequences:
                chosen, rejected = scores[0::2], scores[1::2]
                right, margin = ranked_right(chosen, rejected).tolist(), (chosen - rejected).tolist()
                prompts = [tuple(sequence.prompt_ids) for sequence in batch.sequences[0::2]]
                mine += zip(prompts, right, margin, strict=True)
        ranked: dict[tuple[int, ...], list[tuple[float, float]]] = defaultdict(list)
        for prompt, better, by in sorted(x for part in ranks.all_gather(mine, "an evaluation of pairs") for x in part):
            ranked[prompt].append((better, by))
        return PairResult.of(ranked), []


def prepare_pairs(config: Config, tokenizer: Any, context: int, most_pairs: int) -> PairEvaluation:
    """Raises UserError where no held-out prompt has a better and a worse response. most_pairs: of one prompt."""
    groups = groups_with_pairs(config, tokenizer, context)
    return PairEvaluation(mine_pairs(groups, most_pairs, Counter()), config.train.token_budget)


def groups_with_pairs(config: Config, tokenizer: Any, context: int) -> list[Group]:
    """At most ``evaluation.tasks`` held-out groups, those that hold a pair. Raises UserError where there is none."""
    assert config.evaluation is not None
    where, groups = held_out_groups(config, tokenizer, context)
    found: list[Group] = []
    for group in groups:
        if len(found) < config.evaluation.tasks and mine_pairs([group], 1, Counter()):
            found.append(group)
    if not found:
        raise UserError(
            f"{where}: a reward model is evaluated on pairs, and no held-out prompt has a better and a worse response. Give "
            "evaluation.data a file with columns prompt, chosen and rejected, more examples, or evaluation: null"
        )
    return found
