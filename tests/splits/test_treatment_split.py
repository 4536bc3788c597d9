"""A treatment split: written and read, checked against its graph, by date, and followed by triples."""

from collections import Counter
from dataclasses import replace
from datetime import date

import numpy as np
import pytest

from kedrec.errors import KedrecError
from kedrec.graph.knowledge_graph import load_graph
from kedrec.graph.links import edge_keys, every_link, linked_pairs
from kedrec.graph.named_graph import NamedGraph
from kedrec.graph.synonyms import merge_synonyms
from kedrec.graph.therapeutic import THERAPEUTIC, stated_edges
from kedrec.sources.graph.entity_names import EntityInfo
from kedrec.splits.pairs import Pair
from kedrec.splits.seeded_split import cut_days
from kedrec.splits.split_consistency import check_pairs
from kedrec.splits.split_creation import split_by_shares, split_from_pairs, split_treatments
from kedrec.splits.treatment_split import TreatmentSplit
from kedrec.splits.triple_partition import partition_triples
from kedrec.storage.artifact_store import Store
from tests.support.drawn_pairs import sample_pairs

TREATS, CTD = THERAPEUTIC[:2]
REVERSE = "DRUGBANK::treats::Disease:Compound"
PREVENTS = "GNBR::Pr::Compound:Disease"
GRAPH, NAMES = "a" * 64, "b" * 64


def _manifest(**changes):
    split_of = {
        ("Compound::1", "Disease::1"): "train",
        ("Compound::2", "Disease::1"): "validation",
        ("Compound::3", "Disease::2"): "test",
        ("Compound::4", "Disease::2"): "train",
    }
    dates = {("Compound::1", "Disease::1"): "2001", ("Compound::2", "Disease::1"): "2005-03"}
    dates[("Compound::3", "Disease::2")] = "2007-01-02"
    return replace(TreatmentSplit("date", None, GRAPH, NAMES, "c" * 64, split_of, dates), **changes)


def _graph(folder, lines):
    folder.mkdir(exist_ok=True)
    (folder / "triples.tsv").write_text("".join("\t".join(line) + "\n" for line in lines))
    return load_graph(folder, Store(folder / "store"))


@pytest.fixture(scope="module")
def graph(tmp_path_factory):
    """Twenty drugs for two of ten diseases each, drug 0 also a preventive; ``Disease::twin`` is called as disease 0."""
    lines = [(f"Compound::{drug}", TREATS, f"Disease::{(drug + step) % 10}") for drug in range(20) for step in (0, 3)]
    lines += [("Compound::0", PREVENTS, "Disease::0"), ("Disease::twin", REVERSE, "Compound::0")]
    lines += [("Compound::1", "Hetionet::CbG::Compound:Gene", "Gene::1"), ("Compound::7", CTD, "Disease::1")]
    return _graph(tmp_path_factory.mktemp("graph"), lines)


@pytest.fixture(scope="module")
def kept(graph):
    rows = np.arange(len(graph.entities), dtype=np.int32)
    rows[graph.entity_rows["Disease::twin"]] = graph.entity_rows["Disease::0"]
    return rows


def _split(graph, by, **settings):
    return split_treatments(graph, **{"split_by": by, "validation": 0.1, "test": 0.2, "seed": 0, **settings})


def test_what_was_saved_is_read_back_and_the_same_bytes_are_written_again(tmp_path):
    manifest = _manifest()
    manifest.save(tmp_path / "split.tsv")
    read = TreatmentSplit.load(tmp_path / "split.tsv")
    for name in ("by", "seed", "graph", "names", "texts", "split_of", "dates", "cuts", "identity"):
        assert getattr(read, name) == getattr(manifest, name)
    read.save(tmp_path / "again.tsv")
    assert (tmp_path / "again.tsv").read_bytes() == (tmp_path / "split.tsv").read_bytes()
    assert (tmp_path / "split.tsv").read_text().splitlines()[1:3] == [
        "drug\tdisease\tsplit\tdate",
        "Compound::1\tDisease::1\ttrain\t2001",
    ]


def test_the_cuts_are_the_first_days_of_what_is_held_out():
    manifest = _manifest()
    assert manifest.cuts == {"train": date(2005, 3, 31), "validation": date(2007, 1, 2)}
    assert _manifest(dates={}).cuts == {}
    assert manifest.facts["cuts"] == {
        "train": "texts before 2005-03-31 alone",
        "validation": "texts before 2007-01-02 alone",
    }
    assert manifest.facts["train"] == "2 treatments"
    assert manifest.facts["without a date, for training"] == 1


@pytest.mark.parametrize(
    ("line", "written", "expected"),
    [
        (0, "drug\tdisease", r"line 1: not the split of a run"),
        (0, '# kedrec split {"by": "pair"}', r"line 1: not the split of a run"),
        (1, "disease\tdrug\tsplit\tdate", r"line 2: expected the header"),
        (2, "Compound::1\tDisease::1\ttrain", r"line 3: expected drug, disease"),
        (2, "Compound::1\tDisease::1\ttraining\t", r"line 3: expected drug, disease, train or validation or test"),
        (2, "Disease::1\tCompound::1\ttrain\t", r"line 3: expected the ids of a compound and a disease"),
        (3, "Compound::1\tDisease::1\ttrain\t", r"line 4: Compound::1 Disease::1 is repeated"),
        (2, "Compound::1\tDisease::1\ttrain\tsoon", r"line 3: 'soon' is not a date"),
        (4, "Compound::3\tDisease::2\ttrain\t", r"no treatment is in the test split"),
    ],
)
def test_a_damaged_file_is_named_with_the_line(tmp_path, line, written, expected):
    path = tmp_path / "split.tsv"
    _manifest().save(path)
    lines = path.read_text().splitlines()
    path.write_text("\n".join([*lines[:line], written, *lines[line + 1 :]]) + "\n")
    with pytest.raises(KedrecError, match=expected):
        TreatmentSplit.load(path)


def test_a_model_of_a_graph_may_do_without_validation(tmp_path):
    whole = _manifest()
    split_of = {edge: "train" if split == "validation" else split for edge, split in whole.split_of.items()}
    replace(whole, split_of=split_of).save(tmp_path / "split.tsv")
    assert not TreatmentSplit.load(tmp_path / "split.tsv").of("validation")


def test_a_manifest_of_another_graph_is_refused():
    manifest = _manifest()
    stated, kept = set(manifest.split_of), str
    manifest.check_graph("split.tsv", GRAPH, NAMES, stated, kept)
    with pytest.raises(KedrecError, match=r"split\.tsv: a split of another graph \(SHA-256 aaaaaaaaaaaa, here dddd"):
        manifest.check_graph("split.tsv", "d" * 64, NAMES, stated, kept)
    with pytest.raises(KedrecError, match=r"another entities\.tsv .*here None"):
        manifest.check_graph("split.tsv", GRAPH, None, stated, kept)
    with pytest.raises(KedrecError, match=r"1 of 5 treatments are not in it, such as Compound::9 Disease::9"):
        manifest.check_graph("split.tsv", GRAPH, NAMES, {*stated, ("Compound::9", "Disease::9")}, kept)


def test_a_line_by_an_id_that_stands_for_nothing_is_refused():
    manifest = _manifest(split_of={**_manifest().split_of, ("Compound::1", "Disease::twin"): "test"})
    stated = set(_manifest().split_of)
    with pytest.raises(KedrecError, match=r"split\.tsv: Compound::1 Disease::twin: .*write Compound::1 Disease::1, in"):
        manifest.check_graph("split.tsv", GRAPH, NAMES, stated, lambda one: one.replace("twin", "1"))


@pytest.mark.parametrize("by", ["pair", "disease", "drug"])
@pytest.mark.parametrize("seed", range(3))
def test_every_treatment_has_one_split_and_nothing_is_shared_that_must_not_be(graph, kept, by, seed):
    merged = merge_synonyms(graph, kept)
    manifest = _split(merged, by, seed=seed)
    assert set(manifest.split_of) == set(stated_edges(merged, merged.match_relations(THERAPEUTIC, THERAPEUTIC)))
    homes = {}
    for edge, split in manifest.split_of.items():
        homes.setdefault({"pair": edge, "disease": edge[1], "drug": edge[0]}[by], set()).add(split)
    assert all(len(splits) == 1 for splits in homes.values())
    assert {split for splits in homes.values() for split in splits} == {"train", "validation", "test"}


def test_what_is_not_asked_about_goes_with_its_disease_or_drug_or_is_for_training(graph):
    def eligible(drug, disease):
        return int(drug.removeprefix("Compound::")) < 10

    rest = {edge for edge in _split(graph, "pair").split_of if not eligible(*edge)}
    by_pair = _split(graph, "pair", eligible=eligible).split_of
    assert {by_pair[edge] for edge in rest} == {"train"}
    by_disease = _split(graph, "disease", eligible=eligible)
    tested = {disease for _, disease in by_disease.of("test")}
    assert {by_disease.split_of[edge] for edge in rest if edge[1] in tested} == {"test"}


def test_by_date_the_latest_are_the_test_and_a_day_is_not_divided(graph):
    def dated(drug, _):
        number = int(drug.removeprefix("Compound::"))
        return "" if number == 19 else f"{2000 + number // 2}"

    manifest = _split(graph, "date", dated=dated)
    years = {
        split: {manifest.dates.get(edge, "") for edge in manifest.of(split)}
        for split in ("train", "validation", "test")
    }
    assert years["train"] == {"", *map(str, range(2000, 2007))}
    assert years["validation"] == {"2007"}
    assert years["test"] == {"2008", "2009"}  # 6 of 39: nearer to a fifth than 2
    assert manifest.cuts == {"train": date(2007, 12, 31), "validation": date(2008, 12, 31)}
    assert manifest.seed is None
    with pytest.raises(KedrecError, match=r"split.by: date needs texts with dates"):
        _split(graph, "date")
    with pytest.raises(KedrecError, match="too few to split by date"):
        _split(graph, "date", dated=lambda drug, disease: "2001")


def test_cuts_meet_the_shares_and_leave_each_split_a_day():
    days = [date(2000 + year, 1, 1) for year in range(10) for _ in range(10)]
    assert cut_days(days, 0.1, 0.2) == (date(2007, 1, 1), date(2008, 1, 1))
    assert cut_days(days, 0.01, 0.01) == (date(2008, 1, 1), date(2009, 1, 1))
    uneven = [date(2001, 1, 1)] * 2 + [date(2002, 1, 1)] * 3 + [date(2003, 1, 1)] * 95
    assert cut_days(uneven, 0.1, 0.1) == (date(2002, 1, 1), date(2003, 1, 1))
    for shares in ((0, 0.1), (0.1, 0), (0.6, 0.5)):
        with pytest.raises(KedrecError):
            cut_days(days, *shares)
    with pytest.raises(KedrecError, match="2 different days"):
        cut_days(days[:20], 0.1, 0.1)


@pytest.mark.parametrize("by", ["pair", "disease", "drug"])
def test_triples_obey_a_manifest_under_any_relation_direction_and_name(graph, kept, by):
    merged = merge_synonyms(graph, kept)
    for seed in range(5):
        manifest = _split(merged, by, seed=seed)
        split = partition_triples(graph, THERAPEUTIC, manifest, kept)
        assert split.leaking == 0
        seen = Counter(
            frozenset((graph.entities[kept[h]], graph.entities[kept[t]])) for h, _, t in split.train.tolist()
        )
        assert not any(seen[frozenset(edge)] for edge in manifest.of("validation", "test"))
        assert all(seen[frozenset(edge)] for edge in manifest.of("train"))
        asked = {
            frozenset((graph.entities[kept[h]], graph.entities[kept[t]])) for h, _, t in split.tests["pairs"].tolist()
        }
        assert asked == {frozenset(edge) for edge in manifest.of("test")}


def test_without_merging_a_namesake_would_tell(graph, kept):
    own = np.arange(len(graph.entities), dtype=np.int32)
    told = {("Compound::0", "Disease::0"): "test"}
    stated = stated_edges(merge_synonyms(graph, kept), [TREATS, REVERSE, CTD])
    manifest = TreatmentSplit("pair", 0, graph.source_hash, None, None, dict.fromkeys(stated, "train") | told)
    assert partition_triples(graph, THERAPEUTIC, manifest, own).train.shape[0] == len(graph.triples) - 2
    split = partition_triples(graph, THERAPEUTIC, manifest, kept)
    assert len(split.train) == len(graph.triples) - 3
    assert split.dropped == 1


def test_a_manifest_without_a_test_that_the_graph_states_is_refused(graph, kept):
    stated = stated_edges(merge_synonyms(graph, kept), [TREATS, REVERSE, CTD])
    manifest = TreatmentSplit("pair", 0, graph.source_hash, None, None, dict.fromkeys(stated, "train"))
    with pytest.raises(KedrecError, match=r"no triple of .* for any treatment of the test split"):
        partition_triples(graph, THERAPEUTIC, manifest, kept)


def test_the_shares_of_a_graph_model_merge_synonyms_and_give_a_split_that_another_run_follows(graph, kept, tmp_path):
    named = NamedGraph(graph, {one: EntityInfo("ill0", (), "") for one in ("Disease::0", "Disease::twin")})
    assert named.canonical_rows.tolist() == kept.tolist()
    for seed in range(5):
        made = split_by_shares(named, THERAPEUTIC, validation=0.1, test=0.2, unseen_diseases=2, seed=seed)
        split = partition_triples(graph, THERAPEUTIC, made, kept)
        assert split.leaking == 0
        made.save(tmp_path / "split.tsv")
        again = partition_triples(graph, THERAPEUTIC, TreatmentSplit.load(tmp_path / "split.tsv"), kept)
        assert list(split.tests) == ["pairs", "diseases"]
        assert sorted(map(tuple, again.train)) == sorted(map(tuple, split.train))
        assert sorted(map(tuple, again.validation)) == sorted(map(tuple, split.validation))
        assert len(again.tests["pairs"]) == sum(map(len, split.tests.values()))


def test_the_manifest_of_pairs_holds_out_what_they_ask_and_whole_diseases(graph):
    pairs = [
        Pair("Disease::0", "Compound::0", "Compound::1", "test", True, ""),
        Pair("Disease::1", "Compound::1", "Compound::0", "validation", True, ""),
        Pair("Disease::1", "Compound::11", "Compound::0", "train", True, ""),
        Pair("Disease::x", "Compound::x", "Compound::0", "test", True, ""),
    ]
    stated = set(stated_edges(graph, [TREATS, CTD]))
    manifest = split_from_pairs(NamedGraph(graph), THERAPEUTIC, pairs)
    assert manifest.isolated_diseases == {"Disease::0": "test", "Disease::x": "test"}
    assert manifest.of("test") == {edge for edge in stated if edge[1] == "Disease::0"} | {("Compound::x", "Disease::x")}
    assert manifest.of("validation") == {("Compound::1", "Disease::1")}
    check_pairs(pairs, manifest, "pairs.parquet")


def test_pairs_that_ask_across_splits_are_refused_and_named():
    manifest = _manifest()
    cases = [
        (("Disease::2", "Compound::3", "Compound::1", "train"), "has in test"),
        (("Disease::2", "Compound::4", "Compound::3", "train"), "calls Compound::3 irrelevant to Disease::2"),
        (("Disease::2", "Compound::9", "Compound::1", "test"), "does not name"),
    ]
    for (disease, relevant, irrelevant, split), expected in cases:
        with pytest.raises(KedrecError, match=rf"pairs\.parquet: a {split} pair .*{expected}"):
            check_pairs([Pair(disease, relevant, irrelevant, split, True, "")], manifest, "pairs.parquet")


@pytest.mark.parametrize("by", ["pair", "disease", "drug"])
def test_pairs_are_drawn_within_a_manifest(graph, by):
    settings = {"validation": 0.1, "test": 0.2, "seed": 1}
    pairs = sample_pairs(graph, negatives="random", balanced=False, split_by=by, **settings)
    check_pairs(pairs, _split(graph, by, **settings), "pairs")


def test_every_link_of_an_edge_is_told_and_no_other(graph, kept):
    links = every_link(graph, {("Compound::0", "Disease::0"), ("Compound::no", "Disease::0")}, kept)
    ends = {frozenset((graph.entities[h], graph.entities[t])) for h, _, t in links.tolist()}
    assert ends == {frozenset(("Compound::0", one)) for one in ("Disease::0", "Disease::twin")}
    assert len(np.unique(links, axis=0)) == len(links) == 2 * 2 * len(graph.relations)
    assert every_link(graph, set(), kept).shape == (0, 3)
    keys = linked_pairs(graph, kept)[(graph.triples[:, ::2] == graph.entity_rows["Disease::twin"]).any(axis=1)]
    assert keys.tolist() == edge_keys(graph, {("Compound::0", "Disease::0")}).tolist()
