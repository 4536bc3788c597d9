"""The T5 as a Lightning module: names scored as teacher forcing scores them, and a graph that it learns."""

from dataclasses import replace

import pytest
import torch

from kedrec.baselines.kgt5 import KGT5
from kedrec.baselines.name_tree import name_trees, tree_log_likelihood
from kedrec.baselines.verbalization import distinct_names, readable_relations
from kedrec.errors import KedrecError
from kedrec.evaluation.link_prediction_metrics import RankingReport
from kedrec.evaluation.ranking_batch import RankingBatch
from tests.lladr.test_kge import ENTITIES, Graph, fitted
from tests.support.nested_settings import built

NAMES = [f"{group} {row}" for row in range(ENTITIES // 4) for group in ("alpha", "alpha beta", "gamma é", "alpha")]


class Named(Graph):
    """The same ring, its entities called by names of which many begin alike and some are equal."""

    def __init__(self, **sizes):
        super().__init__(**sizes)
        self.vocabulary = replace(self.vocabulary, names=NAMES)


def made(**settings):
    sizes = {"width": 16, "layers": 2, "heads": 2, "feed_forward": 32, "tokens": 300}
    model = built(KGT5, **{**sizes, **settings})
    model.make_net(Named().vocabulary)
    return model.eval()


def forced(model, query, names):
    """Log-likelihoods of names one by one, by the labels that transformers shifts itself: ``(names,)``."""
    found = []
    for name in names:
        labels = model.tokenizer(name, return_tensors="pt").input_ids
        with torch.no_grad():
            steps = model.net(**model.tokenizer(query, return_tensors="pt"), labels=labels).logits.log_softmax(-1)
        found.append(steps.gather(2, labels.unsqueeze(2)).sum())
    return torch.stack(found)


@pytest.mark.parametrize("memory", [1, 2**30], ids=["one query at once", "all at once"])
@pytest.mark.parametrize("missing", ["head", "tail"])
def test_scores_are_the_likelihoods_of_teacher_forcing(missing, memory):
    model = made(ranking_memory=memory)
    given, relation = torch.tensor([5, 11, 30]), torch.tensor([0, 2, 1])
    found = model.answer_scores(given, relation, missing)
    for row, (entity, kind) in enumerate(zip(given.tolist(), relation.tolist(), strict=True)):
        query = f"predict {missing}: {model.names[entity]} | r{kind}"
        torch.testing.assert_close(found[row], forced(model, query, model.names), atol=1e-4, rtol=0)
    some = torch.tensor([7, 3, 20])
    torch.testing.assert_close(model.answer_scores(given, relation, missing, some), found[:, some], atol=1e-4, rtol=0)
    torch.testing.assert_close(model.answer_scores(given, relation, missing), found, atol=0, rtol=0)


@pytest.mark.parametrize("nodes", [1, 7, 1000])
def test_names_score_the_same_however_the_tree_is_cut(nodes):
    model = made()
    trees = name_trees(model._tokens, 0, nodes)
    assert sorted(place for tree in trees for place in tree.name.tolist()) == list(range(ENTITIES))
    assert all(len(tree.read) <= nodes or len(tree.name) == 1 for tree in trees)
    query = model._queries(torch.tensor([4, 9]), torch.tensor([1, 1]), "tail")
    found = torch.empty(2, ENTITIES)
    with torch.no_grad():
        states = model.net.encoder(**query).last_hidden_state
        for tree in trees:
            found[:, tree.name] = tree_log_likelihood(model.net, tree, states, query["attention_mask"])
    wanted = model.answer_scores(torch.tensor([4, 9]), torch.tensor([1, 1]), "tail")
    torch.testing.assert_close(found, wanted, atol=1e-4, rtol=0)


def test_a_common_beginning_is_one_node():
    (tree,) = name_trees([[5, 6, 1], [5, 7, 1], [5, 6, 8, 1], [5, 6, 1]], start=0)
    assert tree.read.tolist() == [0, 5, 6, 8, 7]
    assert tree.depth.tolist() == [0, 1, 2, 3, 2]
    assert tree.sees[4].tolist() == [True, True, False, False, True]
    assert tree.name.tolist() == [0, 3, 2, 1]
    assert tree.token[tree.inside].tolist() == [5, 6, 1, 5, 6, 1, 5, 6, 8, 1, 5, 7, 1]


@pytest.mark.parametrize("side", ["head", "tail"])
def test_the_loss_is_of_the_replaced_side_and_of_true_triples_alone(side):
    model = made()
    batch = replace(next(iter(Named().train_dataloader())), side=side)
    given, wanted = (batch.tail, batch.head) if side == "head" else (batch.head, batch.tail)
    total, tokens = 0.0, 0
    for entity, kind, answer in zip(given.tolist(), batch.relation.tolist(), wanted.tolist(), strict=True):
        name = model.names[answer]
        total -= forced(model, f"predict {side}: {model.names[entity]} | r{kind}", [name])[0]
        tokens += len(model.tokenizer(name).input_ids)
    torch.testing.assert_close(model.loss(batch), total / tokens, atol=1e-4, rtol=0)
    others = replace(batch, negatives=batch.negatives.flip(1), weight=batch.weight.flip(0))
    assert torch.equal(model.loss(others), model.loss(batch))


def test_it_learns_which_entities_are_the_answers():
    data = Named(batch_size=60, chunks=1, negatives=1)
    torch.manual_seed(0)
    model = KGT5(width=32, layers=1, heads=2, feed_forward=64, dropout=0.0, tokens=300)
    fitted(model, data, 250)
    model.eval()
    triples = torch.from_numpy(data.triples).long()
    rows, every = torch.arange(len(triples)), torch.arange(ENTITIES)
    head, relation, tail = triples.unbind(1)
    batch = RankingBatch("ring", "tail", head, relation, every, rows, rows, tail, torch.ones_like(rows), rows, tail)
    report = RankingReport(0, data.vocabulary.relations)
    report.add(model.scores(batch), batch)
    assert report.metrics()["ring/all/mrr"] > 0.5  # 0.1 by chance


def test_names_of_several_entities_are_told_apart_and_no_others():
    entities = ["Gene::1", "Gene::2", "Disease::3", "Gene::4"]
    names = distinct_names(["one", "one", "two", "Gene::4"], entities)
    assert names == ["one (Gene::1)", "one (Gene::2)", "two", "Gene::4"]
    assert len(set(made().names)) == ENTITIES
    relations = ["A::treats::Compound:Disease", "a_b", "a:b"]
    assert readable_relations(relations) == ["A treats Compound Disease", "a_b", "a:b"]


def test_tokenizer_and_first_weights_follow_from_names_and_seed():
    one, same, other = made(), made(), made(seed=1)
    assert one.tokenizer.backend_tokenizer.to_str() == same.tokenizer.backend_tokenizer.to_str()
    assert torch.equal(one.net.shared.weight, same.net.shared.weight)
    assert not torch.equal(one.net.shared.weight, other.net.shared.weight)
    assert [one.tokenizer.decode(ids, skip_special_tokens=True).strip() for ids in one._tokens] == one.names


def test_what_is_exported_is_a_base(tmp_path):
    """Transformers' files, read back by the module itself: the same scores, in the base's own tokens."""
    model = made()
    model.export(tmp_path)
    again = made(base=str(tmp_path / "kgt5"), width=64, tokens=999)
    asked = (torch.tensor([5, 11]), torch.tensor([0, 2]), "tail")
    torch.testing.assert_close(again.answer_scores(*asked), model.answer_scores(*asked), atol=1e-5, rtol=0)
    rows = [line.split("\t") for line in (tmp_path / "kgt5" / "entities.tsv").read_text().splitlines()]
    assert rows == [list(pair) for pair in zip(model.vocabulary.entities, model.names, strict=True)]


def test_a_base_that_is_no_t5_is_refused(tiny_base, tmp_path):
    with pytest.raises(KedrecError, match=r"model\.init_args\.base: .*'llama'; expected a T5"):
        made(base=str(tiny_base))
    (tmp_path / "config.json").write_text('{"model_type": "t5"}')
    with pytest.raises(KedrecError, match=r"model\.init_args\.base: .* cannot be loaded"):
        made(base=str(tmp_path))


@pytest.mark.parametrize(
    "settings",
    [
        {"width": 0},
        {"heads": 3},
        {"tokens": 100},
        {"optimizer__learning_rate": 0.0},
        {"dropout": 1.0},
        {"ranking_memory": 0},
    ],
)
def test_impossible_settings_name_their_key(settings):
    key = next(iter(settings)).replace("__", ".")
    with pytest.raises(KedrecError, match=rf"^model\.init_args\.{key}: "):
        built(KGT5, **settings)
