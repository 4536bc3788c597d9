"""The data module of link prediction, on a graph and texts of a few lines."""

import pytest
import torch

from kedrec.errors import KedrecError
from kedrec.lladr.kge import KGE
from kedrec.lladr.triple_batches import ChoiceBatch, RepurposingBatch
from kedrec.lladr.triple_data import TripleData
from kedrec.splits.pairs import Pair, save_pairs
from tests.support.nested_settings import built

TREATS = "DRUGBANK::treats::Compound:Disease"


@pytest.fixture
def graph(tmp_path):
    """Twelve compounds, each of which treats two of twelve diseases, and genes that link them."""
    lines = [f"Compound::{drug}\t{TREATS}\tDisease::{(drug + step) % 12}" for drug in range(12) for step in (0, 1)]
    lines += [f"Disease::{disease}\tHetionet::DaG::Disease:Gene\tGene::{disease % 4}" for disease in range(12)]
    lines += [f"Compound::{drug}\tHetionet::CbG::Compound:Gene\tGene::{drug % 3}" for drug in range(12)]
    (tmp_path / "triples.tsv").write_text("".join(f"{line}\n" for line in lines))
    header = "entity\tname\tsynonyms\tdescription\n"
    drugs = [f"Compound::{drug}\tdrug-{drug}\t\tIt is for ill-{drug}.\n" for drug in range(12)]
    (tmp_path / "entities.tsv").write_text(
        header + "".join(drugs + [f"Disease::{d}\till-{d}\t\t\n" for d in range(12)])
    )
    return tmp_path


def data(graph, **settings):
    sizes = {"loader__batch_size": 4, "negatives__chunks": 2}
    shares = {"split__test": 0.2, "split__validation": 0.1, "split__unseen_diseases": 2}
    module = built(TripleData, str(graph), **{**sizes, **shares, **settings})
    module.prepare_data()
    return module


def marks(module):
    (batch,) = [batch for batch in module.test_dataloader() if isinstance(batch, RepurposingBatch)]
    return {
        (int(batch.disease[disease]), int(batch.compounds[compound]), split)
        for disease, compound, split in zip(
            batch.known_disease.tolist(), batch.known.tolist(), batch.known_split.tolist(), strict=True
        )
    }


@pytest.mark.usefixtures("store")
def test_noise_reaches_training_and_nothing_else(graph):
    clean, noisy = data(graph), data(graph, noise__delete=0.4, noise__add=1.0)
    assert marks(clean) == marks(noisy)
    assert {split for *_, split in marks(clean)} >= {0, 2}
    for mine, other in zip(clean.test_dataloader(), noisy.test_dataloader(), strict=True):
        if not isinstance(mine, RepurposingBatch):
            assert torch.equal(mine.known, other.known)
            assert torch.equal(mine.target, other.target)
    assert len(noisy.train_dataloader().triples) == round(0.6 * len(clean.train_dataloader().triples)) * 2


@pytest.mark.usefixtures("store")
def test_compounds_are_asked_in_batches_that_fit_in_memory(graph):
    whole, parts = data(graph), data(graph, loader__ranking_memory=1)
    assert marks(whole)
    of_parts = [batch for batch in parts.test_dataloader() if isinstance(batch, RepurposingBatch)]
    assert all(len(batch.disease) == 1 for batch in of_parts)
    assert len(of_parts) > 1


@pytest.mark.usefixtures("store")
def test_a_split_folder_keeps_its_split(graph):
    lines = (graph / "triples.tsv").read_text().splitlines(keepends=True)
    folder = graph / "split"
    folder.mkdir()
    for name, part in {"train": lines[6:], "valid": lines[:3], "test": lines[3:6]}.items():
        (folder / f"{name}.txt").write_text("".join(part))
    module = data(folder)
    assert {batch.name for batch in module.test_dataloader() if not isinstance(batch, RepurposingBatch)} == {"pairs"}
    asked = [batch for batch in module.test_dataloader() if not isinstance(batch, RepurposingBatch)]
    assert sum(len(batch.target) for batch in asked) == 2 * 3
    with pytest.raises(KedrecError, match="DRUGBANK::cures"):
        data(folder, relations=["DRUGBANK::cures"])
    quiet = data(folder, relations=[])
    assert not [batch for batch in quiet.test_dataloader() if isinstance(batch, RepurposingBatch)]


@pytest.mark.usefixtures("store")
def test_what_texts_tell_of_the_test_is_counted_and_left_out_of_further_tests(graph):
    module = data(graph)
    ids = module.vocabulary.entities
    leaking, leak_free = {}, {}
    for name, triples in module.partition.tests.items():
        sides = [[ids[end].split("::")[1] for end in triple[::2]] for triple in triples.tolist()]
        leaking[name] = sum(head == tail for head, tail in sides)
        leak_free[f"{name}_leak_free"] = len(sides) - leaking[name]
    assert sum(leaking.values())
    counted = ", ".join(f"{leaking[name]} of {len(module.partition.tests[name])} {name}" for name in leaking)
    assert module.facts["test triples whose descriptions name each other"] == counted
    asked = dict.fromkeys(leak_free, 0)
    for batch in module.test_dataloader():
        if getattr(batch, "name", None) in asked:
            asked[batch.name] += len(batch.target)
    assert asked == {
        name: 2 * count * bool(leaking[name.removesuffix("_leak_free")]) for name, count in leak_free.items()
    }


@pytest.mark.parametrize(
    ("settings", "key"),
    [
        ({"loader__batch_size": 0}, r"data\.init_args\.loader\.batch_size"),
        ({"negatives__count": -1}, r"data\.init_args\.negatives\.count"),
        ({"negatives__chunks": 3}, r"data\.init_args\.negatives\.chunks"),
        ({"anchors__masked": 0.5}, r"data\.init_args\.anchors\.sources"),
        ({"noise__delete": 1.5}, "deleted"),
    ],
)
@pytest.mark.usefixtures("store")
def test_faults_name_their_key_before_any_work(graph, settings, key):
    with pytest.raises(KedrecError, match=key):
        data(graph, **settings)


@pytest.mark.usefixtures("store")
def test_a_students_pairs_are_held_out_and_the_choice_between_their_drugs_is_scored(graph, tmp_path):
    pairs = [Pair(f"Disease::{one}", f"Compound::{one}", f"Compound::{one + 5}", "test", True, "") for one in (0, 3, 6)]
    save_pairs([*pairs, Pair("Disease::9", "Compound::x", "Compound::1", "test", True, "")], tmp_path / "pairs.parquet")
    module = data(graph, pairs__file=str(tmp_path / "pairs.parquet"))
    (batch,) = [batch for batch in module.test_dataloader() if isinstance(batch, ChoiceBatch)]
    entities = module.vocabulary.entities
    assert batch.pair[1] == "Disease::3|Compound::3|Compound::8"  # the one with a drug that the graph lacks is left out
    assert [[entities[one] for one in row] for row in batch.drugs.tolist()] == [
        [p.relevant, p.irrelevant] for p in pairs
    ]
    trained = {frozenset((entities[head], entities[tail])) for head, _, tail in module.training_triples.tolist()}
    assert not trained & {frozenset((pair.relevant, pair.disease)) for pair in pairs}

    # A model that knows: the first drug's row answers its disease, the second's is another's; one tie.
    model = KGE("distmult", dim=2)
    model.vocabulary = module.vocabulary
    model.make_tables(len(entities), len(module.vocabulary.relations))
    table = torch.zeros(len(entities), 2)
    table[batch.disease] = torch.tensor([1.0, 0.0])
    table[batch.drugs[0, 0]] = torch.tensor([1.0, 0.0])
    table[batch.drugs[2, 1]] = torch.tensor([1.0, 0.0])
    model.entity.weight.data, model.relation.weight.data = table, torch.ones_like(model.relation.weight)
    right = {pair.partition("|")[0]: one for pair, one in model._choose(batch).items()}
    assert right == {"Disease::0": 1.0, "Disease::3": 0.5, "Disease::6": 0.0}


@pytest.mark.usefixtures("store")
def test_the_split_of_one_run_is_obeyed_by_another_and_by_the_pairs_that_it_is_asked(graph, tmp_path):
    first = data(graph, seed=1)
    first.manifest.save(tmp_path / "split.tsv")
    drug, disease = sorted(first.manifest.of("test"))[0]
    save_pairs([Pair(disease, drug, "Compound::x", "test", True, "")], tmp_path / "pairs.parquet")
    second = data(graph, seed=2, split__file=str(tmp_path / "split.tsv"), pairs__file=str(tmp_path / "pairs.parquet"))
    assert sorted(map(tuple, second.training_triples)) == sorted(map(tuple, first.training_triples))
    assert second.facts["manifest"] == first.facts["manifest"]
    assert sum(batch.name == "pairs" for batch in second.test_dataloader() if hasattr(batch, "name")) > 0
    assert any(isinstance(batch, ChoiceBatch) for batch in second.test_dataloader())
    save_pairs([Pair(disease, drug, "Compound::x", "train", True, "")], tmp_path / "pairs.parquet")
    with pytest.raises(KedrecError, match=rf"pairs\.parquet: a train pair asks about {drug} .* has in test"):
        data(graph, split__file=str(tmp_path / "split.tsv"), pairs__file=str(tmp_path / "pairs.parquet"))
    with (graph / "triples.tsv").open("a") as more:
        more.write(f"Compound::1\t{TREATS}\tDisease::7\n")
    with pytest.raises(KedrecError, match=r"split\.tsv: a split of another graph"):
        data(graph, split__file=str(tmp_path / "split.tsv"))


def test_pairs_and_a_split_folder_are_refused(tmp_path):
    for name in ("train", "valid", "test"):
        (tmp_path / f"{name}.txt").write_text(f"Compound::{name}\t{TREATS}\tDisease::1\n")
    with pytest.raises(KedrecError, match="split already"):
        data(tmp_path, pairs__file="pairs.parquet")
    with pytest.raises(KedrecError, match=r"data\.init_args\.split\.file: .* split already"):
        data(tmp_path, split__file="split.tsv")
