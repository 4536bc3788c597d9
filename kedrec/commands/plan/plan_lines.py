"""The lines of a plan: memory and time of a student, of embeddings or of another model."""

import argparse
import os
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from lightning import LightningDataModule, LightningModule

from kedrec.commands.plan.decoder_costs import Decoder, Work, activations, flops, logits
from kedrec.commands.plan.devices import device, seconds
from kedrec.commands.plan.model_states import STAGES, States, states
from kedrec.commands.plan.parameter_counts import decoder_of, parameters_of
from kedrec.commands.plan.plan_text import GIB, MIB, binary, decimal, duration, line, number, table
from kedrec.commands.plan.table_costs import (
    Batch,
    Tables,
    activation_bytes,
    exchanged,
    gradient_bytes,
    operations,
    traffic,
)
from kedrec.errors import KedrecError
from kedrec.graph.knowledge_graph import KnowledgeGraph, load_graph
from kedrec.kedrec_lm.question_data import QuestionData
from kedrec.kedrec_lm.student import Student
from kedrec.lladr.kge import KGE
from kedrec.lladr.triple_data import TripleData
from kedrec.splits.split_folder import is_split_folder, load_split
from kedrec.storage.artifact_store import PlanningStore, Store

_BYTES = {"float32": 4, "bfloat16": 2, "float16": 2}


class Asked:
    """The settings of the trainer and the options of a plan.

    Args:
        trainer: the trainer's settings, resolved.
        options: of ``--plan``.

    Attributes:
        sixteen: whether the trainer computes in 16 bits.
        cast: whether it casts all weights to them, the trained ones too.
        processes: one a device.
        accumulated: batches of a process between two optimizer steps.
        steps: of the optimizer, where they are known.
    """

    def __init__(self, trainer: dict[str, Any], options: argparse.Namespace) -> None:
        precision = str(trainer.get("precision") or "32-true")
        devices, most = trainer.get("devices"), trainer.get("max_steps") or -1
        told = devices if isinstance(devices, int) and devices > 0 else 1
        self.options = options
        self.sixteen = precision.startswith(("16", "bf16"))
        self.cast = self.sixteen and precision.endswith("-true")
        self.processes: int = options.gpus or told * trainer.get("num_nodes", 1)
        self.accumulated: int = trainer.get("accumulate_grad_batches") or 1
        self.steps: int | None = options.steps or (most if most > 0 else None)
        self.device = device(options.gpu, os.cpu_count() or 1)

    def peak(self, compute: int) -> float:
        """Return the peak FLOP/s of a device for numbers of ``compute`` bytes."""
        if self.options.peak_tflops:
            return float(self.options.peak_tflops) * 1e12
        return self.device.flops_16 if compute == 2 else self.device.flops_32

    def time_line(self, each: float, how: str) -> str:
        """Return the line of the time, for ``each`` seconds a step."""
        if self.steps is None:
            return line("time", f"{duration(each)} a step, {how}; trainer.max_steps is not set: --steps=N tells all")
        return line("time", f"{duration(each)} a step, {duration(each * self.steps)} for {self.steps:,} steps, {how}")

    def memory_lines(self, header: Sequence[str], rows: Sequence[Sequence[str | float]]) -> list[str]:
        """Return a table of memory, a row for each way to share it; its numbers are bytes."""
        most = max(one for row in rows for one in row[1:] if not isinstance(one, str))
        unit, name = (GIB, "GiB") if most > GIB else (MIB, "MiB")
        size = self.device.memory
        has = f"; {self.options.gpu} has {size / unit:.1f}" if size else ""
        whose = f"one of {self.processes:,} processes" if self.processes > 1 else "the process"
        told = [[one if isinstance(one, str) else number(one / unit) for one in row] for row in rows]
        return [f"memory of {whose}, {name}{has}:", *table(["", *header], told)]


def student_lines(student: Student, data: LightningDataModule, asked: Asked) -> list[str]:
    """Return the lines of a student."""
    if not isinstance(data, QuestionData):
        raise KedrecError(f"data.class_path: {type(data).__name__} has no conversations; a student's plan needs them")
    gpu = asked.options.gpu != "cpu"
    decoder = decoder_of(student, gpu)
    tokens = asked.options.tokens or data.prompt.max_tokens
    supervised = min(asked.options.supervised or student.max_new_tokens + 1, tokens)
    work = Work(data.loader.batch_size, tokens, supervised)
    base = 2 if asked.cast else _BYTES[student.dtype_on(gpu)]
    compute = 2 if asked.sixteen else base
    trained = 4 if student.lora is not None and not asked.cast else base
    moments = 12 if asked.cast else 2 * trained  # beside the weights of the last and of the best checkpoint
    cost = flops(decoder, work)
    passes = asked.accumulated * asked.processes
    every = decoder.frozen + decoder.trained
    count = f"{every:,}, of which {decoder.trained:,} are trained ({decoder.trained / every:.2%})"
    each = seconds(cost.model * passes, asked.options.mfu, asked.peak(compute), asked.processes)
    how = f"{asked.processes:,} x {asked.options.gpu} at {asked.peak(compute) / 1e12:.3g} TFLOP/s, MFU"
    total = f", {cost.model * passes * asked.steps:.3g} in all" if asked.steps else ""
    return [
        line("parameters", count),
        line("a step", _step(work, asked)),
        line("FLOPs", f"{cost.model * passes:.3g} a step{total}; checkpoints add {cost.again / cost.model:.0%}"),
        asked.time_line(each, f"{how} {asked.options.mfu:g}"),
        line("kept", f"{binary(decoder.trained * (2 * trained + moments))} of checkpoints in the run folder"),
        *(["a teacher, model.init_args.distill, comes on top"] if student.distill is not None else []),
        "",
        *_student_table(decoder, work, asked, (base, trained, compute)),
        "",
        f"Weights: {base} bytes each where frozen, {trained} where trained; with ZeRO {compute}, whose optimizer has "
        "float32 copies and moments.",
    ]


def _step(work: Work, asked: Asked) -> str:
    """Return the size of a step in words."""
    conversations = work.batch * asked.accumulated * asked.processes
    accumulated = f"{asked.accumulated} batches x " if asked.accumulated > 1 else ""
    processes = f"{asked.processes:,} processes x " if asked.processes > 1 else ""
    return (
        f"{processes}{accumulated}{work.batch} conversations of at most {work.tokens:,} tokens: "
        f"{conversations * work.tokens:,} tokens, {conversations * work.supervised:,} of them of answers"
    )


def _student_table(decoder: Decoder, work: Work, asked: Asked, sizes: tuple[int, int, int]) -> list[str]:
    """Return a row for each way to share states; ``sizes``: bytes of frozen, trained and computed numbers."""
    base, trained, compute = sizes
    head = logits(decoder, work, compute)
    rows: list[list[str | float]] = []
    for stage, name in STAGES.items():
        ddp = stage == "ddp"
        one_frozen, one_trained = (base, trained) if ddp else (compute, compute)
        parts = states(
            stage, asked.processes, decoder.frozen, decoder.trained, one_frozen, one_trained, asked.options.gpu != "cpu"
        )
        kept = [activations(decoder, work, compute, one_trained, checkpointed) for checkpointed in (False, True)]
        peaks = [parts.peak(one + head) for one in kept]
        held = (parts.weights, parts.gradients, parts.optimizer, parts.buffers, head, kept[0], peaks[0], kept[1])
        rows.append([name, *held, peaks[1], _fits(peaks, asked), parts.host])
    header = ["weights", "gradients", "optimizer", "buffers", "logits", "activations", "total"]
    return asked.memory_lines([*header, "checkpointed", "total", "fits", "host"], rows)


def _fits(peaks: Sequence[float], asked: Asked) -> str:
    if not asked.device.memory:
        return ""
    plain, checkpointed = (peak <= asked.device.memory for peak in peaks)
    return "yes" if plain else "checkpointed" if checkpointed else "no"


def kge_lines(model: KGE, data: LightningDataModule, asked: Asked) -> list[str]:
    """Return the lines of embeddings."""
    if not isinstance(data, TripleData):
        raise KedrecError(f"data.class_path: {type(data).__name__} has no triples; use TripleData")
    tables, batch = (
        _tables(model, data, asked),
        Batch(data.loader.batch_size, data.negatives.count, data.negatives.chunks),
    )
    moved, cost = traffic(tables, batch), operations(tables, batch)
    share = asked.options.mfu
    each = asked.accumulated * max(moved / (share * asked.device.bandwidth), seconds(cost, share, asked.peak(4)))
    passes = asked.accumulated * asked.processes
    how = (
        f"at least: {share:g} of {asked.options.gpu}'s bandwidth ({asked.device.bandwidth / 1e12:.3g} TB/s) and FLOP/s"
    )
    sizes = f"{tables.entities:,} x {tables.entity_width:,} of entities"
    sizes += f", {tables.relations:,} x {tables.relation_width:,} of relations"
    lines = [
        line("parameters", f"{tables.numbers:,}, all trained: {sizes}"),
        line("a step", f"{passes:,} x {batch.triples:,} triples, each with {batch.negatives:,} corruptions"),
        line("traffic", f"{decimal(moved)} a step and process, of the memory that holds the tables"),
        line("FLOPs", f"{cost * passes:.3g} a step"),
        asked.time_line(each, how),
        line("kept", f"{binary(3 * 4 * tables.numbers + tables.optimizer_state)} of checkpoints and export"),
    ]
    if asked.processes > 1:
        apart = exchanged(tables, batch, asked.processes)
        lines.append(line("exchanged", f"{decimal(apart)} a step and process, where rows are sharded"))
    return [*lines, "", *_kge_table(tables, batch, asked)]


def _kge_table(tables: Tables, batch: Batch, asked: Asked) -> list[str]:
    working, gradient = activation_bytes(tables, batch), gradient_bytes(tables, batch)
    together = asked.processes > 1
    buffers = gradient * (asked.processes if tables.optimizer != "adam" else 1) * together  # each gets all rows
    ways = {STAGES["ddp"]: States(tables.weights, gradient, tables.optimizer_state, buffers)}
    if together:
        part = 1 / asked.processes
        ways["rows sharded (not in kedrec)"] = States(
            tables.weights * part, gradient * (part if tables.optimizer == "adam" else 1), tables.optimizer_state * part
        )
    rows: list[list[str | float]] = []
    for name, parts in ways.items():
        peak = parts.peak(working)
        held = (parts.weights, parts.gradients, parts.optimizer, parts.buffers, working, peak)
        rows.append([name, *held, _fits((peak, peak), asked)])
    return asked.memory_lines(["tables", "gradients", "optimizer", "buffers", "activations", "total", "fits"], rows)


def _tables(model: KGE, data: TripleData, asked: Asked) -> Tables:
    """Return the tables' sizes: of the options, else of the graph, which is read if it is not in the store.

    Anchors are counted as wide as the rows, as pca and slice make them; a learned projection keeps its vectors' width.
    """
    entities, relations = asked.options.entities, asked.options.relations
    if (entities is None) != (relations is None):
        raise KedrecError("--entities and --relations go together: the graph is not read where both are told")
    if entities is None:
        graph = _graph(data.graph_path)
        entities, relations = len(graph.entities), len(graph.relations)
    scorer = model.scorer
    anchored = scorer.entity_width if data.anchors.sources else 0
    return Tables(entities, relations, scorer.entity_width, scorer.relation_width, model.optimizer.name, anchored)


def _graph(path: str) -> KnowledgeGraph:
    with tempfile.TemporaryDirectory() as scratch:
        store = PlanningStore(Store(), Path(scratch))
        try:
            return load_split(path, store)[0] if is_split_folder(path) else load_graph(path, store)
        except KedrecError as fault:
            raise KedrecError(
                f"{fault}; a graph that is not there yet is told by --entities and --relations"
            ) from fault


def other_lines(model: LightningModule, asked: Asked) -> list[str]:
    """Return the lines of a model that is known by its parameters alone, or not before its data are there."""
    name = type(model).__name__
    counted = parameters_of(model)
    if counted is None:
        return [line("parameters", f"not known: {name} is made when its data are prepared")]
    every, trained = counted
    lines = [
        line("parameters", f"{every:,}, of which {trained:,} are trained ({trained / every:.2%})"),
        line("time", f"not known: the FLOPs of {name} are not; activations are not either"),
        "",
    ]
    rows: list[list[str | float]] = []
    for stage, title in STAGES.items():
        size = 2 if asked.sixteen and (stage != "ddp" or asked.cast) else 4
        parts = states(stage, asked.processes, every - trained, trained, size, size)
        held = (parts.weights, parts.gradients, parts.optimizer, parts.buffers)
        rows.append([title, *held, sum(held), parts.host])
    return [*lines, *asked.memory_lines(["weights", "gradients", "Adam", "buffers", "total", "host"], rows)]
