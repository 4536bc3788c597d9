import gzip
import re

import pytest
import zstandard

from kedrec.sources.graph.entity_names import EntityInfo, load_entity_info
from kedrec.sources.graph.vocabularies import build_entities
from tests.support.faulty_server import fails
from tests.support.vocabulary_samples import DRUGBANK, GENE_INFO, GO, SAMPLES, put

ENTITIES = [  # one of each spelling in DRKG's list of 97,238
    "Gene::1",
    "Gene::5595;5594",
    "Gene::5595;99",
    "Gene::drugbank:BE0004796",
    "Gene::NVA0",
    "Gene::",
    "Compound::DB00945",
    "Compound::DB00006",
    "Compound::MESH:C000002",
    "Compound::MESH:C000002|MESH:D001249",
    "Compound::CHEMBL1668",
    "Compound::CHEBI:15365",
    "Compound::chebi:15365",
    "Compound::pubchem:49866494",
    "Compound::Bioarxivdrug:0",
    "Disease::MESH:D001249",
    "Disease::MESH:C535575",
    "Disease::DOID:9352",
    "Disease::OMIM:143890",
    "Disease::SARS-CoV2 nsp5_C145A",
    "Biological Process::GO:0006666",
    "Molecular Function::GO:0000005",
    "Anatomy::UBERON:0000004",
    "Symptom::D001249",
    "Side Effect::C0000737",
    "Side Effect::C0000729",
    "Pathway::PC7_6941",
    "Pharmacologic Class::N0000175732",
    "Atc::A10BA02",
    "Tax::9606",
]


def test_entities_of_each_spelling_are_named_or_listed(tmp_path):
    files = {name: put(tmp_path, name, content) for name, content in SAMPLES.items()}
    out = tmp_path / "out" / "entities.tsv"
    counts = build_entities([*ENTITIES, ENTITIES[0]], files, out)
    infos = load_entity_info(out)
    assert list(infos) == ENTITIES
    names = {entity: info.name for entity, info in infos.items() if info.name}
    assert names == {
        "Gene::1": "A1BG",
        "Gene::5595;5594": "MAPK3 and MAPK1",
        "Compound::DB00945": "Acetylsalicylic acid",
        "Compound::DB00006": "Bivalirudin",
        "Compound::MESH:C000002": "bevonium",
        "Compound::MESH:C000002|MESH:D001249": "bevonium and Asthma",
        "Compound::CHEBI:15365": "acetylsalicylic acid",
        "Compound::chebi:15365": "acetylsalicylic acid",
        "Disease::MESH:D001249": "Asthma",
        "Disease::MESH:C535575": "Carcinoma, squamous cell of head and neck",
        "Disease::DOID:9352": "type 2 diabetes mellitus",
        "Disease::OMIM:143890": "hypercholesterolemia, familial, 1",
        "Biological Process::GO:0006666": "mitochondrion inheritance",
        "Molecular Function::GO:0000005": "ribosomal chaperone activity",
        "Anatomy::UBERON:0000004": "nose",
        "Symptom::D001249": "Asthma",
        "Side Effect::C0000737": "Abdominal pain",
        "Side Effect::C0000729": "Abdominal cramps",
        "Pathway::PC7_6941": "TCA cycle",
        "Pharmacologic Class::N0000175732": "Anthracycline",
    }
    assert infos["Disease::MESH:D001249"] == EntityInfo(
        "Asthma", ("Asthma, Bronchial", "Bronchial Asthma"), "A form of bronchial disorder with airway <obstruction>."
    )
    assert infos["Gene::1"].synonyms == ("alpha-1-B glycoprotein", "A1B", "ABG")
    assert infos["Gene::5595;5594"].synonyms == ()
    unmapped = {
        "Atc": {"A": 1},
        "Compound": {"CHEMBL": 1, "pubchem": 1, "Bioarxivdrug": 1},
        "Disease": {"SARS-CoV": 1},
        "Gene": {"number": 1, "drugbank": 1, "NVA": 1, "blank": 1},
        "Tax": {"number": 1},
    }
    assert counts["unmapped"] == unmapped
    assert list(counts["unmapped"]) == sorted(unmapped)
    assert (counts["entities"], counts["named"], counts["described"]) == (30, 20, 5)
    assert counts["by_vocabulary"]["go"] == 2
    lines = (out.parent / "unmapped.tsv").read_text().splitlines()
    assert lines[0].split("\t") == ["type", "prefix", "entity"]
    assert lines[1].split("\t") == ["Gene", "number", "Gene::5595;99"]
    assert [line.split("\t")[2] for line in lines[1:]] == [entity for entity in ENTITIES if entity not in names]
    assert sorted(path.name for path in out.parent.iterdir()) == ["entities.tsv", "unmapped.tsv"]


def test_the_first_vocabulary_names_and_later_ones_add(tmp_path):
    hetionet = put(tmp_path, "h", "id\tname\tkind\nGene::1\talpha  1|B\u2028protein\tGene\nGene::1\tanother\tGene\n")
    files = {"hetionet": hetionet, "ncbi_gene": put(tmp_path, "g", GENE_INFO)}
    for order, expected in (
        (("hetionet", "ncbi_gene"), ("alpha 1|B protein", ("A1BG", "alpha-1-B glycoprotein", "A1B", "ABG"))),
        (("ncbi_gene", "hetionet"), ("A1BG", ("alpha-1-B glycoprotein", "A1B", "ABG", "alpha 1/B protein"))),
    ):
        counts = build_entities(["Gene::1"], {name: files[name] for name in order}, tmp_path / "e.tsv")
        info = load_entity_info(tmp_path / "e.tsv")["Gene::1"]
        assert (info.name, info.synonyms) == expected
        assert counts["by_vocabulary"] == {order[0]: 1, order[1]: 0}


@pytest.mark.parametrize("ending", [".tsv", ".tsv.gz", ".tsv.zst"])
def test_the_same_input_gives_the_same_bytes_in_each_form(tmp_path, ending):
    files = {name: put(tmp_path, name, content) for name, content in SAMPLES.items()}
    for name in ("a", "b"):
        build_entities(iter(ENTITIES), files, tmp_path / name / f"entities{ending}")
    first, second = (tmp_path / name / f"entities{ending}" for name in ("a", "b"))
    assert first.read_bytes() == second.read_bytes()
    assert len(load_entity_info(first)) == len(ENTITIES)


def test_a_damaged_vocabulary_leaves_no_table(tmp_path):
    out = tmp_path / "entities.tsv"
    cut = put(tmp_path, "go", gzip.compress(GO.encode())[:-3], ".gz")
    fails(lambda: build_entities(ENTITIES, {"go": cut}, out), str(cut))
    fails(
        lambda: build_entities(ENTITIES, {"gene_onto": cut}, out), "unknown vocabulary 'gene_onto'", "expected one of"
    )
    fails(lambda: build_entities(ENTITIES, {"drugbnk": cut}, out), "did you mean 'drugbank'?")
    assert not out.exists()


def test_real_names_come_back_from_vocabularies_of_their_form(tmp_path, real_data):
    real = load_entity_info(real_data / "graph" / "entities.tsv.zst")
    named = {entity: info for entity, info in real.items() if info.name}
    by_type: dict[str, dict[str, EntityInfo]] = {}
    for entity, info in named.items():
        kind, _, identifier = entity.partition("::")
        by_type.setdefault(kind, {})[identifier] = info

    def obo(kinds, prefix):
        terms = ((one, info) for kind in kinds for one, info in by_type[kind].items() if one.startswith(prefix))
        return "".join(
            f"[Term]\nid: {one}\nname: {_escaped(info.name)}\n"
            + (f'def: "{_escaped(info.description)}" [x]\n\n' if info.description else "\n")
            for one, info in terms
        )

    def quoted(*cells):
        return ",".join('"' + cell.replace('"', '""') + '"' for cell in cells)

    drugs = (
        quoted(one, "", info.name, "", "", " | ".join(info.synonyms), "") for one, info in by_type["Compound"].items()
    )
    genes = (f"{one}\t{info.name}\t{'|'.join(info.synonyms) or '-'}\t-" for one, info in by_type["Gene"].items())
    effects = (f"{one}\tPT\t1\t{info.name}" for one, info in by_type["Side Effect"].items())
    rest = (f"{kind}::{one}\t{info.name}\t{kind}" for kind in ("Pathway", "Pharmacologic Class", "Symptom")
            for one, info in by_type[kind].items())  # fmt: skip
    mesh = ((one, info) for one, info in by_type["Disease"].items() if one.startswith("MESH:"))
    contents = {
        "hetionet": "\n".join(["id\tname\tkind", *rest]),
        "drugbank": "\n".join([DRUGBANK.split("\n", maxsplit=1)[0], *drugs]),
        "mesh": f"<DescriptorRecordSet>{''.join(_record(*one) for one in mesh)}</DescriptorRecordSet>",
        "ncbi_gene": "\n".join(["#GeneID\tSymbol\tSynonyms\tdescription", *genes]),
        "go": obo(("Biological Process", "Molecular Function", "Cellular Component"), "GO:"),
        "disease_ontology": obo(("Disease",), "DOID:"),
        "uberon": obo(("Anatomy",), "UBERON:"),
        "sider": "\n".join(effects),
    }
    files = {name: put(tmp_path, name, content) for name, content in contents.items()}
    counts = build_entities(real, files, tmp_path / "entities.tsv.zst")
    built = load_entity_info(tmp_path / "entities.tsv.zst")
    assert list(built) == list(real)
    assert [one for one in real if _spaced(built[one].name) != _spaced(real[one].name)] == []
    ontology = [one for one in real if "::GO:" in one]
    assert [one for one in ontology if _spaced(built[one].description) != _spaced(real[one].description)] == []
    genes_differ = [
        one for one in named if one.startswith("Gene::")
        and {name.casefold() for name in (*built[one].synonyms, built[one].name)}
        != {_spaced(name).casefold() for name in (*real[one].synonyms, real[one].name)}
    ]  # fmt: skip
    assert genes_differ == []
    assert counts["named"] == len(named) == 49_291
    assert sum(sum(many.values()) for many in counts["unmapped"].values()) == 56_863 - 49_291
    assert counts["unmapped"]["Compound"]["CHEMBL"] == 3_177
    assert len((tmp_path / "unmapped.tsv").read_text().splitlines()) == 56_863 - 49_291 + 1


def _spaced(text):
    return " ".join(text.split())


def _escaped(text):
    return re.sub(r'(["\\{}!])', r"\\\1", text)


def _record(identifier, info):
    from xml.sax.saxutils import escape

    terms = "".join(f"<Term><String>{escape(name)}</String></Term>" for name in info.synonyms)
    return (
        f"<DescriptorRecord><DescriptorUI>{identifier.removeprefix('MESH:')}</DescriptorUI>\n"
        f"<DescriptorName><String>{escape(info.name)}</String></DescriptorName><ConceptList>"
        f"<Concept PreferredConceptYN='Y'><TermList>{terms}</TermList></Concept></ConceptList></DescriptorRecord>\n"
    )


def test_every_entity_of_drkg_has_its_line_and_its_prefix(tmp_path, real_data):
    with zstandard.open(real_data / "graph" / "drkg_entities.tsv.zst", "rt") as lines:
        entities = [line.split("\t")[0] for line in lines]
    counts = build_entities(entities, {}, tmp_path / "entities.tsv")
    assert counts["entities"] == 97_238 == len(load_entity_info(tmp_path / "entities.tsv"))
    unmapped = counts["unmapped"]
    assert unmapped["Gene"] == {"number": 36_816, "drugbank": 2_097, "NVA": 283, "NH": 23, "blank": 1}
    assert unmapped["Disease"] == {"MESH": 4_871, "DOID": 127, "OMIM": 78, "SARS-CoV": 27}
    assert len(unmapped["Compound"]) == 18
    assert sum(unmapped["Compound"].values()) == 24_313
