"""Distillation from a teacher through the trainer's own code, against its equations written out in float64."""

import json

import pytest
import torch

from grpo_kit.config import OptimizerConfig
from grpo_kit.errors import UserError
from grpo_kit.objective.algorithms import resolve_objective
from grpo_kit.observe.measure import Measures
from grpo_kit.policy.logprobs import head_of, select_logprobs, select_logprobs_against
from grpo_kit.train.batch import build_batch, samples_of
from grpo_kit.train.preflight import preflight
from grpo_kit.train.reference import check_reference
from grpo_kit.train.replay import replay_step
from grpo_kit.train.update import PolicyUpdater
from tests.kit.episodes import episode_groups
from tests.kit.gradients import in_full_precision
from tests.kit.runs import ODD, recipe, run, same_when_resumed
from tests.kit.tiny import make_policy, teacher_folder

ROW = "on_policy_distillation"
TEMPERATURE = 0.8


def networks(share=False):
    policy = make_policy(dtype=torch.float64)
    teacher = make_policy(seed=7, dtype=torch.float64, hidden_size=48, intermediate_size=96)
    for made in (policy, teacher):
        in_full_precision(made.model)
        if share:
            assert made.share_prompts() is None
    return policy, teacher


def distributions(policy, sequence):
    """[tokens, vocabulary] log-probabilities before every sampled token of a sequence without insertions."""
    ids = torch.tensor([[*sequence.prompt_ids, *sequence.completion_ids]])
    logits = policy.model(ids).logits[0, len(sequence.prompt_ids) - 1 : -1]
    return torch.log_softmax(logits / TEMPERATURE, dim=-1)


def single_turns():
    groups = episode_groups()
    for completion in (c for group in groups for c in group.completions):
        completion.inserted, completion.turns = [], []
    return groups


def step(row, overrides, share=False, token_budget=200):
    """Loss and gradient of a batch, its sequences, and what was measured."""
    objective = resolve_objective(row, overrides)
    policy, teacher = networks(share)
    updater = PolicyUpdater(
        policy,
        objective,
        OptimizerConfig(),
        total_updates=1,
        token_budget=token_budget,
        temperature=TEMPERATURE,
        reference=teacher,
    )
    groups = single_turns()
    samples = samples_of(groups)
    updater.annotate([s.sequence for group in samples for s in group if s.counts])
    batch = build_batch(groups, objective, max_tokens=20, samples=samples, adaptive=updater.adaptive)
    metrics, total = Measures(), 0.0
    for micro in updater._batches(batch.sequences):
        loss = updater.loss(micro, metrics)
        loss.backward()
        total += loss.item()
    return total, flat_gradient(policy), batch.sequences, dict(metrics.over_ranks("")), (policy, teacher)


def flat_gradient(policy):
    return torch.cat([p.grad.flatten() for p in policy.model.parameters()])


def written_out(sequences, policy, teacher, loss_of):
    """The mean over all tokens of ``loss_of(sequence, policy's, teacher's log-distributions)`` and its gradient."""
    policy.model.zero_grad()
    count = sum(len(s.completion_ids) for s in sequences)
    loss = 0.0
    for sequence in sequences:
        with torch.no_grad():
            theirs = distributions(teacher, sequence)
        loss = loss + loss_of(sequence, distributions(policy, sequence), theirs).sum() / count
    loss.backward()
    return loss.item(), flat_gradient(policy)


def chosen(log_distribution, sequence):
    return log_distribution.gather(-1, torch.tensor(sequence.completion_ids)[:, None])[:, 0]


def sampled_loss(reward_weight=0.0, teacher_weight=1.0):
    def loss(sequence, ours, theirs):
        new = chosen(ours, sequence)
        gap = chosen(theirs, sequence) - new.detach()
        return -(reward_weight * sequence.advantage + teacher_weight * gap) * (new - new.detach()).exp()

    return loss


def vocabulary_loss(reward_weight=0.0, teacher_weight=1.0):
    def loss(sequence, ours, theirs):
        new = chosen(ours, sequence)
        divergence = (ours.exp() * (ours - theirs)).sum(-1)
        # What a batch keeps as the advantage has the rewards' weight already.
        return teacher_weight * divergence - sequence.advantage * (new - new.detach()).exp()

    return loss


@pytest.mark.parametrize("share", [False, True])
@pytest.mark.parametrize("token_budget", [200, 10**6])
@pytest.mark.parametrize(
    ("row", "overrides", "written"),
    [
        (ROW, {}, sampled_loss()),
        (ROW, {"surrogate": "policy_gradient", "teacher_weight": 0.5}, sampled_loss(teacher_weight=0.5)),
        ("dapo", {"teacher": "sampled", "teacher_weight": 0.3, "mask_truncated": False}, sampled_loss(1.0, 0.3)),
        (ROW, {"teacher": "vocabulary"}, vocabulary_loss()),
        ("dapo", {"teacher": "vocabulary", "teacher_weight": 0.3, "reward_weight": 0.5, "mask_truncated": False},
         vocabulary_loss(0.5, 0.3)),
    ],
)  # fmt: skip
def test_loss_and_gradient(row, overrides, written, share, token_budget):
    loss, gradient, sequences, metrics, (policy, teacher) = step(row, overrides, share, token_budget)
    wanted_loss, wanted = written_out(sequences, policy, teacher, written)
    if overrides.get("surrogate") != "policy_gradient":  # of which only the gradient is compared: its loss is -A log pi
        assert loss == pytest.approx(wanted_loss, rel=1e-9, abs=1e-12)
    assert (gradient - wanted).norm() / wanted.norm() < 1e-9
    with torch.no_grad():
        pairs = [(distributions(policy, s), distributions(teacher, s), s) for s in sequences]
    sampled_kl = torch.cat([chosen(ours, s) - chosen(theirs, s) for ours, theirs, s in pairs]).mean()
    exact_kl = torch.cat([(ours.exp() * (ours - theirs)).sum(-1) for ours, theirs, s in pairs]).mean()
    wanted_kl = exact_kl if overrides.get("teacher") == "vocabulary" else sampled_kl
    assert metrics["teacher/reverse_kl"] == pytest.approx(float(wanted_kl), rel=1e-6)
    if overrides.get("teacher") != "vocabulary":
        agreement = torch.cat([chosen(theirs, s).exp() for _, theirs, s in pairs]).mean()
        assert metrics["teacher/agreement"] == pytest.approx(float(agreement), rel=1e-6)


@pytest.mark.parametrize("chunk_elements", [10**9, 700, 1])
@pytest.mark.parametrize("temperature", [1.0, 0.7])
def test_the_divergence_in_chunks_is_that_of_whole_distributions(chunk_elements, temperature):
    """Also where one head has rows that stand for no token."""
    generator = torch.Generator().manual_seed(3)

    def draw(*shape):
        return torch.randn(*shape, generator=generator, dtype=torch.float64)

    hidden, other = draw(17, 8).requires_grad_(), draw(17, 12)
    head, other_head = torch.nn.Linear(8, 30, bias=False).double(), torch.nn.Linear(12, 33, bias=False).double()
    targets = torch.randint(0, 30, (17,), generator=generator)
    ours = _Heads(head)
    found = select_logprobs_against(
        hidden, head_of(ours), targets, other, head_of(_Heads(other_head)), temperature, chunk_elements
    )
    p = torch.log_softmax(head(hidden) / temperature, -1)
    q = torch.log_softmax(other_head(other)[:, :30] / temperature, -1)
    torch.testing.assert_close(found[2], (p.exp() * (p - q)).sum(-1))
    for mine, plain in zip(found, select_logprobs(hidden, head_of(ours), targets, temperature), strict=False):
        torch.testing.assert_close(mine, plain)
    (wanted,) = torch.autograd.grad((p.exp() * (p - q)).sum(), hidden)
    (gradient,) = torch.autograd.grad(found[2].sum(), hidden)
    torch.testing.assert_close(gradient, wanted)


class _Heads:
    def __init__(self, head):
        self.head, self.config = head, type("Plain", (), {})()

    def get_output_embeddings(self):
        return self.head


@pytest.mark.parametrize(
    "overrides",
    [
        ("objective.teacher=vocabulary",),
        ("objective.reward_weight=1.0", "objective.teacher_weight=0.1", "objective.baseline=group_mean"),
        ("model.lora={rank: 4}",),
        ("model.dtype=bfloat16",),
        ("model.dtype=bfloat16", "objective.teacher=vocabulary"),
    ],
)
def test_it_resumes_exactly_and_is_replayed(overrides, tmp_path):
    settings = ("scoring.max_rejected_gold=1.0", "train.steps=2", "train.save_every=1", "rollout.max_tokens=8")
    config = recipe(ROW, ODD, *settings, *overrides)
    same_when_resumed(config, tmp_path)
    lines = [json.loads(line) for line in (tmp_path / "straight" / "metrics.jsonl").read_text().splitlines()]
    assert [line["teacher/reverse_kl"] > 0 for line in lines] == [True, True]
    found = replay_step(tmp_path / "straight", 2)
    assert "teacher/reverse_kl" in {n.name for n in found.numbers}
    assert all(number.recorded == number.again for number in found.numbers)


def test_any_row_may_be_held_near_another_model(tmp_path):
    settings = ("scoring.max_rejected_gold=1.0", "train.steps=1", "rollout.max_tokens=8")
    measured = []
    for name, path in (("start", ()), ("other", (f"reference.path={teacher_folder()}",))):
        run(recipe("grpo", ODD, *settings, *path), tmp_path / name)
        measured.append(json.loads((tmp_path / name / "metrics.jsonl").read_text())["kl/reference"])
    assert measured[0] == pytest.approx(0.0, abs=1e-6)
    assert measured[1] > 0.01
    run(recipe("dpo", *settings, f"reference.path={teacher_folder()}"), tmp_path / "pairs")


@pytest.mark.parametrize(
    ("algorithm", "overrides", "said"),
    [
        (ROW, ("reference.path=null",), "reference.path: on_policy_distillation learns from a teacher, and none is named"),
        (ROW, ("reference.path=no/such/folder",), "reference.path: no/such/folder is not a model folder"),
        (ROW, ("reference.path=http://127.0.0.1:8000",), "a teacher on a server is not offered yet"),
        (ROW, ("objective.ratio_level=sequence",), "ratio_level sequence compares whole responses, and teacher sampled"),
        (ROW, ("objective.selection=right",), "objective.teacher with selection right"),
        ("dr_grpo", (f"reference.path={teacher_folder()}",), "reference: dr_grpo as configured compares with no reference"),
        ("dr_grpo", ("reference.refresh=2",), "reference: dr_grpo as configured compares with no reference"),
        ("grpo", ("objective.reward_weight=0.5",), "objective.reward_weight weighs rewards against a teacher"),
        ("online_dpo", ("objective.teacher=sampled",), "a teacher is offered for policy gradients"),
        ("ppo", ("objective.teacher=sampled",), "the critic learns rewards alone"),
    ],
)  # fmt: skip
def test_what_cannot_be_is_refused_before_anything_is_loaded(algorithm, overrides, said):
    with pytest.raises(UserError, match=said):
        preflight(recipe(algorithm, *overrides), None)


def test_refresh_and_path_are_one_or_the_other():
    with pytest.raises(UserError, match="refresh puts the policy in the place of the reference"):
        recipe("grpo", f"reference={{path: {teacher_folder()}, refresh: 2}}")
    with pytest.raises(UserError, match="reset_optimizer goes with refresh"):
        recipe("grpo", "reference.reset_optimizer=true")


def fit(change):
    """What is said of a teacher whose model or tokenizer was changed."""
    policy, teacher = make_policy(), make_policy(seed=7, hidden_size=48, intermediate_size=96)
    folder = teacher_folder().with_name(change.__name__)
    change(teacher)
    teacher.save(folder)
    config = recipe(ROW, f"reference.path={folder}")
    return check_reference(config, resolve_objective(ROW, {}), policy.model, policy.tokenizer)


def test_a_teacher_of_another_tokenizer_is_refused():
    def renamed(teacher):
        teacher.tokenizer._tokenizer = type(teacher.tokenizer._tokenizer).from_str(
            teacher.tokenizer._tokenizer.to_str().replace("<|assistant|>", "<|helper|>")
        )
        teacher.tokenizer.chat_template = teacher.tokenizer.chat_template.replace("<|assistant|>", "<|helper|>")

    def short(teacher):
        teacher.model.resize_token_embeddings(teacher.model.config.vocab_size)
        teacher.model.config.max_position_embeddings = 64

    with pytest.raises(
        UserError, match=r"is not the policy's: 1 of 260 tokens differ, the first being '<\|assistant\|>'"
    ):
        fit(renamed)
    with pytest.raises(UserError, match="reads 64 tokens, and a prompt with its response may have 76"):
        fit(short)


def test_a_teacher_with_a_template_of_its_own_is_said():
    def spoken_otherwise(teacher):
        teacher.tokenizer.chat_template = "{# another #}" + teacher.tokenizer.chat_template

    (note,) = fit(spoken_otherwise)
    assert "was made with another chat template" in note


def test_a_teacher_needs_a_row_for_each_of_the_policys():
    def with_more_rows(teacher):
        teacher.model.resize_token_embeddings(teacher.model.config.vocab_size + 8)

    assert fit(with_more_rows) == []
