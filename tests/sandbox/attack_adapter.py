"""Adapter for attack corpora: ``run(record) -> {"verdict", "output"}`` on one warm sandbox.

A record has code, tests, test_type ("assert" or "stdio"), entry_point, setup and limits {wall_s, cpu_s, mem_mb, procs,
file_mb, output_kb}. The backend comes from GRPO_KIT_ATTACK_BACKEND.
"""

from __future__ import annotations

import importlib.util
import os
from typing import Any

from grpo_kit.sandbox import Limits, Sandbox

_sandbox: Sandbox | None = None


def run(record: dict[str, Any]) -> dict[str, Any]:
    global _sandbox
    if _sandbox is None:
        preload = ["numpy"] if importlib.util.find_spec("numpy") else []
        backend = os.environ.get("GRPO_KIT_ATTACK_BACKEND", "auto")
        _sandbox = Sandbox(backend=backend, workers=1, preload=preload)
    given = record["limits"]
    limits = Limits(
        wall_s=given["wall_s"],
        cpu_s=given["cpu_s"],
        memory_mb=given["mem_mb"],
        processes=given["procs"],
        file_mb=given["file_mb"],
        output_kb=given["output_kb"],
    )
    result = _sandbox.run_tests(
        record["code"],
        record["tests"],
        kind=record["test_type"],
        entry_point=record["entry_point"],
        setup=record["setup"],
        limits=limits,
    )
    verdict = "fail" if result.verdict in ("blocked", "skipped") else result.verdict
    return {"verdict": verdict, "output": f"{result}"}
