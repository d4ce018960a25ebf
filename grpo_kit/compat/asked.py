"""A checkpoint with its engine, as another harness asks it: token ids in, completions out."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from types import TracebackType

from grpo_kit.config import ModelConfig
from grpo_kit.data.chat import stop_token_ids
from grpo_kit.evaluate.checkpoints import Settings, find_model
from grpo_kit.generate.base import SamplingParams
from grpo_kit.generate.engines import check_engine, open_generator
from grpo_kit.policy.models import load_policy, pick_device
from grpo_kit.types import Completion, Prompt

LONGEST = 2**15  # tokens of a prompt with its response, where the model would take more: an engine keeps room for them


class AskedModel:
    """A loaded checkpoint. A context manager: the engine is closed at its end.

    Args:
        path: the folder of a run, of a checkpoint or of a model, or a name on the hub.
        settings: engine, device, dtype and seed; how to sample is the harness' to say.
        folder: where the engine may keep files.

    Raises:
        UserError: the model or the engine cannot be used here.
    """

    def __init__(self, path: str, settings: Settings, folder: Path) -> None:
        self.path, self.seed = find_model(path), settings.seed
        device = pick_device(settings.device)
        check_engine(settings.rollout, device.type)
        self.policy = load_policy(ModelConfig(path=self.path, dtype=settings.dtype), device, settings.seed)
        self.context = min(self.policy.context_length, LONGEST)
        self.stop_token_ids = stop_token_ids(self.policy.model, self.policy.tokenizer)
        self._generator = open_generator(settings.rollout, self.context, self.policy, folder)
        self._generator.sync(self.policy.model, 0)

    def complete(self, prompts: Sequence[Prompt], sampling: SamplingParams) -> list[list[Completion]]:
        """``sampling.n`` completions of each prompt, in the order of the prompts, whose ids differ."""
        found = {group[0].task_id: group for group in self._generator.generate(prompts, sampling)}
        return [found[prompt.task_id] for prompt in prompts]

    def __enter__(self) -> AskedModel:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._generator.close()
