"""Policies: load a Hugging Face model or build a tiny one, and run it for training."""

from __future__ import annotations

import contextlib
import copy
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from grpo_kit.errors import UserError
from grpo_kit.runtime import ranks
from grpo_kit.runtime.model_folder import check_folder

from .attention import last_hidden, share_prompts, use_float32_attention
from .gguf import model_folder
from .logprobs import ActionLogprobs, Head, head_of, select_actions, select_logprobs, select_logprobs_against
from .moving import moved
from .network import CausalModel, Network
from .packing import MicroBatch
from .prefix import PrefixTree
from .pretrained import (
    check_tokenizer,
    generation_config_of,
    load_network,
    load_pretrained,
    load_tokenizer,
    not_loadable,
    save_network,
)
from .weights import Weighted

if TYPE_CHECKING:
    from grpo_kit.config import ModelConfig


@dataclass
class Policy(Weighted):
    """A causal language model with what is needed to train it.

    Attributes:
        model: the transformers model, unchanged.
        tokenizer: its tokenizer, with a chat template.
        autocast: the dtype of matrix products (bfloat16 where the device has it), or None for full precision.
        full_head: the output head's product is one of float32 all the same.
        generation_config: the text of the file that the model came with, which is saved with it as it is; None for a model
            that came with none.
        apart: why micro-batches may not be trees of prompts and their completions, where that was asked for.
    """

    model: CausalModel
    tokenizer: Any
    device: torch.device
    autocast: torch.dtype | None = None
    generation_config: str | None = None
    apart: str | None = None
    full_head: bool = False

    @property
    def backbone(self) -> nn.Module:
        """The model without its output head."""
        return self.model.get_decoder()

    @property
    def head(self) -> Head:
        return replace(head_of(self.model), full=self.full_head)

    @property
    def parameter_count(self) -> int:
        return sum(p.numel() for p in self.model.parameters())

    @property
    def context_length(self) -> int:
        return int(getattr(self.model.config, "max_position_embeddings", 0)) or 2**31

    @contextlib.contextmanager
    def precision(self) -> Iterator[None]:
        with torch.autocast(self.device.type, dtype=self.autocast, enabled=self.autocast is not None):
            yield

    def hidden(self, input_ids: Tensor, tree: PrefixTree | None = None) -> Tensor:
        """[rows, length] token ids, padded on the right, or one row with its tree -> [rows, length, hidden]."""
        return last_hidden(self.model.get_decoder(), input_ids, tree)

    def predicting(self, batch: MicroBatch) -> Tensor:
        """[tokens, hidden] the states that predict the completion tokens of a micro-batch."""
        return self.hidden(batch.input_ids, batch.tree)[batch.rows, batch.columns]

    def share_prompts(self) -> str | None:
        """From here on micro-batches may be trees of prompts and their completions (prefix.py); else why they may not."""
        self.apart = share_prompts(self.model, self.model.get_decoder())
        return self.apart

    def logprobs(self, batch: MicroBatch, temperature: float, entropy_gradient: bool = False) -> tuple[Tensor, Tensor]:
        """Log-probability and entropy of every completion token of a micro-batch: two tensors [tokens].

        Without ``entropy_gradient`` the entropies are numbers to look at, and cost nothing in the backward pass.
        """
        with self.precision():
            hidden = self.predicting(batch)
            return select_logprobs(hidden, self.head, batch.targets, temperature, entropy_gradient=entropy_gradient)

    def logprobs_against(
        self, batch: MicroBatch, teacher: Policy, temperature: float, entropy_gradient: bool = False
    ) -> tuple[Tensor, Tensor, Tensor]:
        """As `logprobs`, and KL(policy || teacher) over the vocabulary before every completion token: [tokens] each."""
        with torch.no_grad(), teacher.precision():
            states = teacher.predicting(batch)
        with self.precision():
            hidden = self.predicting(batch)
            return select_logprobs_against(
                hidden,
                self.head,
                batch.targets,
                states,
                teacher.head,
                temperature,
                entropy_gradient=entropy_gradient,
            )

    def actions(self, batch: MicroBatch, chosen: Tensor | None = None) -> ActionLogprobs:
        """What action values are made of, before every completion token of a micro-batch: see `select_actions`."""
        with self.precision():
            hidden = self.predicting(batch)
            return select_actions(hidden, self.head, batch.targets, chosen)

    def standing(self) -> contextlib.AbstractContextManager[None]:
        """While this lasts, this policy's weights are where its passes read them: others may use the same network."""
        return contextlib.nullcontext()

    def reference(self) -> Policy:
        """The policy as it is now, for a KL term to compare with later: a copy that takes no gradients."""
        return self.copied(copy.deepcopy(self.model))

    def copied(self, model: CausalModel) -> Policy:
        """A frozen policy on a copy of this one's network."""
        # A deep copy is not compiled: one pass without gradients gains less than a second compilation costs.
        frozen = model.eval().requires_grad_(False)
        return Policy(frozen, self.tokenizer, self.device, self.autocast, full_head=self.full_head)

    def whole(self) -> Policy:
        """This policy with all its weights in this process; every rank must ask."""
        return self

    def let_go(self) -> None:
        """Give up the memory of all weights: no pass is asked of this policy any more."""
        for parameter in self.model.parameters():
            parameter.data = parameter.data.new_empty(0)

    def save(self, folder: Path, shard_gb: float | None = None) -> None:
        """Write a Hugging Face folder that transformers and vLLM load as it is. shard_gb: largest file of weights."""
        save_network(self.model, folder, shard_gb, self.generation_config)
        self.tokenizer.save_pretrained(folder)

    def load_weights(self, folder: Path) -> None:
        """Copy the weights of a saved model (a checkpoint's ``model``) into this one, in place."""
        load_network(self.model, folder)


@dataclass
class RestingPolicy(Policy):
    """A frozen policy whose weights are in the host's memory, and on its device only while it stands."""

    def __post_init__(self) -> None:
        for parameter in self.model.parameters():
            at_rest = parameter.data.cpu()
            parameter.data = at_rest.pin_memory() if self.device.type == "cuda" else at_rest

    @contextlib.contextmanager
    def standing(self) -> Iterator[None]:
        at_rest = [(parameter, parameter.data) for parameter in self.model.parameters()]
        for parameter, weights in at_rest:
            parameter.data = moved(weights, self.device)
        try:
            yield
        finally:
            for parameter, weights in at_rest:
                parameter.data = weights


def pick_device(name: str = "auto") -> torch.device:
    """The device of that name. Raises UserError if there is no such device here."""
    if name != "auto":
        try:
            device = torch.device(name)
        except RuntimeError as error:
            raise UserError(f"device: {name!r} is no device; give auto, cpu, cuda, cuda:0 or mps") from error
        if device.type == "mps" and not torch.backends.mps.is_available():
            raise UserError(f"device: mps is not there: torch {torch.__version__} sees no Apple GPU; give auto or cpu")
        if device.type == "cuda" and (device.index or 0) >= torch.cuda.device_count():
            raise UserError(
                f"device: {name} is not there: torch {torch.__version__} sees {torch.cuda.device_count()} CUDA devices; "
                "`grpo-kit doctor` says more"
            )
    else:
        device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    if device.type == "cuda" and ranks.launched():
        return torch.device("cuda", ranks.local_rank())
    return device


def load_policy(config: ModelConfig, device: torch.device, seed: int = 0) -> Policy:
    """Load ``config.path``, or build the tiny model that ``config.scratch`` describes.

    Raises:
        UserError: the folder is missing or is not a model, or the model is of a kind that the kit cannot train.
    """
    from .scratch import build_scratch_model

    generation_config = None
    if config.path is None:
        assert config.scratch is not None
        model, tokenizer = build_scratch_model(config.scratch, seed)
    else:
        folder = model_folder(config.path)
        model, tokenizer = load_pretrained(folder)
        generation_config = generation_config_of(folder)
    check_tokenizer(tokenizer, model, config.path or "the scratch model")
    if tokenizer.pad_token_id is None:
        tokenizer.pad_token = tokenizer.eos_token
    # Master weights are float32: rounded to the nearest bfloat16 most updates of RL would be lost (narrow.py).
    disable_dropout(model)
    precision = autocast_dtype(config.dtype, device)
    policy = Policy(model.float().to(device), tokenizer, device, precision, generation_config=generation_config)
    policy.full_head = config.head_dtype == "float32"
    if device.type == "cpu" and policy.autocast is not None:
        use_float32_attention(model)
    _check_head(policy)
    return policy


def model_skeleton(config: ModelConfig) -> tuple[Any, Any]:
    """The model's shape without memory for its weights (on the meta device), and its tokenizer.

    Raises:
        UserError: as `load_policy`.
    """
    from transformers import AutoConfig, AutoModelForCausalLM

    from .scratch import build_scratch_model

    if config.path is None:
        assert config.scratch is not None
        return build_scratch_model(config.scratch, seed=0)
    folder = model_folder(config.path)
    check_folder(folder, "model.path: ")
    tokenizer = load_tokenizer(folder)
    try:
        with torch.device("meta"):
            model = AutoModelForCausalLM.from_config(AutoConfig.from_pretrained(folder))
        model.tie_weights()
    except (OSError, ValueError, KeyError) as error:
        raise not_loadable(config.path, error) from error
    return model, tokenizer


def autocast_dtype(name: str, device: torch.device) -> torch.dtype | None:
    """What matrix products are made in, of ``model.dtype`` on a device; None: float32."""
    if name == "float32" or (name == "auto" and device.type == "cpu"):
        return None
    if name == "auto" and not torch.cuda.is_bf16_supported():
        return None
    return torch.bfloat16


def disable_dropout(model: Network) -> None:
    """With dropout the policy that is trained is not the one that sampled, and no importance ratio would start at 1."""
    for module in model.modules():
        if isinstance(module, nn.Dropout):
            module.p = 0.0
        if isinstance(getattr(module, "attention_dropout", None), float):
            module.attention_dropout = 0.0  # type: ignore[assignment]


def _check_head(policy: Policy) -> None:
    """Some architectures transform their logits in ways a generic head would miss: compare once, refuse if so."""
    config = policy.model.config
    probe = torch.arange(1, 9, device=policy.device)[None] % config.vocab_size
    with torch.no_grad():
        ours = policy.head.logits(policy.hidden(probe))
        theirs = policy.model(input_ids=probe, use_cache=False).logits
    if not theirs.isfinite().all():
        broken = [name for name, weight in policy.model.named_parameters() if not weight.isfinite().all()]
        reason = (
            f"{broken[0]} and {len(broken) - 1} other weights are not finite" if broken else "its logits are not finite"
        )
        raise UserError(f"model.path: {reason}; the model is broken: take another checkpoint of it")
    if not torch.allclose(ours, theirs.to(ours.dtype), rtol=1e-3, atol=1e-3):
        raise UserError(
            f"model.path: {config.architectures or type(policy.model).__name__} computes its logits in a way that this "
            f"trainer does not reproduce (largest difference {(ours - theirs).abs().max():.3g}). Please report the model."
        )
