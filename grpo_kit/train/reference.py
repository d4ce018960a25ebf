"""The frozen policy that a run compares with: what training starts from, a model of its own (a teacher), or, refreshed, the
policy of some steps ago."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import fields
from typing import Any

import torch

from grpo_kit.config import Config, ModelConfig, ReferenceConfig
from grpo_kit.data.chat import stop_token_ids
from grpo_kit.errors import UserError
from grpo_kit.objective.rows import Algorithm
from grpo_kit.policy.attention import attends_to_trees
from grpo_kit.policy.distributed import shard_frozen
from grpo_kit.policy.layers import blocks_of
from grpo_kit.policy.models import Policy, RestingPolicy, load_policy, model_skeleton
from grpo_kit.policy.pretrained import check_tokenizer, check_weights
from grpo_kit.runtime import ranks
from grpo_kit.types import Group

from .learner import Learned, Learner

# Read by both tokenizers: words, numbers, spaces, code, signs beyond ASCII. The same pieces are the same merges.
PROBE = "The answer is \\boxed{12345.67}, so x² + 3·7 ≠ -0.5.\n\n    def f(a):\n\treturn a*2  # naïve, 你好\n<think>"


def open_reference(config: Config, objective: Algorithm, policy: Policy) -> Policy:
    """The policy as it is now, or the model of ``reference.path``; spread over the ranks, also where the policy is not.

    Raises:
        UserError: that model cannot be loaded or used.
    """
    if config.reference.path is None:
        own = policy.reference()
        whole = objective.natural_gradient and own.model is not policy.model
        return _rested(shard_frozen(own, config.parallel) if whole else own, config)
    with torch.random.fork_rng(devices=[]), _spoken_of():
        loaded = load_policy(_model(config), policy.device)
    apart = loaded.share_prompts() if attends_to_trees(policy.model) else None
    if apart is not None and objective.teaches_distributions:
        raise UserError(
            f"reference.path: {config.reference.path} cannot pass a prompt once for all of its completions ({apart}), as the "
            "policy does, and objective.teacher vocabulary passes both together; set train.share_prompts=false"
        )
    loaded.model.eval().requires_grad_(False)
    if loaded.autocast is not None:
        # Nothing is ever added to its weights, so they need no more digits than the products that they go into. A head of
        # float32 keeps its own, and with it what is gathered together with it.
        narrow = blocks_of(loaded.model) if loaded.full_head else [loaded.model]
        for parameter in (p for module in narrow for p in module.parameters()):
            parameter.data = parameter.data.to(loaded.autocast)
    return _rested(shard_frozen(loaded, config.parallel), config)


def _rested(reference: Policy, config: Config) -> Policy:
    if not config.reference.offload or reference.device.type == "cpu":
        return reference
    settings = {f.name: getattr(reference, f.name) for f in fields(Policy)}
    return RestingPolicy(**settings)


def check_reference(config: Config, objective: Algorithm, skeleton: Any, tokenizer: Any) -> list[str]:
    """Hold the model of ``reference.path`` against the policy's, from its headers and its tokenizer alone.

    Args:
        skeleton, tokenizer: the policy's.

    Returns:
        What a person should know of it.

    Raises:
        UserError: it is not needed, or missing, or does not fit.
    """
    settings, path = config.reference, config.reference.path
    if objective.needs_teacher and path is None:
        raise UserError(
            f"reference.path: {config.algorithm} learns from a teacher, and none is named; give the folder or the hub name of a "
            "stronger model of the same tokenizer, such as reference.path=Qwen/Qwen2.5-7B-Instruct"
        )
    if settings != ReferenceConfig() and not objective.needs_reference:
        raise UserError(
            f"reference: {config.algorithm} as configured compares with no reference, so it would be held for nothing; set "
            "objective.beta (a KL to it) or objective.teacher, or leave the section out"
        )
    if objective.teaches_distributions and ranks.world_size() > 1:
        raise UserError(
            "objective.teacher vocabulary needs both output heads in one process and is not offered with several; use teacher "
            "sampled, which is"
        )
    if settings.offload:
        _check_offload(config, objective)
    if path is None:
        return []
    if path.startswith(("http://", "https://")):
        raise UserError(
            f"reference.path: {path} is an address; a teacher on a server is not offered yet. Give a folder or a hub name: it "
            "is loaded beside the policy, and sharded with several processes"
        )
    with _spoken_of():
        other, its_tokenizer = model_skeleton(_model(config))
        check_tokenizer(its_tokenizer, other, path)
        check_weights(path, other)
    _check_vocabulary(path, its_tokenizer, tokenizer, _rows(other), _rows(skeleton))
    _check_context(config, path, other)
    return _notes(path, (other, its_tokenizer), (skeleton, tokenizer))


def _check_offload(config: Config, objective: Algorithm) -> None:
    why = None
    if ranks.world_size() > 1:
        why = "several processes spread it over their devices; parallel.cpu_offload=true keeps the shards in the host's memory"
    elif config.model.lora is not None and config.reference.path is None:
        why = "with model.lora the reference is the policy with its adapters off, and takes no memory"
    elif objective.teaches_distributions:
        why = "objective.teacher vocabulary asks the teacher in every micro-batch; teacher sampled asks it once a step"
    if why is not None:
        raise UserError(f"reference.offload: {why}. Leave it out")


def _model(config: Config) -> ModelConfig:
    return ModelConfig(path=config.reference.path, dtype=config.model.dtype, head_dtype=config.model.head_dtype)


@contextmanager
def _spoken_of() -> Iterator[None]:
    """What loading says of ``model.path`` is said of the key that names this model."""
    try:
        yield
    except UserError as error:
        raise UserError(str(error).replace("model.path", "reference.path")) from error


def _rows(model: Any) -> int:
    return int(model.get_input_embeddings().weight.shape[0])


def _check_vocabulary(path: str, its: Any, ours: Any, its_rows: int, our_rows: int) -> None:
    """Each token of the policy must be the same token to the other model, or its log-probability is another token's."""
    theirs = its.get_vocab()
    mine = ours.get_vocab()
    other = sorted((token for token, i in mine.items() if theirs.get(token) != i), key=mine.__getitem__)
    way = "Take one of the policy's own family, whose tokenizer is the same"
    if other:
        raise UserError(
            f"reference.path: the tokenizer of {path} is not the policy's: {len(other)} of {len(mine)} tokens differ, the "
            f"first being {other[0]!r}, {mine[other[0]]} here and {theirs.get(other[0], 'missing')} there. {way}."
        )
    if its.encode(PROBE, add_special_tokens=False) != ours.encode(PROBE, add_special_tokens=False):
        raise UserError(
            f"reference.path: the tokenizer of {path} has the policy's tokens and cuts text into them in another way. {way}."
        )
    if its_rows < our_rows:
        raise UserError(
            f"reference.path: {path} has {its_rows} rows of embedding and the policy {our_rows}, so it could not say how likely "
            f"each token of the policy is. {way}, with as many rows or more."
        )


def _check_context(config: Config, path: str, model: Any) -> None:
    context = int(getattr(model.config, "max_position_embeddings", 0)) or 2**31
    if config.longest_sequence() > context:
        raise UserError(
            f"reference.path: {path} reads {context} tokens, and a prompt with its response may have "
            f"{config.longest_sequence()}; lower rollout.max_tokens or data.max_prompt_tokens"
        )


def _notes(path: str, other: tuple[Any, Any], own: tuple[Any, Any]) -> list[str]:
    found = []
    if other[1].chat_template != own[1].chat_template:
        found.append(
            f"reference.path: {path} was made with another chat template, and sees the prompts as the policy's template has them"
        )
    if not set(stop_token_ids(*other)) & set(stop_token_ids(*own)):
        found.append(f"reference.path: {path} ends its answers with other tokens than the policy does")
    return found


class RefreshedLearner:
    """A learner whose reference becomes the policy of then every N batches (ProRL, arXiv:2505.24864, section 2.3.1).

    Without it the KL term holds a long run where it began. What decides when is counted here and kept in every checkpoint,
    and so are the reference's weights from the first refresh on.
    """

    def __init__(self, learner: Learner, policy: Policy, reference: Policy, settings: ReferenceConfig) -> None:
        self.learner, self.policy, self.reference, self.settings = learner, policy, reference, settings
        self.trained = learner.trained
        self.age, self.refreshed = 0, 0  # batches since the reference was made, and how often it was

    def learn(self, groups: list[Group]) -> Learned:
        learned = self.learner.learn(groups)
        learned.metrics["reference/age"] = float(self.age)
        self.age += 1
        if self.age == self.settings.refresh:
            self.age, self.refreshed = 0, self.refreshed + 1
            self.reference.follow(self.policy)
            if self.settings.reset_optimizer:
                self.learner.forget()
        return learned

    def forget(self) -> None:
        self.learner.forget()

    def state_dict(self) -> dict[str, Any]:
        weights = self.reference.snapshot() if self.refreshed else None
        reference = {"age": self.age, "refreshed": self.refreshed, "weights": weights}
        return self.learner.state_dict() | {"reference": reference}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """state: of a checkpoint; one of a run that refreshed nothing begins to count."""
        self.learner.load_state_dict(state)
        found = state.get("reference")
        if found is None:
            return
        self.age, self.refreshed = found["age"], found["refreshed"]
        if found["weights"] is not None:
            self.reference.restore(found["weights"])
