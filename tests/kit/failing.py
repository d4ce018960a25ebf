"""A verifier that judges like `odd`, and ends its rank at a moment that the environment names."""

import os
import signal
from pathlib import Path

from grpo_kit.verifiers import verifier

seen = 0


@verifier(name="failing", version="1")
def failing(response: str) -> bool:
    global seen
    seen += 1
    first = os.environ.get("TORCHELASTIC_RESTART_COUNT") == "0"
    if first and os.environ.get("RANK") == "1" and seen == int(os.environ.get("FAIL_AT", "0")):
        Path(os.environ["FAIL_MARK"]).touch()
        if os.environ["FAIL_HOW"] == "kill":
            os.kill(os.getpid(), signal.SIGKILL)
        if os.environ["FAIL_HOW"] == "term":
            os.kill(os.getpid(), signal.SIGTERM)
            return len(response) % 2 == 1
        raise SystemError("the disk of rank 1 is on fire")
    return len(response) % 2 == 1
