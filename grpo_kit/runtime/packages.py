"""Which versions of packages are installed: what a record says of the software that made it."""

from __future__ import annotations

import importlib.metadata
from collections.abc import Iterable


def version_of(package: str) -> str | None:
    """The installed version; None where the package is not there."""
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None


def versions_of(packages: Iterable[str]) -> dict[str, str]:
    """The versions of those packages that are installed."""
    found = ((package, version_of(package)) for package in packages)
    return {package: version for package, version in found if version is not None}
