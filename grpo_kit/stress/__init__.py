"""Chaos on purpose: runs that are killed, stopped, starved and fed with nonsense, to see that nothing is lost.

`grpo-kit doctor --stress` and the tests use the same pieces: `zygote` starts a run in milliseconds, `faults` are what
happens to it, `subjects` are the runs.
"""
