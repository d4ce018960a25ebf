"""Environments and tools that can be used by name."""
