"""The rooms of the house, in their order."""

# From the ground up. A room imports from rooms that stand before it, and from its own files.
FLOORS = (
    "errors",
    "types",
    "runtime",
    "sandbox",
    "verifiers",
    "objective",
    "config",
    "observe",
    "data",
    "policy",
    "generate",
    "scoring",
    "environments",
    "plan",
    "evaluate",
    "report",
    "train",
    "run",
    "stress",
    "api",
    "compat",
    "cli",
)
