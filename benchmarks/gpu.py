"""One GPU, cold and without a network: the most valuable answers first, each written down as soon as it is known.

    python benchmarks/gpu.py [--minutes 10] [--parts a c] [--model FOLDER] [--out FILE]
    python benchmarks/gpu.py --device cpu --shapes tiny          # all of its code, on any machine, in under three minutes

Runs from the repository without an installation; parts whose packages are missing are skipped and say so. Needs no download:
models have the shapes of the hub's with random weights, matrix products in bfloat16 over float32 weights. Utilisation is the
model's products and causal attention, per second, against a large bfloat16 product of the same run. In order:

a  the laws on this device, float32 and bfloat16, each with its tolerance; the sandbox and scoring on this kernel
b  GRPO on word problems with SmolLM2-135M (--model, or random weights): where a step's seconds go
c  training of the --shapes at 512 + 1,024 tokens: rate, utilisation, peak memory against the plan, prompts shared or not
d  the embedded engine at 64 to 1,024 rows against transformers.generate
e  TRL's step, of the same work
f  a run that is resumed against one that is not stopped; recorded steps replayed
h  the training of c compiled
g  a curve of learning, up to eight minutes

With less time than a part needs at least it is left out, with the reason. A part that fails leaves its traceback, and the next
one begins in a new process. Writes benchmarks/results/gpu.json (elsewhere with --out; in the temporary folder for a CPU).
"""

from __future__ import annotations

import argparse
import importlib.metadata
import os
import platform
import shutil
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE))

from gpu_parts import Part, Store, run_here, run_parts  # noqa: E402

KIT = ("torch", "transformers", "pydantic", "yaml")
RUNS = (*KIT, "rich", "safetensors", "sympy")
PARTS = (
    Part("a", "laws on the device, sandbox and scoring", "gpu_laws:laws", RUNS, 30, 120),
    Part("b", "GRPO on word problems, SmolLM2-135M", "gpu_runs:step_split", RUNS, 40, 120),
    Part("c", "training at real shapes", "gpu_rates:training", KIT, 40, 270),
    Part("d", "sampling at real shapes", "gpu_rates:sampling", KIT, 40, 150),
    Part("e", "TRL's step beside ours", "gpu_trl:beside_trl", (*KIT, "trl", "datasets"), 60, 150),
    Part("f", "resume and replay", "gpu_runs:resumed", RUNS, 30, 90),
    Part("h", "training at real shapes, compiled", "gpu_rates:compiled", KIT, 90, 240),
    Part("g", "a curve of learning", "gpu_runs:curve", RUNS, 60, 480),
)
PACKAGES = (
    "torch", "transformers", "triton", "tokenizers", "numpy", "pydantic", "pyyaml", "rich", "typer", "sympy", "mpmath",
    "datasets", "accelerate", "safetensors", "trl", "peft", "vllm", "matplotlib",
)  # fmt: skip
# Before torch starts: threads that sleep, and an allocator whose segments grow, so that lengths that vary leave no holes.
ENVIRONMENT = {
    "PYTORCH_CUDA_ALLOC_CONF": "expandable_segments:True",
    "HF_HUB_OFFLINE": "1",
    "TRL_EXPERIMENTAL_SILENCE": "1",
}


def arguments(parts: tuple[Part, ...]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--shapes", nargs="+", default=["qwen2.5-0.5b", "qwen2.5-1.5b"], help="of c, d and e; or tiny")
    parser.add_argument("--parts", nargs="+", default=[p.key for p in parts], choices=[p.key for p in parts])
    parser.add_argument("--minutes", type=float, default=14.0, help="that all of it may take")
    parser.add_argument("--tokens", type=int, default=16384, help="of a micro-batch")
    parser.add_argument("--model", help="folder or .gguf file of SmolLM2-135M-Instruct, for b and g")
    parser.add_argument("--out", help="the result, a JSON file; its parts of an earlier run are kept")
    parser.add_argument("--child", help=argparse.SUPPRESS)
    parser.add_argument("--seconds", type=float, default=0.0, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.out is None:
        folder = Path(tempfile.gettempdir()) if options.device == "cpu" else HERE / "results"
        options.out = str(folder / ("gpu_on_cpu.json" if options.device == "cpu" else "gpu.json"))
    return options


def laid_out(root: Path, folder: Path) -> Path:
    """The package as an installation has it, copied: of a checkout some of its rooms lie beside the others."""
    ours = folder / "grpo_kit"
    shutil.rmtree(ours, ignore_errors=True)
    for name in ("grpo_kit", "verifiers", "sandbox", "recipes"):
        target = ours if name == "grpo_kit" else ours / name
        shutil.copytree(root / name, target, dirs_exist_ok=True, ignore=shutil.ignore_patterns("__pycache__"))
    return folder


def machine(device: str) -> dict[str, object]:
    """What this ran on, and which packages it found. Raises SystemExit without the device that was asked for."""
    found: dict[str, object] = {
        "python": platform.python_version(),
        "kernel": platform.release(),
        "cores": os.cpu_count(),
    }
    versions = {}
    for package in PACKAGES:
        try:
            versions[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            versions[package] = "missing"
    found["packages"] = versions
    if device != "cpu":
        asked = "import torch, sys; sys.exit(0 if torch.cuda.is_available() else 3)"
        if subprocess.run([sys.executable, "-c", asked], check=False).returncode:
            raise SystemExit("no CUDA device here; --device cpu --shapes tiny runs the code without one")
        query = ["nvidia-smi", "--query-gpu=name,memory.total,driver_version", "--format=csv,noheader"]
        found["gpu"] = subprocess.run(query, capture_output=True, text=True, check=False).stdout.strip()
    return found


def main(parts: tuple[Part, ...] = PARTS) -> None:
    options = arguments(parts)
    if options.child is not None:
        (part,) = (p for p in parts if p.key == options.child)
        sys.exit(run_here(part, options, options.seconds))
    for name, value in ENVIRONMENT.items():
        os.environ.setdefault(name, value)
    package = str(laid_out(HERE.parent, HERE.parent / "build" / "gpu"))
    os.environ["PYTHONPATH"] = os.pathsep.join([package, *filter(None, [os.environ.get("PYTHONPATH")])])
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))  # so that the part under way ends with it
    store = Store(Path(options.out))
    store.path.parent.mkdir(parents=True, exist_ok=True)
    about = machine(options.device)
    gone = [name for name, version in about["packages"].items() if version == "missing"]  # type: ignore[attr-defined]
    print(f"not installed: {', '.join(gone) or 'nothing'}", flush=True)
    settings = {k: v for k, v in vars(options).items() if k not in ("child", "seconds", "out")}
    store.write({**store.read(), "machine": about, "settings": settings})
    good = run_parts([p for p in parts if p.key in options.parts], options, sys.argv)
    print(f"wrote {store.path}")
    sys.exit(0 if good else 1)


if __name__ == "__main__":
    main()
