"""Functions of each framework's shape run unchanged; where the framework is installed, its own function does too."""

import asyncio
from collections import namedtuple

import numpy as np
import pytest
import torch

from grpo_kit.scoring import Scorer, VerifierSpec
from grpo_kit.types import Completion, Group, Prompt, Task
from grpo_kit.verifiers import VerifierError, from_function


def run(function, responses, answer="42", meta=None, **options):
    found = from_function(function).with_options(options)
    cases = [
        {
            "response": response,
            "answer": answer,
            "prompt": "What is 6 * 7?",
            "meta": meta or {},
            "completion_ids": [1] * len(response.split()),
            "messages": [{"role": "user", "content": "What is 6 * 7?"}],
        }
        for response in responses
    ]
    return found, found.score_many(cases)


def values(function, responses, **settings):
    return [score.value for score in run(function, responses, **settings)[1]]


def trl_strings(completions, **kwargs):
    return [float(len(completion)) for completion in completions]


def trl_chat(prompts, completions, solution, **kwargs):
    assert prompts[0][-1]["role"] == "user"
    return [1.0 if c[0]["content"] == s else 0.0 for c, s in zip(completions, solution, strict=True)]


async def trl_async(completions, ground_truth, **kwargs):
    await asyncio.sleep(0)
    return [1.0 if c == g else None for c, g in zip(completions, ground_truth, strict=True)]


def trl_column(completions, level):
    return [0.5 * len(level)] * len(completions)


def test_trl():
    assert values(trl_strings, ["a", "bb"]) == [1.0, 2.0]
    assert values(trl_chat, ["42", "41"]) == [1.0, 0.0]
    found, scores = run(trl_async, ["42", "41"])
    assert (found.shape, found.batch, found.is_async) == ("TRL", True, True)
    assert [s.status for s in scores] == ["ok", "abstain"]
    assert values(trl_column, ["a", "b"], meta={"level": 3}) == [1.0, 1.0]
    with pytest.raises(VerifierError, match="Add a column 'level'"):
        values(trl_column, ["a"])


def test_trl_hands_over_columns():
    seen = {}

    def reward(completions, **kwargs):
        seen.update(kwargs)
        return [0.0] * len(completions)

    values(reward, ["a", "b"], meta={"level": 3})
    assert seen["level"] == [3, 3]
    assert seen["answer"] == ["42", "42"]
    assert seen["completion_ids"] == [[1], [1]]


def verl_single(data_source, solution_str, ground_truth, extra_info=None):
    assert data_source == "gsm8k"
    return {"score": -1.0 if solution_str != ground_truth else 1.0, "acc": solution_str == ground_truth}


def verl_batch(data_sources, solution_strs, ground_truths, extra_infos):
    return [float(s == g) + i["bonus"] for s, g, i in zip(solution_strs, ground_truths, extra_infos, strict=True)]


async def verl_async(data_source, solution_str, ground_truth, extra_info):
    return solution_str == ground_truth


def test_verl():
    meta = {"data_source": "gsm8k", "extra_info": {"bonus": 0.25}}
    _, scores = run(verl_single, ["42", "41"], meta=meta)
    assert [(s.value, s.metrics["acc"]) for s in scores] == [(1.0, 1.0), (-1.0, 0.0)]
    assert values(verl_batch, ["42", "41"], meta=meta) == [1.25, 0.25]
    assert values(verl_async, ["42", "41"]) == [1.0, 0.0]


def openrlhf_tensor(queries, prompts, labels):
    return torch.tensor([float(q == p + label) for q, p, label in zip(queries, prompts, labels, strict=True)])


def openrlhf_dict(queries, prompts, labels, **kwargs):
    reward = torch.tensor([float(q.endswith(label)) for q, label in zip(queries, labels, strict=True)])
    return {"rewards": reward, "scores": reward, "extra_logs": {"half": reward / 2}}


def openrlhf_list(queries, prompts, labels):
    return [torch.tensor([1.0]) for _ in queries]


def openrlhf_short(queries, prompts, labels):
    return {"rewards": torch.zeros(1)}


def test_openrlhf():
    assert values(openrlhf_tensor, ["42", "41"]) == [1.0, 0.0]
    _, scores = run(openrlhf_dict, ["42", "41"])
    assert [(s.value, s.metrics["half"]) for s in scores] == [(1.0, 0.5), (0.0, 0.0)]
    assert values(openrlhf_list, ["42", "41"]) == [1.0, 1.0]
    with pytest.raises(TypeError, match="must return 2 rewards"):
        values(openrlhf_short, ["42", "41"])


VerificationResult = namedtuple("VerificationResult", "score cost reasoning")


class OpenInstruct:
    def __call__(self, tokenized_prediction, prediction, label, query=None):
        assert isinstance(tokenized_prediction, list)
        return VerificationResult(float(prediction == label), 0.0, "compared")


def test_open_instruct():
    _, scores = run(OpenInstruct, ["42", "41"])
    assert [(s.value, s.reason) for s in scores] == [(1.0, "compared"), (0.0, "compared")]


def prime_chat(prompt, completion, answer, state, **kwargs):
    assert state["completion"] == completion
    assert prompt[-1]["content"]
    return 1.0 if completion[-1]["content"] == answer else 0.0


async def prime_async(completion, answer):
    return 1.0 if completion == answer else 0.0


def prime_parser(completion, answer, parser):
    return 1.0


def test_prime_intellect():
    assert values(prime_chat, ["42", "41"]) == [1.0, 0.0]
    assert values(prime_async, ["42", "41"]) == [1.0, 0.0]
    with pytest.raises(VerifierError, match="wants 'parser'"):
        values(prime_parser, ["42"])


def score_answer(answer, entry):
    return 1.0 if answer == entry["answer"] else 0.01


def test_reasoning_gym_shape():
    assert values(score_answer, ["<answer>42</answer>", "41"]) == [1.0, 0.01]


def process_results(doc, results):
    return {"exact_match": int(results[0] == doc["answer"]), "length": len(results[0])}


def process_other(doc, results):
    return {"f1": 0.5, "recall": 0.25}


def test_lm_eval():
    _, scores = run(process_results, ["42", "41"])
    assert [(s.value, s.metrics) for s in scores] == [(1.0, {"length": 2.0}), (0.0, {"length": 2.0})]
    assert values(process_other, ["x"], metric="recall") == [0.25]
    with pytest.raises(ValueError, match="option 'metric'"):
        values(process_other, ["x"])


def test_a_foreign_function_may_be_async_and_keyword_only():
    def kw(*, solution_str, ground_truth):
        return solution_str == ground_truth

    assert values(kw, ["42"]) == [1.0]


def test_foreign_functions_run_in_workers():
    task = Task("t", ({"role": "user", "content": "q"},), "42", {"data_source": "gsm8k", "level": 2})
    group = Group(
        task, Prompt("t", ()), [Completion("t", i, [1], [0.0], t, "stop", 0) for i, t in enumerate(["42", "4"])]
    )
    names = ["trl_chat", "trl_async", "verl_single", "openrlhf_dict", "OpenInstruct", "prime_async", "process_results"]
    with Scorer([VerifierSpec(f"{__file__}:{name}") for name in names]) as scorer:
        (scored,) = scorer.score_groups([group])
    assert {name: part.value for name, part in scored.parts[0].items()} == dict.fromkeys(names, 1.0)
    assert scored.parts[1]["trl_async"].status == "abstain"


def test_the_frameworks_own_functions():
    """Only where they are installed; each is imported as its project ships it."""
    ran = []
    try:
        from trl.rewards import get_soft_overlong_punishment, think_format_reward
    except ImportError:
        pass
    else:
        assert values(think_format_reward, ["<think>a</think>b", "b"]) == [1.0, 0.0]
        assert values(get_soft_overlong_punishment(4, 2), ["a b", "a b c", "a b c d e"]) == [0.0, -0.5, -1.0]
        ran.append("trl")
    try:
        from verl.utils.reward_score.gsm8k import compute_score
    except ImportError:
        pass
    else:
        assert values(compute_score, ["#### 42", "#### 41"]) == [1.0, 0.0]
        ran.append("verl")
    try:
        import reasoning_gym
    except ImportError:
        pass
    else:
        dataset = reasoning_gym.create_dataset("chain_sum", size=3, seed=1)
        for entry in dataset:
            assert values(dataset.score_answer, [f"<answer>{entry['answer']}</answer>"], meta={"entry": entry}) == [1.0]
        ran.append("reasoning_gym")
    try:
        from lm_eval.tasks.hendrycks_math.utils import process_results as own
    except ImportError:
        pass
    else:
        doc = {"solution": r"so \boxed{42}"}
        assert values(own, ["$42$", "$41$"], meta={"doc": doc}) == [1.0, 0.0]
        ran.append("lm_eval")
    if not ran:
        pytest.skip("none of trl, verl, reasoning_gym, lm_eval is installed")
    print("ran", ran)


def trl_logging(completions, log_metric, log_extra, trainer_state, **kwargs):
    log_metric("mean_length", np.float32(2.0))
    log_extra("length", [len(c) for c in completions])
    log_extra("text", completions)
    return np.array([1.0] * len(completions))


def trl_step(completions, trainer_state, **kwargs):
    return [float(trainer_state.global_step) for _ in completions]


def test_newer_arguments_of_trl():
    _, scores = run(trl_logging, ["a", "bbb"])
    assert [s.metrics for s in scores] == [{"mean_length": 2.0, "length": 1.0}, {"mean_length": 2.0, "length": 3.0}]
    with pytest.raises(VerifierError, match=r"reads trainer_state.global_step.*know of no step"):
        run(trl_step, ["a"])


async def verl_router(
    data_source, solution_str, ground_truth, extra_info, reward_router_address, reward_model_tokenizer
):
    assert reward_router_address is None
    assert reward_model_tokenizer is None
    return {"score": np.float64(1.0), "acc": np.bool_(True), "n": np.int64(3), "t": torch.tensor(0.5), "note": "x"}


def test_router_arguments_of_verl_and_numbers_beside_the_score():
    _, (score,) = run(verl_router, ["42"])
    assert (score.value, score.metrics) == (1.0, {"acc": 1.0, "n": 3.0, "t": 0.5})


async def verl_batch_router(data_sources, solution_strs, ground_truths, extra_infos, reward_router_address, **kwargs):
    assert reward_router_address is None
    return [float(text == gold) for text, gold in zip(solution_strs, ground_truths, strict=True)]


def verl_sandbox(data_source, solution_str, ground_truth, extra_info, sandbox_fusion_url, concurrent_semaphore):
    return float(sandbox_fusion_url is None)


def column_of_rewards(queries, prompts, labels):
    return torch.tensor([[1.0]] * len(queries))


@pytest.mark.parametrize("function", [verl_batch_router, verl_sandbox, column_of_rewards])
def test_what_a_framework_hands_over_as_none_and_returns_in_columns(function):
    _, scores = run(function, ["42"])
    assert [score.value for score in scores] == [1.0]


def needs_a_parser(completion, answer, parser):
    return 1.0


def test_an_argument_that_nothing_stands_for_is_refused_with_the_reason():
    with pytest.raises(VerifierError, match="wants 'parser', a parser object of the framework"):
        run(needs_a_parser, ["42"])


NUMBERS = (np.bool_(True), np.float16(1.0), np.int8(1), np.array([1.0]), torch.tensor(1), torch.tensor([1.0]))


@pytest.mark.parametrize("number", NUMBERS)
def test_numbers_of_numpy_and_torch_are_scores_and_metrics(number):
    _, (score,) = run(lambda solution_str, ground_truth: {"score": number, "other": number}, ["42"])
    assert (score.value, score.metrics) == (1.0, {"other": 1.0})
