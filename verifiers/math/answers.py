"""Reading under the name that the extractor knows."""

from .read import parse_cached

__all__ = ["parse_cached"]
