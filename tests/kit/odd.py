"""A verifier for untrained models: half of all texts are right, whatever they say."""

from grpo_kit.verifiers import verifier


@verifier(name="odd", timeout=5.0)
def odd(response: str) -> float:
    return float(sum(map(ord, response)) % 2)
