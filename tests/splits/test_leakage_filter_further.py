"""Ways by which a test treatment could still be seen: other ids in given pairs, texts on a third, what is not said."""

import json
from functools import partial

import pytest

from kedrec.errors import KedrecError
from kedrec.kedrec_lm import pair_sampling as drawing
from kedrec.lladr.triple_batches import ChoiceBatch
from kedrec.splits.pairs import Pair, save_pairs
from kedrec.splits.treatment_split import TreatmentSplit
from tests.support import leak_search as leaks
from tests.support.planted_treatment import DISEASE, DRUG, kept_for_test, plant, student_data, triple_data, world_of

TWINS = [("Compound::twin", DISEASE), (DRUG, "Disease::DOID:0"), ("Compound::twin", "Disease::DOID:0")]


@pytest.fixture(scope="module")
def planted(tmp_path_factory):
    """The small world that tells of a test treatment."""
    return plant(tmp_path_factory.mktemp("planted"))


@pytest.fixture
def student(tiny_base, tiny_encoder_folder, store, planted):
    """Makes the student's data in that world."""
    return partial(student_data, tiny_base, tiny_encoder_folder, planted, planted / "texts.jsonl")


def _given(folder, drug, disease, *further):
    """A file of pairs whose test asks about a drug and disease by these ids."""
    pairs = [
        Pair(disease, drug, "Compound::12", "test", True, ""),
        Pair("Disease::MESH:D1", "Compound::1", "Compound::9", "validation", True, ""),
        Pair("Disease::MESH:D2", "Compound::2", "Compound::9", "train", True, ""),
        Pair("Disease::MESH:D5", "Compound::5", "Compound::9", "train", True, ""),
        *further,
    ]
    save_pairs(pairs, folder / "pairs.parquet")
    return str(folder / "pairs.parquet")


@pytest.mark.usefixtures("store")
@pytest.mark.parametrize(("drug", "disease"), TWINS)
def test_what_pairs_ask_by_the_id_of_a_namesake_is_held_out_of_the_graph(planted, tmp_path, drug, disease):
    data = triple_data(planted, pairs__file=_given(tmp_path, drug, disease))
    assert leaks.in_triples(data, world_of(planted), {(DRUG, DISEASE)}) == []
    assert (DRUG, DISEASE) in data.manifest.of("test")
    (choice,) = [batch for batch in data.test_dataloader() if isinstance(batch, ChoiceBatch)]
    assert choice.pair == (f"{disease}|{drug}|Compound::12",)  # asked as it was given


@pytest.mark.parametrize(("drug", "disease"), TWINS)
def test_what_pairs_ask_by_the_id_of_a_namesake_is_in_one_split(student, tmp_path, drug, disease):
    again = Pair(DISEASE, DRUG, "Compound::12", "train", True, "")
    with pytest.raises(KedrecError, match=rf"train pair asks about {DRUG} for {DISEASE}, which the split has in test"):
        student(pairs={"file": _given(tmp_path, drug, disease, again)})
    wrong = Pair(DISEASE, "Compound::7", DRUG, "train", True, "")
    with pytest.raises(
        KedrecError, match=rf"train pair calls {DRUG} irrelevant to {DISEASE}, a treatment of it in test"
    ):
        student(pairs={"file": _given(tmp_path, drug, disease, wrong)})


@pytest.mark.usefixtures("store")
@pytest.mark.parametrize("given", ["split", "pairs"])
def test_no_description_tells_of_what_a_split_or_pairs_hold_out_not_even_that_of_a_third(planted, tmp_path, given):
    path = planted / "split.tsv" if given == "split" else _given(tmp_path, DRUG, DISEASE)
    data = triple_data(planted, **{f"{given}__file": str(path)})
    assert leaks.in_descriptions(data, world_of(planted), {(DRUG, DISEASE)}) == []
    described = dict(zip(data.vocabulary.entities, data.vocabulary.descriptions, strict=True))
    assert described["Gene::1"] == "It is on a chromosome."
    assert described[DRUG] == "A pill. It is white."
    assert described["Compound::7"] == "It is for ill7."


def test_a_rationale_does_not_say_it_goes_without_saying(student, planted, tmp_path):
    split = {"file": str(planted / "split.tsv")}
    drawn = student(split=split).pairs
    said = "It helps. It is also given in illness. So is other name. That is all."
    rows = [{"disease": one.disease, "relevant": one.relevant, "irrelevant": one.irrelevant} for one in drawn]
    recorded = tmp_path / "said.jsonl"
    recorded.write_text("".join(json.dumps({**row, "rationale": said}) + "\n" for row in rows))
    data = student(split=split, rationales=str(recorded))
    world = world_of(planted, planted / "texts.jsonl")
    assert leaks.in_rationales(data, world, kept_for_test(planted)) == []
    left = {row.question.pair: row.question.reference for row in data.encoded["train"]}
    on_drug = {text for pair, text in left.items() if DRUG in pair.split("|")}
    on_disease = {text for pair, text in left.items() if pair.startswith(f"{DISEASE}|") and DRUG not in pair}
    on_neither = {text for pair, text in left.items() if not {DRUG, DISEASE} & set(pair.split("|"))}
    assert on_drug == {"It helps. So is other name. That is all."}
    assert on_disease == {"It helps. It is also given in illness. That is all."}
    assert on_neither == {said}


def test_how_popular_a_drug_is_in_training_counts_nothing_of_the_test(student, planted, monkeypatch, tmp_path):
    monkeypatch.setenv("KEDREC_STORE", str(tmp_path / "store"))
    counted, vectors = [], drawing.popularity_vectors

    def watched(stated, drugs):
        counted.append(set(stated))
        return vectors(stated, drugs)

    monkeypatch.setattr(drawing, "popularity_vectors", watched)
    student(split={"file": str(planted / "split.tsv")}, pairs={"negatives": "popular"})
    manifest = TreatmentSplit.load(planted / "split.tsv")
    assert counted == [manifest.of("train"), manifest.of("train", "validation"), set(manifest.split_of)]
