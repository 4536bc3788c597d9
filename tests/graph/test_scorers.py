"""One contract for all scorers, against plain float64 definitions and against PyKEEN on the same embeddings.

A new scorer: its definition below and, where PyKEEN has it, its score from PyKEEN's interactions.
"""

import math

import pytest
import torch

from kedrec.graph.scorers import SCORERS
from kedrec.lladr.trainable_scorer import trainable_scorer

DIM, GAMMA = 6, 3.0
SIDES = ("head", "tail")


def _complex(row):
    return torch.complex(*row.chunk(2, dim=-1))


def _turn(scorer, row):
    """The unit complex numbers of phases that are stored as shares of the range of first values."""
    phase = math.pi * row / ((scorer.gamma + 2) / DIM)
    return torch.polar(torch.ones_like(phase), phase)


def _sines(scorer, h, r, t):
    return torch.sin(math.pi * (h + r - t) / ((scorer.gamma + 2) / DIM) / 2).abs().sum(-1)


def _hake(scorer, h, r, t):
    (h_phase, h_modulus), (t_phase, t_modulus) = h.chunk(2, dim=-1), t.chunk(2, dim=-1)
    r_phase, r_modulus, bias = r.chunk(3, dim=-1)
    r_modulus = r_modulus.abs()
    bias = torch.where(bias > 1, 1.0, torch.where(bias < -r_modulus, -r_modulus, bias))
    modulus = (h_modulus * (r_modulus + bias) - t_modulus * (1 - bias)).square().sum(-1).sqrt()
    phase = _sines(scorer, h_phase, r_phase, t_phase)
    return GAMMA - scorer.modulus_weight * modulus - scorer.phase_weight * phase


DEFINITIONS = {
    "transe_l1": lambda scorer, h, r, t: GAMMA - (h + r - t).abs().sum(-1),
    "transe_l2": lambda scorer, h, r, t: GAMMA - (h + r - t).square().sum(-1).sqrt(),
    "distmult": lambda scorer, h, r, t: (h * r * t).sum(-1),
    "complex": lambda scorer, h, r, t: (_complex(h) * _complex(r) * _complex(t).conj()).real.sum(-1),
    "rotate": lambda scorer, h, r, t: GAMMA - (_complex(h) * _turn(scorer, r) - _complex(t)).abs().sum(-1),
    "protate": lambda scorer, h, r, t: GAMMA - scorer.modulus * _sines(scorer, h, r, t),
    "hake": _hake,
}


@pytest.fixture(params=SCORERS)
def name(request):
    return request.param


def _scorer(name, dtype=torch.float64, dim=DIM, gamma=GAMMA):
    return trainable_scorer(SCORERS[name](), dim, gamma, False).to(dtype)


def _rows(scorer, *shape, seed=0, dtype=torch.float64):
    """Heads, relations and tails, beyond the range of first values and beyond the bounds of HAKE's bias."""
    generator = torch.Generator().manual_seed(seed)
    widths = (scorer.entity_width, scorer.relation_width, scorer.entity_width)
    return [(torch.randn(*shape, width, generator=generator, dtype=torch.float64) * 1.5).to(dtype) for width in widths]


def _tile(scorer, chunks=2, queries=3, candidates=5, dtype=torch.float64):
    """Queries (chunks, queries, 1, ...) and candidates (chunks, 1, candidates, ...) whose axes broadcast to a tile."""
    known, relation, _ = _rows(scorer, chunks, queries, 1, dtype=dtype)
    return known, relation, _rows(scorer, chunks, 1, candidates, seed=1, dtype=dtype)[0]


def _triple(known, relation, candidate, missing):
    return (known, relation, candidate) if missing == "tail" else (candidate, relation, known)


def _scores_of_tile(scorer, known, relation, candidates, missing):
    return scorer.tiles(scorer.query(known, relation, missing).squeeze(2), candidates.squeeze(1))


def test_every_scorer_has_its_definition():
    assert DEFINITIONS.keys() == SCORERS.keys()


def test_triples_score_by_the_definition(name):
    scorer = _scorer(name)
    h, r, t = _rows(scorer, 4, 3)
    torch.testing.assert_close(scorer(h, r, t), DEFINITIONS[name](scorer, h, r, t))


@pytest.mark.parametrize("missing", SIDES)
def test_pairs_and_tiles_score_either_side_by_the_definition(name, missing):
    scorer = _scorer(name)
    known, relation, candidates = _tile(scorer)
    expected = DEFINITIONS[name](scorer, *_triple(known, relation, candidates, missing))
    torch.testing.assert_close(scorer.pairs(scorer.query(known, relation, missing), candidates), expected)
    torch.testing.assert_close(_scores_of_tile(scorer, known, relation, candidates, missing), expected)


def test_head_and_tail_side_give_a_triple_the_same_score(name):
    scorer = _scorer(name)
    h, r, t = _rows(scorer, 50)
    of_head = scorer.pairs(scorer.query(t, r, "head"), h)
    torch.testing.assert_close(of_head, scorer.pairs(scorer.query(h, r, "tail"), t))


@pytest.mark.parametrize("missing", SIDES)
def test_single_precision_scores_are_near_the_definition_at_the_size_of_training(name, missing):
    dim = 200
    scorer, exact = (_scorer(name, dtype, dim, 12.0) for dtype in (torch.float32, torch.float64))
    tensors = [tensor * exact.range for tensor in _tile(exact)]
    known, relation, candidates = tensors
    expected = exact.pairs(exact.query(known, relation, missing), candidates)
    given = _scores_of_tile(scorer, *(tensor.float() for tensor in tensors), missing)
    torch.testing.assert_close(given.double(), expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("missing", SIDES)
@pytest.mark.parametrize("how", ["pairs", "tiles"])
def test_gradients_of_rows_and_of_the_scorers_own_weights(name, missing, how):
    scorer = _scorer(name)
    inputs = [tensor.requires_grad_() for tensor in (*_tile(scorer), *scorer.parameters())]

    def scores(known, relation, candidates, *_):
        if how == "tiles":
            return _scores_of_tile(scorer, known, relation, candidates, missing)
        return scorer.pairs(scorer.query(known, relation, missing), candidates)

    assert torch.autograd.gradcheck(scores, inputs)


def test_gradients_are_finite_where_a_triple_fits_exactly(name):
    scorer = _scorer(name, torch.float32)
    zeros = [torch.zeros(1, 1, 1, width) for width in (scorer.entity_width, scorer.relation_width)]
    for how in ("pairs", "tiles"):
        entity, relation = (row.clone().requires_grad_() for row in zeros)
        if how == "pairs":
            scorer.pairs(scorer.query(entity, relation, "tail"), entity.detach()).sum().backward()
        else:
            _scores_of_tile(scorer, entity, relation, entity.detach(), "tail").sum().backward()
        assert entity.grad.isfinite().all()
        assert relation.grad.isfinite().all()


def test_first_values_follow_the_generator_and_stay_in_range(name):
    scorer = _scorer(name, torch.float32, 50, 12.0)
    once, again, other = (torch.full((7, scorer.relation_width), 9.0) for _ in range(3))
    for relations, seed in ((once, 0), (again, 0), (other, 1)):
        scorer.initialise_relations(relations, torch.Generator().manual_seed(seed))
    assert torch.equal(once, again)
    assert not torch.equal(once, other)
    phases = once[:, :50] if name == "hake" else once
    assert phases.abs().max() <= 14 / 50
    assert phases.std() == pytest.approx(14 / 50 / math.sqrt(3), rel=0.1)
    if name == "hake":  # rotations at first: neither moduli nor bias change anything
        assert once[:, 50:100].eq(1).all()
        assert once[:, 100:].eq(0).all()


def _rotate_of_pykeen(nn, score, *rows):
    """The sum of one-dimensional scores: PyKEEN 1.11 takes the L2 norm over the moduli whatever its ``p`` says."""
    coordinates = zip(*(row.split(1, dim=-1) for row in rows), strict=True)
    return sum(score(nn.RotatEInteraction(), *coordinate) for coordinate in coordinates)


def _protate_of_pykeen(nn, score, scorer, h, r, t):
    """RotatE on the unit circle, where distances are twice the sines of half the angle: PyKEEN has no pRotatE."""
    return _rotate_of_pykeen(nn, score, *(_turn(scorer, row) for row in (h, r, t))) * scorer.modulus / 2


def _hake_of_pykeen(nn, score, scorer, h, r, t):
    """PairRE of the moduli and RotatE on the unit circle: PyKEEN has no HAKE. The bias is kept between its bounds."""
    (h_phase, h_modulus), (t_phase, t_modulus) = h.chunk(2, dim=-1), t.chunk(2, dim=-1)
    r_phase, r_modulus, bias = r.chunk(3, dim=-1)
    bias = bias.clamp(max=1).maximum(-r_modulus.abs())
    moduli = score(nn.PairREInteraction(p=2), h_modulus, (r_modulus.abs() + bias, 1 - bias), t_modulus)
    phases = _rotate_of_pykeen(nn, score, *(_turn(scorer, row) for row in (h_phase, r_phase, t_phase)))
    return moduli * scorer.modulus_weight + phases * scorer.phase_weight / 2


# PyKEEN's distances are negative and without margin: GAMMA + its score is ours.
PYKEEN = {
    "transe_l1": lambda nn, score, scorer, h, r, t: GAMMA + score(nn.TransEInteraction(p=1), h, r, t),
    "transe_l2": lambda nn, score, scorer, h, r, t: GAMMA + score(nn.TransEInteraction(p=2), h, r, t),
    "distmult": lambda nn, score, scorer, h, r, t: score(nn.DistMultInteraction(), h, r, t),
    "complex": lambda nn, score, scorer, h, r, t: score(nn.ComplExInteraction(), *map(_complex, (h, r, t))),
    "rotate": lambda nn, score, scorer, h, r, t: (
        GAMMA + _rotate_of_pykeen(nn, score, _complex(h), _turn(scorer, r), _complex(t))
    ),
    "protate": lambda *args: GAMMA + _protate_of_pykeen(*args),
    "hake": lambda *args: GAMMA + _hake_of_pykeen(*args),
}


@pytest.mark.parametrize("method", ["score_hrt", "score_t", "score_h"])
@pytest.mark.parametrize("name", PYKEEN)
def test_scores_equal_those_of_pykeen(name, method):
    from pykeen.nn import modules

    scorer = _scorer(name)
    h, r, t = _rows(scorer, 4)
    entities = _rows(scorer, 9, seed=1)[0]

    def score(interaction, *rows):
        return getattr(interaction, method)(*rows)

    if method == "score_hrt":
        given, rows = scorer(h, r, t).unsqueeze(1), (h, r, t)
    elif method == "score_t":
        given, rows = scorer.tiles(scorer.query(h, r, "tail").unsqueeze(0), entities.unsqueeze(0))[0], (h, r, entities)
    else:
        given, rows = scorer.tiles(scorer.query(t, r, "head").unsqueeze(0), entities.unsqueeze(0))[0], (entities, r, t)
    torch.testing.assert_close(given, PYKEEN[name](modules, score, scorer, *rows))
