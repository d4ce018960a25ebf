"""Law 10: after every weight update, vLLM's log-probabilities are the trainer's."""

import torch

from grpo_kit.config import OptimizerConfig
from grpo_kit.generate.base import SamplingParams
from grpo_kit.objective.algorithms import resolve_objective
from grpo_kit.train.batch import build_batch
from grpo_kit.train.update import PolicyUpdater
from grpo_kit.types import Group, Prompt, Score, Task
from tests.kit.replies import Threaded, interleaved, random_script
from tests.kit.vllm import vllm_policy

UPDATES, TEMPERATURE = 20, 0.9


def test_logprobs_agree_after_every_one_of_twenty_updates(vllm_engine):
    """The difference is measured by the updater itself, on what was sampled: before the update, with the same weights."""
    policy = vllm_engine.policy
    policy.model.load_state_dict(vllm_policy(seed=3).model.state_dict())
    vllm_engine.sync(policy.model, 0)
    objective = resolve_objective("grpo", {"beta": 0.0, "correction": "truncated"})
    updater = PolicyUpdater(
        policy,
        objective,
        OptimizerConfig(learning_rate=1e-2),
        total_updates=UPDATES,
        token_budget=2048,
        temperature=TEMPERATURE,
    )
    start = torch.cat([p.detach().flatten().clone() for p in policy.model.parameters()])
    prompts = [Prompt(str(i), tuple(range(40, 50 + 30 * i))) for i in range(4)]
    for version in range(UPDATES):
        sampling = SamplingParams(n=4, temperature=TEMPERATURE, max_tokens=16, seed=version)
        groups = [scored(completions, prompts) for completions in vllm_engine.generate(prompts, sampling)]
        assert {c.policy_version for g in groups for c in g.completions} == {version}
        summary = updater.update(build_batch(groups, objective, max_tokens=16).updates)
        assert 0.0 < summary["mismatch/max_logprob_difference"] < 1e-4, version
        assert summary["mismatch/mean_logprob_difference"] < 2e-5, version
        assert abs(summary["mismatch/kl"]) < 1e-7, version
        assert abs(summary["correction/weight"] - 1.0) < 1e-4, version
        vllm_engine.sync(policy.model, version + 1)
    moved = torch.cat([p.detach().flatten() for p in policy.model.parameters()]) - start
    assert moved.norm() / start.norm() > 0.1  # otherwise stale weights would agree as well


def scored(completions, prompts):
    """A reward that a policy can raise: small token ids."""
    prompt = prompts[int(completions[0].task_id)]
    scores = [Score(sum(t < 64 for t in c.token_ids) / len(c.token_ids)) for c in completions]
    return Group(Task(prompt.task_id, ({"role": "user", "content": ""},), ""), prompt, completions, scores)


def test_episodes_agree_after_every_one_of_ten_updates(vllm_engine):
    """Over sequences of four turns and more, with what was inserted between them, by a plain forward of the whole."""
    policy = vllm_engine.policy
    policy.model.load_state_dict(vllm_policy(seed=3).model.state_dict())
    optimizer = torch.optim.Adam(policy.model.parameters(), lr=5e-3)
    prompts = [Prompt(str(i), tuple(range(40, 50 + 30 * i))) for i in range(4)]
    more = random_script(turns=3, longest=40)

    def script(turn):
        return [40 + turn.turn] * 9 if turn.turn < 3 else more(turn)

    start = torch.cat([p.detach().flatten().clone() for p in policy.model.parameters()])
    for version in range(10):
        vllm_engine.sync(policy.model, version)
        sampling = SamplingParams(n=3, temperature=TEMPERATURE, max_tokens=70, turn_tokens=11, seed=version)
        found = [c for g in vllm_engine.generate(prompts, sampling, replies=Threaded(script)) for c in g]
        assert {c.policy_version for c in found} == {version}
        losses, differences = [], []
        for completion in found:
            assert len(completion.turns) >= 4
            ids, places = interleaved(prompts[int(completion.task_id)], completion)
            logits = policy.model(input_ids=torch.tensor([ids], device=policy.device)).logits[0] / TEMPERATURE
            targets = torch.tensor(completion.token_ids, device=policy.device)[:, None]
            logprobs = logits[torch.tensor(places) - 1].log_softmax(-1).gather(-1, targets)[:, 0]
            differences.append((logprobs.detach().cpu() - torch.tensor(completion.logprobs)).abs().max())
            small = sum(t < 64 for t in completion.token_ids) / len(targets)
            losses.append(-(small - 0.25) * logprobs.sum())
        assert 0.0 < max(differences) < 1e-4, version
        optimizer.zero_grad()
        torch.stack(losses).mean().backward()
        optimizer.step()
    moved = torch.cat([p.detach().flatten() for p in policy.model.parameters()]) - start
    assert moved.norm() / start.norm() > 0.05
