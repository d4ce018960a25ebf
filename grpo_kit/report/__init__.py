"""One self-contained HTML page per run or evaluation."""

from .build import write_report

__all__ = ["write_report"]
