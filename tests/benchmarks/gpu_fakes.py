"""Parts that fail in every way: ``python gpu_fakes.py ARGUMENTS`` is benchmarks/gpu.py with these parts."""

from __future__ import annotations

import math
import os
import sys
import time
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parents[1] / "benchmarks")]

import gpu  # noqa: E402
import gpu_parts  # noqa: E402


def good(report):
    report.put("first", 1)
    with report.case("second") as put:
        put({"figure": 2.0})


def fails(report):
    report.put("before", 1)
    raise RuntimeError("the device is gone")


def half(report):
    with report.case("breaks") as put:
        raise MemoryError("out of memory")
    with report.case("goes on") as put:
        put({"figure": 1.0})
    with report.case("does not hold") as put:
        put({"difference": 1.0, "holds": False})


def dies(report):
    report.put("before", 1)
    os._exit(11)


def hangs(report):
    report.put("before", 1)
    time.sleep(10_000)


def part(key, function, needs=(), least=0.0, most=math.inf):
    return gpu.Part(key, function, f"gpu_fakes:{function}", needs, 0.0, 0.0, least_tiny=least, most_tiny=most)


PARTS = (
    part("a", "fails"),
    part("b", "half"),
    part("c", "good", ("torch", "no_such_package")),
    part("d", "dies"),
    part("e", "hangs", most=1.0),
    part("f", "good"),
    part("g", "good", least=10_000.0),
)

if __name__ == "__main__":
    gpu_parts.GRACE = 4.0  # of the part that hangs; its process has to import torch first
    gpu.main(PARTS)
