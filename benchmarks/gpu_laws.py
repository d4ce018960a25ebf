"""The laws of tests/laws on a device, in float32 and under bfloat16's autocast, each with what it may be off by.

In bfloat16 a product rounds to 8 bits, differently where it is cut differently; a law is held to a few of these roundings there.
"""

from __future__ import annotations

import copy
import random
import warnings
from collections.abc import Callable
from typing import Any

import torch
from gpu_parts import Report
from torch import Tensor

from grpo_kit.config import ModelConfig, OptimizerConfig, ScratchModelConfig
from grpo_kit.generate.base import SamplingParams
from grpo_kit.generate.torch_engine import TorchEngine
from grpo_kit.objective.algorithms import resolve_objective
from grpo_kit.observe.measure import Measures
from grpo_kit.policy.logprobs import Head, select_logprobs
from grpo_kit.policy.models import Policy, load_policy
from grpo_kit.policy.packing import TrainingSequence
from grpo_kit.train.update import PolicyUpdater
from grpo_kit.types import Prompt

SHAPE = ScratchModelConfig(hidden_size=64, intermediate_size=128, layers=2, heads=2, context_length=512)
WHOLE = 10**6  # tokens of a micro-batch that holds everything
BUDGETS = (1, 200, 400)
PAD, END = 256, 257


def make_policy(device: torch.device, dtype: str) -> Policy:
    policy = load_policy(ModelConfig(scratch=SHAPE, dtype=dtype), device, seed=1)
    with torch.no_grad():  # an untrained model repeats itself; larger weights make its choices varied
        for parameter in policy.model.parameters():
            parameter.mul_(2.0)
    return policy


def sequences() -> list[TrainingSequence]:
    """Groups that share prompts, of uneven sizes and lengths."""
    rng = random.Random(0)
    made = []
    for group, size in enumerate((1, 4, 3, 5)):
        prompt = [rng.randrange(256) for _ in range(rng.randrange(5, 40))]
        for _ in range(size):
            answer = [rng.randrange(256) for _ in range(rng.randrange(1, 50))]
            behaviour = torch.tensor([-5.0 - rng.random() for _ in answer], dtype=torch.float64)
            made.append(TrainingSequence(prompt, answer, rng.gauss(0, 1), 1 / len(answer), behaviour, group))
    return made


def updater_of(policy: Policy, tokens: int, beta: float = 0.0) -> PolicyUpdater:
    reference = policy.reference() if beta else None
    if reference is not None:
        noise = torch.Generator().manual_seed(1)
        with torch.no_grad():
            for parameter in reference.model.parameters():
                parameter.add_(0.01 * torch.randn(parameter.shape, generator=noise).to(parameter.device))
    return PolicyUpdater(
        policy,
        resolve_objective("grpo", {"beta": beta}),
        OptimizerConfig(learning_rate=1e-4),
        total_updates=10,
        token_budget=tokens,
        temperature=0.9,
        reference=reference,
    )


def annotated(policy: Policy) -> list[TrainingSequence]:
    """Sequences with what a policy that has moved and a reference said of them, the same numbers for every split."""
    made = sequences()
    updater_of(policy, WHOLE, beta=0.04).annotate(made)
    for s in made:
        assert s.reference_logprobs is not None
        s.old_logprobs = s.reference_logprobs + 0.05 * torch.arange(len(s.completion_ids)).sin().to(policy.device)
    return made


def gradient(policy: Policy, given: list[TrainingSequence], tokens: int) -> Tensor:
    """Of one step, flat."""
    updater = updater_of(policy, tokens, beta=0.04)
    policy.model.zero_grad()
    for batch in updater._batches([copy.copy(s) for s in given]):
        updater.loss(batch, Measures()).backward()
    return torch.cat([p.grad.flatten() for p in policy.model.parameters() if p.grad is not None])


def far(mine: Tensor, theirs: Tensor) -> float:
    assert theirs.detach().norm() > 0
    return float((mine - theirs).detach().norm() / theirs.detach().norm())


def split(device: torch.device, dtype: str) -> dict[str, float]:
    """The gradient does not depend on how a step is cut into micro-batches."""
    policy = make_policy(device, dtype)
    given = annotated(policy)
    whole = gradient(policy, given, WHOLE)
    return {"difference": max(far(gradient(policy, given, tokens), whole) for tokens in BUDGETS)}


def sharing(device: torch.device, dtype: str) -> dict[str, float]:
    """A prompt passed once for all of its answers changes no gradient."""
    policy = make_policy(device, dtype)
    given = annotated(policy)
    apart = gradient(policy, given, WHOLE)
    reason = policy.share_prompts()
    assert reason is None, reason
    assert any(batch.tree is not None for batch in updater_of(policy, WHOLE)._batches(given))
    return {"difference": max(far(gradient(policy, given, tokens), apart) for tokens in (*BUDGETS, WHOLE))}


def chunked_head(device: torch.device, dtype: str) -> dict[str, float]:
    """Log-probabilities, entropies and gradients in chunks are those of whole logits."""
    drawn = torch.Generator().manual_seed(0)
    hidden, weight = torch.randn(300, 64, generator=drawn), torch.randn(5000, 64, generator=drawn)
    targets, upstream = torch.randint(5000, (300,), generator=drawn), torch.randn(2, 300, generator=drawn)

    def run(function: Callable[[Tensor, Tensor], tuple[Tensor, Tensor]]) -> list[Tensor]:
        leaves = [t.to(device).requires_grad_() for t in (hidden, weight)]
        with torch.autocast(device.type, torch.bfloat16, enabled=dtype == "bfloat16"):
            logprobs, entropies = function(*leaves)
            total = (upstream[0].to(device) * logprobs + upstream[1].to(device) * entropies).sum()
        return [logprobs, entropies, *torch.autograd.grad(total, leaves)]

    def whole(h: Tensor, w: Tensor) -> tuple[Tensor, Tensor]:
        found = (torch.nn.functional.linear(h, w).float() / 0.7).log_softmax(-1)
        return found[torch.arange(300, device=device), targets.to(device)], -(found.exp() * found).sum(-1)

    def chunks(h: Tensor, w: Tensor) -> tuple[Tensor, Tensor]:
        return select_logprobs(h, Head(w), targets.to(device), 0.7, 5000 * 7, entropy_gradient=True)

    return {"difference": max(far(ours, theirs) for ours, theirs in zip(run(chunks), run(whole), strict=True))}


def first_ratio(device: torch.device, dtype: str) -> dict[str, float]:
    """Before the first update every ratio is 1, and the engine's log-probabilities are the trainer's."""
    policy = make_policy(device, dtype)
    prompts = [Prompt(str(i), tuple(range(65, 68 + i))) for i in range(6)]
    sampling = SamplingParams(n=4, temperature=0.9, max_tokens=16)
    made = [
        TrainingSequence(
            prompts[int(c.task_id)].token_ids, c.token_ids, (-1.0) ** c.sample_index, 0.01, torch.tensor(c.logprobs)
        )
        for group in TorchEngine(policy, max_rows=8).generate(prompts, sampling)
        for c in group
    ]
    updater, metrics = updater_of(policy, 300), Measures()
    updater.annotate(made, several_updates=True)
    for batch in updater._batches(made):
        updater.loss(batch, metrics)
    return {
        "difference": max(abs(metrics["ratio/max"] - 1.0), abs(metrics["ratio/min"] - 1.0)),
        "engine_mean": metrics["mismatch/mean_logprob_difference"],
        "engine_largest": metrics["mismatch/max_logprob_difference"],
    }


def greedy(device: torch.device, dtype: str) -> dict[str, float]:
    """Greedy responses are those of transformers.generate; where they part, the two tokens were as likely as each other."""
    policy = make_policy(device, dtype)
    rng = random.Random(3)
    prompts = [Prompt(str(i), tuple(rng.randrange(256) for _ in range(rng.randrange(1, 30)))) for i in range(8)]
    sampling = SamplingParams(temperature=0.0, max_tokens=32, stop_token_ids=(END,))
    ours = {g[0].task_id: g[0].token_ids for g in TorchEngine(policy, 5).generate(prompts, sampling)}
    gaps, equal = [0.0], 0
    for prompt in prompts:
        ids = torch.tensor([prompt.token_ids], device=device)
        with torch.no_grad(), policy.precision():
            found = policy.model.generate(
                ids,
                attention_mask=torch.ones_like(ids),
                max_new_tokens=32,
                do_sample=False,
                eos_token_id=END,
                pad_token_id=PAD,
            )[0, ids.shape[1] :].tolist()
        mine = list(ours[prompt.task_id])
        equal += mine == found
        parted = next((i for i, (a, b) in enumerate(zip(mine, found, strict=False)) if a != b), None)
        if parted is not None:
            read = torch.tensor([[*prompt.token_ids, *mine[:parted]]], device=device)
            with torch.no_grad():
                logits = policy.model(input_ids=read).logits[0, -1].float()
            gaps.append(abs(float(logits[mine[parted]] - logits[found[parted]])))
    return {"difference": max(gaps), "equal_responses": equal / len(prompts)}


def replay(device: torch.device, dtype: str) -> dict[str, float]:
    """A step taken again from the same weights and sequences has the same loss and gradient, and leaves the same weights."""
    found = []
    for _ in range(2):
        policy, metrics = make_policy(device, dtype), Measures()
        updater_of(policy, 200).optimizer_step(sequences(), metrics)
        weights = torch.cat([p.detach().flatten() for p in policy.model.parameters()])
        found.append((metrics["loss"], metrics["grad_norm"], weights))
    (loss, norm, weights), (other_loss, other_norm, other_weights) = found
    numbers = (abs(loss - other_loss) / abs(loss), abs(norm - other_norm) / norm, far(weights, other_weights))
    return {"difference": max(numbers)}


def full_head(device: torch.device, dtype: str) -> dict[str, float]:
    """With head_dtype float32 the head's product is one of float32, whatever the others are."""
    policy = make_policy(device, dtype)
    (batch,) = updater_of(policy, WHOLE)._batches(sequences())
    largest = {}
    with torch.no_grad():
        for name, full in (("difference", True), ("same_dtype", False)):
            policy.full_head = full
            with policy.precision():
                hidden = policy.predicting(batch)
                ours, _ = select_logprobs(hidden, policy.head, batch.targets, 0.9)
            exact = (hidden.float() @ policy.head.weight.float().T / 0.9).log_softmax(-1)
            largest[name] = float((ours - exact.gather(-1, batch.targets[:, None])[:, 0]).abs().max())
    return largest


# What each may be off by: in float32 and in bfloat16.
LAWS: dict[str, tuple[Callable[[torch.device, str], dict[str, float]], float, float]] = {
    "gradient split over micro-batches": (split, 1e-5, 5e-2),
    "chunked head": (chunked_head, 1e-5, 2e-2),
    "shared prompts": (sharing, 1e-5, 5e-2),
    "first ratio": (first_ratio, 1e-5, 5e-2),
    "greedy equals transformers": (greedy, 1e-3, 0.2),
    "replay of a step": (replay, 1e-5, 1e-3),
    "float32 head": (full_head, 1e-4, 1e-4),
}


def waits(device: torch.device) -> dict[str, Any]:
    """How often forward and backward passes of a step make the host wait for the device, and where."""
    policy = make_policy(device, "bfloat16")
    updater, metrics = updater_of(policy, 200), Measures()
    given = annotated(policy)
    torch.cuda.set_sync_debug_mode("warn")
    try:
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            batches = 0
            for batch in updater._batches(given):
                updater.loss(batch, metrics).backward()
                batches += 1
    finally:
        torch.cuda.set_sync_debug_mode("default")
    places = sorted({f"{w.filename.rsplit('/', 2)[-2:]}:{w.lineno}" for w in caught})
    return {"micro_batches": batches, "waits": len(caught), "at": places[:20]}


def scoring() -> dict[str, Any]:
    """Whether the sandbox confines programs on this kernel, and a right and a wrong answer of each kind."""
    import time

    from grpo_kit.sandbox import Sandbox, probe
    from grpo_kit.scoring import Scorer, VerifierSpec
    from grpo_kit.types import Group, Task

    backends = {found.backend: found.works or found.detail for found in probe()}
    with Sandbox(workers=1) as sandbox:
        right = sandbox.run_tests("def f(x):\n    return x + 1\n", ["assert f(1) == 2"], entry_point="f").passed
        wrong = sandbox.run_tests("def f(x):\n    return x\n", ["assert f(1) == 2"], entry_point="f").passed
    task = Task("t", ({"role": "user", "content": "q"},), "42", {})
    texts = ["The answer is 42.", "The answer is 41."] * 64
    with Scorer([VerifierSpec("math")], workers=1) as scorer:
        begun = time.perf_counter()
        (scored,) = scorer.score_groups([Group.of_texts(task, texts)])
        rate = len(texts) / (time.perf_counter() - begun)
    rewards = [score.value for score in scored.scores]
    good = right and not wrong and rewards == [1.0, 0.0] * 64
    return {"backends": backends, "holds": good, "scored_per_second": rate}


def laws(report: Report) -> None:
    for index, dtype in enumerate(("float32", "bfloat16")):
        for name, (law, *tolerances) in LAWS.items():
            with report.case(f"{name}, {dtype}", 2.0) as put:
                if put is not None:
                    found = law(report.device, dtype)
                    put(found | {"tolerance": tolerances[index], "holds": found["difference"] <= tolerances[index]})
    with report.case("sandbox and scoring") as put:
        if put is not None:
            put(scoring())
    if report.cuda:
        with report.case("waits for the device") as put:
            if put is not None:
                put(waits(report.device))
