"""What an algorithm is made of: its choices, declared once. No torch is imported here.

`Objective` is the type of the table's rows, the ``objective:`` section of a recipe, its schema, and what
``grpo-kit algorithms`` and docs/algorithms.md say of each choice.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import NoneType
from typing import Any, Literal, get_args

from pydantic import (
    Field,
    SerializerFunctionWrapHandler,
    ValidationInfo,
    ValidatorFunctionWrapHandler,
    field_validator,
    model_serializer,
)

from grpo_kit.runtime.strict import Strict


class Objective(Strict):
    """The choices that tell one algorithm from another; in a recipe, those that replace the row's.

    A key that a recipe leaves out keeps the value of the algorithm's row (`grpo-kit algorithms NAME`); the defaults below
    are those of a row that does not say otherwise. null switches off what can be off.
    """

    family: Literal["policy_gradient", "pairs", "labels", "reward_model", "values"] = Field(
        "policy_gradient",
        description="what the loss is of: a token and its advantage, a pair of responses, a labelled response, a pair that "
        "a reward model scores, or a token and its value",
    )
    data: Literal["sampled", "recorded"] = Field(
        "sampled", description="sampled from the policy in the loop, or recorded: files and rollouts of earlier runs"
    )
    selection: Literal["all", "right", "verified"] = Field(
        "all",
        description="which responses of a group are learned from: all, the right ones, or the verified: right ones, each text "
        "once and at most per_prompt; what is selected is imitated, with an advantage of 1",
    )
    shape: Literal["none", "signed", "pass_at_k"] = Field(
        "none",
        description="what is compared: the reward, 1 and -1 for right and wrong, or how often a set of set_size responses of the "
        "group succeeds with this one in it",
    )
    set_size: int = Field(2, gt=0, description="responses of a set, fewer than rollout.group_size (shape pass_at_k)")
    combine: Literal["sum", "decoupled"] = Field(
        "sum",
        description="how the verifiers' scores become one reward: their weighted sum, or that of each one's standard score "
        "within the group",
    )
    baseline: Literal[
        "none",
        "moving_average",
        "group_mean",
        "leave_one_out",
        "length_weighted_mean",
        "batch_mean",
        "greedy",
        "critic",
    ] = Field("group_mean", description="what is subtracted from a reward")
    scale: Literal["none", "group_std", "batch_std", "group_mean", "bernoulli_std", "beta_density"] = Field(
        "group_std", description="what the difference of reward and baseline is divided by"
    )
    positive_weight: float = Field(1.0, ge=0.0, description="factor of advantages above 0")
    negative_weight: float = Field(1.0, ge=0.0, description="factor of advantages below 0")
    returns: Literal["response", "reward_to_go", "gae"] = Field(
        "response",
        description="one advantage for the whole response, or one for each token: discounted rewards-to-go, or generalised "
        "advantages with a critic",
    )
    discount: float = Field(1.0, ge=0.0, le=1.0, description="gamma of the returns")
    trace: float = Field(
        0.95,
        ge=0.0,
        le=1.0,
        description="lambda of generalised advantage estimation, and of the returns of family values",
    )
    average_decay: float = Field(
        0.9, ge=0.0, le=1.0, description="decay of the moving average of mean rewards that is a baseline"
    )
    ratio_level: Literal["token", "sequence", "sequence_token", "sequence_product"] = Field(
        "token", description="at what level the policy is compared with the old one"
    )
    surrogate: Literal[
        "policy_gradient",
        "importance",
        "ppo_clip",
        "cispo",
        "sapo",
        "kl_penalty",
        "divergence_mask",
        "geometric_clip",
        "vespo",
        "topr",
        "aspo",
    ] = Field("ppo_clip", description="the loss of a token, given its ratio and its advantage")
    aggregation: Literal["sequence_mean", "token_mean", "constant_length", "sequence_sum", "group_token_mean"] = Field(
        "sequence_mean", description="how much each token counts in the loss of a step"
    )
    clip_low: float = Field(
        0.2,
        gt=0.0,
        description="the ratio may fall to 1 - clip_low (ppo_clip, cispo, aspo), or to exp(-clip_low) (geometric_clip)",
    )
    clip_high: float = Field(
        0.2,
        gt=0.0,
        description="the ratio may rise to 1 + clip_high (ppo_clip, cispo, aspo), or to exp(clip_high) (geometric_clip)",
    )
    dual_clip: float | None = Field(
        None,
        gt=1.0,
        description="upper bound of the ratio also where the advantage is negative (ppo_clip); of a weight (aspo)",
    )
    gate_positive: float = Field(
        1.0, gt=0.0, description="temperature of the gate where the advantage is positive (sapo)"
    )
    gate_negative: float = Field(1.05, gt=0.0, description="temperature of the gate where it is not (sapo)")
    gamma_power_positive: float = Field(2.0, ge=0.0, description="k where the advantage is 0 or more (vespo)")
    gamma_power_negative: float = Field(3.0, ge=0.0, description="k where it is negative (vespo)")
    gamma_decay_positive: float = Field(3.0, ge=0.0, description="lambda where the advantage is 0 or more (vespo)")
    gamma_decay_negative: float = Field(2.0, ge=0.0, description="lambda where it is negative (vespo)")
    divergence: Literal["tv", "kl"] = Field(
        "tv",
        description="how far a token moved: |pi - pi_old|, or KL(old || new) of this token or another (divergence_mask)",
    )
    divergence_limit: float = Field(0.15, gt=0.0, description="how far the sampled token may move (divergence_mask)")
    ratio_cap: float = Field(
        20.0,
        ge=1.0,
        description="the ratio weighs a token by no more than this, which a bound on probabilities does not see "
        "(divergence_mask)",
    )
    penalty: float = Field(1.0, ge=0.0, description="weight of KL(old || new) (kl_penalty)")
    ratio_penalty: float = Field(
        0.0,
        ge=0.0,
        description="weight of the squared log-ratio of each token, beside any surrogate with a ratio of tokens",
    )
    penalty_target: float | None = Field(
        None, gt=0.0, description="KL(old || new) in nats per token that the penalty adapts to"
    )
    correction: Literal["none", "truncated", "in_ratio"] = Field(
        "none",
        description="weight of a token against the engine's own log-probability; where neither row nor recipe sets it, "
        "truncated with a vLLM engine, or in_ratio with older weights and a bounded ratio of single tokens",
    )
    correction_level: Literal["token", "sequence"] = Field(
        "token",
        description="whether that weight is of a token or of its whole response; where neither row nor recipe sets it, of "
        "the response where ratio_level is not token",
    )
    correction_cap: float = Field(2.0, ge=1.0, description="bound of the weight of the correction")
    rejection: Literal["none", "token", "sequence", "geometric", "off_policy"] = Field(
        "none",
        description="what is left out for differing too much from the engine: tokens (IcePop), responses by the product or "
        "the geometric mean of their tokens' weights, or bad ones that the policy has left",
    )
    rejection_low: float | None = Field(
        0.5,
        gt=0.0,
        le=1.0,
        description="trainer / engine below which it is left out; where neither row nor recipe sets it, 0.99 for geometric",
    )
    rejection_high: float | None = Field(
        5.0,
        ge=1.0,
        description="trainer / engine above which it is left out; where neither row nor recipe sets it, 2 for sequence and "
        "1.01 for geometric",
    )
    rejection_limit: float = Field(
        0.5, gt=0.0, description="mean of log(engine / policy) in nats per token that off_policy allows"
    )
    kl_place: Literal["loss", "reward"] = Field("loss", description="where the KL to the reference stands")
    kl_estimator: Literal["k1", "k2", "k3"] = Field("k3", description="how the KL to the reference is estimated")
    beta: float = Field(
        0.0, ge=0.0, description="weight of the KL to the reference, 0 needs none; of a preference loss, its own beta"
    )
    kl_weighted: bool = Field(
        False,
        description="the KL in the loss is weighted by the token's ratio, which makes it that of the policy of now also after "
        "the first update",
    )
    kl_target: float | None = Field(
        None, gt=0.0, description="KL to the reference in nats per token that beta adapts to"
    )
    teacher: Literal["none", "sampled", "vocabulary"] = Field(
        "none",
        description="what the model of reference.path teaches: nothing; log teacher - log policy of each sampled token, as its "
        "advantage; or the reverse KL over the whole vocabulary, in the loss",
    )
    teacher_weight: float = Field(1.0, ge=0.0, description="weight of what the teacher says (teacher)")
    reward_weight: float = Field(
        1.0, ge=0.0, description="weight of the rewards' advantages beside the teacher's; 0 only measures them"
    )
    entropy_bonus: float = Field(
        0.0, ge=0.0, description="weight of the mean token entropy, which is subtracted from the loss"
    )
    entropy_target: float | None = Field(
        None,
        gt=0.0,
        description="mean token entropy in nats that entropy_bonus adapts to, by entropy_step a batch; at or below it the bonus "
        "is used, above it is not; with action_values twins, that value_temperature adapts to",
    )
    entropy_step: float = Field(
        0.005,
        gt=0.0,
        description="by how much entropy_bonus adapts, or the learning rate of the logarithm of value_temperature",
    )
    entropy_share: float = Field(
        1.0, gt=0.0, le=1.0, description="share of tokens, those of highest entropy, that carry the policy gradient"
    )
    tokens: Literal["all", "clip_cov", "kl_cov"] = Field(
        "all",
        description="all tokens alike, or those whose advantage and log-probability vary together held back: a few without "
        "gradient (clip_cov), the highest with a penalty on |log ratio| (kl_cov)",
    )
    covariance_share: float = Field(2e-4, gt=0.0, le=1.0, description="share of tokens that are held back")
    covariance_low: float = Field(1.0, description="covariance above which a token may be (clip_cov)")
    covariance_high: float = Field(5.0, description="and below which (clip_cov)")
    covariance_penalty: float = Field(1.0, ge=0.0, description="weight of their |log ratio| (kl_cov)")
    dynamic_sampling: bool = Field(
        False,
        description="groups whose responses are all right or all wrong are replaced by freshly sampled ones",
    )
    drop_agreeing: bool = Field(
        False,
        description="groups whose responses are all right or all wrong take no part in the loss, its denominators or the scale",
    )
    mask_truncated: bool = Field(False, description="responses that the length limit cut take no part in the loss")
    value_clip: float | None = Field(0.2, gt=0.0, description="how far the critic's value may move from the old one")
    step: Literal["gradient", "natural_gradient"] = Field(
        "gradient", description="a step of the optimizer, or the natural gradient within trust_region"
    )
    trust_region: float = Field(
        0.01, gt=0.0, description="KL(old || new) in nats per token that a step of the natural gradient may take"
    )
    pair_loss: Literal["sigmoid", "ipo"] = Field("sigmoid", description="the loss of a pair (family pairs)")
    good_weight: float = Field(1.0, ge=0.0, description="weight of good responses (family labels)")
    bad_weight: float = Field(1.0, ge=0.0, description="weight of bad responses (family labels)")
    per_prompt: int = Field(4, gt=0, description="at most so many verified responses, or pairs, of one prompt")
    bootstrap: Literal["sampled", "max", "double_max", "soft", "expectile"] = Field(
        "sampled",
        description="what a state is worth in a return: the token sampled there, the best one, the learning network's best by "
        "the target network, all of them softly, or an expectile of what was met (family values)",
    )
    action_values: Literal["dueling", "logits", "twins", "returns"] = Field(
        "dueling",
        description="Q(s, a): a critic's value plus value_temperature times the log-probability, that times the logit, the "
        "smaller of two networks', or the return, by which imitated tokens are weighed (family values)",
    )
    value_temperature: float = Field(
        0.02,
        gt=0.0,
        description="what a nat of log-probability is worth in reward, and what one of entropy is paid; with twins and "
        "entropy_target, at first (family values)",
    )
    bootstrap_steps: int | None = Field(
        None,
        gt=0,
        description="tokens to look ahead before bootstrapping; null: all of them, weighted by trace (family values)",
    )
    target_rate: float | None = Field(
        None,
        gt=0.0,
        le=1.0,
        description="share of the learning network that goes into the target network, which is bootstrapped from; 1 copies it, "
        "null has none (family values)",
    )
    policy_steps: int = Field(
        1,
        gt=0,
        description="optimizer steps of the policy after each of the twins', on as many parts of its responses "
        "(action_values twins)",
    )
    target_every: int = Field(1, gt=0, description="optimizer steps between two of these (target_rate)")
    huber: float | None = Field(
        None, gt=0.0, description="error beyond which the loss of a value is linear; null: squared (family values)"
    )
    expectile: float = Field(
        0.7, gt=0.0, lt=1.0, description="which expectile of the returns the critic learns (bootstrap expectile)"
    )

    @field_validator("*", mode="before")
    @classmethod
    def _null_is_for_what_can_be_off(cls, value: Any, info: ValidationInfo) -> Any:
        if value is not None or can_be_off(info.field_name):
            return value
        none = "write none for none of it, or " if "none" in values_of(str(info.field_name)) else ""
        raise ValueError(
            f"null switches off {', '.join(OPTIONAL)} and nothing else; {none}leave the key out for the row's"
        )

    @field_validator("correction", mode="before")
    @classmethod
    def _masked_is_two_choices_now(cls, value: Any) -> Any:
        if value == "masked":
            raise ValueError(
                "masked is a weight and a rejection now: write correction: truncated, rejection: token, rejection_low: null, "
                "rejection_high: 2.0 (what correction_cap was)"
            )
        return value

    @model_serializer(mode="wrap")
    def _as_it_was_set(self, handler: SerializerFunctionWrapHandler) -> dict[str, Any]:
        return {key: value for key, value in handler(self).items() if key in self.model_fields_set}

    # --- what the choices amount to: everybody else asks these, and compares no value with a name ----------------

    @property
    def recorded(self) -> bool:
        """Whether nothing is sampled: what is learned from stands in files."""
        return self.data == "recorded"

    @property
    def selects(self) -> bool:
        """Whether a part of the responses is imitated, and the others are left out."""
        return self.selection != "all"

    @property
    def learns_from_pairs(self) -> bool:
        return self.family in ("pairs", "reward_model")

    @property
    def learns_from_labels(self) -> bool:
        return self.family == "labels"

    @property
    def learns_preferences(self) -> bool:
        """Whether responses are preferred or labelled, in place of having advantages."""
        return self.learns_from_pairs or self.learns_from_labels

    @property
    def scores_responses(self) -> bool:
        """Whether what is trained gives scores and writes nothing: there are no answers of it to judge."""
        return self.family == "reward_model"

    @property
    def needs_reference(self) -> bool:
        """Whether a frozen policy is compared with, a teacher or not."""
        return self.family in ("pairs", "labels") or (
            self.family == "policy_gradient" and (self.beta > 0.0 or self.needs_teacher)
        )

    @property
    def needs_teacher(self) -> bool:
        return self.family == "policy_gradient" and self.teacher != "none"

    @property
    def teaches_tokens(self) -> bool:
        """Whether the teacher's opinion of each sampled token is a part of its advantage."""
        return self.needs_teacher and self.teacher == "sampled"

    @property
    def teaches_distributions(self) -> bool:
        """Whether the teacher's whole distribution at each sampled token is a part of the loss."""
        return self.needs_teacher and self.teacher == "vocabulary"

    @property
    def reads_reference(self) -> bool:
        """Whether the reference's log-probabilities of the sampled tokens are needed, not only its distributions."""
        return self.needs_reference and not (self.teaches_distributions and self.beta == 0.0)

    @property
    def needs_critic(self) -> bool:
        return self.learns_states if self.learns_values else self.baseline == "critic"

    @property
    def learns_values(self) -> bool:
        """Whether the value of a token is learned: the logits are action values, or follow them."""
        return self.family == "values"

    @property
    def learns_states(self) -> bool:
        """Whether a critic learns what a state is worth, and the policy only by how much its tokens differ."""
        return self.action_values in ("dueling", "returns")

    @property
    def learns_twins(self) -> bool:
        """Whether the policy is a network of its own, which follows the smaller of two others' action values."""
        return self.learns_values and self.action_values == "twins"

    @property
    def weighs_by_advantage(self) -> bool:
        """Whether the policy imitates tokens, each weighed by how much it is worth beyond its state."""
        return self.learns_values and self.action_values == "returns"

    @property
    def learns_expectile(self) -> bool:
        """Whether the critic learns an expectile of the returns in place of the soft value."""
        return self.bootstrap == "expectile"

    @property
    def keeps_target(self) -> bool:
        """Whether a network of its own is bootstrapped from."""
        return self.learns_values and self.target_rate is not None

    @property
    def needs_greedy(self) -> bool:
        return self.baseline == "greedy" and not self.learns_values

    @property
    def needs_comparison(self) -> bool:
        """Whether a response is judged against others to the same prompt, so that one sample says nothing."""
        return self.family == "policy_gradient" and (
            self.compares_in_groups
            or self.scale in ("group_std", "group_mean", "bernoulli_std", "beta_density")
            or self.combine == "decoupled"
            or self.compares_sets
        )

    @property
    def compares_in_groups(self) -> bool:
        """Whether what is subtracted from a reward is of its own group."""
        return self.baseline in ("group_mean", "leave_one_out", "length_weighted_mean")

    @property
    def compares_over_batch(self) -> bool:
        """Whether rewards are compared with those of other prompts, of the past or of a critic, so that none teaches anything
        where all are the same."""
        elsewhere = self.baseline in ("moving_average", "batch_mean", "greedy", "critic")
        return self.family == "policy_gradient" and elsewhere and not (self.selects or self.needs_teacher)

    @property
    def compares_sets(self) -> bool:
        """Whether it is sets of responses that succeed or fail."""
        return self.shape == "pass_at_k"

    @property
    def reads_marks(self) -> bool:
        """Whether an advantage is made of who is right, and not of the reward."""
        return self.shape != "none"

    @property
    def reads_parts(self) -> bool:
        """Whether an advantage is made of what each verifier gave, and not of their sum."""
        return self.combine != "sum"

    @property
    def cancels_in_groups(self) -> bool:
        """Whether the advantages of a group's responses add up to nothing."""
        even = self.positive_weight == self.negative_weight
        grouped = self.family == "policy_gradient" and self.baseline == "group_mean" and not self.needs_teacher
        return grouped and even

    @property
    def centres_over_batch(self) -> bool:
        return self.baseline == "batch_mean"

    @property
    def scales_over_batch(self) -> bool:
        return self.scale == "batch_std"

    @property
    def per_token(self) -> bool:
        """Whether rewards give each token an advantage of its own."""
        return self.returns != "response"

    @property
    def generalised_advantages(self) -> bool:
        return self.returns == "gae"

    @property
    def kl_in_reward(self) -> bool:
        return self.beta > 0.0 and self.kl_place == "reward"

    @property
    def kl_in_loss(self) -> bool:
        return self.beta > 0.0 and self.kl_place == "loss"

    @property
    def uses_entropy(self) -> bool:
        """Whether the entropy has a part in the loss, or may get one."""
        return self.entropy_bonus > 0.0 or self.entropy_target is not None

    @property
    def chooses_tokens(self) -> bool:
        """Whether tokens of a step are told apart before it."""
        return self.entropy_share < 1.0 or self.holds_back_tokens

    @property
    def holds_back_tokens(self) -> bool:
        """Whether tokens are held back for the covariance of advantage and log-probability."""
        return self.tokens != "all"

    @property
    def penalises_tokens(self) -> bool:
        """Whether those that are held back pay for moving, and keep their gradient."""
        return self.tokens == "kl_cov"

    @property
    def uses_penalty(self) -> bool:
        """Whether ``penalty`` has a part in the loss."""
        return self.surrogate == "kl_penalty"

    @property
    def bounds_ratio(self) -> bool:
        """Whether the surrogate has a ratio, and limits what it may do."""
        return self.surrogate not in ("policy_gradient", "importance")

    @property
    def ratio_to_engine(self) -> bool:
        """Whether the ratio is taken to the engine's own log-probabilities, not to the trainer's before the batch."""
        return self.correction == "in_ratio"

    @property
    def rejects(self) -> bool:
        """Whether tokens or responses are left out for what differs between engine and trainer."""
        return self.rejection != "none"

    @property
    def natural_gradient(self) -> bool:
        return self.step == "natural_gradient"

    @property
    def learns_without_advantage(self) -> bool:
        """Whether a token of advantage zero can still have a part in the step: in its gradient, in its trust region, or in which
        tokens are chosen, by a quantile or a mean over all of them."""
        return (
            self.kl_in_loss
            or self.uses_entropy
            or self.uses_penalty
            or self.ratio_penalty > 0.0
            or self.chooses_tokens
            or self.per_token
            or self.natural_gradient
            or self.needs_teacher
        )

    @property
    def imitates(self) -> bool:
        """Whether the loss is the likelihood of text that nobody sampled for it, so that no sampling temperature applies."""
        return self.family == "policy_gradient" and self.recorded and self.surrogate == "policy_gradient"

    @property
    def reweighs_the_record(self) -> bool:
        """Whether recorded tokens are weighted by the ratio to the probabilities that they were sampled with."""
        return self.family == "policy_gradient" and self.recorded and not self.imitates

    def needs(self) -> tuple[str, ...]:
        """What a run has to hold or do beyond the policy and a verifier."""
        wanted = {
            "teacher": self.needs_teacher,
            "reference": self.needs_reference and not self.needs_teacher,
            "critic": self.needs_critic,
            "two critics": self.learns_twins,
            "target network": self.keeps_target and not self.learns_twins,
            "their targets": self.keeps_target and self.learns_twins,
            "greedy sample": self.needs_greedy,
            "recorded data": self.recorded,
        }
        return tuple(name for name, needed in wanted.items() if needed)


def values_of(key: str) -> tuple[Any, ...]:
    """The values of an axis; empty where the choice is a number or a switch."""
    annotation = Objective.model_fields[key].annotation
    return () if can_be_off(key) else get_args(annotation)


def can_be_off(key: str | None) -> bool:
    return key in OPTIONAL


OPTIONAL = tuple(key for key, field in Objective.model_fields.items() if NoneType in get_args(field.annotation))

_FUNCTIONS: dict[str, Mapping[str, object]] = {}


def declare_axis(axis: str, table: Mapping[str, object]) -> None:
    """Say which functions the values of an axis stand for. What a file adds to them, its rows may choose.

    Raises:
        ValueError: a value has no function, or a function no value.
    """
    if set(table) != set(values_of(axis)):
        raise ValueError(f"{axis}: values and functions differ in {sorted(set(table) ^ set(values_of(axis)))}")
    _FUNCTIONS[axis] = table


def added_function(axis: str, value: str) -> Callable[..., object] | None:
    """The function of a value that a file added to an axis; None of those that are the kit's own."""
    function = None if value in values_of(axis) else _FUNCTIONS.get(axis, {}).get(value)
    return function if callable(function) else None


class Algorithm(Objective):
    """A row of the table, or of a file of one's own.

    Attributes:
        paper, summary: where it comes from, and what it is in one line.
    """

    paper: str
    summary: str

    @field_validator("*", mode="wrap")
    @classmethod
    def _may_be_of_its_own_file(cls, value: Any, handler: ValidatorFunctionWrapHandler, info: ValidationInfo) -> Any:
        added = isinstance(value, str) and value in _FUNCTIONS.get(str(info.field_name), ())
        return value if added else handler(value)
