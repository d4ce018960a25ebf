"""A recipe's environment meets the model's chat template before anything is sampled."""

import pytest

from grpo_kit.config.environment import EnvironmentConfig
from grpo_kit.environments.opening import check_calls_end, find_setting
from grpo_kit.errors import UserError
from grpo_kit.policy.scratch import build_tokenizer
from tests.kit.templates import chat_tokenizer

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


def test_room_for_no_reply_is_refused_before_a_run():
    """Every episode would end with its first turn, and the run would say so nowhere but in `turns/ended_room`."""
    tokenizer = chat_tokenizer("qwen2.5")
    with pytest.raises(
        UserError, match=r"environment.max_inserted: 2 tokens hold no reply: .* the shortest has \d\d\. "
    ):
        find_setting(EnvironmentConfig(name="guess_number", max_inserted=2), tokenizer)
    assert find_setting(EnvironmentConfig(name="guess_number", max_inserted=2, turns=1), tokenizer)


@pytest.mark.parametrize(
    ("format", "stop", "refused"),
    [
        ("hermes", "</tool_call>", True),
        ("hermes", "</tool_call>\n", True),
        ("hermes", "<tool", True),
        ("hermes", "}</tool_call>", True),
        ("hermes", "\n", False),
        ("hermes", "Answer:", False),
        ("hermes", "```", False),
        ("json", "```", True),
        ("json", "```\n", True),
        ("json", "\n", True),
        ("json", "</tool_call>", False),
        ("llama", "}", True),
        ("llama", "\n", False),
        ("mistral", "[TOOL_CALLS]", True),
        ("mistral", "}]", True),
        ("mistral", "```", False),
    ],
)
def test_a_stop_string_that_cuts_calls_off_is_refused_before_a_run(format, stop, refused):
    """A turn's text is cut before it, so no call would ever be closed."""
    setting = find_setting(EnvironmentConfig(tools=("calculator",), format=format), chat_tokenizer("qwen2.5"))
    if refused:
        with pytest.raises(UserError, match=r"rollout.stop: .* is a part of how tools are called"):
            check_calls_end([stop], setting)
    else:
        check_calls_end([stop], setting)


def test_a_template_that_takes_one_reply_and_no_second_is_refused_where_there_may_be_two():
    """Mistral's wants each call in a form of its own; every episode of several calls would end as an error."""
    settings = {"tools": ("calculator",), "history": "fresh"}
    assert find_setting(EnvironmentConfig(**settings, turns=2), chat_tokenizer("mistral"))
    with pytest.raises(UserError, match=r"refuses .*user, assistant, tool, assistant, tool"):
        find_setting(EnvironmentConfig(**settings, turns=3), chat_tokenizer("mistral"))
