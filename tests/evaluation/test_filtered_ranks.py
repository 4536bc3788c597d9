"""Ranking metrics against PyKEEN, against plain loops, and against themselves under every split into batches."""

import itertools
import math
import random

import numpy as np
import pytest
import torch

from kedrec.errors import KedrecError
from kedrec.evaluation import filtered_ranks as ranking
from kedrec.evaluation.filtered_ranks import Counts, count_rivals, ranking_metrics
from kedrec.evaluation.link_prediction_metrics import RankingReport
from kedrec.evaluation.ranking_batch import RankingBatch
from kedrec.evaluation.sampled_ranking import DRAWN, draw, expected_metrics, sampled_metrics

METRICS = ("mr", "mrr", "hits@1", "hits@3", "hits@10", "auc")


def _batch(triples, known, side, *, numbers=None, candidates=None, degree=None, name="pairs"):
    """A batch of the triples (n, 3) with one side missing; ``known`` (m, 3) are all that are true, repeated or not."""
    given, missing = (0, 2) if side == "tail" else (2, 0)
    queries, query = torch.unique(triples[:, [given, 1]], dim=0, return_inverse=True)
    facts = torch.unique(known[:, [given, 1, missing]], dim=0)
    place, fact = (queries[:, None] == facts[:, :2]).all(dim=2).nonzero().T.contiguous()
    entities = int(known[:, [0, 2]].max()) + 1
    target = triples[:, missing]
    return RankingBatch(
        name=name,
        side=side,
        entity=queries[:, 0],
        relation=queries[:, 1],
        candidates=torch.arange(entities) if candidates is None else candidates,
        triple=torch.arange(len(triples)) if numbers is None else numbers,
        query=query,
        target=target,
        degree=torch.zeros(len(triples), dtype=torch.int64) if degree is None else degree[target],
        known_query=place,
        known=facts[fact, 2],
    )


def _scores(cube, batch):
    """The rows of the scores (head, relation, tail) that the batch asks for."""
    if batch.side == "tail":
        return cube[batch.entity, batch.relation]
    return cube[:, batch.relation, batch.entity].T.contiguous()


def _toy(seed=0, entities=12, relations=2, triples=30, rounded=True):
    """Scores of all triples, many of them tied, some true triples, and those to test, two of whose answers repeat."""
    generator = torch.Generator().manual_seed(seed)
    cube = torch.randn(entities, relations, entities, generator=generator)
    places = torch.randperm(cube.numel(), generator=generator)[: 3 * triples]
    known = torch.stack(torch.unravel_index(places, cube.shape), dim=1)
    return (cube * 2).round() if rounded else cube, known, known[:triples]


def _by_hand(scores, batch, typed, filtered):
    """(greater, equal, candidates) of each triple in plain Python."""
    found = []
    for query, target in zip(batch.query.tolist(), batch.target.tolist(), strict=True):
        rivals = set(batch.candidates.tolist()) if typed else set(range(scores.shape[1]))
        if filtered:
            rivals -= set(batch.known[batch.known_query == query].tolist())
        row = [float(scores[query, rival]) for rival in rivals - {target}]
        answer = float(scores[query, target])
        found.append((sum(s > answer for s in row), sum(s == answer for s in row), len(row)))
    return found


def _rows(counts):
    return list(zip(counts.greater.tolist(), counts.equal.tolist(), counts.candidates.tolist(), strict=True))


@pytest.mark.parametrize("filtered", [False, True])
@pytest.mark.parametrize("typed", [False, True])
@pytest.mark.parametrize("side", ["head", "tail"])
def test_counts_equal_a_plain_loop_and_do_not_depend_on_the_memory(side, typed, filtered):
    cube, known, triples = _toy()
    candidates = torch.tensor([1, 2, 3, 5, 7, 8, 11])
    triples = triples[torch.isin(triples[:, 2 if side == "tail" else 0], candidates)]
    batch = _batch(triples, known, side, candidates=candidates)
    assert len(batch.entity) < len(batch.query)  # a query is asked twice
    assert not torch.isin(batch.known, candidates).all()
    scores = _scores(cube, batch)
    expected = _by_hand(scores, batch, typed, filtered)
    assert any(equal for _, equal, _ in expected)
    for memory in (1, 500, 1 << 28):
        assert _rows(count_rivals(scores, batch, typed=typed, filtered=filtered, memory=memory)) == expected


def test_infinite_scores_tie():
    batch = _batch(torch.tensor([[0, 0, 1]]), torch.tensor([[0, 0, 1], [0, 0, 2], [4, 0, 4]]), "tail")
    scores = torch.tensor([[math.inf, -math.inf, -math.inf, -math.inf, 0.0]])
    assert _rows(count_rivals(scores, batch, typed=False, filtered=True)) == [(2, 1, 3)]


def test_metrics_of_known_ranks():
    counts = Counts(torch.tensor([0, 9, 1, 0]), torch.tensor([0, 1, 0, 0]), torch.tensor([10, 20, 1, 0]))
    metrics = ranking_metrics(counts)
    assert tuple(metrics) == METRICS
    assert metrics["mr"] == (1 + 10.5 + 2 + 1) / 4
    assert metrics["mrr"] == pytest.approx((1 + 1 / 10.5 + 1 / 2 + 1) / 4)
    assert (metrics["hits@1"], metrics["hits@3"], metrics["hits@10"]) == (0.5, 0.75, 0.75)
    assert metrics["auc"] == pytest.approx((1 + (10 + 0.5) / 20 + 0 + 1) / 4)
    assert ranking_metrics(counts.at(torch.zeros(4, dtype=torch.bool))) == {}


def test_a_score_that_is_no_number_says_that_training_diverged():
    cube, known, triples = _toy()
    batch = _batch(triples, known, "tail")
    scores = _scores(cube, batch)
    scores[1, 3] = torch.nan
    with pytest.raises(KedrecError, match=r"1 of \d+ queries .* training diverged"):
        RankingReport(0, ["a", "b"]).add(scores, batch)


def _cube(kind, entities, relations):
    """Scores of random embeddings (head, relation, tail)."""
    generator = torch.Generator().manual_seed(0)
    entity, relation = (torch.randn(n, 8, generator=generator) for n in (entities, relations))
    if kind == "distmult":
        return torch.einsum("hd,rd,td->hrt", entity, relation, entity)
    return -torch.stack([torch.cdist(entity + translation, entity, p=1) for translation in relation], dim=1)


def _pykeen(cube, data, **options):
    """PyKEEN's evaluator on the test triples with the scores (head, relation, tail), filtered with all triples."""
    from pykeen.evaluation import RankBasedEvaluator
    from pykeen.models.mocks import FixedModel

    class Table(FixedModel):
        def _generate_fake_scores(self, h, r, t):
            return cube[h, r, t]

    return RankBasedEvaluator().evaluate(
        Table(triples_factory=data.training, random_seed=0),
        data.testing.mapped_triples,
        batch_size=512,
        use_tqdm=False,
        additional_filter_triples=[data.training.mapped_triples, data.validation.mapped_triples],
        **options,
    )


def _report(cube, data, candidates=None):
    parts = [part.mapped_triples for part in (data.training, data.validation, data.testing)]
    tested = parts[2] if candidates is None else parts[2][torch.isin(parts[2][:, [0, 2]], candidates).all(dim=1)]
    report = RankingReport(0, list(data.relation_to_id))
    for side in ("head", "tail"):
        batch = _batch(tested, torch.cat(parts), side, candidates=candidates)
        report.add(_scores(cube, batch), batch)
    assert report.metrics()["pairs/n"] == len(tested)
    return report.metrics()


def _assert_equal(found, results, kind):
    names = {"mr": "arithmetic_mean_rank", "mrr": "inverse_harmonic_mean_rank"}
    names |= {f"hits@{k}": f"hits_at_{k}" for k in (1, 3, 10)}
    for (ours, theirs), side in itertools.product(names.items(), ("head", "tail", "both")):
        name = f"pairs/{kind}/{ours}" if side == "both" else f"pairs/{kind}/{side}/{ours}"
        expected = results.get_metric(f"{side}.realistic.{theirs}")
        assert found[name] == pytest.approx(expected, rel=1e-6), name  # they average in float32


@pytest.mark.parametrize("kind", ["distmult", "transe"])
@pytest.mark.parametrize("dataset", ["Nations", "Kinships", "UMLS"])
def test_the_report_equals_pykeen(dataset, kind):
    import pykeen.datasets

    data = getattr(pykeen.datasets, dataset)()
    cube = _cube(kind, data.num_entities, data.num_relations)
    for scores in (cube, cube.round()):  # the latter with many ties
        _assert_equal(_report(scores, data), _pykeen(scores, data), "all")


def test_the_report_among_some_entities_equals_pykeen():
    from pykeen.datasets import UMLS

    data = UMLS()
    cube = _cube("distmult", data.num_entities, data.num_relations).round()
    some = torch.arange(0, data.num_entities, 2)
    results = _pykeen(cube, data, restrict_entities_to=tuple(some.tolist()), pre_filtered_triples=False)
    _assert_equal(_report(cube, data, some), results, "typed")


def _diseases(rounded=False):
    """As `_toy`: three drugs of 70 entities, each with 8 known diseases among the candidates 5 to 64; some tested."""
    generator = torch.Generator().manual_seed(1)
    cube = torch.randn(70, 1, 70, generator=generator)
    tails = torch.stack([5 + torch.randperm(60, generator=generator)[:8] for _ in range(3)]).flatten()
    known = torch.stack([torch.arange(3).repeat_interleave(8), torch.zeros(24, dtype=torch.int64), tails], dim=1)
    known = torch.cat([known, torch.tensor([[69, 0, 69]])])
    cube[tuple(known.T)] += 1.5  # a model that has learnt something, or no rank would be among the first
    return (cube * 2).round() if rounded else cube, known, known[[0, 1, 2, 9, 10, 17, 18, 19, 20]]


def _disease_batch(rounded=False):
    cube, known, triples = _diseases(rounded)
    batch = _batch(triples, known, "tail", candidates=torch.arange(5, 65))
    return _scores(cube, batch), batch


@pytest.mark.parametrize("memory", [1, 1 << 28])
def test_the_report_does_not_depend_on_batches_or_memory(memory):
    shuffle = random.Random(0)
    found = []
    for size in (9, 1, 4):
        report = RankingReport(3, ["treats"], memory=memory)
        for name, (cube, known, triples) in {"pairs": _toy(relations=1), "diseases": _diseases()}.items():
            degree = torch.arange(70) ** 2
            parts = list(torch.randperm(len(triples), generator=torch.Generator().manual_seed(size)).split(size))
            jobs = list(itertools.product(parts, ("head", "tail")))
            shuffle.shuffle(jobs)
            for rows, side in [*jobs, jobs[0]]:  # one comes twice, as a sampler that pads gives it
                sampled = name == "diseases" and side == "tail"
                candidates = torch.arange(5, 65) if sampled else None
                options = {"numbers": rows, "candidates": candidates, "degree": degree, "name": name}
                batch = _batch(triples[rows], known, side, **options)
                report.add(_scores(cube, batch), batch, sampled=sampled)
        found.append(report.metrics())
    assert found[0] == found[1] == found[2]
    assert (found[0]["pairs/n"], found[0]["diseases/n"]) == (30, 9)
    assert any(name.startswith("diseases/lladr") for name in found[0])
    assert not any(name.startswith("pairs/lladr") for name in found[0])


def test_the_report_has_a_line_for_each_relation_and_degree_that_occurs():
    cube, known, triples = _toy(relations=3)
    triples = triples[triples[:, 1] != 1]
    degree = torch.tensor([0, 1, 9, 10, 10, 10, 10, 10, 10, 99, 999, 1000])
    report = RankingReport(0, ["treats", "unused", "causes"])
    rank, buckets = {}, {"0": [0], "1-9": [1, 2], "10-99": range(3, 10), "100-999": [10], "1000+": [11]}
    for side in ("head", "tail"):
        batch = _batch(triples, known, side, degree=degree)
        scores = _scores(cube, batch)
        report.add(scores, batch)
        for row, (greater, equal, _) in enumerate(_by_hand(scores, batch, typed=True, filtered=True)):
            rank[row, int(batch.target[row]), side] = 1 + greater + equal / 2
    metrics = report.metrics()
    causes = [1 / value for (row, _, _), value in rank.items() if triples[row, 1] == 2]
    assert metrics["pairs/typed/relation/causes/mrr"] == pytest.approx(np.mean(causes))
    assert metrics["pairs/typed/relation/causes/n"] == len(causes)
    assert not any("unused" in name for name in metrics)
    for label, entities in buckets.items():
        ranks = [value for (_, target, _), value in rank.items() if target in entities]
        names = [name for name in metrics if f"degree/{label}/" in name]
        assert len(names) == (3 if ranks else 0)
        if ranks:
            assert metrics[f"pairs/typed/degree/{label}/hits@10"] == np.mean([value <= 10 for value in ranks])
            assert metrics[f"pairs/typed/degree/{label}/n"] == len(ranks)


@pytest.mark.parametrize("filtered", [False, True])
def test_a_batch_among_its_candidates_ranks_as_the_typed_whole(filtered):
    cube, known, triples = _toy()
    allowed = torch.arange(12)[torch.arange(12) % 3 != 1]
    triples = triples[torch.isin(triples[:, 2], allowed)]
    batch = _batch(triples, known, "tail", candidates=allowed)
    scores = _scores(cube, batch)
    whole = count_rivals(scores, batch, typed=True, filtered=filtered)
    part = count_rivals(scores[:, allowed], batch.among_candidates(), typed=False, filtered=filtered)
    assert _rows(part) == _rows(whole)


@pytest.mark.slow
def test_fused_comparisons_count_as_plain_ones(monkeypatch):
    cube, known, triples = _toy()
    batch = _batch(triples, known, "tail", candidates=torch.arange(12))
    scores = _scores(cube, batch)
    plain = [_rows(count_rivals(scores, batch, typed=typed, filtered=True)) for typed in (False, True)]
    monkeypatch.setattr(ranking, "_WORTH", 0)
    assert [_rows(count_rivals(scores, batch, typed=typed, filtered=True)) for typed in (False, True)] == plain


def test_a_draw_goes_over_to_keys_where_the_places_give_too_few():
    """Nearly all are known: of 300 candidates 60 may be drawn, and 128 places show too few of them."""
    known = torch.stack([torch.zeros(240, dtype=torch.long), torch.zeros(240, dtype=torch.long), torch.arange(240)], 1)
    batch = _batch(known[:4], known, "tail", candidates=torch.arange(300))
    drawn = draw(torch.arange(300.0).unsqueeze(0), batch, seed=0)
    filtered = drawn["filtered"].drawn.numpy()
    assert (filtered >= 240).all()
    for rows in filtered:
        assert all(len(set(row)) == DRAWN for row in rows)
    assert (drawn["published"].drawn.numpy() < 240).any()


def test_who_is_drawn():
    _, batch = _disease_batch()
    entities = torch.arange(70.0).repeat(len(batch.entity), 1)  # each scores its own row
    known = [set(batch.known[batch.known_query == query].tolist()) for query in batch.query]
    target = batch.target.tolist()
    of = {variant: draws.drawn.numpy() for variant, draws in draw(entities, batch, seed=0).items()}
    assert of["published"].shape == (5, 9, DRAWN)
    for repetition, row in itertools.product(range(5), range(9)):
        published, filtered = (of[variant][repetition, row].tolist() for variant in ("published", "filtered"))
        assert len(set(published)) == len(set(filtered)) == DRAWN
        assert set(published) <= set(range(5, 65)) - {target[row]}
        assert set(filtered) <= set(range(5, 65)) - known[row]
        assert set(published) - known[row] <= set(filtered)  # the same keys
        assert set(published) & known[row]
    assert len(set(map(frozenset, of["published"].reshape(-1, DRAWN)))) == 45
    other = draw(entities, batch, seed=1)["published"].drawn.numpy()
    assert not (np.sort(of["published"]) == np.sort(other)).all(axis=2).any()


def test_everyone_is_drawn_equally_often():
    _, batch = _disease_batch()
    entities = torch.arange(70.0).repeat(len(batch.entity), 1)
    for draws in draw(entities, batch, seed=0, repetitions=2000).values():
        for row, candidates in enumerate(draws.pool.candidates.tolist()):
            times = draws.drawn[:, row].flatten().long().bincount(minlength=70)
            chance = DRAWN / candidates
            assert (times > 0).sum() == candidates
            assert ((times[times > 0] - 2000 * chance).abs() < 4.5 * math.sqrt(2000 * chance * (1 - chance))).all()


def test_where_few_may_be_drawn_all_are():
    cube, known, triples = _toy()
    batch = _batch(triples, known, "tail")
    scores = _scores(cube, batch)
    for variant, draws in draw(scores, batch, seed=0).items():
        found, exact = sampled_metrics(draws), ranking_metrics(draws.pool)
        assert {name: found[name] for name in METRICS} == pytest.approx(exact), variant
        assert max(found[f"{name}_sd"] for name in (*METRICS, "auc_pooled")) < 1e-12


@pytest.mark.parametrize("rounded", [False, True])
def test_many_draws_come_to_the_expectation(rounded):
    scores, batch = _disease_batch(rounded)
    for variant, draws in draw(scores, batch, seed=0, repetitions=2000).items():
        found = sampled_metrics(draws)
        assert bool(draws.pool.equal.any()) == rounded
        for name in ("mr", "auc") if rounded else METRICS:
            error = found[f"{name}_sd"] / math.sqrt(2000)
            assert abs(found[name] - found[f"{name}_expected"]) < 4 * error, (variant, name)


@pytest.mark.parametrize(
    ("greater", "equal", "candidates"),
    [(0, 0, 51), (5, 0, 51), (9, 4, 51), (0, 51, 51), (2, 3, 50), (1, 2, 10), (0, 0, 0)],
)
def test_the_expectation_is_the_mean_over_all_draws_and_orders_of_ties(greater, equal, candidates):
    pool = Counts(*(torch.tensor([value]) for value in (greater, equal, candidates)))
    drawn = min(DRAWN, candidates)
    above = [  # the first of the pool are above, for each place that the answer may have among its ties
        sum(rival < greater + tied for rival in rivals)
        for tied in range(equal + 1)
        for rivals in itertools.combinations(range(candidates), drawn)
    ]
    column = torch.tensor(above)
    each = ranking_metrics(Counts(column, torch.zeros_like(column), torch.full_like(column, drawn)))
    assert expected_metrics(pool) == pytest.approx(each, rel=1e-9)


def test_the_expectation_of_many_is_the_mean_of_each_and_exact_in_a_large_pool():
    from scipy.stats import hypergeom

    rows = [(0, 0, 5102), (17, 0, 5102), (17, 2, 5102), (5000, 0, 5100), (400, 3, 5000)]
    pool = Counts(*(torch.tensor(column) for column in zip(*rows, strict=True)))
    single = [expected_metrics(pool.at(torch.tensor([row]))) for row in range(len(rows))]
    expected = {name: np.mean([one[name] for one in single]) for name in METRICS}
    assert expected_metrics(pool) == pytest.approx(expected)
    assert single[1]["hits@3"] == pytest.approx(hypergeom.cdf(2, 5102, 17, DRAWN), rel=1e-9)
    assert single[3]["mr"] == pytest.approx(1 + DRAWN * 5000 / 5100, rel=1e-9)


@pytest.mark.parametrize("rounded", [False, True])
def test_pooled_auc_and_spread(rounded):
    from sklearn.metrics import roc_auc_score

    scores, batch = _disease_batch(rounded)
    draws = draw(scores, batch, seed=0)["published"]
    by_hand = []
    for drawn in draws.drawn:
        truth = [1] * len(draws.answer) + [0] * drawn.numel()
        by_hand.append(roc_auc_score(truth, torch.cat([draws.answer, drawn.flatten()])))
    found = sampled_metrics(draws)
    assert found["auc_pooled"] == pytest.approx(np.mean(by_hand), rel=1e-12)
    assert found["auc_pooled_sd"] == pytest.approx(np.std(by_hand, ddof=1), rel=1e-9)
    assert "auc_pooled_expected" not in found


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_the_device_does_not_matter():
    scores, batch = _disease_batch()
    reports = [RankingReport(0, ["treats"]) for _ in range(2)]
    reports[0].add(scores, batch, sampled=True)
    reports[1].add(scores.cuda(), batch.to(torch.device("cuda")), sampled=True)
    assert reports[0].metrics() == reports[1].metrics()
