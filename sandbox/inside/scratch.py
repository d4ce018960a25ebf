"""Folders that programs have written in: counted and removed, whatever the program made of them.

A program can nest folders deeper than any recursion, make names longer than any path, and take all rights from a folder.
So no path is ever built: folders are opened one from the other, and a nested one is moved up before it is emptied.
"""

from __future__ import annotations

import contextlib
import os
import stat

DEEPEST = 64  # folders within folders; what is deeper counts as over any limit
_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


def empty(folder: str, keep: frozenset[str] = frozenset()) -> None:
    """Remove everything in ``folder`` but the entries named in ``keep``.

    Raises:
        OSError: something could not be removed.
    """
    top = os.open(folder, _FOLDER)
    try:
        number = 0
        while left := [name for name in os.listdir(top) if name not in keep]:
            for name in left:
                if not stat.S_ISDIR(os.lstat(name, dir_fd=top).st_mode):
                    os.unlink(name, dir_fd=top)
                    continue
                os.chmod(name, 0o700, dir_fd=top)  # a folder, not a link: looked at above, and its maker is dead
                inner = os.open(name, _FOLDER, dir_fd=top)
                try:
                    number = _lift(inner, top, number)
                finally:
                    os.close(inner)
                os.rmdir(name, dir_fd=top)
    finally:
        os.close(top)


def _lift(folder: int, top: int, number: int) -> int:
    """Empty one folder: its files are removed, its folders moved up to ``top`` under names of ours."""
    for name in os.listdir(folder):
        if stat.S_ISDIR(os.lstat(name, dir_fd=folder).st_mode):
            os.chmod(name, 0o700, dir_fd=folder)
            number += 1
            while _there(f".left-{number}", top):
                number += 1
            os.rename(name, f".left-{number}", src_dir_fd=folder, dst_dir_fd=top)
        else:
            os.unlink(name, dir_fd=folder)
    return number


def _there(name: str, folder: int) -> bool:
    try:
        os.lstat(name, dir_fd=folder)
    except FileNotFoundError:
        return False
    return True


def remove(folder: str) -> None:
    """Remove a folder and all in it; without a word if it is gone already."""
    with contextlib.suppress(FileNotFoundError):
        empty(folder)
        os.rmdir(folder)


def use(folder: str) -> tuple[int, int, bool]:
    """(bytes, entries, whether all of it could be seen) below a folder, not following links."""
    size = count = 0
    waiting: list[tuple[str, int]] = [(folder, 0)]
    while waiting:
        path, depth = waiting.pop()
        if depth > DEEPEST:
            return size, count, False
        try:
            with os.scandir(path) as entries:
                for entry in entries:
                    count += 1
                    with contextlib.suppress(FileNotFoundError):  # removed meanwhile
                        size += entry.stat(follow_symlinks=False).st_blocks * 512
                        if entry.is_dir(follow_symlinks=False):
                            waiting.append((entry.path, depth + 1))
        except (FileNotFoundError, NotADirectoryError):
            continue
        except OSError:  # closed by its mode
            return size, count, False
        if count > 1_000_000:
            break
    return size, count, True
