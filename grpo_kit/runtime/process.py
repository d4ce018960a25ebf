"""The process that the kit works in: whose it is, and what it needs before torch is imported."""

from __future__ import annotations

import logging
import os

from grpo_kit.runtime.threads import let_threads_sleep

SETTINGS = {"TOKENIZERS_PARALLELISM": "false", "HF_HUB_DISABLE_PROGRESS_BARS": "1"}
# peft imports bitsandbytes where it is installed, which then warns of a kernel for products in four bits that nothing here calls.
UNASKED = ("bitsandbytes.backends.cpu.ops",)


class Process:
    """Whose process this is. A command's own may be ended where nothing else helps; a program that calls the kit may not."""

    ours = False


def prepare_process() -> None:
    """Threads that sleep, tokenizers that may be forked, one bar of progress (ours), no warnings of what is not used.

    What the user has set stays. Once torch is imported the threads are what they are.
    """
    for name, value in SETTINGS.items():
        os.environ.setdefault(name, value)
    let_threads_sleep()
    for name in UNASKED:
        logging.getLogger(name).setLevel(logging.ERROR)
