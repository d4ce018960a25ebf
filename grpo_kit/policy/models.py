"""Policies: load a Hugging Face model or build a tiny one, and run it for training."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from safetensors import SafetensorError
from torch import Tensor, nn

from grpo_kit import ranks
from grpo_kit.errors import UserError

from .attention import use_float32_attention
from .logprobs import Head, head_of, select_logprobs
from .packing import MicroBatch

if TYPE_CHECKING:
    from grpo_kit.config import ModelConfig


@dataclass
class Policy:
    """A causal language model with what is needed to train it.

    Attributes:
        model: the transformers model, unchanged.
        tokenizer: its tokenizer, with a chat template.
        autocast: the dtype of matrix products (bfloat16 where the device has it), or None for full precision.
        compiled: what runs in place of the backbone in training, where torch.compile is switched on.
    """

    model: Any
    tokenizer: Any
    device: torch.device
    autocast: torch.dtype | None = None
    compiled: Any = None

    @property
    def backbone(self) -> nn.Module:
        """The model without its output head."""
        return self.model.get_decoder()

    @property
    def head(self) -> Head:
        return head_of(self.model)

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

    def hidden(self, input_ids: Tensor) -> Tensor:
        """[rows, length] token ids, padded on the right -> [rows, length, hidden]."""
        run = self.backbone if self.compiled is None else self.compiled
        return run(input_ids=input_ids, use_cache=False).last_hidden_state

    def logprobs(self, batch: MicroBatch, temperature: float, entropy_gradient: bool = False) -> tuple[Tensor, Tensor]:
        """Log-probability and entropy of every completion token of a micro-batch: two tensors [tokens].

        Without ``entropy_gradient`` the entropies are numbers to look at, and cost nothing in the backward pass.
        """
        with self.precision():
            hidden = self.hidden(batch.input_ids)[batch.rows, batch.columns]
            return select_logprobs(hidden, self.head, batch.targets, temperature, entropy_gradient=entropy_gradient)

    def reference(self) -> Policy:
        """The policy as it is now, for a KL term to compare with later: a copy that takes no gradients."""
        import copy

        model = copy.deepcopy(self.model).eval().requires_grad_(False)
        # Not compiled: one pass without gradients gains less than a second compilation costs.
        return Policy(model, self.tokenizer, self.device, self.autocast)

    def whole(self) -> Policy:
        """This policy with all its weights in this process; every rank must ask."""
        return self

    def save(self, folder: Path, shard_gb: float | None = None) -> None:
        """Write a Hugging Face folder that transformers and vLLM load as it is. shard_gb: largest file of weights."""
        self.model.save_pretrained(folder, **shards(shard_gb))
        self.tokenizer.save_pretrained(folder)

    def load_weights(self, folder: Path) -> None:
        """Copy the weights of a saved model (a checkpoint's ``model``) into this one, in place."""
        load_network(self.model, folder)


def shards(largest_gb: float | None) -> dict[str, str]:
    """How ``save_pretrained`` is told to cut the weights into files; as it likes where nothing is asked."""
    return {} if largest_gb is None else {"max_shard_size": f"{round(largest_gb * 1e6)}KB"}


def load_network(model: Any, folder: Path) -> None:
    """Copy the weights that a Hugging Face folder holds into a model, in place. Raises UserError if they do not fit."""
    from safetensors.torch import load_file

    weights: dict[str, Any] = {}
    for shard in sorted(folder.glob("*.safetensors")):
        weights |= load_file(shard)
    missing, unexpected = model.load_state_dict(weights, strict=False)
    if unexpected or set(missing) - set(model.all_tied_weights_keys):
        raise UserError(f"{folder} does not fit this model: missing {missing[:3]}, unexpected {unexpected[:3]}")
    model.tie_weights()


def pick_device(name: str = "auto") -> torch.device:
    """The device of that name. Raises UserError if there is no such device here."""
    if name != "auto":
        try:
            device = torch.device(name)
        except RuntimeError as error:
            raise UserError(f"device: {name!r} is no device; give auto, cpu, cuda or cuda:0") from error
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

    if config.path is None:
        assert config.scratch is not None
        model, tokenizer = build_scratch_model(config.scratch, seed)
    else:
        model, tokenizer = _load_pretrained(config.path)
    if tokenizer.pad_token_id is None:
        tokenizer.pad_token = tokenizer.eos_token
    # Master weights stay float32: at RL learning rates a bfloat16 weight often rounds the update away.
    disable_dropout(model)
    policy = Policy(model.float().to(device), tokenizer, device, _autocast_dtype(config.dtype, device))
    if device.type == "cpu" and policy.autocast is not None:
        use_float32_attention(model)
    _check_head(policy)
    if config.compile:
        policy.compiled = torch.compile(policy.backbone, dynamic=True)
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
    _check_folder(config.path)
    tokenizer = _load_tokenizer(config.path)
    try:
        with torch.device("meta"):
            model = AutoModelForCausalLM.from_config(AutoConfig.from_pretrained(config.path))
        model.tie_weights()
    except (OSError, ValueError, KeyError) as error:
        raise _not_loadable(config.path, error) from error
    return model, tokenizer


def _check_folder(path: str) -> None:
    folder = Path(path)
    looks_local = folder.exists() or path.startswith((".", "/", "~")) or path.count("/") != 1
    if looks_local and not (folder / "config.json").is_file():
        state = "has no config.json" if folder.is_dir() else "is a file" if folder.exists() else "does not exist"
        raise UserError(
            f"model.path: {path} is not a model folder: it {state}. Give a folder that holds config.json, weights and "
            "tokenizer (`model` of a run, or of one of its checkpoints, is one), or a name on the Hugging Face "
            "hub such as Qwen/Qwen2.5-0.5B."
        )


def check_weights(path: str) -> None:
    """Raises UserError if the weights of a local model folder are missing, incomplete or cut off. Reads headers only."""
    from safetensors import safe_open

    folder = Path(path)
    if not folder.is_dir():
        return  # a name on the hub
    wanted = {f.name for pattern in ("*.safetensors", "pytorch_model*.bin") for f in folder.glob(pattern)}
    for index in folder.glob("*.index.json"):
        wanted |= set(json.loads(index.read_text(encoding="utf-8"))["weight_map"].values())
    if not wanted:
        raise UserError(f"model.path: {path} holds no weights: no *.safetensors file is in it")
    lost = sorted(name for name in wanted if not (folder / name).is_file())
    if lost:
        raise UserError(f"model.path: {path} lacks {', '.join(lost)}, which its index names; copy it again")
    for name in sorted(wanted):
        if name.endswith(".safetensors"):
            try:
                with safe_open(folder / name, framework="pt"):
                    continue
            except (SafetensorError, OSError) as error:
                raise UserError(f"model.path: {folder / name} is damaged ({error}); copy it again") from error


def _load_pretrained(path: str) -> tuple[Any, Any]:
    from transformers import AutoModelForCausalLM

    _check_folder(path)
    tokenizer = _load_tokenizer(path)
    try:
        model = AutoModelForCausalLM.from_pretrained(path, dtype=torch.float32, attn_implementation="sdpa")
    except (OSError, ValueError, KeyError, RuntimeError, SafetensorError) as error:
        raise _not_loadable(path, error) from error
    return model, tokenizer


def _not_loadable(path: str, error: Exception) -> UserError:
    return UserError(f"model.path: {path} could not be loaded: {(str(error).splitlines() or [repr(error)])[0]}")


def _load_tokenizer(path: str) -> Any:
    from transformers import AutoTokenizer

    try:
        tokenizer = AutoTokenizer.from_pretrained(path)
    except (OSError, ValueError, KeyError) as error:
        raise _not_loadable(path, error) from error
    if not getattr(tokenizer, "chat_template", None):
        raise UserError(
            f"model.path: the tokenizer of {path} has no chat template. Add one to its tokenizer_config.json, or start "
            "from the instruction-tuned variant of the model."
        )
    return tokenizer


def _autocast_dtype(name: str, device: torch.device) -> torch.dtype | None:
    if name == "float32" or (name == "auto" and device.type == "cpu"):
        return None
    if name == "auto" and not torch.cuda.is_bf16_supported():
        return None
    return torch.bfloat16


def disable_dropout(model: nn.Module) -> None:
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
    if not torch.allclose(ours, theirs.to(ours.dtype), rtol=1e-3, atol=1e-3):
        raise UserError(
            f"model.path: {config.architectures or type(policy.model).__name__} computes its logits in a way that this "
            f"trainer does not reproduce (largest difference {(ours - theirs).abs().max():.3g}). Please report the model."
        )
