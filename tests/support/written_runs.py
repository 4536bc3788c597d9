"""Folders of finished runs, written as `kedrec.fit` writes them, with numbers that a test knows."""

import json

import numpy as np
import yaml
from safetensors.numpy import save_file

from kedrec.storage.hashing import file_hash, key_hash
from tests.support.command_process import REPOSITORY

EVIL = "<script>document.title='owned'</script>"
GRAPHS = {"sample": "/x/kedrec/sample/triples.tsv", "real": "/y/data/graph"}
SHA = {"sample": file_hash(REPOSITORY / "kedrec" / "sample" / "triples.tsv"), "real": "a" * 64}
STUDENT = "kedrec.kedrec_lm.instruction_data.InstructionData"


def write(folder, tree, metrics, facts, commit="c0ffee", **files):
    """A run folder; ``files`` are JSONL files by their stems."""
    folder.mkdir(parents=True)
    (folder / "config.yaml").write_text(yaml.safe_dump(tree))
    (folder / "metrics.json").write_text(json.dumps(metrics))
    record = {
        "commit": commit,
        "hardware": {"processor": "Test CPU", "cores": 2, "memory_bytes": 2**34, "gpus": []},
        "seconds": {"prepare": 1.0, "train": 60.0, "test": 5.0},
        "peak_memory_bytes": 2**31,
        "seed": tree["seed"],
        "data": facts,
    }
    (folder / "provenance.json").write_text(json.dumps(record))
    for name, rows in files.items():
        (folder / f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return folder


def log(folder, columns):
    """A CSV of the logger: metric -> {step: value}."""
    place = folder / "log" / "version_0"
    place.mkdir(parents=True)
    steps = sorted({step for curve in columns.values() for step in curve})
    lines = [",".join(["epoch", "step", *columns])]
    lines += [",".join(["0", str(step), *(str(curve.get(step, "")) for curve in columns.values())]) for step in steps]
    (place / "metrics.csv").write_text("\n".join(lines) + "\n")


def questions(wrong=(), pairs=8, diseases=4, sources=2, lead=1.0, stated=False, name="Drug"):
    """Both orders of each pair; those of the pairs in ``wrong`` are answered with the other drug."""
    rows = []
    for pair in range(pairs):
        relevant, irrelevant = f"{name} R{pair}", f"{name} I{pair}"
        shown = [f"NCT{10000000 + pair}", f"PMC{pair}#2"][:sources]
        for swapped in (False, True):
            drugs = [irrelevant, relevant] if swapped else [relevant, irrelevant]
            correct = int(swapped)
            choice = 1 - correct if pair in wrong else correct
            row = {
                "pair": f"Disease::D{pair % diseases}|Compound::R{pair}|Compound::I{pair}",
                "disease": f"disease {pair % diseases} {EVIL}",
                "drugs": drugs,
                "correct": correct,
                "swapped": swapped,
                "reference": f"{relevant} lowers pressure in trials [1].",
                "passages": shown,
                "texts": [f"{relevant} lowers pressure {EVIL}", "nothing of it"][:sources],
                "answer_stating_passages": shown[:1] if stated else [],
                "heuristics": {"nearest_passage": [1.0, 2.0], "degree": [3.0, 4.0]},
                "scores": [-1.0 - lead * (choice == 1) * (1 + pair), -1.0 - lead * (choice == 0) * (1 + pair)],
                "choice": choice,
            }
            if not swapped:
                row["rationale"] = f"{drugs[choice]} lowers pressure [1]. It is {EVIL} [9]."
            rows.append(row)
    return rows


def student(folder, sources=("clinical_trials", "pmc"), seed=0, f1=0.8, base=0.4, data="sample", wrong=(0,), **more):
    """A student's run with intervals of 0.1 to either side."""
    tree = {
        "seed": seed,
        "run_dir": str(folder),
        "run_id": key_hash(str(folder))[:10],
        "model": {"class_path": "kedrec.kedrec_lm.student.Student", "init_args": {"base": "smollm2", "seed": seed}},
        "data": {
            "class_path": STUDENT,
            "init_args": {
                "base": "smollm2",
                "graph": GRAPHS[data],
                "texts": "/x/texts",
                "retrieval": {"sources": list(sources)},
                "seed": seed,
                **more.pop("data_args", {}),
            },
        },
        "trainer": {"max_steps": 75, "callbacks": [{"folder": str(folder)}], **more.pop("trainer_args", {})},
        "logger": {"class_path": "lightning.pytorch.loggers.CSVLogger", "init_args": {"save_dir": str(folder)}},
    }
    metrics = {}
    for head, value in (("base", base), ("test", f1)):
        metrics |= {f"{head}/f1": value, f"{head}/f1_low": value - 0.1, f"{head}/f1_high": value + 0.1}
        metrics |= {f"{head}/rouge1": 20.0, f"{head}/rouge2": 5.0, f"{head}/rougeL": 15.0, f"{head}/pairs": 8.0}
    rows = questions(wrong, sources=len(sources))
    files = {"predictions": rows, "predictions_base": questions(range(0, 8, 2), sources=len(sources))}
    return write(folder, tree, metrics | more.pop("metrics", {}), {"graph": SHA[data]}, **{**files, **more})


def ranks(shift=0, answers=40):
    """An answer a line, ranked 1, 2, ... and ``shift`` places lower."""
    return [
        {
            "set": "pairs",
            "head": f"Compound::C{n}",
            "relation": "treats",
            "tail": f"Disease::D{n % 8}",
            "missing": "tail",
            "disease": f"Disease::D{n % 8}",
            "all": n + 1.5 + shift,
            "typed": n + 1.0 + shift,
        }
        for n in range(answers)
    ]


def graph_model(folder, scorer="transe_l1", seed=0, anchored=False, mrr=0.5, data="sample", shift=0, **more):
    """A run of an embedding of a graph."""
    args = {"graph": GRAPHS[data], "seed": seed, **({"anchors": {"sources": ["text"]}} if anchored else {})}
    tree = {
        "seed": seed,
        "run_dir": str(folder),
        "run_id": key_hash(str(folder))[:10],
        "model": {
            "class_path": "kedrec.lladr.kge.KGE",
            "init_args": {"scorer": scorer, "seed": seed, **more.pop("model_args", {})},
        },
        "data": {
            "class_path": "kedrec.lladr.triple_data.TripleData",
            "init_args": {**args, **more.pop("data_args", {})},
        },
        "trainer": {"max_steps": 3000},
        "logger": {"class_path": "lightning.pytorch.loggers.CSVLogger", "init_args": {"save_dir": str(folder)}},
    }
    place = "test/pairs/lladr_published"
    metrics = {
        f"{place}/mrr_expected": mrr,
        f"{place}/mrr_expected_low": mrr - 0.05,
        f"{place}/mrr_expected_high": mrr + 0.05,
        f"{place}/mrr": mrr + 0.3,
        f"{place}/mr_expected": 6.0,
        f"{place}/hits@10_expected": 0.8,
        "test/pairs/n": 40.0,
        "test/pairs/all/mrr": mrr / 4,
    }
    facts = {"graph": f"{GRAPHS[data]}, SHA-256 {SHA[data]}"}
    write(folder, tree, metrics | more.pop("metrics", {}), facts, **{"ranks": ranks(shift), **more})
    embeddings(folder)
    return folder


def embeddings(folder, entities=30, width=6):
    """Rows of three types that lie apart."""
    place = folder / "embeddings"
    place.mkdir()
    kinds = ["Gene", "Compound", f"Disease{EVIL}"]
    values = np.random.default_rng(0).normal(size=(entities, width)).astype(np.float32)
    ids = []
    for row in range(entities):
        values[row, row % 3] += 20
        ids.append(f"{kinds[row % 3]}::{row}")
    save_file({"entity": values}, place / "embeddings.safetensors")
    (place / "entities.tsv").write_text("\n".join(ids) + "\n")
