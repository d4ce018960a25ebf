"""What of a response is judged: the text behind the reasoning, without the marks of a chat."""

from __future__ import annotations

import re

# Opening and closing marks of reasoning, by the models that write them.
_REASONING = (
    ("<think>", "</think>"),
    ("<thinking>", "</thinking>"),
    ("<thought>", "</thought>"),
    ("<reasoning>", "</reasoning>"),
    ("<seed:think>", "</seed:think>"),
    ("[THINK]", "[/THINK]"),
    ("◁think▷", "◁/think▷"),
    ("<|begin_of_thought|>", "<|end_of_thought|>"),
)
_MARK = re.compile("|".join(re.escape(mark) for pair in _REASONING for mark in pair), re.I)
_CLOSING = frozenset(closing.lower() for _, closing in _REASONING)
_CHANNEL = re.compile(r"<\|channel\|>\s{0,4}(\w{0,32})[^<]{0,200}<\|message\|>")
_CHANNEL_END = re.compile(r"<\|(?:end|return|start|call|channel)\|>")
_CHAT = re.compile(
    r"<\|(?:im_end|im_start|endoftext|eot_id|end|end_of_text|return|user|assistant|begin_of_solution|end_of_solution)\|>"
    r"|</s>|<end_of_turn>"
)
_PLAIN_FINAL = "assistantfinal"  # harmony channels whose special tokens were dropped when the text was decoded


def after_reasoning(response: str) -> str:
    """What of a response is judged."""
    return visible(response)[0]


def visible(text: str) -> tuple[str, str]:
    """The text that is judged; the second value says why nothing is left."""
    reason = ""
    if "<|channel|>" in text:
        text, reason = _final_channel(text)
    elif text.startswith("analysis") and _PLAIN_FINAL in text:
        text = text.rpartition(_PLAIN_FINAL)[2]
    end, again = -1, -1  # behind the last closing mark, and where reasoning begins again
    for mark in _MARK.finditer(text):
        if mark[0].lower() in _CLOSING:
            end, again = mark.end(), -1
        elif again < 0:
            again = mark.start()
    if end < 0 <= again:
        return "", "the reasoning was never closed"
    if end >= 0:
        text, reason = text[end : again if again >= 0 else len(text)], "nothing after the reasoning"
    for match in _CHAT.finditer(text):
        if text[: match.start()].strip():
            return text[: match.start()], reason
        return text[match.end() :].removeprefix("assistant"), reason
    return text, reason


def _final_channel(text: str) -> tuple[str, str]:
    final = [channel for channel in _CHANNEL.finditer(text) if channel[1].lower() == "final"]
    if not final:
        return "", "there is no final channel"
    end = _CHANNEL_END.search(text, final[-1].end())
    return text[final[-1].end() : end.start() if end else len(text)], "the final channel is empty"
