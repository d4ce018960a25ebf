"""A checkpoint as lm-eval's ``LM``: its requests are answered by this kit's engines and passes."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from typing import Any

import torch
from lm_eval.api.model import TemplateLM
from lm_eval.models.utils import has_bos_prefix, normalize_gen_kwargs
from lm_eval.utils import get_rolling_token_windows, make_disjoint_window

from grpo_kit.compat.asked import AskedModel
from grpo_kit.errors import UserError
from grpo_kit.generate.base import SamplingParams
from grpo_kit.types import Prompt

TOKENS_AT_ONCE = 2**14  # of a pass over contexts and continuations, padding included
SAMPLED_BY = {"do_sample", "temperature", "top_p", "top_k", "min_p", "until", "max_gen_toks"}

Encoded = tuple[tuple[str, str], list[int], list[int]]  # the texts; token ids of the context and of the continuation


class CheckpointLM(TemplateLM):
    """Requests of lm-eval, answered as its own ``hf`` model answers them: the same ids, the same cuts, the same ends.

    Args:
        max_tokens: of a response where the task does not say.
    """

    def __init__(self, asked: AskedModel, max_tokens: int | None = None) -> None:
        super().__init__()
        self.asked, self.policy = asked, asked.policy
        self.tokenizer = asked.policy.tokenizer
        self.max_gen_toks = max_tokens or 256
        self._device = asked.policy.device

    @property
    def max_length(self) -> int:
        return self.asked.context

    @property
    def eot_token_id(self) -> int:
        return int(self.tokenizer.eos_token_id)

    @property
    def prefix_token_id(self) -> int:
        begin = self.tokenizer.bos_token_id
        return self.eot_token_id if begin is None else int(begin)

    @property
    def tokenizer_name(self) -> str:
        return str(self.tokenizer.name_or_path).replace("/", "__")

    def tok_encode(self, string: str, add_special_tokens: bool | None = None, **_: Any) -> list[int]:
        """Token ids; a text that begins with the first token already is not given another."""
        if add_special_tokens is None and has_bos_prefix(string, self.tokenizer.decode(self.prefix_token_id)):
            add_special_tokens = False
        how = {} if add_special_tokens is None else {"add_special_tokens": add_special_tokens}
        return list(self.tokenizer.encode(string, **how))

    def apply_chat_template(self, chat_history: list[dict[str, str]], add_generation_prompt: bool = True) -> str:
        return str(
            self.tokenizer.apply_chat_template(
                chat_history, tokenize=False, add_generation_prompt=add_generation_prompt,
                continue_final_message=not add_generation_prompt,
            )
        )  # fmt: skip

    def generate_until(self, requests: Sequence[Any], disable_tqdm: bool = False) -> list[str]:
        """The response to each request, cut before its first stop string."""
        alike: dict[str, list[int]] = {}
        for index, request in enumerate(requests):
            alike.setdefault(json.dumps(request.args[1], sort_keys=True, default=str), []).append(index)
        texts = [""] * len(requests)
        for indices in alike.values():
            wanted = normalize_gen_kwargs(requests[indices[0]].args[1], self.max_gen_toks)
            prompts = []
            for index in indices:
                ids = self.tok_encode(requests[index].args[0]) or [self.prefix_token_id]
                prompts.append(Prompt(str(index), tuple(ids[-self._room(wanted["max_gen_toks"]) :])))
            for index, group in zip(indices, self.asked.complete(prompts, self._sampling(wanted)), strict=True):
                text = group[0].text
                for end in filter(None, wanted["until"]):
                    text = text.split(end)[0]
                texts[index] = text
                self.cache_hook.add_partial("generate_until", requests[index].args, text)
        return texts

    def _room(self, max_tokens: int) -> int:
        room = self.max_length - max_tokens
        if room <= 0:
            raise UserError(
                f"lm_eval: the task wants responses of up to {max_tokens} tokens, and the model's context is {self.max_length}; "
                "say fewer with --max-tokens"
            )
        return room

    def _sampling(self, wanted: Any) -> SamplingParams:
        if unknown := sorted(set(wanted) - SAMPLED_BY):
            raise UserError(
                f"lm_eval: the task's generation_kwargs have {', '.join(unknown)}, which no engine here knows"
            )
        end = self.tokenizer.decode([self.eot_token_id])
        return SamplingParams(
            temperature=float(wanted.get("temperature", 0.0)) if wanted["do_sample"] else 0.0,
            top_p=float(wanted.get("top_p", 1.0)),
            top_k=int(wanted.get("top_k", 0)),
            min_p=float(wanted.get("min_p", 0.0)),
            max_tokens=int(wanted["max_gen_toks"]),
            stop=tuple(text for text in wanted["until"] if text and text != end),
            stop_token_ids=self._ends(),
            seed=self.asked.seed,
        )

    def _ends(self) -> tuple[int, ...]:
        """What ends a response for transformers' own ``generate`` and for lm-eval; the end of a turn need not."""
        known = getattr(getattr(self.policy.model, "generation_config", None), "eos_token_id", None)
        ids = [*(known if isinstance(known, list) else [known]), self.eot_token_id]
        return tuple(sorted({int(i) for i in ids if i is not None}))

    def loglikelihood_rolling(self, requests: Sequence[Any], disable_tqdm: bool = False) -> list[float]:
        """The log-likelihood of each whole text, in windows of the model's context."""
        sums = []
        for request in requests:
            windows = get_rolling_token_windows(
                token_list=self.tok_encode(request.args[0]), prefix_token=self.prefix_token_id, max_seq_len=self.max_length,
                context_len=1,
            )  # fmt: skip
            parts: list[Encoded] = [(("", ""), *make_disjoint_window(window)) for window in windows]
            sums.append(sum(value for value, _ in self._loglikelihood_tokens(parts)))
            self.cache_hook.add_partial("loglikelihood_rolling", request.args, sums[-1])
        return sums

    @torch.no_grad()
    def _loglikelihood_tokens(self, requests: Sequence[Encoded], **_: Any) -> list[tuple[float, bool]]:
        """The log-probability of each continuation behind its context, and whether greedy sampling would give it."""
        found = [(0.0, False)] * len(requests)
        sequences = [(context + continuation)[-(self.max_length + 1) :] for _, context, continuation in requests]
        for indices in _batches([len(ids) - 1 for ids in sequences]):
            longest = max(len(sequences[i]) - 1 for i in indices)
            rows = [sequences[i][:-1] + [0] * (longest + 1 - len(sequences[i])) for i in indices]
            with self.policy.precision():
                hidden = self.policy.hidden(torch.tensor(rows, device=self.policy.device))
                for row, i in enumerate(indices):
                    continuation = torch.tensor(requests[i][2], device=self.policy.device)
                    end = len(sequences[i]) - 1
                    logprobs = self.policy.head.logits(hidden[row, end - len(continuation) : end]).log_softmax(-1)
                    chosen = logprobs.gather(-1, continuation[:, None]).sum()
                    found[i] = (float(chosen), bool((logprobs.argmax(-1) == continuation).all()))
        for request, answer in zip(requests, found, strict=True):
            if request[0] != ("", ""):
                self.cache_hook.add_partial("loglikelihood", request[0], answer)
        return found


def _batches(lengths: Sequence[int]) -> Iterator[list[int]]:
    """Indices of sequences, the longest first, as many together as their padded tokens allow."""
    order = sorted(range(len(lengths)), key=lambda index: -lengths[index])
    while order:
        count = max(1, TOKENS_AT_ONCE // max(1, lengths[order[0]]))
        yield order[:count]
        order = order[count:]
