"""Rankings among drugs of one degree, and how few drugs are named, on planted cases and against plain loops."""

import numpy as np
import pytest
import torch

from kedrec.evaluation.filtered_ranks import count_rivals, ranking_metrics
from kedrec.evaluation.popularity_metrics import MATCHED, concentration_metrics, count_by_degree, count_degree_matched
from kedrec.evaluation.ranking_batch import RankingBatch

DRUGS, DISEASES = 300, 40


def batch(seed=0, drugs=DRUGS):
    """Queries "what treats this disease?": each disease has known drugs, some of them asked; degrees are heavy-tailed.

    Drugs are the odd rows of ``2 * drugs`` entities, diseases even ones.
    """
    draw = np.random.default_rng(seed)
    degree = torch.from_numpy(np.floor(np.exp(draw.uniform(0, 7, drugs))).astype(np.int64))
    chance = (degree.double() + 1).numpy() ** 0.7
    known = [
        np.sort(draw.choice(drugs, size=draw.integers(2, 30), replace=False, p=chance / chance.sum()))
        for _ in range(DISEASES)
    ]
    asked = [(disease, int(drug)) for disease, of in enumerate(known) for drug in of[:3]]
    query, target = (torch.tensor(column) for column in zip(*asked, strict=True))
    return RankingBatch(
        name="pairs",
        side="head",
        entity=2 * torch.arange(DISEASES),
        relation=torch.zeros(DISEASES, dtype=torch.int64),
        candidates=2 * torch.arange(drugs) + 1,
        triple=torch.arange(len(asked)),
        query=query,
        target=2 * target + 1,
        degree=degree[target],
        known_query=torch.arange(DISEASES).repeat_interleave(torch.tensor([len(of) for of in known])),
        known=2 * torch.from_numpy(np.concatenate(known)) + 1,
        candidate_degree=degree,
    )


def scores(seed=1, drugs=DRUGS, rounded=True):
    values = torch.randn(DISEASES, 2 * drugs, generator=torch.Generator().manual_seed(seed))
    return (3 * values).round() if rounded else values


def rows(counts):
    return list(zip(counts.greater.tolist(), counts.equal.tolist(), counts.candidates.tolist(), strict=True))


def by_hand(values, asked):
    """The same in plain Python: the candidates in order of degree, from 25 before the answer to 24 after."""
    order = sorted(range(len(asked.candidates)), key=lambda place: (int(asked.candidate_degree[place]), place))
    found = []
    for query, target in zip(asked.query.tolist(), asked.target.tolist(), strict=True):
        known = set(asked.known[asked.known_query == query].tolist()) - {target}
        left = [e for e in (int(asked.candidates[place]) for place in order) if e not in known]
        begin = max(0, min(left.index(target) - MATCHED // 2, len(left) - MATCHED))
        near = [values[query, e] for e in left[begin : begin + MATCHED] if e != target]
        answer = values[query, target]
        found.append((sum(int(v > answer) for v in near), sum(int(v == answer) for v in near), len(near)))
    return found


@pytest.mark.parametrize("drugs", [40, DRUGS])
def test_degree_matched_counts_equal_a_plain_loop_and_do_not_depend_on_the_memory(drugs):
    asked, values = batch(drugs=drugs), scores(drugs=drugs)
    expected = by_hand(values, asked)
    for memory in (1, 5000, 1 << 28):
        assert rows(count_degree_matched(values, asked, memory)) == expected
    if drugs == DRUGS:
        assert {row[2] for row in expected} == {MATCHED - 1}
    else:
        every = count_rivals(values, asked, typed=True, filtered=True)
        assert rows(every) == expected


def test_a_ranking_by_degree_is_good_among_all_and_nothing_among_drugs_of_its_degree():
    asked = batch(drugs=2000)
    values = torch.zeros(DISEASES, 4000)
    values[:, asked.candidates] = asked.candidate_degree.float()
    among_all = count_rivals(values, asked, typed=True, filtered=True)
    assert rows(count_by_degree(asked)) == rows(among_all)
    assert rows(count_by_degree(asked, memory=1)) == rows(among_all)
    popular, matched = ranking_metrics(among_all), ranking_metrics(count_degree_matched(values, asked))
    assert popular["auc"] > 0.7
    assert matched["auc"] == pytest.approx(0.5, abs=0.1)
    assert matched["mr"] == pytest.approx(25, abs=5)


def test_a_model_that_knows_is_as_good_among_drugs_of_one_degree():
    asked = batch()
    values = scores(rounded=False)
    values[asked.query, asked.target] += 4
    assert ranking_metrics(count_degree_matched(values, asked))["hits@10"] > 0.9


def predictions(named, diseases=30):
    return [
        {
            "id": f"Disease::{disease}",
            "compounds": [{"id": f"Compound::{drug}", "known": told} for drug, told in named(disease)],
        }
        for disease in range(diseases)
    ]


def test_the_same_ten_drugs_for_all_diseases_trip():
    found = concentration_metrics(predictions(lambda disease: [((drug + disease) % 10, None) for drug in range(10)]))
    assert found == {"top10_distinct": 10, "top10_share": 1.0, "diseases": 30}


def test_different_drugs_for_each_disease_do_not_trip():
    found = concentration_metrics(predictions(lambda disease: [(100 * disease + drug, None) for drug in range(20)]))
    assert found == {"top10_distinct": 300, "top10_share": pytest.approx(1 / 30), "diseases": 30}


def test_what_training_tells_is_no_recommendation_and_the_next_moves_up():
    def named(disease):
        return [*((100 * disease + drug, "training") for drug in range(10)), *((drug, "test") for drug in range(20))]

    assert concentration_metrics(predictions(named))["top10_share"] == 1.0
    assert concentration_metrics(predictions(lambda _: [(1, "training")])) == {}
    assert concentration_metrics([]) == {}
