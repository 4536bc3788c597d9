"""A finished run of a KGE whose every distance is known: no training, the files that training leaves."""

import json

import torch
import yaml
from safetensors.torch import save_file

TREATS = "DRUGBANK::treats::Compound:Disease"
PALLIATES = "Hetionet::CpD::Compound:Disease"


def write_graph(folder, triples, names=()):
    """A graph's folder with its names, ``(entity, name, synonyms)``."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "triples.tsv").write_text("".join("\t".join(one) + "\n" for one in triples))
    rows = ["entity\tname\tsynonyms\tdescription", *("\t".join((*one, "")) for one in names)]
    if names:
        (folder / "entities.tsv").write_text("\n".join(rows) + "\n")
    return folder


def write_run(folder, graph, rows, held_out=(), relations=(TREATS,), **more):
    """A run of TransE in one dimension, gamma 0: a drug's score is minus its distance to the disease.

    Args:
        folder: of the run.
        graph: file or folder.
        rows: entity -> coordinate.
        held_out: triples that training was not shown.
        relations: that were embedded, all as 0.
        more: of the configuration's top level.
    """
    place = folder / "embeddings"
    place.mkdir(parents=True)
    tables = {
        "entity": torch.tensor([[float(value)] for value in rows.values()]),
        "relation": torch.zeros(len(relations), 1),
        "scorer.gamma": torch.tensor(0.0),
        "scorer.range": torch.tensor(1.0),
    }
    save_file(tables, place / "embeddings.safetensors", {"scorer": "transe_l1"})
    (place / "entities.tsv").write_text("".join(f"{one}\n" for one in rows))
    (place / "relations.tsv").write_text("".join(f"{one}\n" for one in relations))
    (place / "held_out.tsv").write_text("".join("\t".join(one) + "\n" for one in held_out))
    model = {"class_path": "kedrec.lladr.kge.KGE", "init_args": {"scorer": "transe_l1"}}
    data = {"class_path": "kedrec.lladr.triple_data.TripleData", "init_args": {"graph": str(graph)}}
    tree = {"seed": 0, "run_id": "0123456789", "model": model, "data": data, "trainer": {}, **more}
    (folder / "config.yaml").write_text(yaml.safe_dump(tree, sort_keys=False))
    (folder / "metrics.json").write_text(json.dumps({"test/pairs/all/mrr": 1.0}))
    return folder
