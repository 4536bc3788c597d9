import gzip
import json

import pytest
import zstandard

from kedrec.errors import KedrecError
from kedrec.lladr.entity_texts import entity_texts, load_descriptions, name_each_other

ENTITIES = ["Compound::A", "Disease::Z", "Gene::1", "Compound::B"]
INFO = (
    "entity\tname\tsynonyms\tdescription\n"
    "Compound::A\taspirin\tASA\tRelieves pain.\n"
    "Compound::B\t\t\tLowers blood sugar.\n"
    "Disease::Z\tasthma\t\t\n"
    "Disease::Other\tstroke\t\tNot of the graph.\n"
)
TABLE = "entity\tdescription\r\nCompound::A\tStops clots.\r\nDisease::Z\t\r\nGene::Far\tUnknown to the graph.\r\n"
LINES = "\n".join(
    json.dumps({"entity": entity, "description": text, "model": "x"})
    for entity, text in (("Compound::A", " Stops clots.\n"), ("Disease::Z", ""), ("Gene::Far", "Far."))
)


@pytest.fixture
def info(tmp_path):
    path = tmp_path / "entities.tsv"
    path.write_text(INFO)
    return path


@pytest.fixture
def many(tmp_path):
    def write(numbers):
        path = tmp_path / "entities.tsv"
        rows = [f"Gene::{number}\tgene {number}\t\ttext {number}\n" for number in numbers]
        path.write_text("entity\tname\tsynonyms\tdescription\n" + "".join(rows))
        return path

    return write


def test_texts_come_in_the_order_of_the_entities(info):
    texts = entity_texts(ENTITIES, info, None, 0, 0)
    assert texts.names == ["aspirin", "asthma", "", ""]
    assert texts.descriptions == ["Relieves pain.", "", "", "Lowers blood sugar."]
    assert texts.masked == [""] * 4
    assert texts.counts == {"named": 2, "described": 2, "name_only": 1, "neither": 1, "masked": 0, "unknown": 0}


@pytest.mark.parametrize("name", ["llm.tsv", "llm.jsonl", "llm.tsv.zst", "llm.jsonl.gz"])
def test_further_descriptions_win_and_strangers_are_counted(info, tmp_path, name):
    content = (LINES if ".jsonl" in name else TABLE).encode()
    packed = {"gz": gzip.compress, "zst": zstandard.ZstdCompressor().compress}.get(name.split(".")[-1], bytes)
    (tmp_path / name).write_bytes(packed(content))
    texts = entity_texts(ENTITIES, info, tmp_path / name, 0, 0)
    assert texts.descriptions == ["Stops clots.", "", "", "Lowers blood sugar."]
    assert texts.counts["unknown"] == 1


def test_an_empty_description_does_not_win(info, tmp_path):
    (tmp_path / "llm.tsv").write_text("entity\tdescription\nCompound::A\t \n")
    assert entity_texts(ENTITIES, info, tmp_path / "llm.tsv", 0, 0).descriptions[0] == "Relieves pain."


def test_masking_is_exact_nested_seeded_and_blind_to_order(many):
    entities = [f"Gene::{number}" for number in range(50)]

    def masked(share, seed=0, order=entities, lines=range(50)):
        texts = entity_texts(order, many(lines), None, share, seed)
        both = list(zip(order, texts.masked, texts.descriptions, strict=True))
        assert all(bool(hidden) != bool(shown) for _, hidden, shown in both)
        assert texts.counts["masked"] == 50 - texts.counts["described"] == texts.counts["name_only"]
        return {entity for entity, hidden, _ in both if hidden}

    sets = [masked(share) for share in (0, 0.2, 0.4, 1)]
    assert [len(one) for one in sets] == [0, 10, 20, 50]
    assert sets[1] < sets[2]
    assert masked(0.4, seed=1) != sets[2]
    assert masked(0.4, order=entities[::-1], lines=reversed(range(50))) == sets[2]


@pytest.mark.parametrize("share", [-0.1, 1.1, float("nan")])
def test_a_share_that_is_none_is_refused(info, share):
    with pytest.raises(KedrecError, match="expected a share, 0 to 1"):
        entity_texts(ENTITIES, info, None, share, 0)


def test_a_graph_without_any_text_is_refused(info):
    with pytest.raises(KedrecError, match=r"'Gene::9'.*entities\.tsv.*ids"):
        entity_texts(["Gene::9"], info, None, 0, 0)
    with pytest.raises(KedrecError, match="beside the graph"):
        entity_texts(ENTITIES, None, None, 0, 0)


@pytest.mark.parametrize(
    ("name", "content", "expected"),
    [
        ("d.tsv", "name\ttext\nGene::1\ta\n", ":1: the header must be"),
        ("d.tsv", "entity\tdescription\nGene::1\n", ":2: 1 columns"),
        ("d.tsv", "entity\tdescription\ngene\ta\n", ":2: 'gene' is not an entity"),
        ("d.tsv", "entity\tdescription\nGene::1\ta\nGene::1\tb\n", ":3: 'Gene::1' is repeated"),
        ("d.tsv", "entity\tdescription\n", ": no descriptions"),
        ("d.jsonl", '{"entity": "Gene::1"}', ":1: expected an object"),
        ("d.jsonl", '\n["Gene::1", "a"]', ":2: expected an object"),
        ("d.jsonl", '{"entity": "Gene::1", "descr', ":1: not JSON"),
    ],
)
def test_a_fault_is_named_with_file_and_line(tmp_path, name, content, expected):
    (tmp_path / name).write_text(content)
    with pytest.raises(KedrecError) as fault:
        load_descriptions(tmp_path / name)
    assert str(fault.value).startswith(f"{tmp_path / name}{expected}")


def test_pairs_name_each_other_by_whole_names_from_either_side():
    names = ["Ace", "fever", "", "ace"]
    texts = ["Ace lowers a Fever.", "High temperature.", "Treated with ace; never with aces.", ""]
    pairs = [(0, 1), (1, 0), (0, 2), (1, 2), (2, 1), (1, 3)]
    assert name_each_other(pairs, names, texts).tolist() == [True, True, True, False, False, False]
