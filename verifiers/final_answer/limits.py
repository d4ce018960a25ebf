"""Bounds on what is read of a response; texts are a model's output, and may be made to cost time."""

MAX_RESPONSE = 8_000_000  # characters looked at; beyond it only the tail is read
MAX_ANSWER = 32_000  # characters of one answer
MAX_ITEMS = 5_000  # boxes that are looked at
MAX_STATED = 4_000  # characters behind "the answer is" that are looked at
MAX_STATEMENTS = 60_000  # characters at the end of a response in which a statement is looked for
MAX_LINE = 200  # characters of a response that is nothing but an answer in words
