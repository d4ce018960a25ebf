"""The real vLLM in process: stopping, seeds, streaming, versions, weights, caches, refusals."""

import pytest
import torch

from grpo_kit.errors import RunFailed, UserError
from grpo_kit.generate.base import SamplingParams
from grpo_kit.types import Prompt
from tests.kit.vllm import MAX_SEQUENCES, disturb, vllm_policy


@pytest.fixture
def engine(vllm_engine):
    """The shared engine, with the weights of seed 0 as version 0."""
    vllm_engine.policy.model.load_state_dict(vllm_policy().model.state_dict())
    vllm_engine.sync(vllm_engine.policy.model, 0)
    return vllm_engine


def prompts(count):
    return [Prompt(str(i), tuple(range(30, 36 + i))) for i in range(count)]


def sample(engine, chosen, **options):
    sampling = SamplingParams(**{"n": 4, "max_tokens": 12} | options)
    return {(c.task_id, c.sample_index): c.token_ids for group in engine.generate(chosen, sampling) for c in group}


def trainer_logprobs(policy, prompt, tokens, temperature=1.0):
    ids = torch.tensor([[*prompt.token_ids, *tokens]], device=policy.device)
    with torch.no_grad():
        logits = policy.model(input_ids=ids).logits[0, len(prompt.token_ids) - 1 : -1] / temperature
    return logits.log_softmax(-1).gather(-1, ids[0, len(prompt.token_ids) :, None])[:, 0].cpu()


# --- stopping ----------------------------------------------------------------------------------------------------


def test_stop_token_is_kept_and_ends_the_completion(engine):
    stops = tuple(range(64))
    (group,) = engine.generate(prompts(1), SamplingParams(n=16, max_tokens=4, stop_token_ids=stops))
    for completion in group:
        inside, last = completion.token_ids[:-1], completion.token_ids[-1]
        assert not set(inside) & set(stops)
        assert (last in stops) == (completion.finish_reason == "stop")
        assert len(completion.logprobs) == len(completion.token_ids)
    assert {c.finish_reason for c in group} == {"stop", "length"}


def test_length_limit(engine):
    (group,) = engine.generate(prompts(1), SamplingParams(n=3, max_tokens=5))
    assert [len(c.token_ids) for c in group] == [5, 5, 5]
    assert all(c.truncated for c in group)


def test_the_models_own_end_token_ends_nothing_unless_asked(engine):
    """Both engines stop at the ids of the request and no others."""
    end = engine.policy.tokenizer.eos_token_id
    with torch.no_grad():
        engine.policy.model.lm_head.weight[end] *= 30  # tied: also the embedding, which no prompt here contains
    engine.sync(engine.policy.model, 1)
    (group,) = engine.generate(prompts(1), SamplingParams(n=8, max_tokens=20))
    assert any(end in c.token_ids[:-1] for c in group)
    assert all(len(c.token_ids) == 20 for c in group)
    (group,) = engine.generate(prompts(1), SamplingParams(n=8, max_tokens=20, stop_token_ids=(end,)))
    assert any(c.token_ids[-1] == end and c.finish_reason == "stop" for c in group)


def test_stop_string_cuts_the_text_and_keeps_the_tokens(engine):
    whole = next(iter(engine.generate(prompts(1), SamplingParams(max_tokens=30))))[0]
    stop = next(c for c in whole.text[7:] if c.isascii() and c.isprintable())
    cut = next(iter(engine.generate(prompts(1), SamplingParams(max_tokens=30, stop=(stop,)))))[0]
    assert cut.finish_reason == "stop"
    assert cut.text == whole.text[: whole.text.index(stop)]
    assert cut.token_ids == whole.token_ids[: len(cut.token_ids)]
    assert engine.policy.tokenizer.decode(cut.token_ids).endswith(stop)
    assert len(cut.logprobs) == len(cut.token_ids)


# --- seeds and batches -------------------------------------------------------------------------------------------


def test_a_completion_depends_on_seed_task_and_sample_only(engine):
    together = sample(engine, prompts(5))
    assert sample(engine, prompts(5)[::-1]) == together
    assert {k: v for prompt in prompts(5) for k, v in sample(engine, [prompt]).items()} == together
    other_seed = sample(engine, prompts(5), seed=1)
    assert all(other_seed[k] != together[k] for k in together)
    assert len({tuple(v) for v in together.values()}) == len(together)
    same_text = sample(engine, [Prompt("a", (30, 31, 32)), Prompt("b", (30, 31, 32))])
    assert same_text["a", 0] != same_text["b", 0]


def test_more_samples_than_sequences_side_by_side(engine):
    count = 2 * MAX_SEQUENCES + 1
    groups = list(engine.generate(prompts(7), SamplingParams(n=count, max_tokens=6)))
    assert sorted(int(g[0].task_id) for g in groups) == list(range(7))
    assert all([c.sample_index for c in g] == list(range(count)) for g in groups)


def test_more_prompt_tokens_than_one_step_takes(engine):
    """A seeded request whose prefill is split kills vLLM 0.32 on a CPU."""
    long = [Prompt(str(i), tuple(32 + (i + j) % 200 for j in range(380))) for i in range(MAX_SEQUENCES + 2)]
    groups = list(engine.generate(long, SamplingParams(n=1, max_tokens=4)))
    assert sorted(int(g[0].task_id) for g in groups) == list(range(len(long)))


def test_finished_groups_are_handed_on_while_others_generate(engine):
    stream = engine.generate(prompts(3 * MAX_SEQUENCES), SamplingParams(n=1, max_tokens=8))
    next(stream)
    assert engine._llm.llm_engine.has_unfinished_requests()
    assert len(list(stream)) == 3 * MAX_SEQUENCES - 1


def test_a_consumer_that_stops_early_leaves_nothing_behind(engine):
    stream = engine.generate(prompts(3 * MAX_SEQUENCES), SamplingParams(n=2, max_tokens=8))
    next(stream)
    stream.close()
    assert not engine._llm.llm_engine.has_unfinished_requests()
    engine.sync(engine.policy.model, 1)


def test_greedy_equals_the_trainers_argmax(engine):
    for group in engine.generate(prompts(3), SamplingParams(n=2, temperature=0.0, max_tokens=8)):
        first, second = group
        assert first.token_ids == second.token_ids
        prompt = prompts(3)[int(first.task_id)]
        ids = torch.tensor([[*prompt.token_ids, *first.token_ids]], device=engine.policy.device)
        logits = engine.policy.model(input_ids=ids).logits[0, len(prompt.token_ids) - 1 : -1]
        assert logits.argmax(-1).tolist() == first.token_ids


def test_evaluation_may_cut_the_distribution(engine):
    (group,) = engine.generate(prompts(1), SamplingParams(n=4, max_tokens=6, top_k=1))
    assert len({tuple(c.token_ids) for c in group}) == 1
    assert all(p == pytest.approx(0.0, abs=1e-6) for c in group for p in c.logprobs)  # renormalised over what is left


# --- weights and versions ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("temperature", [1.0, 0.6])
def test_logprobs_are_those_of_the_temperature(engine, temperature):
    for group in engine.generate(prompts(2), SamplingParams(n=2, max_tokens=10, temperature=temperature)):
        for completion in group:
            expected = trainer_logprobs(
                engine.policy, prompts(2)[int(completion.task_id)], completion.token_ids, temperature
            )
            assert torch.allclose(torch.tensor(completion.logprobs), expected, atol=1e-4)


def test_weights_are_a_copy_taken_at_sync(engine):
    """An update that was not synced must not leak into the engine, however close the two live."""
    before = sample(engine, prompts(2))
    disturb(engine.policy)
    assert sample(engine, prompts(2)) == before
    engine.sync(engine.policy.model, 1)
    assert sample(engine, prompts(2)) != before


def test_policy_version_travels_with_completions(engine):
    engine.sync(engine.policy.model, 41)
    assert engine.policy_version == 41
    (group,) = engine.generate(prompts(1), SamplingParams(n=2, max_tokens=2))
    assert [c.policy_version for c in group] == [41, 41]


def test_tied_embeddings_are_synced_on_both_ends(engine):
    """The shared matrix is read as embedding and as output head; a copy kept by either would be stale."""
    assert engine.policy.model.config.tie_word_embeddings
    with torch.no_grad():
        engine.policy.model.get_input_embeddings().weight.mul_(1.5)
    engine.sync(engine.policy.model, 1)
    (group,) = engine.generate(prompts(1), SamplingParams(n=2, max_tokens=10))
    for completion in group:
        expected = trainer_logprobs(engine.policy, prompts(1)[0], completion.token_ids)
        assert torch.allclose(torch.tensor(completion.logprobs), expected, atol=1e-4)


def test_a_prefix_cache_that_survives_an_update_stops_the_run(engine, monkeypatch):
    disturb(engine.policy)
    monkeypatch.setattr(engine, "_forget_prefixes", lambda: None)
    with pytest.raises(RunFailed, match="kept a cache of older ones"):
        engine.sync(engine.policy.model, 1)


def test_the_prefix_cache_is_in_use_and_reset(engine):
    """Without the reset in `sync`, the second half would be answered from keys and values of the old weights."""
    long = Prompt("long", tuple(32 + i % 200 for i in range(300)))
    list(engine.generate([long], SamplingParams(n=4, max_tokens=2)))
    disturb(engine.policy)
    engine.sync(engine.policy.model, 1)
    (group,) = engine.generate([long], SamplingParams(n=4, max_tokens=2))
    for completion in group:
        expected = trainer_logprobs(engine.policy, long, completion.token_ids)
        assert torch.allclose(torch.tensor(completion.logprobs), expected, atol=1e-4)


def test_half_loaded_weights_stop_the_run(engine, monkeypatch):
    from grpo_kit.generate import vllm_engine

    whole = vllm_engine.exported_weights
    disturb(engine.policy)
    monkeypatch.setattr(
        vllm_engine, "exported_weights", lambda model: ((n, t) for n, t in whole(model) if "layers.1." not in n)
    )
    with pytest.raises(RunFailed, match="stale or half-loaded weights"):
        engine.sync(engine.policy.model, 1)


def test_stale_weights_stop_the_run(engine, monkeypatch):
    from grpo_kit.generate import vllm_engine

    stale = [(name, tensor.clone()) for name, tensor in vllm_engine.exported_weights(engine.policy.model)]
    disturb(engine.policy, scale=1e-3)
    monkeypatch.setattr(vllm_engine, "exported_weights", lambda model: iter(stale))
    with pytest.raises(RunFailed, match="policy version 1"):
        engine.sync(engine.policy.model, 1)


def test_the_probe_is_measured_and_reported_once(engine):
    engine.statistics()
    engine.sync(engine.policy.model, 1)
    assert 0 <= engine.statistics()["mismatch/probe"] < 1e-4
    assert engine.statistics() == {}


# --- refusals ----------------------------------------------------------------------------------------------------


def test_context_overflow_is_refused_before_sampling(engine):
    with pytest.raises(UserError, match=r"exceeds the model's context of 400"):
        engine.generate(prompts(1), SamplingParams(max_tokens=398))


def test_duplicate_task_ids_are_refused(engine):
    with pytest.raises(ValueError, match="task id of its own"):
        engine.generate([prompts(1)[0]] * 2, SamplingParams())


def test_the_trainers_threads_and_random_state_are_its_own(vllm_engine):
    torch.set_num_threads(2)
    assert torch.get_num_threads() == 2
    torch.set_num_threads(1)
