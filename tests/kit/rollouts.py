"""What a run recorded."""

import gzip
import json


def sampled_rows(folder):
    """What was sampled and what it was paid, by step and task; not in the order in which groups became known."""
    rows = []
    for path in sorted((folder / "rollouts").iterdir()):
        with gzip.open(path, "rt") as file:
            rows += [json.loads(line) for line in file]
    return sorted((r["step"], r["task"], r["sample"], r["response"], r["reward"], r["policy_version"]) for r in rows)
