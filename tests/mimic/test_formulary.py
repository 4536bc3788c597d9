import pytest

from kedrec.graph.knowledge_graph import load_graph
from kedrec.mimic.admission_tables import Prescription
from kedrec.mimic.formulary import Formulary
from kedrec.sources.graph.entity_names import EntityInfo
from kedrec.storage.artifact_store import Store

LINES = [
    ("Compound::DB00682", "DRUGBANK::x-atc::Compound:Atc", "Atc::B01AA"),
    ("Compound::DB00682", "DRUGBANK::x-atc::Compound:Atc", "Atc::B01AA03"),
    ("Compound::DB01001", "DRUGBANK::x-atc::Compound:Atc", "Atc::R03AC"),
    ("Compound::pubchem:3015", "Hetionet::CbG::Compound:Gene", "Gene::1"),
    ("Compound::DB00761", "Hetionet::CbG::Compound:Gene", "Gene::1"),
    ("Compound::brenda1", "Hetionet::CbG::Compound:Gene", "Gene::1"),
]
INFOS = {
    "Compound::DB00682": EntityInfo("Warfarin", ("Coumadin",), ""),
    "Compound::DB01001": EntityInfo("Salbutamol", (), ""),
    "Compound::DB00761": EntityInfo("Potassium chloride", ("KCl",), ""),
    "Compound::pubchem:3015": EntityInfo("Potassium", (), ""),
    "Compound::brenda1": EntityInfo("Warfarin", (), ""),
}


@pytest.fixture
def graph(tmp_path):
    (tmp_path / "triples.tsv").write_text("".join("\t".join(line) + "\n" for line in LINES))
    return load_graph(tmp_path, Store(tmp_path / "store"))


def _meant(graph, *names, ndc="", others=(), rxcui=None):
    order = Prescription(names, ndc)
    return Formulary(graph, INFOS, [order, *others], rxcui).compound(order)


@pytest.mark.parametrize(
    ("name", "compound"),
    [
        ("Warfarin Sodium 5mg", "Compound::DB00682"),  # the one with an ATC code, of two of the name
        ("COUMADIN", "Compound::DB00682"),
        ("Potassium Chloride (Powder)", "Compound::DB00761"),  # the longest run of words, not potassium
        ("Potassium Phosphate", "Compound::pubchem:3015"),
        ("Albuterol 0.083% Neb Soln", "Compound::DB01001"),  # its American name
        ("KCl", None),  # too short to be sure
        ("Sodium Warfarin", None),  # a name begins with the drug
        ("", None),
    ],
)
def test_what_a_name_means(graph, name, compound):
    assert _meant(graph, name) == compound


def test_the_second_name_helps_where_the_first_says_nothing(graph):
    assert _meant(graph, "Jantoven", "Warfarin") == "Compound::DB00682"


def test_a_name_that_says_nothing_takes_what_others_of_its_concept_are(graph):
    rxcui = {"111": "855288", "222": "855288", "333": "9"}
    known = Prescription(("Warfarin",), "222")
    assert _meant(graph, "Jantoven", ndc="111", others=[known], rxcui=rxcui) == "Compound::DB00682"
    assert _meant(graph, "Jantoven", ndc="333", others=[known], rxcui=rxcui) is None
    assert _meant(graph, "Jantoven", others=[Prescription(("Warfarin",), "")], rxcui=rxcui) is None


def test_atc_codes_come_from_the_graph_and_by_pubchem(graph):
    formulary = Formulary(graph, INFOS, [], atc={"3015": ("A12BA",), "999": ("Z",)})
    assert formulary.atc("Compound::DB00682") == ("B01AA", "B01AA03")
    assert formulary.atc("Compound::pubchem:3015") == ("A12BA",)
    assert formulary.atc("Compound::DB00761") == ()


def test_coverage_counts_repeats(graph):
    orders = [Prescription((name,), "") for name in ("Warfarin", "KCl", "Potassium Chloride")] * 2
    formulary = Formulary(graph, INFOS, orders)
    assert formulary.coverage(orders).startswith("6 prescriptions: 4 name a compound of the graph (66.7%), 2 of them")
    assert formulary.unknown(orders) == [("KCl", 2)]
