"""Time the student's training against TRL's SFTTrainer on the same batches, and compare what the two have learned.

    python benchmarks/student_trl.py [--trl-python .venv-trl/bin/python] [--rounds 3] [--steps 20] [--batch-size 4]

TRL lives in an environment of its own; where it is absent, the two commands that make it are printed.

The same for both: the base in bfloat16 without autocast, float32 adapters with the same PEFT fields and first weights,
the tokenized training conversations of ``experiments/both_sources.yaml`` in the same batches and order, padded on the
right to the longest of a batch, loss on the answers only, AdamW, learning rate, warm-up and cosine, no clipping (as
kedrec, not as TRL by default), no packing, no gradient checkpointing, no logging, two threads that do not spin. kedrec
trains through Lightning's Trainer, TRL through its SFTTrainer, in all else at its defaults. The tools take turns, each
run in a process of its own; the first steps are not timed. Tokens are those of the conversations, prompts included and
padding not. "cores" is processor time over wall time: well below two, other programs took their share.

Each keeps its own loss: kedrec averages over the tokens of an answer, then over conversations (``loss.choice`` 0),
TRL over all answer tokens of a batch. With one conversation a batch the two are the same number, which is shown first
(the first learning rate of the warm-up is zero; from the third step on bfloat16's rounding moves single losses apart).
At the end one evaluator, the plain mean negative log-likelihood of the answers' tokens on the validation
conversations, scores both adapters.
"""

import argparse
import hashlib
import json
import os
import re
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import asdict
from itertools import count
from pathlib import Path
from typing import Any

EXPERIMENT = Path(__file__).resolve().parents[1] / "experiments" / "both_sources.yaml"
TRL_PACKAGES = "torch==2.13.0 transformers==5.23.0 peft==0.21.2 trl==1.16.0 datasets==5.2.0 accelerate==1.15.0"
TOOLS = ("kedrec", "TRL")
THREADS = 2
IGNORED = -100

Row = dict[str, Any]  # a tokenized conversation: the fields of kedrec.kedrec_lm.chat_encoding.Encoded
Spec = dict[str, Any]  # what a run is told: see `prepare`


class Clock:
    """Wall and processor seconds at the end of each step, and the losses where they are asked for."""

    def __init__(self) -> None:
        self.ends: list[tuple[float, float]] = []
        self.losses: list[float] = []

    def tick(self) -> None:
        """Note the end of an optimizer step."""
        self.ends.append((time.perf_counter(), time.process_time()))


def kedrec_run(spec: Spec, rows: list[Row], clock: Clock) -> tuple[Any, Callable[[], Any]]:
    """Return the experiment's own student's network, and what trains it under Lightning's Trainer."""
    from kedrec.runtime.environment import prepare_environment

    prepare_environment()
    from functools import partial

    from lightning import Callback, Trainer
    from torch.utils.data import DataLoader

    from kedrec.config import compose
    from kedrec.kedrec_lm.chat_batching import collate_chats
    from kedrec.kedrec_lm.chat_encoding import Encoded
    from kedrec.kedrec_lm.question_batches import Question
    from kedrec.training.experiment_objects import build

    class Noting(Callback):
        def on_train_batch_end(self, trainer: Any, student: Any, outputs: Any, *_: Any) -> None:
            clock.tick()
            if spec["losses"]:
                clock.losses.append(float(outputs["loss"]))

    encoded = [Encoded(**{**row, "question": Question(**row["question"])}) for row in rows]
    collate = partial(collate_chats, pad=spec["pad"])
    loader: Any = DataLoader(encoded, batch_size=spec["batch_size"], collate_fn=collate)
    student: Any = build(compose(EXPERIMENT, ["model.init_args.loss.choice=0"])).model
    student.configure_model()
    trainer = Trainer(
        accelerator="cpu",
        max_steps=spec["steps"],
        logger=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        enable_checkpointing=False,
        callbacks=[Noting()],
    )
    return student.net, lambda: trainer.fit(student, loader)


def trl_run(spec: Spec, rows: list[Row], clock: Clock) -> tuple[Any, Callable[[], Any]]:
    """Return the network that TRL makes of the base and the LoRA fields, and what trains it."""
    from datasets import Dataset
    from peft import LoraConfig
    from transformers import TrainerCallback
    from trl import SFTConfig, SFTTrainer

    class Noting(TrainerCallback):
        def on_step_end(self, *_: Any, **__: Any) -> None:
            clock.tick()

        def on_log(self, *_: Any, logs: dict[str, float], **__: Any) -> None:
            if "loss" in logs:
                clock.losses.append(logs["loss"])

    ids = [[*row["prompt"], *row["answer"]] for row in rows]
    labels = [[*[IGNORED] * len(row["prompt"]), *row["answer"]] for row in rows]
    settings = SFTConfig(
        output_dir=spec["scratch"],
        model_init_kwargs={"dtype": spec["dtype"]},
        seed=spec["seed"],
        max_steps=spec["steps"],
        per_device_train_batch_size=spec["batch_size"],
        train_sampling_strategy="sequential",
        learning_rate=spec["learning_rate"],
        weight_decay=spec["weight_decay"],
        warmup_steps=min(spec["warmup_steps"], spec["steps"]),
        lr_scheduler_type="cosine",
        max_grad_norm=0.0,
        bf16=False,  # no autocast: the weights are bfloat16
        gradient_checkpointing=False,
        use_cpu=True,
        dataloader_pin_memory=False,
        logging_strategy="steps" if spec["losses"] else "no",
        logging_steps=1,
        save_strategy="no",
        report_to="none",
        disable_tqdm=True,
    )
    trainer = SFTTrainer(
        model=spec["base"],
        args=settings,
        train_dataset=Dataset.from_dict({"input_ids": ids, "labels": labels}),
        peft_config=LoraConfig(**spec["lora"]),
        callbacks=[Noting()],
    )
    return trainer.model, trainer.train


def train(tool: str, spec: Spec) -> dict[str, Any]:
    """Train once with ``tool``, save the adapter, and return times, memory and facts."""
    import torch

    rows = json.loads(Path(spec["rows"]).read_text(encoding="utf-8"))["train"]
    clock = Clock()
    net, run = (kedrec_run if tool == "kedrec" else trl_run)(spec, rows, clock)
    trained = {name: weight for name, weight in net.named_parameters() if weight.requires_grad}
    first = hashlib.sha256()
    for name in sorted(trained):
        first.update(trained[name].detach().float().numpy().tobytes())
    facts = {
        "threads": torch.get_num_threads(),
        "trained": sum(weight.numel() for weight in trained.values()),
        "dtypes": sorted({str(weight.dtype).removeprefix("torch.") for weight in net.parameters()}),
        "first": first.hexdigest()[:12],
    }
    run()
    # Not getrusage: its peak is inherited from the process that prepared the data.
    peak = int(re.search(r"VmHWM:\s+(\d+)", Path("/proc/self/status").read_text())[1]) / 1024
    net.save_pretrained(spec["adapter"])
    (start, cpu_start), (end, cpu_end) = clock.ends[spec["untimed"] - 1], clock.ends[-1]
    assert len(clock.ends) == spec["steps"], f"{len(clock.ends)} steps instead of {spec['steps']}"
    times = {"seconds": end - start, "cpu_seconds": cpu_end - cpu_start}
    return {"facts": facts, "mib": peak, "losses": clock.losses, **times}


def evaluate(spec: Spec) -> dict[str, float]:
    """Return nats an answer token on the validation conversations: of the base, and with each tool's adapter."""
    import torch
    from peft import PeftModel
    from transformers import AutoModelForCausalLM

    rows = json.loads(Path(spec["rows"]).read_text(encoding="utf-8"))["validation"]

    @torch.inference_mode()
    def nats(net: Any) -> float:
        total, tokens = 0.0, 0
        for row in rows:
            prompt, answer = row["prompt"], torch.tensor(row["answer"])
            logits = net(input_ids=torch.tensor([[*prompt, *row["answer"]]])).logits[0, len(prompt) - 1 : -1]
            total += float(torch.nn.functional.cross_entropy(logits.float(), answer, reduction="sum"))
            tokens += len(answer)
        return total / tokens

    base: Any = AutoModelForCausalLM.from_pretrained(spec["base"], dtype=getattr(torch, spec["dtype"])).eval()
    found = {"base": nats(base)}
    for tool in TOOLS:
        net = PeftModel.from_pretrained(base, spec["adapters"][tool]).eval()
        found[tool] = nats(net)
        base = net.unload()
    return found


def prepare(folder: Path, steps: int, batch_size: int) -> Spec:
    """Write the conversations, those of training in the order of their batches; return what both tools are told."""
    from kedrec.runtime.environment import prepare_environment

    prepare_environment()
    from kedrec.config import compose
    from kedrec.sources.weights import base_folder
    from kedrec.storage.artifact_store import Store
    from kedrec.training.experiment_objects import build

    changes = [f"data.init_args.loader.batch_size={batch_size}"]
    experiment = compose(EXPERIMENT, changes)
    built: Any = build(experiment)
    built.data.setup("fit")
    loader = built.data.train_dataloader()
    order: list[int] = []
    for epoch in count():
        loader.batch_sampler.set_epoch(epoch)
        for batch in loader.batch_sampler:
            if len(batch) == batch_size and len(order) < steps * batch_size:  # an epoch's last batch may be smaller
                order += batch
        if len(order) == steps * batch_size:
            break
    encoded = built.data.encoded
    rows = {
        "train": [asdict(encoded["train"][row]) for row in order],
        "validation": [asdict(row) for row in encoded["validation"]],
    }
    (folder / "rows.json").write_text(json.dumps(rows), encoding="utf-8")
    student = built.model
    return {
        **asdict(student.optimizer),
        "seed": student.seed,
        "base": base_folder(student.base, Store()),
        "dtype": student.dtype_name,
        "lora": experiment.tree["model"]["init_args"]["lora"],
        "pad": loader.collate_fn.keywords["pad"],
        "rows": str(folder / "rows.json"),
        "scratch": str(folder / "trainer"),
        "lengths": [len(row["prompt"]) + len(row["answer"]) for row in rows["train"]],
        "steps": steps,
        "batch_size": batch_size,
    }


def in_child(python: str, job: str, spec: Spec, folder: Path) -> dict[str, Any]:
    """Do ``job`` in a process of ``python``; its chatter is shown only where it fails."""
    told, found = folder / "spec.json", folder / "found.json"
    told.write_text(json.dumps(spec), encoding="utf-8")
    threads = dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS"), str(THREADS))
    quiet = {"OMP_WAIT_POLICY": "PASSIVE", "TOKENIZERS_PARALLELISM": "false", "HF_HUB_OFFLINE": "1"}
    command = [python, str(Path(__file__).resolve()), "--child", job, str(told), str(found)]
    environment = {**os.environ, **threads, **quiet, "CUDA_VISIBLE_DEVICES": ""}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"{job} failed:\n{done.stdout[-2000:]}\n{done.stderr[-6000:]}")
    return json.loads(found.read_text(encoding="utf-8"))


def check_first_losses(pythons: dict[str, str], spec: Spec, folder: Path) -> None:
    """Show that with one conversation a batch both compute the same loss, from the same weights to train."""
    steps = min(4, len(spec["lengths"]))
    one = {**spec, "batch_size": 1, "steps": steps, "untimed": 1, "losses": True, "adapter": str(folder / "check")}
    runs = {tool: in_child(pythons[tool], tool, one, folder) for tool in TOOLS}
    facts = runs["kedrec"]["facts"]
    print(f"first losses, one conversation a batch ({facts['trained']:,} trained weights, {facts['dtypes']}):")
    for tool, run in runs.items():
        print(f"  {tool:7}", *(f"{loss:8.4f}" for loss in run["losses"]))
    assert runs["TRL"]["facts"] == facts, f"not the same start: {[run['facts'] for run in runs.values()]}"
    first, peer = (run["losses"][0] for run in runs.values())
    assert abs(first - peer) < 1e-3 * peer, "the two do not compute the same loss"


def main() -> None:
    """Prepare, check, take turns, print the table and the losses."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--trl-python", default=".venv-trl/bin/python", help="interpreter of TRL's environment")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--steps", type=int, default=20, help="optimizer steps a run")
    parser.add_argument("--untimed", type=int, default=3, help="first steps that are not timed")
    parser.add_argument("--batch-size", type=int, default=4)
    parser.add_argument("--child", nargs=3, metavar=("JOB", "SPEC", "FOUND"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.child:
        job, told, found = options.child
        spec = json.loads(Path(told).read_text(encoding="utf-8"))
        Path(found).write_text(json.dumps(evaluate(spec) if job == "evaluate" else train(job, spec)), encoding="utf-8")
        return
    if not 1 <= options.untimed < options.steps:
        parser.error("--untimed must be at least 1 and below --steps")
    peer = Path(options.trl_python)
    if not peer.is_file():
        home = peer.parent.parent
        make = f"  python3.11 -m venv {home}\n  {home}/bin/pip install {TRL_PACKAGES}"
        raise SystemExit(f"{peer}: no such interpreter; TRL's environment is made by\n{make}")
    with tempfile.TemporaryDirectory() as folder:
        compare({"kedrec": sys.executable, "TRL": str(peer)}, options, Path(folder))


def compare(pythons: dict[str, str], options: argparse.Namespace, folder: Path) -> None:
    """Do all runs and print what was found."""
    spec = prepare(folder, options.steps, options.batch_size)
    tokens = sum(spec["lengths"][options.untimed * options.batch_size :])
    print(f"{os.cpu_count()} cores, {THREADS} threads, batches of {options.batch_size}: {tokens:,} tokens timed a run")
    check_first_losses(pythons, spec, folder)
    spec = {**spec, "untimed": options.untimed, "losses": False}
    adapters = {tool: str(folder / tool) for tool in TOOLS}
    speeds: dict[str, list[float]] = {tool: [] for tool in TOOLS}
    print(f"{'round':5} {'':7} {'tokens/s':>9} {'s/step':>7} {'cores':>6} {'peak MiB':>9}")
    for turn in range(1, options.rounds + 1):
        for tool in TOOLS:
            run = in_child(pythons[tool], tool, {**spec, "adapter": adapters[tool]}, folder)
            seconds, speed = run["seconds"], tokens / run["seconds"]
            speeds[tool].append(speed)
            pace, cores = seconds / (options.steps - options.untimed), run["cpu_seconds"] / seconds
            print(f"{turn:5} {tool:7} {speed:9.1f} {pace:7.2f} {cores:6.2f} {run['mib']:9.0f}", flush=True)
    middle = {tool: statistics.median(taken) for tool, taken in speeds.items()}
    ratios = [ours / theirs for ours, theirs in zip(*speeds.values(), strict=True)]
    print("median tokens/s:", ", ".join(f"{tool} {speed:.1f}" for tool, speed in middle.items()))
    spread = f"a round {min(ratios):.2f} to {max(ratios):.2f}"
    print(f"kedrec/TRL: {middle['kedrec'] / middle['TRL']:.2f} ({spread})")
    losses = in_child(sys.executable, "evaluate", {**spec, "adapters": adapters}, folder)
    print("validation, nats an answer token:", ", ".join(f"{name} {loss:.4f}" for name, loss in losses.items()))
    print(f"relative difference of the losses: {abs(losses['kedrec'] / losses['TRL'] - 1):.2%}")


if __name__ == "__main__":
    main()
