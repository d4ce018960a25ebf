"""A checkpoint as a model provider of inspect_ai's: its messages are answered by this kit's engines."""

from __future__ import annotations

import hashlib
from collections import Counter
from dataclasses import dataclass
from typing import Any

import anyio
from anyio.to_thread import run_sync
from inspect_ai.model import (
    ChatCompletionChoice,
    ChatMessage,
    ChatMessageAssistant,
    GenerateConfig,
    ModelAPI,
    ModelOutput,
    ModelUsage,
    modelapi,
)
from inspect_ai.tool import ToolChoice, ToolInfo

from grpo_kit.compat.asked import AskedModel
from grpo_kit.data.chat import render
from grpo_kit.errors import UserError
from grpo_kit.generate.base import SamplingParams
from grpo_kit.types import Completion, Message, Prompt, Task

MAX_TOKENS = 2048  # of a response where neither the task nor the command says; inspect_ai's own number
TOGETHER = 256  # samples that inspect_ai may ask for at once
# What a task may ask of a model and no engine here does.
NOT_HERE = (
    "frequency_penalty", "presence_penalty", "logit_bias", "logprobs", "top_logprobs", "prompt_logprobs", "response_schema",
    "best_of", "extra_body",
)  # fmt: skip


@dataclass
class _Request:
    prompt: Prompt
    sampling: SamplingParams
    answer: list[Completion] | None = None
    error: Exception | None = None


@modelapi(name="grpo_kit")
class CheckpointAPI(ModelAPI):
    """Renders a conversation by the model's chat template, and samples its answer.

    Samples are asked for one by one, at the same time: those that wait while the engine works are its next batch. ``asked`` is
    set by whoever makes it.
    """

    asked: AskedModel

    def __init__(
        self,
        model_name: str,
        base_url: str | None = None,
        api_key: str | None = None,
        config: GenerateConfig | None = None,
        **_: Any,
    ) -> None:
        super().__init__(model_name, base_url, api_key, [], config or GenerateConfig())
        self._waiting: list[_Request] = []
        self._engine = anyio.Lock()
        self._seen: Counter[str] = Counter()

    def max_tokens(self) -> int | None:
        return MAX_TOKENS

    def max_connections(self) -> int:
        return TOGETHER

    async def generate(
        self, input: list[ChatMessage], tools: list[ToolInfo], tool_choice: ToolChoice, config: GenerateConfig
    ) -> ModelOutput:
        """The answer to a conversation; ``config.num_choices`` of them."""
        if tools:
            raise UserError(
                f"inspect: the task hands the model tools ({', '.join(tool.name for tool in tools)}), and checkpoints answer in "
                "text here: `grpo-kit train` and `eval` have tools as environments (docs/environments.md)"
            )
        prompt = self._prompt(input)
        request = _Request(prompt, self._sampling(config, len(prompt.token_ids)))
        self._waiting.append(request)
        await anyio.sleep(0)  # whoever is ready as well is asked for in the same batch
        async with self._engine:
            if request.answer is None and request.error is None:
                await self._answer_those_like(request)
        if request.error is not None:
            raise request.error
        assert request.answer is not None
        return self._output(request.prompt, request.answer)

    async def _answer_those_like(self, first: _Request) -> None:
        batch = [one for one in self._waiting if one.sampling == first.sampling]
        self._waiting = [one for one in self._waiting if one.sampling != first.sampling]
        try:
            found = await run_sync(self.asked.complete, [one.prompt for one in batch], first.sampling)
        except Exception as error:  # every one of them fails by it
            for one in batch:
                one.error = error
            return
        for one, answer in zip(batch, found, strict=True):
            one.answer = answer

    def _prompt(self, messages: list[ChatMessage]) -> Prompt:
        """The ids that the template makes; the name decides what is sampled, and is another one when a prompt comes again."""
        said = tuple(Message(role=message.role, content=message.text) for message in messages)
        ids = render(Task("inspect", said, None), self.asked.policy.tokenizer).token_ids
        digest = hashlib.sha256(repr(ids).encode()).hexdigest()[:16]
        self._seen[digest] += 1
        return Prompt(f"{digest}/{self._seen[digest]}", ids)

    def _sampling(self, config: GenerateConfig, prompt: int) -> SamplingParams:
        if found := [name for name in NOT_HERE if getattr(config, name, None)]:
            raise UserError(f"inspect: the task sets {', '.join(found)}, which no engine here does; leave it out")
        room = self.asked.context - prompt
        if room <= 0:
            raise UserError(f"inspect: a prompt has {prompt} tokens, and the model's context is {self.asked.context}")
        return SamplingParams(
            n=config.num_choices or 1,
            temperature=1.0 if config.temperature is None else config.temperature,
            top_p=1.0 if config.top_p is None else config.top_p,
            top_k=config.top_k or 0,
            max_tokens=min(config.max_tokens or MAX_TOKENS, room),
            stop=tuple(config.stop_seqs or ()),
            stop_token_ids=self.asked.stop_token_ids,
            seed=self.asked.seed if config.seed is None else config.seed,
        )

    def _output(self, prompt: Prompt, found: list[Completion]) -> ModelOutput:
        choices = [
            ChatCompletionChoice(
                message=ChatMessageAssistant(content=one.text, model=self.model_name, source="generate"),
                stop_reason="stop" if one.finish_reason == "stop" else "max_tokens",
            )
            for one in found
        ]
        read, sampled = len(prompt.token_ids), sum(len(one.token_ids) for one in found)
        usage = ModelUsage(input_tokens=read, output_tokens=sampled, total_tokens=read + sampled)
        return ModelOutput(model=self.model_name, choices=choices, usage=usage)
