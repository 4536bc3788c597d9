"""A small world that tells of one test treatment in every channel, and the data of a student and of a graph model."""

import json

from kedrec.graph.knowledge_graph import load_graph
from kedrec.graph.therapeutic import THERAPEUTIC
from kedrec.kedrec_lm.instruction_data import InstructionData
from kedrec.kedrec_lm.question_settings import EvaluationSettings, PairSettings, RetrievalSettings, SplitSettings
from kedrec.lladr.triple_data import TripleData
from kedrec.sources.graph.entity_names import find_entities_file, load_entity_info
from kedrec.splits.treatment_split import TreatmentSplit
from kedrec.storage.artifact_store import Store
from kedrec.storage.hashing import file_hash
from tests.support import leak_search as leaks
from tests.support.nested_settings import built

TREATS, CTD = THERAPEUTIC[:2]
PREVENTS = "GNBR::Pr::Compound:Disease"
DRUG, DISEASE = "Compound::0", "Disease::MESH:D0"  # what the planted leaks are of


def lines():
    """24 drugs for two of 12 diseases each; drug 0 treats disease 0 in each way that a graph can say so."""
    for drug in range(24):
        for step in (0, 5):
            yield f"Compound::{drug}", TREATS, f"Disease::MESH:D{(drug + step) % 12}"
        for step in (0, 1):
            yield f"Compound::{drug}", "Hetionet::CbG::Compound:Gene", f"Gene::{(drug + step) % 8}"
    yield DRUG, PREVENTS, DISEASE
    yield DISEASE, TREATS, DRUG
    yield DRUG, CTD, "Disease::DOID:0"
    yield "Compound::twin", CTD, DISEASE


def described():
    yield "Compound::0", "drug0", "", "A pill. It is for ill0. It is white."
    yield "Compound::twin", "other name", "drug0", "Given in ill0."
    yield "Disease::MESH:D0", "ill0", "", "It hurts. It goes away after drug0."
    yield "Disease::DOID:0", "illness", "ill0", ""
    yield "Gene::1", "gene1", "", "It is on a chromosome. Its inhibitor Other Name relieves illness."
    for drug in range(1, 24):
        yield f"Compound::{drug}", f"drug{drug}", "", f"It is for ill{drug % 12}."
    for disease in range(1, 12):
        yield f"Disease::MESH:D{disease}", f"ill{disease}", "", ""


def passages():
    """One of each drug, with a year; that of drug 5 tells of drug 0 and disease 0, by their other names."""
    for drug in range(24):
        text = f"We gave drug{drug} to adults with ill{drug % 12} and to some with ill{(drug + 5) % 12}."
        yield {"id": f"P{drug}", "title": "", "text": text, "date": f"{1990 + drug}"}
    yield {
        "id": "told",
        "title": "On drug5 in ill5",
        "text": "Drug5 does what Other Name does for illness.",
        "date": "1990",
    }


def plant(folder, further=()):
    """Write the graph, its names, ``further`` of them, the texts, and a split that holds the treatment out."""
    (folder / "triples.tsv").write_text("".join("\t".join(line) + "\n" for line in lines()))
    header = "entity\tname\tsynonyms\tdescription\n"
    rows = [*described(), *further]
    (folder / "entities.tsv").write_text(header + "".join("\t".join(row) + "\n" for row in rows))
    texts = [{**row, "source": "pmc"} for row in passages()]
    (folder / "texts.jsonl").write_text("".join(json.dumps(row) + "\n" for row in texts))
    graph = load_graph(folder, Store(folder / "store"))
    split_of = {}
    for drug in range(24):
        for step in (0, 5):
            home = "validation" if drug in (1, 2) else "test" if drug in (0, 3) and step == 0 else "train"
            split_of[f"Compound::{drug}", f"Disease::MESH:D{(drug + step) % 12}"] = home
    names = file_hash(folder / "entities.tsv")
    TreatmentSplit("hand", None, graph.source_hash, names, None, split_of).save(folder / "split.tsv")
    return folder


def student_data(base, encoder, graph, texts, sources=("pmc",), pairs=None, split=None, chunk_tokens=200, **settings):
    """The student's data, ready."""
    data = InstructionData(
        str(base),
        str(graph),
        str(texts),
        RetrievalSettings(list(sources), str(encoder), chunk_tokens=chunk_tokens),
        PairSettings(**{"negatives": "random", "balanced": False, **(pairs or {})}),
        SplitSettings(**(split or {})),
        evaluation=EvaluationSettings(audits=[]),
        **settings,
    )
    data.setup("fit")
    return data


def triple_data(folder, **settings):
    """The graph model's data, ready."""
    data = built(TripleData, str(folder), **settings)
    data.setup("fit")
    return data


def world_of(graph, texts=None):
    """The names of a graph, and its texts, as who looks for leaks wants them."""
    entities = load_graph(graph, Store()).entities
    told = {}
    if texts:
        told = {one["id"]: f"{one['title']} {one['text']}" for one in map(json.loads, texts.read_text().splitlines())}
    return leaks.World(load_entity_info(find_entities_file(graph)), entities, told)


def kept_for_test(folder):
    """The treatments that a split keeps for the test."""
    return TreatmentSplit.load(folder / "split.tsv").of("test")


def in_graph(data, world, edges):
    """What a graph model sees of some treatments."""
    return leaks.in_triples(data, world, edges) + leaks.in_descriptions(data, world, edges)


def in_student(data, world, edges):
    """What a student sees of some treatments."""
    found = leaks.in_questions(data, edges) + leaks.in_passages(data, world, edges)
    return found + leaks.in_rationales(data, world, edges)
