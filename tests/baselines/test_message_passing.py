"""Layers against DGL's own; messages that would give a prediction away are left out; samples of all are all."""

import pytest
import torch

from kedrec.baselines.message_passing import BasisConvolution, Encoder, EncoderSettings, Groups, MessageGraph

ENTITIES, RELATIONS, WIDTH = 12, 3, 8
LAYERS = ("rgcn", "sage", "gat")


def _triples():
    generator = torch.Generator().manual_seed(0)
    columns = [torch.randint(size, (40,), generator=generator) for size in (ENTITIES, RELATIONS, ENTITIES)]
    triples = torch.stack(columns, dim=1).unique(dim=0)
    return triples[triples[:, 0] != triples[:, 2]]


def _rows():
    return torch.randn(ENTITIES, WIDTH, generator=torch.Generator().manual_seed(1))


def _encoder(layer, layers=2):
    torch.manual_seed(0)
    settings = EncoderSettings(layer, WIDTH, layers, bases=2, heads=2, dropout=0.5)
    return Encoder(settings, WIDTH, 2 * RELATIONS).eval()


def _encoded(layer, triples):
    graph = MessageGraph(triples, ENTITIES, RELATIONS, grouped=layer == "rgcn")
    return _encoder(layer)([graph.whole] * 2, _rows())


def test_the_basis_convolution_is_that_of_dgl():
    """RelGraphConv with the norm of the paper, 1 / (neighbours under the relation)."""
    import dgl

    triples = _triples()
    head, relation, tail = triples.unbind(1)
    source, target, kind = torch.cat([head, tail]), torch.cat([tail, head]), torch.cat([relation, relation + RELATIONS])
    mine = BasisConvolution(WIDTH, 5, 2 * RELATIONS, 2)
    theirs = dgl.nn.RelGraphConv(WIDTH, 5, 2 * RELATIONS, "basis", 2)
    with torch.no_grad():
        theirs.linear_r.W.copy_(mine.bases)
        theirs.linear_r.coeff.copy_(mine.shares)
        theirs.loop_weight.copy_(mine.own.weight.T)
        theirs.h_bias.copy_(mine.own.bias)
    alike = (target.unsqueeze(1) == target) & (kind.unsqueeze(1) == kind)
    norm = 1 / alike.sum(1, keepdim=True).float()
    wanted = theirs(dgl.graph((source, target), num_nodes=ENTITIES), _rows(), kind, norm)
    groups = Groups.of(source, target, kind, ENTITIES, ENTITIES, 2 * RELATIONS)
    torch.testing.assert_close(mine(groups, _rows()), wanted)


def test_edges_between_two_ends_are_found_in_both_directions_and_under_all_relations():
    triples = torch.tensor([[0, 0, 1], [1, 2, 0], [0, 1, 2], [3, 0, 4], [5, 1, 0]])
    graph = MessageGraph(triples, ENTITIES, RELATIONS, grouped=False)
    # Edges 0 to 4 are the triples, 5 to 9 their reverses.
    assert graph.between(torch.tensor([1]), torch.tensor([0])).tolist() == [0, 1, 5, 6]
    assert graph.between(torch.tensor([0, 4, 0]), torch.tensor([2, 3, 2])).tolist() == [2, 3, 7, 8]
    assert graph.between(torch.tensor([7]), torch.tensor([8])).tolist() == []


@pytest.mark.parametrize("layer", LAYERS)
@pytest.mark.parametrize("planted", [[[1, 0, 0]], [[0, 2, 1]], [[1, 1, 0], [0, 1, 1]]])
def test_a_planted_reverse_edge_or_second_relation_tells_nothing(layer, planted):
    """Whatever else the graph holds between the two ends of a predicted triple, they are encoded as if it did not."""
    others = _triples()
    others = others[~((others[:, ::2] <= 1).all(1))]
    triples = torch.cat([others, torch.tensor([[0, 0, 1], *planted])])
    graph = MessageGraph(triples, ENTITIES, RELATIONS, grouped=layer == "rgcn")
    messages = graph.without(graph.between(torch.tensor([0]), torch.tensor([1])))
    blind = _encoder(layer)([messages] * 2, _rows())
    torch.testing.assert_close(blind, _encoded(layer, others))
    assert not torch.allclose(blind[0], _encoded(layer, triples)[0])


@pytest.mark.parametrize("layer", LAYERS)
def test_as_many_samples_as_neighbours_are_the_whole_graph(layer):
    triples = _triples()
    graph = MessageGraph(triples, ENTITIES, RELATIONS, grouped=layer == "rgcn")
    hidden = graph.between(triples[:3, 0], triples[:3, 2])
    asked = torch.tensor([3, 0, 7])
    read, layers = graph.sampled(asked, [100, 100], hidden)
    whole = _encoder(layer)([graph.without(hidden)] * 2, _rows())
    torch.testing.assert_close(_encoder(layer)(layers, _rows()[read]), whole[asked])


def test_samples_leave_out_hidden_edges_keep_to_the_fanouts_and_follow_the_seed():
    triples = torch.tensor([[row, 0, 0] for row in range(1, ENTITIES)])
    graph = MessageGraph(triples, ENTITIES, RELATIONS, grouped=False)
    hidden = graph.between(torch.tensor([4]), torch.tensor([0]))

    def drawn(seed):
        torch.manual_seed(seed)
        _, (block,) = graph.sampled(torch.tensor([0]), [5], hidden)
        return block.srcdata["_ID"][block.edges()[0].long()].tolist()

    for seed in range(5):
        assert 4 <= len(drawn(seed)) <= 5  # DGL draws first
        assert 4 not in drawn(seed)
        assert drawn(seed) == drawn(seed)
    assert len({tuple(sorted(drawn(seed))) for seed in range(5)}) > 1


def test_samples_follow_the_seed_with_several_threads_and_leave_their_number_alone():
    generator = torch.Generator().manual_seed(0)
    triples = torch.stack([torch.randint(3000, (30000,), generator=generator) for _ in range(3)], dim=1)
    graph = MessageGraph(triples, 3000, 3000, grouped=False)
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        draws = []
        for _ in range(4):
            torch.manual_seed(3)
            read, blocks = graph.sampled(torch.arange(2000), [3, 3], torch.tensor([0]))
            draws.append([read.tolist(), *(block.edges()[0].tolist() for block in blocks)])
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(before)
    assert all(draw == draws[0] for draw in draws)


def test_hidden_rows_are_dropped_in_training_alone():
    graph = MessageGraph(_triples(), ENTITIES, RELATIONS, grouped=False)
    encoder = _encoder("sage")
    torch.testing.assert_close(encoder([graph.whole] * 2, _rows()), encoder([graph.whole] * 2, _rows()))
    encoder.train()
    assert not torch.allclose(encoder([graph.whole] * 2, _rows()), encoder([graph.whole] * 2, _rows()))
