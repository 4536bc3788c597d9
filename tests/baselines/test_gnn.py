"""The graph neural network as a Lightning module: what it predicts is hidden from it, and it learns."""

import pytest
import torch

from kedrec.baselines.gnn import GNN
from kedrec.errors import KedrecError
from kedrec.evaluation.ranking_batch import RankingBatch
from tests.lladr.test_kge import ENTITIES, RELATIONS, Graph, anchors, fitted
from tests.support.nested_settings import built

LAYERS = ("rgcn", "sage", "gat")
SMALL = {"dim": 8, "encoder__width": 8, "encoder__bases": 2, "encoder__heads": 2}


class Ring(Graph):
    """The same ring, for models that ask for its triples."""

    @property
    def training_triples(self):
        return self.triples


def made(layer, modalities=(), **settings):
    model = built(GNN, **{**SMALL, "encoder__layer": layer, "encoder__dropout": 0.0, **settings})
    model.make_layers(torch.from_numpy(Ring().triples), ENTITIES, RELATIONS, modalities)
    return model


def trained(data, steps, **settings):
    torch.manual_seed(0)
    model = built(GNN, **{**SMALL, "dim": 16, "encoder__width": 16, "optimizer__learning_rate": 0.02, **settings})
    fitted(model, data, steps)
    return model


@pytest.mark.parametrize("fanouts", [None, [50, 50]])
@pytest.mark.parametrize("layer", LAYERS)
def test_the_loss_is_that_of_rows_encoded_without_the_predicted_edges(layer, fanouts):
    batch = next(iter(Ring().train_dataloader()))
    model = made(layer, encoder__fanouts=fanouts).eval()
    hidden = model.graph.between(batch.head, batch.tail)
    assert 2 * len(batch.head) <= len(hidden) < len(Ring().triples) * 2
    table = model.encoder([model.graph.without(hidden)] * 2, model.entity.weight)
    relation = model.relation(batch.relation)
    total = 0.0
    chunk = len(batch.head) // len(batch.negatives)
    for row in range(len(batch.head)):
        drawn = batch.negatives[row // chunk]
        head, tail = (drawn, batch.tail[row]) if batch.side == "head" else (batch.head[row], drawn)
        rows = [part.expand(len(drawn), -1) for part in (table[head], relation[row], table[tail])]
        positive = model.scorer(table[batch.head[row]], relation[row], table[batch.tail[row]])
        negative = -torch.nn.functional.logsigmoid(-model.scorer(*rows)).mean()
        total += batch.weight[row] * (negative - torch.nn.functional.logsigmoid(positive)) / 2
    torch.testing.assert_close(model.loss(batch), total / batch.weight.sum())


@pytest.mark.parametrize("layer", LAYERS)
def test_it_learns_to_rank_a_ring(layer):
    """Every entity of the ring is like every other, so that rows of their own must tell them apart."""
    data = Ring(batch_size=60, chunks=4, negatives=20)
    before, after = made(layer), trained(data, 300, encoder__layer=layer)
    batch = next(iter(data.train_dataloader()))
    assert after.loss(batch) < 0.75 * before.loss(batch)


def test_anchors_are_read_by_the_first_layer_where_they_are_known():
    modalities = anchors(dim=5)
    model = made("sage", modalities)
    projected, known = model.anchors(torch.arange(ENTITIES))
    rows = model._first_rows()
    torch.testing.assert_close(rows[known.all(1)], (model.entity.weight + projected)[known.all(1)])
    torch.testing.assert_close(rows[~known.any(1)], model.entity.weight[~known.any(1)])
    torch.testing.assert_close(model._first_rows(torch.tensor([7, 3])), rows[[7, 3]])
    model.loss(next(iter(Ring().train_dataloader()))).backward()
    assert all(matrix.grad.abs().sum() > 0 for matrix in model.anchors.matrices)


def test_what_is_scored_is_encoded_over_all_edges_and_anew_in_each_evaluation():
    model = made("rgcn").train()
    model.dropout = 0.5
    table = model.entity_table()
    torch.testing.assert_close(table, model.encoder.eval()([model.graph.whole] * 2, model.entity.weight))
    batch = RankingBatch(
        "pairs", "tail", torch.tensor([3]), torch.tensor([1]), torch.arange(ENTITIES), *[torch.tensor([0])] * 6
    )
    wanted = model.scorer(table[3].expand(ENTITIES, -1), model.relation.weight[1].expand(ENTITIES, -1), table)
    torch.testing.assert_close(model.scores(batch), wanted.unsqueeze(0))
    with torch.no_grad():
        model.entity.weight.mul_(2)
    assert model.entity_table() is table
    model.vocabulary = Ring().vocabulary
    model.on_test_epoch_start()
    assert not torch.allclose(model.entity_table(), table)


@pytest.mark.parametrize(
    ("settings", "key"),
    [
        ({"encoder__width": 0}, r"encoder\.width"),
        ({"encoder__layers": 0}, r"encoder\.layers"),
        ({"encoder__layer": "gat", "encoder__heads": 3}, r"encoder\.heads"),
        ({"encoder__fanouts": [5]}, r"encoder\.fanouts"),
        ({"dim": -1}, "dim"),
    ],
)
def test_impossible_settings_name_their_key(settings, key):
    with pytest.raises(KedrecError, match=rf"model\.init_args\.{key}: "):
        built(GNN, **{"encoder__layer": "rgcn", **settings})


def test_data_without_triples_are_refused():
    with pytest.raises(KedrecError, match=r"data\.class_path: Graph has no triples to pass messages on"):
        trained(Graph(), 1, encoder__layer="sage")
