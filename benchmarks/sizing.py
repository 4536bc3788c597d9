"""Measure the memory of small runs and compare it with what ``--plan`` says of them.

    python benchmarks/sizing.py [--only CASE ...] [--scale 2]

Each case trains some steps by Lightning's Trainer in a process of its own: students of random weights, all of them
trained or adapters, with and without checkpoints; embeddings under dense Adam, lazy Adam and row-wise Adagrad.

* weights, gradients, optimizer: the bytes of their tensors after the last step. The plan should be exact.
* activations: the bytes of distinct tensors that autograd keeps of one batch's loss, weights left out.
* total: on a GPU the most that torch allocated; on a CPU how far the process's resident memory rose above what it had
  after a tiny model was trained the same way, so that code that is loaded on the way is left out. glibc is told to give
  back to the system what is freed (MALLOC_MMAP_THRESHOLD_): it keeps some hundred MiB otherwise. What no plan knows is
  in it all the same: gradients of activations, the kernels' scratch space.

A ratio is what was measured over what was planned.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from student_runs import Spec, adapter, chat_batches, on_gpu, random_student, shape_config

STUDENT: Spec = {
    "layers": 8,
    "hidden": 512,
    "intermediate": 1408,
    "heads": 8,
    "kv_heads": 4,
    "vocabulary": 8192,
    "batch": 4,
    "tokens": 512,
    "supervised": 64,
    "rank": 16,
    "steps": 3,
    "learning_rate": 1e-4,
    "warmup": 1,
    "full": False,
    "checkpointing": False,
    "dtype": "bfloat16",
}
TINY: Spec = {"layers": 1, "hidden": 32, "intermediate": 64, "heads": 2, "kv_heads": 1, "vocabulary": 64, "tokens": 32}
TABLES: Spec = {"entities": 400_000, "relations": 100, "dim": 64, "triples": 1024, "negatives": 256, "chunks": 8}
CASES: dict[str, Spec] = {
    "every weight, float32": {**STUDENT, "full": True, "dtype": "float32"},
    "every weight, float32, checkpointed": {**STUDENT, "full": True, "dtype": "float32", "checkpointing": True},
    "adapters, bfloat16": STUDENT,
    "adapters, bfloat16, checkpointed": {**STUDENT, "checkpointing": True},
    "tables, dense Adam": {**TABLES, "optimizer": "adam"},
    "tables, lazy Adam": {**TABLES, "optimizer": "lazy_adam"},
    "tables, row-wise Adagrad": {**TABLES, "optimizer": "adagrad"},
}
GIVE_BACK = {"MALLOC_MMAP_THRESHOLD_": "65536", "MALLOC_TRIM_THRESHOLD_": "0"}
Bytes = dict[str, float]


def planned_student(spec: Spec) -> Bytes:
    """Return what the plan says of a student."""
    from kedrec.commands.plan.decoder_costs import Work, activations, logits
    from kedrec.commands.plan.model_states import states
    from kedrec.commands.plan.parameter_counts import decoder_of
    from kedrec.kedrec_lm.student import Student

    with tempfile.TemporaryDirectory() as folder:
        shape_config(spec).save_pretrained(folder)
        decoder = decoder_of(Student(folder, lora=adapter(spec), dtype=spec["dtype"]))
    compute = 4 if spec["dtype"] == "float32" else 2
    work = Work(spec["batch"], spec["tokens"], spec["supervised"])
    parts = states("ddp", 1, decoder.frozen, decoder.trained, compute, compute if spec["full"] else 4, on_gpu())
    kept = activations(decoder, work, compute, 4, spec["checkpointing"])
    head = logits(decoder, work, compute)
    told = {"weights": parts.weights, "gradients": parts.gradients, "optimizer": parts.optimizer}
    if not spec["checkpointing"]:  # what is computed again is not kept at any one time
        told["activations"] = kept + work.batch * work.supervised * decoder.vocabulary * 4
    return {**told, "total": parts.peak(kept + head)}


def planned_tables(spec: Spec) -> Bytes:
    """Return what the plan says of embeddings."""
    from kedrec.commands.plan.model_states import States
    from kedrec.commands.plan.table_costs import Batch, Tables, activation_bytes, gradient_bytes
    from kedrec.lladr.kge import KGE

    scorer = KGE("transe_l1", dim=spec["dim"]).scorer
    widths = (scorer.entity_width, scorer.relation_width)
    tables = Tables(spec["entities"], spec["relations"], *widths, spec["optimizer"])
    batch = Batch(spec["triples"], spec["negatives"], spec["chunks"])
    parts = States(tables.weights, gradient_bytes(tables, batch), tables.optimizer_state)
    told = {"weights": parts.weights, "gradients": parts.gradients, "optimizer": parts.optimizer}
    return {**told, "total": parts.peak(activation_bytes(tables, batch))}


def held(module: Any, optimizer: Any) -> Bytes:
    """Return the bytes of weights, gradients and optimizer states."""
    import torch

    grads = [one.grad for one in module.parameters() if one.grad is not None]
    sparse = sum(one._values().nbytes + one._indices().nbytes for one in grads if one.is_sparse)
    state = [value for of in optimizer.state.values() for value in of.values() if isinstance(value, torch.Tensor)]
    return {
        "weights": sum(one.nbytes for one in module.parameters()),
        "gradients": sparse + sum(one.nbytes for one in grads if not one.is_sparse),
        "optimizer": sum(one.nbytes for one in state),
    }


def measured_student(spec: Spec) -> Bytes:
    """Train a student and return what it took."""
    from lightning import Trainer
    from torch.utils.data import DataLoader

    quiet = {"logger": False, "enable_progress_bar": False, "enable_model_summary": False}

    def fit(of: Spec) -> tuple[Any, Any, list[Any]]:
        batches: Any = chat_batches(of)
        trainer = Trainer(max_steps=of["steps"], devices=1, enable_checkpointing=False, **quiet)
        student = random_student(of)
        trainer.fit(student, DataLoader(batches, batch_size=None))
        return student, trainer, batches

    fit({**spec, **TINY})
    rise = Rise()
    student, trainer, batches = fit(spec)
    total = rise.most()
    found = held(student, trainer.optimizers[0])
    if not spec["checkpointing"]:
        batch = batches[0].to(student.device)
        found["activations"] = kept_bytes(student, lambda: student.losses(batch)[0])
    return {**found, "total": total}


def measured_tables(spec: Spec) -> Bytes:
    """Train embeddings and return what they took."""
    import numpy as np
    import torch

    from kedrec.lladr.kge import KGE
    from kedrec.lladr.kge_settings import OptimizerSettings
    from kedrec.lladr.negative_sampling import TripleBatches
    from kedrec.lladr.triple_settings import NegativeSettings

    sizes = (NegativeSettings(spec["negatives"], spec["chunks"]), spec["triples"])
    draw = np.random.default_rng(0)
    triples = draw.integers(0, [spec["entities"], spec["relations"], spec["entities"]], (20_000, 3), dtype=np.int32)
    loader = TripleBatches(torch.from_numpy(triples), torch.ones(len(triples)), None, spec["entities"], *sizes, None, 0)
    batches = [batch for batch, _ in zip(loader, range(3), strict=False)]
    rise = Rise()
    model = KGE("transe_l1", dim=spec["dim"], optimizer=OptimizerSettings(spec["optimizer"]))
    model.make_tables(spec["entities"], spec["relations"])
    model.to("cuda" if on_gpu() else "cpu")
    optimizer = model.make_optimizer()
    for batch in batches:
        optimizer.zero_grad()
        model.losses(batch.to(model.device))["link"].backward()
        optimizer.step()
    total = rise.most()
    return {**held(model, optimizer), "total": total}


class Rise:
    """How far memory rises above what is held now: the device's where there is one, else the process's."""

    def __init__(self) -> None:
        import gc

        import psutil
        import torch

        gc.collect()
        self.gpu = on_gpu()
        if self.gpu:
            torch.cuda.reset_peak_memory_stats()
        self.before = torch.cuda.memory_allocated() if self.gpu else psutil.Process().memory_info().rss

    def most(self) -> float:
        """Return it, bytes."""
        import torch

        if self.gpu:
            return torch.cuda.max_memory_allocated() - self.before
        status = Path("/proc/self/status").read_text(encoding="utf-8").splitlines()
        peak = next(line for line in status if line.startswith("VmHWM"))
        return 1024 * int(peak.split()[1]) - self.before


def kept_bytes(module: Any, loss: Callable[[], Any]) -> float:
    """Return the bytes of distinct tensors that autograd keeps of a loss, the module's own left out."""
    import torch

    known = {one.untyped_storage()._cdata for one in (*module.parameters(), *module.buffers())}
    kept: dict[int, Any] = {}

    def pack(tensor: Any) -> Any:
        storage = tensor.untyped_storage()
        if storage._cdata not in known:
            kept[storage._cdata] = storage
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        value = loss()
    assert value.requires_grad
    return float(sum(storage.nbytes() for storage in kept.values()))


def run_case(name: str, scale: float) -> dict[str, Bytes]:
    """Plan and measure a case in this process, the plan second: it must not warm anything up."""
    from kedrec.runtime.environment import prepare_environment

    prepare_environment()
    import kedrec.kedrec_lm.student  # noqa: F401  (before memory is looked at)

    spec = dict(CASES[name])
    grown = "entities" if "entities" in spec else "layers"
    spec[grown] = int(spec[grown] * scale)
    measure, plan = (measured_tables, planned_tables) if "entities" in spec else (measured_student, planned_student)
    measured = measure(spec)
    return {"measured": measured, "planned": plan(spec)}


def main() -> None:
    """Run each case in a child and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", nargs="+", choices=CASES)
    parser.add_argument("--scale", type=float, default=1.0, help="of layers, or of entities")
    parser.add_argument("--child", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.child:
        print(json.dumps(run_case(options.child, options.scale)))
        return
    print("| case | part | planned MiB | measured MiB | ratio |\n|---|---|---:|---:|---:|")
    for name in options.only or CASES:
        command = [sys.executable, str(Path(__file__).resolve()), "--child", name, "--scale", str(options.scale)]
        done = subprocess.run(command, capture_output=True, text=True, check=False, env={**GIVE_BACK, **os.environ})
        if done.returncode:
            raise SystemExit(f"{name} failed:\n{done.stderr[-4000:]}")
        found = json.loads(done.stdout.splitlines()[-1])
        for part, planned in found["planned"].items():
            measured = found["measured"][part]
            ratio = f"{measured / planned:.3f}"
            print(f"| {name} | {part} | {planned / 2**20:,.2f} | {measured / 2**20:,.2f} | {ratio} |", flush=True)


if __name__ == "__main__":
    main()
