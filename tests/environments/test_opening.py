"""A recipe's environment meets the model's chat template before anything is sampled."""

import pytest

from grpo_kit.config.environment import EnvironmentConfig
from grpo_kit.environments.opening import find_setting
from grpo_kit.errors import UserError
from grpo_kit.policy.scratch import build_tokenizer

FILE = '''
from grpo_kit.environments import Done, environment, tool

@environment(name="asks_{kind}")
class Asks:
    """Has a tool, and says something to a turn that calls none."""

    @tool
    def add(self, a: int, b: int) -> int:
        """Add."""
        return a + b
{reply}
'''
REPLY = """
    def reply(self, response):
        return Done(1.0) if response == "5" else "Try again."
"""


@pytest.mark.parametrize(("kind", "reply"), [("both", REPLY), ("tools", "")])
def test_who_has_tools_and_a_reply_answers_as_the_user_too(tmp_path, kind, reply):
    """A template that shows one user message alone is enough for tools, and not for what `reply` says."""
    path = tmp_path / "asks.py"
    path.write_text(FILE.format(kind=kind, reply=reply))
    tokenizer = build_tokenizer()
    tokenizer.chat_template = tokenizer.chat_template.replace(
        "in messages", "in messages if message.role != 'user' or message == messages[0]"
    )
    settings = EnvironmentConfig(name=f"{path}:Asks")
    if kind == "tools":
        assert find_setting(settings, tokenizer).environment.tools
    else:
        with pytest.raises(UserError, match="leaves out user messages"):
            find_setting(settings, tokenizer)
