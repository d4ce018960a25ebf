"""A transformer with one number per position: a critic, or a reward model. Saved as Hugging Face sequence classification."""

from __future__ import annotations

import copy
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from grpo_kit.data.chat import end_of_turn_id
from grpo_kit.errors import UserError
from grpo_kit.runtime.model_folder import check_folder

from .attention import attends_to_trees, last_hidden, share_prompts
from .models import Policy, disable_dropout
from .narrow import is_narrow, narrow
from .network import ScoredNetwork
from .packing import MicroBatch
from .pretrained import load_network, load_whole, shards
from .weights import Weighted


@dataclass
class ValueModel(Weighted):
    """A sequence-classification network with a single label.

    Attributes:
        model: the transformers model; its ``score`` layer turns a hidden state into the number.
    """

    model: ScoredNetwork
    tokenizer: Any
    device: torch.device
    autocast: torch.dtype | None = None

    @classmethod
    def from_policy(cls, policy: Policy) -> ValueModel:
        """The policy's own backbone, copied, and a score of zero everywhere: no opinion before the first lesson."""
        from transformers import AutoModelForSequenceClassification

        from grpo_kit.policy.weights import exported_weights

        config = policy.model.config.__class__.from_dict(policy.model.config.to_dict() | {"num_labels": 1})
        config.pad_token_id = policy.tokenizer.pad_token_id
        network = AutoModelForSequenceClassification.from_config(config)
        prefix = f"{network.base_model_prefix}."
        backbone = {k.removeprefix(prefix): v for k, v in exported_weights(policy.model) if k.startswith(prefix)}
        network.base_model.load_state_dict(backbone)
        nn.init.zeros_(network.score.weight)
        disable_dropout(network)
        dtype = next(policy.model.parameters()).dtype
        return cls(network.to(policy.device, dtype), policy.tokenizer, policy.device, policy.autocast)._like(policy)

    @classmethod
    def load(cls, path: str, policy: Policy) -> ValueModel:
        """A trained reward model, with the policy's tokenizer.

        Raises:
            UserError: there is none, or it speaks another vocabulary.
        """
        from transformers import AutoModelForSequenceClassification

        check_folder(path, "critic.path: ")
        network, _ = load_whole(AutoModelForSequenceClassification, path, "critic.path")
        if network.config.vocab_size != policy.model.config.vocab_size or network.config.num_labels != 1:
            raise UserError(
                f"critic.path: {path} has a vocabulary of {network.config.vocab_size} and {network.config.num_labels} labels; "
                f"the policy's critic needs {policy.model.config.vocab_size} and 1"
            )
        disable_dropout(network)
        return cls(network.to(policy.device), policy.tokenizer, policy.device, policy.autocast)._like(policy)

    def _like(self, policy: Policy) -> ValueModel:
        """This one, its weights kept as the policy's are, and sharing prompts where the policy does and this network can."""
        if attends_to_trees(policy.model):
            share_prompts(self.model, self.model.base_model)
        if is_narrow(policy.model):
            narrow(self.model)
        return self

    def _at(self, batch: MicroBatch, rows: Tensor, columns: Tensor) -> Tensor:
        with torch.autocast(self.device.type, dtype=self.autocast, enabled=self.autocast is not None):
            hidden = last_hidden(self.model.base_model, batch.input_ids, batch.tree)
            values = self.model.score(hidden[rows, columns]).squeeze(-1)
        return values.float() if self.autocast is not None else values

    def values(self, batch: MicroBatch) -> Tensor:
        """The value of the state *before* each completion token. [tokens]"""
        return self._at(batch, batch.rows, batch.columns)

    def rewards(self, batch: MicroBatch) -> Tensor:
        """The score of each whole response, read at its last token, which ends the turn. [sequences]"""
        last = batch.lengths.cumsum(0) - 1
        return self._at(batch, batch.rows[last], batch.ends)

    def copy(self) -> ValueModel:
        """This network as it is now, which takes no gradients."""
        model = copy.deepcopy(self.model).eval().requires_grad_(False)
        return ValueModel(model, self.tokenizer, self.device, self.autocast)

    def whole(self) -> ValueModel:
        """This network with all its weights in this process; every rank must ask."""
        return self

    def take_whole(self) -> None:
        """Go on from the weights that `whole` gave, which have been changed."""

    def save(self, folder: Path, shard_gb: float | None = None) -> None:
        """Write a Hugging Face folder that the ``reward_model`` verifier and transformers load as it is.

        ``score_token_id`` in its config is the token, directly behind a response, at which the score was trained.
        """
        self.model.config.score_token_id = end_of_turn_id(self.tokenizer)
        self.model.save_pretrained(folder, **shards(shard_gb))
        self.tokenizer.save_pretrained(folder)

    def load_weights(self, folder: Path) -> None:
        """Copy the weights of a saved one (a checkpoint's ``model``) into this one, in place."""
        load_network(self.model, folder)
