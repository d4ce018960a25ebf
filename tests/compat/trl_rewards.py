"""Rewards and a tool as scripts of TRL have them."""


def different_letters(completions, **kwargs):
    """Of texts, with no gold answer."""
    return [float(len(set(text))) for text in completions]


def right(completions, answer, **kwargs):
    """Of conversations, with a column."""
    texts = [completion[0]["content"] for completion in completions]
    return [float(gold in text) + 0.01 * len(set(text)) for text, gold in zip(texts, answer, strict=True)]


async def short(prompts, completions, completion_ids, **kwargs):
    assert len(prompts) == len(completions) == len(completion_ids)
    return [1.0 / (1 + len(ids)) for ids in completion_ids]


def of_a_kind(completions, kind, **kwargs):
    assert set(kind) <= {"sum", "difference"}
    return [float(len(set(text))) for text in completions]


def double(number: int) -> int:
    """Twice a number.

    Args:
        number: any whole number.
    """
    return 2 * number
