"""Environments and tools that can be used by name."""

# Which module holds which shipped name. Loaded on first use: a process that plays one does not pay for what others import.
SHIPPED = {
    "calculator": "calculator",
    "guess_number": "guess_number",
    "python": "python",
    "search": "search",
    "tool_word_problems": "tool_word_problems",
    "wordle": "wordle",
}
