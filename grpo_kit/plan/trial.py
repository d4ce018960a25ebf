"""What this machine's CPU does with a model's shape: pieces of a step, timed.

A data sheet says little of a CPU: what it reaches depends on the instructions that a dtype finds, on threads, and on who else
is there. So a few layers and a part of the head are made from the shape, with random weights, and go through the very code of a
run: the decoding step, the pass without a gradient, the pass with one, AdamW. Layers, their width where it is large, and the
vocabulary are then multiplied.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass, replace

import torch
from torch import Tensor
from transformers import DynamicCache, LlamaConfig, LlamaForCausalLM

from grpo_kit.generate.base import SamplingParams
from grpo_kit.generate.decoder import Decoder
from grpo_kit.generate.sampling import next_tokens
from grpo_kit.generate.slots import SlotCache
from grpo_kit.policy.attention import use_float32_attention
from grpo_kit.policy.logprobs import Head, select_logprobs
from grpo_kit.policy.models import Policy

from .shape import ModelShape

PIECE = 0.08  # seconds that one timed piece is sized for; with a dozen pieces a trial stays below two seconds
ROUNDS = 2  # the best counts: what else runs on the machine only ever adds
MOST_LAYERS = 4
WEIGHTS = 4_000_000  # of all layers that are made; one layer that has more is made narrower
HEAD_WEIGHTS = 2**21
FEWEST_TOKENS = 16
MOST_TOKENS = 1024
ROWS = (128, 32)  # sequences side by side in the two decoding steps that are timed, at most
PROBE = 512  # tokens of the products that are timed for their rate


@dataclass(frozen=True, slots=True)
class Pace:
    """Seconds on this machine.

    Attributes:
        forward, train: of a token of prompt or response through the layers, without a gradient and with one.
        head_forward, head_train: of a token of a response through head and softmax.
        decode_step, decode_row: of a decoding step, and what each sequence adds to it; sampling the token included.
        optimizer: of one AdamW step over all weights.
        products: floating-point operations a second of the model's matrix products, by dtype.
    """

    threads: int
    forward: float
    train: float
    head_forward: float
    head_train: float
    decode_step: float
    decode_row: float
    optimizer: float
    products: dict[str, float]


def measure(shape: ModelShape, *, half: bool, threads: int, rows: int, context: int) -> Pace:
    """Time pieces of a model of this shape, for about two seconds. No randomness of the caller's is used up.

    Args:
        half: matrix products run in bfloat16.
        rows: sequences decoded side by side.
        context: tokens of a prompt with its response.
    """
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            return _Trial(shape, half, max(1, context)).pace(threads, max(1, rows))
    finally:
        torch.set_num_threads(before)


class _Trial:
    def __init__(self, whole: ModelShape, half: bool, context: int) -> None:
        shape = _narrowed(whole)
        self.shape, self.half, self.context, self.parameters = shape, half, context, whole.parameters
        self.layers = max(1, min(shape.layers, MOST_LAYERS, WEIGHTS // shape.layer_parameters))
        self.words = max(64, min(shape.vocabulary, HEAD_WEIGHTS // shape.hidden))
        # How many times what is timed goes into the whole model: of layers, and of the head.
        self.deep = whole.layers * whole.layer_parameters / (self.layers * shape.layer_parameters)
        self.wide = whole.vocabulary * whole.hidden / (self.words * shape.hidden)
        self.policy = _twin(shape, self.layers, half)
        self.head = Head(torch.randn(self.words, shape.hidden).mul_(0.02).requires_grad_())
        self.products = {"float32": self._product(torch.float32)}
        if half:
            self.products["bfloat16"] = self._product(torch.bfloat16)
        self.rate = self.products["bfloat16" if half else "float32"]

    def pace(self, threads: int, rows: int) -> Pace:
        layer_flops = 2.0 * self.layers * sum(i * o for i, o in self.shape.linears)
        head_flops = 2.0 * self.words * self.shape.hidden
        ids = self._ids(layer_flops)
        forward, train = _best(lambda: self._pass(ids, train=False)), _best(lambda: self._pass(ids, train=True))
        hidden = torch.randn(self._tokens(4 * head_flops), self.shape.hidden, requires_grad=True)
        head_forward = _best(lambda: self._head(hidden, train=False))
        head_train = _best(lambda: self._head(hidden, train=True))
        step, row = self._decoding(rows)
        return Pace(
            threads=threads,
            forward=self.deep * forward / ids.numel(),
            train=self.deep * train / ids.numel(),
            head_forward=self.wide * head_forward / len(hidden),
            head_train=self.wide * head_train / len(hidden),
            decode_step=step,
            decode_row=row,
            optimizer=self._optimizer(),
            products=self.products,
        )

    def _product(self, dtype: torch.dtype) -> float:
        left = torch.randn(PROBE, self.shape.hidden).to(dtype)
        right = torch.randn(min(self.shape.intermediate, 8192), self.shape.hidden).to(dtype)
        return 2.0 * len(left) * right.numel() / _best(lambda: torch.nn.functional.linear(left, right), rounds=5)

    def _tokens(self, flops: float) -> int:
        return int(min(MOST_TOKENS, max(FEWEST_TOKENS, PIECE * self.rate / flops)))

    def _ids(self, layer_flops: float) -> Tensor:
        """[sequences, length] of the run's own length, where a piece has room for it."""
        tokens = self._tokens(3 * layer_flops)
        length = min(self.context, tokens)
        return torch.zeros(max(1, tokens // length), length, dtype=torch.long)

    def _pass(self, ids: Tensor, *, train: bool) -> None:
        with torch.set_grad_enabled(train), self.policy.precision():
            hidden = self.policy.hidden(ids)
        if train:
            hidden.sum().backward()
            self.policy.model.zero_grad(set_to_none=True)

    def _head(self, hidden: Tensor, *, train: bool) -> None:
        targets = torch.zeros(len(hidden), dtype=torch.long)
        with torch.set_grad_enabled(train), self.policy.precision():
            chosen, _ = select_logprobs(hidden, self.head, targets, chunk_elements=len(hidden) * self.words // 2)
        if train:
            chosen.sum().backward()
            self.head.weight.grad = None

    def _decoding(self, rows: int) -> tuple[float, float]:
        """Seconds of a decoding step, and of each row in it, from a larger and a smaller batch."""
        most, few = min(rows, ROWS[0]), min(rows, ROWS[1])
        long = self._decode(most)
        if few == most:
            return 0.0, long / most
        short = self._decode(few)
        each = max(0.0, (long - short) / (most - few))
        return max(0.0, long - each * most), each

    @torch.no_grad()
    def _decode(self, rows: int) -> float:
        decoder, prefilled = Decoder(self.policy), DynamicCache()
        seen = min(self.context, 512)
        with self.policy.precision():
            self.policy.backbone(input_ids=torch.zeros(1, seen, dtype=torch.long), past_key_values=prefilled)
        cache = SlotCache(self.layers, rows, decoder.dtype)
        cache.insert(0, prefilled, torch.zeros(rows, dtype=torch.long))
        positions, tokens = torch.full((rows,), seen), torch.zeros(rows, dtype=torch.long)
        cache.step(positions)
        layers = _best(lambda: decoder.step(tokens[:, None], positions[:, None], cache))
        head = replace(self.head, weight=self.head.weight.to(decoder.dtype))
        hidden = torch.randn(rows, self.shape.hidden).to(decoder.dtype)
        sampling = SamplingParams(max_tokens=1, temperature=0.9)
        uniform = torch.full((rows,), 0.5, dtype=torch.float64)
        sampled = _best(lambda: next_tokens(head.logits(hidden), sampling, uniform))
        return self.deep * layers + self.wide * sampled

    def _optimizer(self) -> float:
        parameters = list(self.policy.model.parameters())
        for parameter in parameters:
            parameter.grad = torch.zeros_like(parameter)
        optimizer = torch.optim.AdamW(parameters, lr=0.0)
        return _best(optimizer.step) * self.parameters / sum(p.numel() for p in parameters)


def _narrowed(shape: ModelShape) -> ModelShape:
    """The same kind of layer with fewer weights, where one has more than a trial has time for."""
    factor = math.sqrt(WEIGHTS / shape.layer_parameters)
    if factor >= 1.0:
        return shape
    keys = max(1, round(shape.kv_heads * factor))
    return replace(
        shape,
        hidden=max(64, int(shape.hidden * factor) // 64 * 64),
        heads=keys * max(1, shape.heads // shape.kv_heads),
        kv_heads=keys,
        intermediate=max(64, int(shape.intermediate * factor) // 64 * 64),
    )


def _twin(shape: ModelShape, layers: int, half: bool) -> Policy:
    """A Llama of this shape with a few layers and next to no vocabulary."""
    config = LlamaConfig(
        hidden_size=shape.hidden,
        intermediate_size=shape.intermediate,
        num_hidden_layers=layers,
        num_attention_heads=shape.heads,
        num_key_value_heads=shape.kv_heads,
        head_dim=shape.head_dim,
        vocab_size=8,
        attention_bias=shape.bias,
        tie_word_embeddings=True,
    )
    model = LlamaForCausalLM(config)
    if half:
        use_float32_attention(model)
    return Policy(model, None, torch.device("cpu"), torch.bfloat16 if half else None)


def _best(piece: Callable[[], object], rounds: int = ROUNDS) -> float:
    """Seconds of the fastest of several; the first one, which finds nothing warm, is not counted."""
    piece()
    best = math.inf
    for _ in range(rounds):
        begun = time.perf_counter()
        piece()
        best = min(best, time.perf_counter() - begun)
    return best
