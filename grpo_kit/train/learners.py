"""The learner of every family of algorithms."""

from __future__ import annotations

from typing import Any

from grpo_kit.config import Config
from grpo_kit.objective.rows import Algorithm
from grpo_kit.policy.distributed import shard_frozen_values, shard_value_model
from grpo_kit.policy.layers import checkpoint_layers, compile_layers
from grpo_kit.policy.models import Policy
from grpo_kit.policy.network import Network
from grpo_kit.policy.twins import Twins
from grpo_kit.policy.value_model import ValueModel
from grpo_kit.types import Group

from .batch import TrainingBatch, build_batch, samples_of
from .critic import CriticUpdater
from .learner import Learned, Learner, LearnerSettings, Trained
from .preference import LabelLearner, PairLearner, RewardModelLearner
from .reference import RefreshedLearner, open_reference
from .soft_actor_critic import SoftActorCritic
from .target import TargetNetwork
from .update import PolicyUpdater
from .values import ValueLearner, ValueNetworks


class PolicyGradientLearner:
    """Advantages, weights, and the policy-gradient update."""

    def __init__(self, updater: PolicyUpdater, settings: LearnerSettings) -> None:
        self.updater, self.settings = updater, settings
        self.trained: Trained = updater.policy

    def learn(self, groups: list[Group]) -> Learned:
        settings, updater = self.settings, self.updater
        objective, samples = updater.objective, samples_of(groups)
        if objective.kl_in_reward or objective.per_token or objective.teaches_tokens:
            # Their advantages are made of what the networks say.
            updater.annotate([s.sequence for group in samples for s in group if s.counts])
        batch = build_batch(
            groups,
            objective,
            max_tokens=settings.max_tokens,
            updates=settings.updates_per_batch,
            adaptive=updater.adaptive,
            samples=samples,
        )
        if updater.objective.recorded:
            _trust_the_record(batch)
        metrics = updater.update(batch.updates, settings.epochs_per_batch)
        return Learned(batch.advantages, batch.dropped, dict(metrics))

    def forget(self) -> None:
        self.updater.step.forget()

    def state_dict(self) -> dict[str, Any]:
        return self.updater.state_dict()

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.updater.load_state_dict(state)


def _trust_the_record(batch: TrainingBatch) -> None:
    """Recorded responses were sampled by the policy of their own time: its log-probabilities are the old ones."""
    for sequence in batch.sequences:
        if sequence.behaviour_logprobs is not None:
            sequence.old_logprobs = sequence.behaviour_logprobs


def open_learner(config: Config, objective: Algorithm, policy: Policy) -> Learner:
    """The learner of the objective's family."""
    reference = open_reference(config, objective, policy) if objective.needs_reference else None
    learner = LEARNERS[objective.family](config, objective, policy, reference)
    if reference is None or config.reference.refresh is None:
        return learner
    return RefreshedLearner(learner, policy, reference, config.reference)


def _policy_gradient(config: Config, objective: Algorithm, policy: Policy, reference: Policy | None) -> Learner:
    settings = LearnerSettings.of(config)
    # The policy rests while the critic warms up, and so does its schedule.
    rests = config.critic.warmup * settings.updates_per_step if objective.needs_critic else 0
    updater = PolicyUpdater(
        policy,
        objective,
        config.optimizer,
        total_updates=max(1, settings.total_updates - rests),
        token_budget=settings.token_budget,
        temperature=1.0 if objective.imitates else settings.temperature,
        reference=reference,
        critic=_critic(config, objective, policy, settings) if objective.needs_critic else None,
        critic_warmup=config.critic.warmup,
    )
    return PolicyGradientLearner(updater, settings)


def _critic(config: Config, objective: Algorithm, policy: Policy, settings: LearnerSettings) -> CriticUpdater:
    return CriticUpdater(
        _value_model(config, policy),
        config.critic.optimizer,
        clip=objective.value_clip,
        total_updates=settings.total_updates,
        token_budget=settings.token_budget,
    )


def _value_model(config: Config, policy: Policy) -> ValueModel:
    start = config.critic.path
    model = ValueModel.from_policy(policy.whole()) if start is None else ValueModel.load(start, policy)
    _train_as_the_policy(model.model, config)
    return shard_value_model(model, config.parallel)


def _train_as_the_policy(network: Network, config: Config) -> None:
    """What stands beside the policy and learns keeps as little for the backward pass, and is compiled where that is."""
    network.train()  # what is loaded does not begin so, and keeps everything until then
    if config.parallel.gradient_checkpointing:
        checkpoint_layers(network)
    if config.model.compile:
        compile_layers(network)


def _pairs(config: Config, objective: Algorithm, policy: Policy, reference: Policy | None) -> Learner:
    assert reference is not None
    return PairLearner(policy, objective, LearnerSettings.of(config), reference)


def _labels(config: Config, objective: Algorithm, policy: Policy, reference: Policy | None) -> Learner:
    assert reference is not None
    return LabelLearner(policy, objective, LearnerSettings.of(config), reference)


def _reward_model(config: Config, objective: Algorithm, policy: Policy, reference: Policy | None) -> Learner:
    model = ValueModel.from_policy(policy.whole())
    _train_as_the_policy(model.model, config)
    return RewardModelLearner(shard_value_model(model, config.parallel), objective, LearnerSettings.of(config))


def _values(config: Config, objective: Algorithm, policy: Policy, reference: Policy | None) -> Learner:
    settings, scale = LearnerSettings.of(config), objective.value_temperature
    if objective.learns_twins:
        return _actor_critic(config, objective, policy, settings)
    critic = _value_model(config, policy) if objective.needs_critic else None
    networks = ValueNetworks(policy, critic, scale, settings.token_budget)
    target = None
    if objective.target_rate is not None:
        still = None if critic is None else shard_frozen_values(critic.whole().copy(), config.parallel)
        frozen = ValueNetworks(policy.reference(), still, scale, settings.token_budget)
        target = TargetNetwork(networks, frozen, objective.target_rate, objective.target_every)
    return ValueLearner(
        networks,
        objective,
        settings,
        critic_config=config.critic.optimizer,
        warmup=config.critic.warmup,
        target=target,
    )


def _actor_critic(config: Config, objective: Algorithm, policy: Policy, settings: LearnerSettings) -> Learner:
    twins = Twins.from_policy(policy, objective.value_temperature, config.seed)
    for twin in twins:
        _train_as_the_policy(twin.model, config)
    target = None
    if objective.target_rate is not None:
        target = TargetNetwork(twins, twins.copy(), objective.target_rate, objective.target_every)
    return SoftActorCritic(
        policy,
        twins,
        objective,
        settings,
        critic_config=config.critic.optimizer,
        warmup=config.critic.warmup,
        target=target,
    )


LEARNERS = {
    "policy_gradient": _policy_gradient,
    "pairs": _pairs,
    "labels": _labels,
    "reward_model": _reward_model,
    "values": _values,
}
