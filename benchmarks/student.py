"""Time the student's training on a LLaMA of random weights, of any shape: tokens a second, MFU, beside other trainers.

    python benchmarks/student.py                                                # LLaMA-3.1-8B's shape, LoRA, on a GPU
    python benchmarks/student.py --layers 8 --hidden 512 --intermediate 1408 --heads 8 --kv-heads 4 \
        --vocabulary 8192 --tokens 512 --batch 2                                # little enough for a CPU
    python benchmarks/student.py --trl-python .venv-trl/bin/python              # TRL in an environment of its own

The tools are kedrec (its Student under Lightning's Trainer), transformers' Trainer with PEFT, TRL's SFTTrainer, and
TRL's with Liger's kernels; one whose packages are not installed is left out, and said to be. They take turns, each run
in a process of its own, its first steps untimed. The same for all: the base's random weights by one seed, PEFT's
fields, conversations of random tokens in one order, all of one length so that nothing is padded, loss on the last
``--supervised`` tokens of each, AdamW, rate, warm-up and cosine, no clipping, no autocast, no logging; in all else each
tool at its defaults. That they train alike is shown by the mean loss of all steps, which must agree within 2 %.
"cores" is processor time over wall time; on a CPU that others use too, the ratio by processor time is the steadier one.

MFU counts what the mathematics needs (kedrec/commands/plan/decoder_costs.py: PaLM's appendix B, without the
gradients of what is frozen, the vocabulary where there is a label) over the device's peak: that of its data sheet for
an A100, H100 or H200, else what the largest of some plain matrix products reaches here, or ``--peak-tflops``.
"""

import argparse
import importlib.util
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from student_runs import Spec, adapter, on_gpu, shape_config, train

TOOLS = ("kedrec", "transformers", "TRL", "TRL+Liger")
NEEDS = {"TRL": ("trl",), "TRL+Liger": ("trl", "liger_kernel")}


def measured_peak(spec: Spec) -> dict[str, Any]:
    """Return the device's name and its FLOP/s in the base's type."""
    import torch

    from kedrec.commands.plan.devices import device

    if on_gpu():
        name = torch.cuda.get_device_name()
        known = next((one for one in ("h100", "h200", "a100") if one.upper() in name), None)
        if known is not None:
            sheet = device(known)
            return {"name": name, "flops": sheet.flops_16 if spec["dtype"] != "float32" else sheet.flops_32}
    place, best = ("cuda" if on_gpu() else "cpu"), 0.0
    for size in (512, 1024, 2048):
        left, right = (torch.randn(size, size, device=place, dtype=getattr(torch, spec["dtype"])) for _ in range(2))
        for _ in range(5):
            start = time.perf_counter()
            float((left @ right)[0, 0])
            best = max(best, 2 * size**3 / (time.perf_counter() - start))
    return {
        "name": f"{torch.get_num_threads()} threads of a CPU, as measured" if place == "cpu" else name,
        "flops": best,
    }


def model_flops(spec: Spec) -> float:
    """Return the operations of a step, by the formulas of ``--plan``."""
    from kedrec.commands.plan.decoder_costs import Work, flops
    from kedrec.commands.plan.parameter_counts import decoder_of
    from kedrec.kedrec_lm.student import Student

    with tempfile.TemporaryDirectory() as folder:
        shape_config(spec).save_pretrained(folder)
        decoder = decoder_of(Student(folder, lora=adapter(spec), dtype=spec["dtype"]))
    labels = min(spec["supervised"], spec["tokens"] - 1)
    return flops(decoder, Work(spec["batch"], spec["tokens"], labels)).model


def in_child(python: str, job: str, spec: Spec, folder: Path) -> dict[str, Any]:
    """Do ``job`` in a process of ``python``; its chatter is shown only where it fails."""
    told, found = folder / "spec.json", folder / "found.json"
    told.write_text(json.dumps(spec), encoding="utf-8")
    quiet = {"OMP_WAIT_POLICY": "PASSIVE", "TOKENIZERS_PARALLELISM": "false", "HF_HUB_OFFLINE": "1"}
    command = [python, str(Path(__file__).resolve()), "--child", job, str(told), str(found)]
    done = subprocess.run(command, env={**os.environ, **quiet}, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"{job} failed:\n{done.stdout[-2000:]}\n{done.stderr[-6000:]}")
    return json.loads(found.read_text(encoding="utf-8"))


def installed(python: str, packages: tuple[str, ...]) -> bool:
    """Whether an interpreter finds all packages."""
    if python == sys.executable:
        return all(importlib.util.find_spec(name) for name in packages)
    look = "import sys, importlib.util as u; sys.exit(not all(map(u.find_spec, sys.argv[1:])))"
    return Path(python).is_file() and subprocess.run([python, "-c", look, *packages], check=False).returncode == 0


def options_of(arguments: list[str] | None = None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    sizes = {"layers": 32, "hidden": 4096, "intermediate": 14336, "heads": 32, "kv-heads": 8, "vocabulary": 128256}
    for name, size in {**sizes, "batch": 4, "tokens": 2048, "rank": 16, "steps": 13, "rounds": 3}.items():
        parser.add_argument(f"--{name}", type=int, default=size)
    parser.add_argument("--supervised", type=int, help="last tokens of each conversation that have labels; else all")
    parser.add_argument("--dtype", choices=("bfloat16", "float32"), default="bfloat16", help="of the base's weights")
    parser.add_argument("--full", action="store_true", help="train every weight, without an adapter")
    parser.add_argument("--checkpointing", action="store_true", help="recompute activations")
    parser.add_argument("--untimed", type=int, default=3, help="first steps, which warm up")
    parser.add_argument("--learning-rate", type=float, default=1e-4)
    parser.add_argument("--warmup", type=int, default=2, help="steps")
    parser.add_argument("--peak-tflops", type=float, help="of the device, in the base's type")
    parser.add_argument("--tools", nargs="+", choices=TOOLS, default=TOOLS)
    parser.add_argument("--trl-python", default=sys.executable, help="interpreter of TRL's environment")
    parser.add_argument("--child", nargs=3, metavar=("JOB", "SPEC", "FOUND"), help=argparse.SUPPRESS)
    options = parser.parse_args(arguments)
    if not 1 <= options.untimed < options.steps:
        parser.error("--untimed must be at least 1 and below --steps")
    options.supervised = min(options.supervised or options.tokens, options.tokens)
    return options


def main() -> None:
    """Take turns, and print what was found."""
    options = options_of()
    if options.child:
        job, told, found = options.child
        spec = json.loads(Path(told).read_text(encoding="utf-8"))
        jobs = {"peak": measured_peak, "flops": lambda asked: {"flops": model_flops(asked)}}
        answer = jobs[job](spec) if job in jobs else train(job, spec)
        Path(found).write_text(json.dumps(answer), encoding="utf-8")
        return
    pythons = {tool: options.trl_python if tool.startswith("TRL") else sys.executable for tool in options.tools}
    for tool in list(pythons):
        if not installed(pythons[tool], NEEDS.get(tool, ())):
            print(f"{tool} is left out: {' and '.join(NEEDS[tool])} not installed for {pythons.pop(tool)}")
    with tempfile.TemporaryDirectory() as folder:
        compare(pythons, {**vars(options), "scratch": folder}, Path(folder))


def compare(pythons: dict[str, str], spec: Spec, folder: Path) -> None:
    """Run all tools in all rounds and print speeds, MFU, memory, losses and ratios."""
    peak = in_child(sys.executable, "peak", spec, folder)
    if spec["peak_tflops"]:
        peak = {"name": "as told", "flops": spec["peak_tflops"] * 1e12}
    each = in_child(sys.executable, "flops", spec, folder)["flops"]
    tokens = spec["batch"] * spec["tokens"]
    timed = spec["steps"] - spec["untimed"]
    print(f"{peak['name']}: {peak['flops'] / 1e12:.4g} TFLOP/s in {spec['dtype']}; a step is {tokens:,} tokens")
    print(f"and {each / 1e12:.4g} TFLOP; {timed} timed steps a run, after {spec['untimed']}")
    speeds: dict[str, list[float]] = {tool: [] for tool in pythons}
    busy: dict[str, list[float]] = {tool: [] for tool in pythons}
    losses: dict[str, float] = {}
    print(f"{'round':5} {'':14} {'tokens/s':>10} {'MFU':>6} {'cores':>6} {'peak GiB':>9} {'mean loss':>10}")
    for turn in range(1, spec["rounds"] + 1):
        for tool, python in pythons.items():
            run = in_child(python, tool, spec, folder)
            speeds[tool].append(timed * tokens / run["seconds"])
            busy[tool].append(run["busy"])
            losses[tool] = run["loss"]
            share = each * timed / run["seconds"] / peak["flops"]
            figures = f"{speeds[tool][-1]:10,.1f} {share:6.1%} {run['busy'] / run['seconds']:6.2f}"
            figures += f" {run['peak'] / 2**30:9.2f} {run['loss']:10.4f}"
            print(f"{turn:5} {tool:14} {figures}", flush=True)
    for tool, taken in speeds.items():
        middle = statistics.median(taken)
        told = f"{tool}: median {middle:,.1f} tokens/s, MFU {each * middle / tokens / peak['flops']:.1%}"
        if tool != "kedrec" and "kedrec" in speeds:
            ratios = [ours / theirs for ours, theirs in zip(speeds["kedrec"], taken, strict=True)]
            told += f"; kedrec/this {statistics.median(ratios):.2f} (a round {min(ratios):.2f} to {max(ratios):.2f})"
            spared = [theirs / ours for ours, theirs in zip(busy["kedrec"], busy[tool], strict=True)]
            told += f", by processor time {statistics.median(spared):.2f} ({min(spared):.2f} to {max(spared):.2f})"
        print(told)
    apart = max(losses.values()) / min(losses.values()) - 1
    print(f"mean losses differ by {apart:.2%}")
    assert apart < 0.02, "the tools do not train alike"


if __name__ == "__main__":
    main()
