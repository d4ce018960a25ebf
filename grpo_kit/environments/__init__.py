"""Environments answer what a policy writes, turn after turn. See docs/environments.md."""

from .base import Answer, Done, Environment, Episode, Say, ToolError
from .cases import Case
from .formats import Call
from .lookup import EnvironmentSpec, environment_names, get_environment, tools_environment
from .register import environment
from .tools import tool

__all__ = [
    "Answer",
    "Call",
    "Case",
    "Done",
    "Environment",
    "EnvironmentSpec",
    "Episode",
    "Say",
    "ToolError",
    "environment",
    "environment_names",
    "get_environment",
    "tool",
    "tools_environment",
]
