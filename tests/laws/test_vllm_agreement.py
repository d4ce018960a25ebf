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


PROMPTS = [Prompt(str(i), tuple(range(40, 50 + 30 * i))) for i in range(4)]


def learner(engine):
    """The objective and the updater of the engine's policy, which begins anew."""
    engine.policy.model.load_state_dict(vllm_policy(seed=3).model.state_dict())
    engine.sync(engine.policy.model, 0)
    objective = resolve_objective("grpo", {"beta": 0.0, "correction": "truncated"})
    return objective, PolicyUpdater(
        engine.policy,
        objective,
        OptimizerConfig(learning_rate=1e-2),
        total_updates=UPDATES,
        token_budget=2048,
        temperature=TEMPERATURE,
    )


def weights(policy):
    return torch.cat([p.detach().flatten().clone() for p in policy.model.parameters()])


def test_logprobs_agree_after_every_one_of_twenty_updates(vllm_engine):
    """The difference is measured by the updater itself, on what was sampled: before the update, with the same weights."""
    policy = vllm_engine.policy
    objective, updater = learner(vllm_engine)
    start = weights(policy)
    for version in range(UPDATES):
        sampling = SamplingParams(n=4, temperature=TEMPERATURE, max_tokens=16, seed=version)
        groups = [scored(completions) for completions in vllm_engine.generate(PROMPTS, sampling)]
        assert {c.policy_version for g in groups for c in g.completions} == {version}
        agree(updater.update(build_batch(groups, objective, max_tokens=16).updates), version)
        vllm_engine.sync(policy.model, version + 1)
    assert (weights(policy) - start).norm() / start.norm() > 0.1  # otherwise stale weights would agree as well


def agree(summary, version):
    assert 0.0 < summary["mismatch/max_logprob_difference"] < 1e-4, version
    assert summary["mismatch/mean_logprob_difference"] < 2e-5, version
    assert abs(summary["mismatch/kl"]) < 1e-7, version
    assert abs(summary["correction/weight"] - 1.0) < 1e-4, version


def test_episodes_agree_after_every_one_of_ten_updates(vllm_engine):
    """Over sequences of four turns and more: by the updater, and by a plain forward of all that stands in the sequence."""
    policy, more = vllm_engine.policy, random_script(turns=3, longest=40)
    objective, updater = learner(vllm_engine)
    start = weights(policy)

    def script(turn):
        return [40 + turn.turn] * 9 if turn.turn < 3 else more(turn)

    for version in range(10):
        sampling = SamplingParams(n=3, temperature=TEMPERATURE, max_tokens=70, turn_tokens=11, seed=version)
        groups = [scored(found) for found in vllm_engine.generate(PROMPTS, sampling, replies=Threaded(script))]
        for completion in (c for g in groups for c in g.completions):
            assert len(completion.turns) >= 4
            assert completion.policy_version == version
            ids, places = interleaved(PROMPTS[int(completion.task_id)], completion)
            with torch.no_grad():
                logits = policy.model(input_ids=torch.tensor([ids], device=policy.device)).logits[0] / TEMPERATURE
            logprobs = logits[torch.tensor(places) - 1].log_softmax(-1).cpu()
            wanted = logprobs.gather(-1, torch.tensor(completion.token_ids)[:, None])[:, 0]
            torch.testing.assert_close(torch.tensor(completion.logprobs), wanted, rtol=0, atol=1e-4)
        agree(updater.update(build_batch(groups, objective, max_tokens=70).updates), version)
        vllm_engine.sync(policy.model, version + 1)
    assert (weights(policy) - start).norm() / start.norm() > 0.05


def scored(completions):
    """A reward that a policy can raise: small token ids."""
    prompt = PROMPTS[int(completions[0].task_id)]
    scores = [Score(sum(t < 64 for t in c.token_ids) / len(c.token_ids)) for c in completions]
    return Group(Task(prompt.task_id, ({"role": "user", "content": ""},), ""), prompt, completions, scores)
