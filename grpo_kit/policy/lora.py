"""Low-rank adapters through peft: attached to a loaded model, switched off for the reference, merged for saving.

With adapters off the model is the one that training started from, so a KL term costs no second model in memory.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from grpo_kit.errors import UserError
from grpo_kit.runtime import ranks

from .four_bit import FourBitLinear, check_four_bit
from .models import Policy
from .network import AdaptedModel, Network
from .pretrained import save_network
from .weights import cut_like, whole_of

if TYPE_CHECKING:
    from grpo_kit.config import LoraConfig

ADAPTER_FOLDER = "adapter"


@dataclass
class LoraPolicy(Policy):
    """A policy of which only adapters are trained (arXiv:2106.09685)."""

    model: AdaptedModel

    def reference(self) -> Policy:
        """This model with its adapters off, whenever it is asked for log-probabilities."""
        return _AdaptersOff(self.model, self.tokenizer, self.device, self.autocast, full_head=self.full_head)

    def save(self, folder: Path, shard_gb: float | None = None) -> None:
        """Write the merged model as a plain Hugging Face folder, and beside it the adapter alone."""
        from grpo_kit.policy.weights import exported_weights

        base = self.model.get_base_model()
        # save_pretrained of the base would write adapter layers under names that no loader knows.
        plain = type(base)(base.config)
        tied = set(base.all_tied_weights_keys)
        weights = {name: tensor.detach().cpu() for name, tensor in exported_weights(self.model)}
        plain.load_state_dict({k: v for k, v in weights.items() if k not in tied}, strict=False)
        plain.tie_weights()
        plain.generation_config = base.generation_config
        save_network(plain.to(next(base.parameters()).dtype), folder, shard_gb, self.generation_config)
        self.tokenizer.save_pretrained(folder)
        self.model.save_pretrained(folder / ADAPTER_FOLDER)

    def load_weights(self, folder: Path) -> None:
        from peft import set_peft_model_state_dict
        from safetensors.torch import load_file

        saved = load_file(folder / ADAPTER_FOLDER / "adapter_model.safetensors")
        result = set_peft_model_state_dict(self.model, saved)
        if result.unexpected_keys:
            raise UserError(f"{folder} does not fit these adapters: unexpected {result.unexpected_keys[:3]}")


@dataclass
class _AdaptersOff(Policy):
    """The policy as it was: the network without its adapters, or with the adapters of the moment that it followed last.

    Attributes:
        then: those adapters, in the order of the network's own; None for none of them.
    """

    model: AdaptedModel
    then: list[Tensor] | None = None

    @contextlib.contextmanager
    def precision(self) -> Iterator[None]:
        off = self.model.disable_adapter() if self.then is None else contextlib.nullcontext()
        with off, super().precision():
            yield

    @contextlib.contextmanager
    def standing(self) -> Iterator[None]:
        if self.then is None:
            yield
            return
        now = [p.detach().clone() for _, p in self._adapters()]
        self._put(self.then)
        try:
            yield
        finally:
            self._put(now)

    def follow(self, other: Policy, rate: float = 1.0) -> None:
        if rate != 1.0:
            raise ValueError("the product of two averages is not the average of products: adapters are copied whole")
        self.then = [p.detach().clone() for _, p in self._adapters()]

    def snapshot(self) -> dict[str, Tensor]:
        named = zip((name for name, _ in self._adapters()), self.then or (), strict=True)
        return {name: whole_of(tensor).to("cpu", copy=True) for name, tensor in named}

    def restore(self, weights: dict[str, Tensor]) -> None:
        self.then = [cut_like(p, weights[name]) for name, p in self._adapters()]

    def _adapters(self) -> list[tuple[str, nn.Parameter]]:
        return [(name, p) for name, p in self.model.named_parameters() if p.requires_grad]

    @torch.no_grad()
    def _put(self, weights: list[Tensor]) -> None:
        """In place: a sharded network gathers from the very memory that it was made with."""
        for (_, parameter), weight in zip(self._adapters(), weights, strict=True):
            parameter.copy_(weight)


def check_targets(model: Network, config: LoraConfig) -> None:
    """Raises UserError where no layer has one of the wanted names. model: may be without memory for its weights."""
    layers = sorted({name.rpartition(".")[2] for name, m in model.named_modules() if isinstance(m, nn.Linear)})
    wanted = [] if isinstance(config.targets, str) else config.targets
    unknown = [name for name in wanted if name.rpartition(".")[2] not in layers]
    if unknown or not config.targets:
        what = f"no layer is called {unknown[0]!r}" if unknown else "the list is empty"
        raise UserError(f"model.lora.targets: {what}; there are {', '.join(layers)}, or all-linear")


def check_base(config: LoraConfig, precision: torch.dtype | None, device: torch.device) -> None:
    """Raises UserError where ``base_dtype`` does not go with the rest. precision: of matrix products; None: float32."""
    if config.base_dtype == "float32":
        return
    if config.base_dtype == "nf4":
        if ranks.world_size() > 1:
            raise UserError(
                "model.lora.base_dtype nf4 is for one process: FSDP2 does not shard packed matrices; leave it out"
            )
        check_four_bit(device)
        return
    if precision is not torch.bfloat16:
        raise UserError("model.lora.base_dtype bfloat16 needs products in bfloat16; set model.dtype=bfloat16")
    if ranks.world_size() > 1:
        raise UserError("model.lora.base_dtype bfloat16 is for one process; several spread a base of float32 over them")


def attach_lora(policy: Policy, config: LoraConfig) -> LoraPolicy:
    """Give a policy fresh adapters (a zero change at first) and freeze everything else.

    Raises:
        UserError: peft is not installed, no layer has one of the wanted names, or ``base_dtype`` does not go with the rest.
    """
    try:
        from peft import LoraConfig as PeftConfig
        from peft import get_peft_model
    except ImportError as error:
        raise UserError('model.lora needs peft: pip install "grpo-kit[peft]"') from error
    targets: Any = config.targets if isinstance(config.targets, str) else list(config.targets)
    settings = PeftConfig(
        r=config.rank, lora_alpha=config.alpha, target_modules=targets, lora_dropout=0.0, task_type="CAUSAL_LM"
    )
    try:
        model = get_peft_model(policy.model, settings)
    except ValueError as error:
        raise UserError(f"model.lora.targets: {str(error).splitlines()[0]}") from error
    check_base(config, policy.autocast, policy.device)
    if config.base_dtype != "float32":
        _shrink(model, config.base_dtype, policy.autocast)
    return LoraPolicy(
        model,
        policy.tokenizer,
        policy.device,
        policy.autocast,
        generation_config=policy.generation_config,
        full_head=policy.full_head,
    )


def _shrink(model: AdaptedModel, dtype: str, precision: torch.dtype | None) -> None:
    """Keep the frozen matrices below adapters in bfloat16, which is all that autocast reads of them, or in four bits.

    Norms and embeddings stay as they are: they are not inputs of products, and the stream between layers has their precision.
    """
    for layer in list(model.modules()):
        if isinstance(base := getattr(layer, "base_layer", None), nn.Linear):
            if dtype == "nf4":
                layer.base_layer = FourBitLinear(base, precision or torch.float32)
            else:
                base.weight.data = base.weight.data.to(torch.bfloat16)
