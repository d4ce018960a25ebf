"""The probe's verdict on engines that are right, stale, mislabelled or report another distribution. Needs no vLLM."""

import re
from dataclasses import replace

import pytest

from grpo_kit.config.rollout import VllmConfig
from grpo_kit.errors import RunFailed
from grpo_kit.generate.probe import TOLERANCES, Probe
from grpo_kit.generate.torch_engine import TorchEngine
from tests.kit.tiny import make_policy


def answers(policy, probe, **sampling):
    (completions,) = TorchEngine(policy).generate([probe.prompt], replace(probe.sampling, **sampling))
    return completions


@pytest.mark.parametrize("temperature", [1.0, 0.6])
def test_an_engine_with_the_trainers_weights_passes(policy, temperature):
    probe = Probe(policy, temperature, None)
    assert len(probe.prompt.token_ids) > 128  # more than a block of any key-value cache
    assert probe.check(answers(policy, probe), 0, "it") < 1e-5


def test_the_key_says_the_tolerances_that_are_used():
    said = str(VllmConfig.model_fields["probe_tolerance"].description)
    assert [float(text) for text in re.findall(r"([\d.e-]+) in (?:float32|bfloat16)", said)] == list(
        TOLERANCES.values()
    )


def test_other_weights_fail(policy):
    probe = Probe(policy, 1.0, None)
    with pytest.raises(RunFailed, match="it gives to its own samples differ"):
        probe.check(answers(make_policy(seed=1), probe), 0, "it")


def test_raw_logprobs_at_another_temperature_fail(policy):
    """What a server without ``--logprobs-mode processed_logprobs`` reports."""
    probe = Probe(policy, 0.6, None)
    completions = answers(policy, probe)
    raw = Probe(policy, 1.0, None)._trainer_logprobs(completions)
    for index, completion in enumerate(completions):
        completion.logprobs = raw[4 * index : 4 * index + 4]
    with pytest.raises(RunFailed, match="another distribution"):
        probe.check(completions, 0, "it")


def test_a_wrong_version_fails(policy):
    probe = Probe(policy, 1.0, None)
    with pytest.raises(RunFailed, match=r"policy version \[0\] after the update to 3"):
        probe.check(answers(policy, probe), 3, "it")


def test_not_a_number_fails(policy):
    probe = Probe(policy, 1.0, None)
    completions = answers(policy, probe)
    completions[0].logprobs[0] = float("nan")
    with pytest.raises(RunFailed):
        probe.check(completions, 0, "it")


def test_the_tolerance_can_be_widened(policy):
    probe = Probe(policy, 1.0, 1e6)
    probe.check(answers(make_policy(seed=1), probe), 0, "it")
