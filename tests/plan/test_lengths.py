"""What is expected to be sampled, from the demonstrations of a warm start."""

from grpo_kit.config.read import load_recipe
from grpo_kit.plan.lengths import likely_response
from tests.kit.tiny import make_policy


def test_an_episode_is_expected_to_have_the_tokens_of_all_its_turns():
    tokenizer = make_policy().tokenizer
    played = load_recipe("environments/guess_number")
    alone = load_recipe("environments/guess_number", ["environment=null", "verifiers=[{name: number}]"])
    assert likely_response(played, tokenizer) > 1.5 * likely_response(alone, tokenizer)
