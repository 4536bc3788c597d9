"""Metrics of choice and rationale on cases whose answer is known."""

import math

import pytest

from kedrec.evaluation.choice_metrics import choice_metrics
from kedrec.evaluation.rationale_metrics import rationale_metrics


def _pair(name, choices, relevant_first=True, scores=((0.0, -1.0), (0.0, -1.0))):
    rows = []
    for swapped, choice, score in zip((False, True), choices, scores, strict=True):
        first = relevant_first != swapped
        drugs = ("good", "bad") if first else ("bad", "good")
        rows.append(
            {
                "pair": name,
                "drugs": drugs,
                "correct": drugs.index("good"),
                "choice": choice,
                "scores": list(score),
                "swapped": swapped,
                "heuristics": {
                    "nearest_passage": (0.9, 0.4) if first else (0.4, 0.9),
                    "degree": (3.0, 7.0) if first else (7.0, 3.0),
                },
            }
        )
    return rows


def test_always_first_flips_every_time_and_gets_a_third():
    metrics = choice_metrics([*_pair("a", (0, 0)), *_pair("b", (0, 0), relevant_first=False)])
    assert metrics["flip_rate"] == 1.0
    assert metrics["accuracy"] == 0.5
    assert metrics["f1"] == pytest.approx(1 / 3)
    assert metrics["consistent_accuracy"] == metrics["consistent_f1"] == 0.0


def test_always_right_is_perfect():
    metrics = choice_metrics([*_pair("a", (0, 1)), *_pair("b", (1, 0), relevant_first=False)])
    assert (metrics["f1"], metrics["flip_rate"], metrics["consistent_accuracy"]) == (1.0, 0.0, 1.0)
    assert metrics["pairs"] == 2


def test_always_wrong_is_consistent_but_not_right():
    metrics = choice_metrics(_pair("a", (1, 0)))
    assert (metrics["accuracy"], metrics["flip_rate"]) == (0.0, 0.0)


def test_consistent_f1_is_scikit_learns_of_choices_of_which_those_that_flip_are_none():
    from sklearn.metrics import f1_score

    rows = [*_pair("a", (0, 0)), *_pair("b", (1, 0)), *_pair("c", (0, 1)), *_pair("d", (0, 1))]
    flips = {"a"}
    chosen = [2 if row["pair"] in flips else row["choice"] for row in rows]
    correct = [row["correct"] for row in rows]
    found = choice_metrics(rows)
    assert found["consistent_f1"] == pytest.approx(f1_score(correct, chosen, labels=[0, 1], average="macro"))
    assert found["consistent_f1"] == pytest.approx(2 * 2 / (3 + 4))  # right; chosen and asked
    steady = choice_metrics([row for row in rows if row["pair"] not in flips])
    assert steady["consistent_f1"] == steady["f1"]


def test_macro_f1_equals_scikit_learn():
    from sklearn.metrics import f1_score

    rows = [*_pair("a", (0, 0)), *_pair("b", (1, 0)), *_pair("c", (0, 1)), *_pair("d", (1, 1))]
    expected = f1_score([row["correct"] for row in rows], [row["choice"] for row in rows], average="macro")
    assert choice_metrics(rows)["f1"] == pytest.approx(expected)


def test_the_nearest_passage_baseline_takes_the_drug_with_the_nearer_passages():
    assert choice_metrics(_pair("a", (1, 1), relevant_first=False))["heuristic_nearest_passage"] == 1.0
    silent = choice_metrics([{**row, "heuristics": {"nearest_passage": (0.0, 0.0)}} for row in _pair("a", (0, 0))])
    assert (silent["heuristic_nearest_passage"], silent["agreement_with_nearest_passage"]) == (0.5, 0.5)


def test_agreement_with_the_baseline_is_of_choices_not_of_truth():
    wrong_twice = [
        {**row, "heuristics": {name: scores[::-1] for name, scores in row["heuristics"].items()}}
        for row in _pair("a", (1, 0))
    ]
    metrics = choice_metrics([*wrong_twice, *_pair("b", (1, 1))])
    assert metrics["heuristic_nearest_passage"] == 0.5
    assert metrics["agreement_with_nearest_passage"] == 0.75
    assert metrics["heuristic_degree"] == 0.5


def test_a_baseline_that_is_always_wrong_gets_nothing():
    assert choice_metrics(_pair("a", (1, 1), relevant_first=False))["heuristic_degree"] == 0.0


def test_averaging_over_orders_takes_out_a_preference_for_the_first():
    # Prefers the first position by 1 nat, and the right drug by half a nat: right in one order only.
    rows = _pair("a", (0, 0), scores=((0.0, -1.5), (0.0, -0.5)))
    metrics = choice_metrics(rows)
    assert metrics["flip_rate"] == 1.0
    assert metrics["accuracy_order_averaged"] == 1.0


def _explained(rationale, reference, passages=("p", "q")):
    return {"pair": "disease|good|bad", "rationale": rationale, "reference": reference, "passages": passages}


def test_rouge_ignores_citations_and_is_in_percent():
    metrics = rationale_metrics([_explained("It opens the airway [1].", "It opens the airway [2].")])
    assert metrics["rouge1"] == metrics["rouge2"] == metrics["rougeL"] == pytest.approx(100)


def test_rouge_of_half_the_words():
    metrics = rationale_metrics([_explained("alpha beta", "alpha gamma")])
    assert metrics["rouge1"] == pytest.approx(50)
    assert metrics["rouge2"] == 0


def test_citations_to_nothing_are_counted():
    rows = [_explained("Yes [1] [7].", "x"), _explained("No.", "x"), _explained("Odd [two].", "x")]
    metrics = rationale_metrics(rows)
    assert metrics["citation_validity"] == pytest.approx(1 / 3)
    assert metrics["citing_rationales"] == pytest.approx(1 / 3)


def test_where_nothing_is_cited_no_share_of_the_citations_is_told():
    metrics = rationale_metrics([_explained("No.", "x")])
    assert math.isnan(metrics["citation_validity"])
    assert metrics["citing_rationales"] == 0


def test_rows_without_a_rationale_do_not_count():
    assert rationale_metrics([{"reference": "x"}, _explained("x", "x")])["rouge1"] == pytest.approx(100)


def test_a_baseline_is_evaluated_where_it_has_scores():
    silent = [{**row, "heuristics": {"nearest_passage": (0.0, 0.0)}} for row in _pair("b", (0, 1))]
    metrics = choice_metrics([*_pair("a", (0, 1), relevant_first=False), *silent])
    assert (metrics["heuristic_degree"], metrics["heuristic_degree_pairs"]) == (0.0, 1.0)
    assert metrics["heuristic_nearest_passage"] == 0.75
    assert "heuristic_nearest_passage_pairs" not in metrics


def test_every_figure_of_the_choice_has_its_interval_over_diseases():
    rows = [
        row
        for disease in range(6)
        for drug in range(1 + disease)
        for row in _pair(f"D{disease}|good{drug}|bad", (disease % 2, 1), relevant_first=drug % 2 == 0)
    ]
    metrics = choice_metrics(rows)
    counts = {"pairs", "diseases", "degree_matched_pairs"}
    assert (metrics["pairs"], metrics["diseases"]) == (21, 6)
    named = {name for name in metrics if not name.endswith(("_low", "_high"))} - counts
    assert {
        "f1",
        "consistent_f1",
        "flip_rate",
        "consistent_accuracy",
        "heuristic_degree",
        "agreement_with_nearest_passage",
    } <= named
    assert metrics.keys() == counts | {name + end for name in named for end in ("", "_low", "_high")}
    for name in named:
        assert 0 <= metrics[f"{name}_low"] <= metrics[name] <= metrics[f"{name}_high"] <= 1
        assert metrics[f"{name}_low"] < metrics[f"{name}_high"]


def test_f1_of_one_position_is_that_of_torchmetrics():
    import torch
    from torchmetrics.functional.classification import multiclass_f1_score

    for rows in (_pair("a", (0, 1)), _pair("a", (1, 1)), _pair("a", (1, 0), relevant_first=False)):
        chosen, correct = ([row[key] for row in rows[:1]] for key in ("choice", "correct"))
        theirs = multiclass_f1_score(torch.tensor(chosen), torch.tensor(correct), num_classes=2, average="macro")
        assert choice_metrics(rows)["f1_given_order"] == pytest.approx(float(theirs))


def _degrees(rows, good, bad):
    return [
        {**row, "heuristics": {"degree": (good, bad) if row["drugs"][0] == "good" else (bad, good)}} for row in rows
    ]


def test_a_model_that_goes_by_degree_is_found_out_where_degrees_match():
    """It takes the drug with more edges: right where that is the relevant one, by chance where both have the same."""
    rows = []
    for disease in range(12):
        rows += _degrees(_pair(f"D{disease}|good|bad", (0, 1)), 40.0, 3.0)
        luck = (0, 1) if disease % 2 else (1, 0)
        rows += _degrees(_pair(f"D{disease}|good|like", luck), 12.0, 20.0 if disease % 2 else 24.0)
    metrics = choice_metrics(rows)
    assert metrics["f1"] == 0.75
    assert metrics["degree_matched_pairs"] == 12
    assert metrics["f1_degree_matched"] == 0.5
    assert metrics["f1_degree_matched_low"] < 0.5 < metrics["f1_degree_matched_high"]


def test_where_no_degrees_match_or_none_are_told_there_is_no_such_figure():
    apart = choice_metrics(_degrees(_pair("a", (0, 1)), 0.0, 5.0))
    assert apart["degree_matched_pairs"] == 0
    assert "f1_degree_matched" not in apart
    bare = choice_metrics([{k: v for k, v in row.items() if k != "heuristics"} for row in _pair("a", (0, 1))])
    assert bare["f1"] == 1.0
    assert not [name for name in bare if "heuristic" in name or "degree" in name]


def test_every_figure_of_the_rationale_has_its_interval():
    rows = [
        {**_explained(f"alpha {word} [{cite}].", "alpha gamma"), "pair": f"D{disease}|good|bad"}
        for disease in range(8)
        for word, cite in (("gamma", 1), ("delta" if disease < 5 else "gamma", 7))
    ]
    metrics = rationale_metrics(rows)
    named = {name for name in metrics if not name.endswith(("_low", "_high"))}
    assert named == {"rouge1", "rouge2", "rougeL", "citation_validity", "citing_rationales", "rationale_words"}
    assert metrics["citation_validity"] == 0.5
    for name in ("rouge1", "rouge2", "rougeL", "citing_rationales"):
        assert metrics[f"{name}_low"] < metrics[name] < metrics[f"{name}_high"]
    assert metrics["rouge1_high"] <= 100
    assert rationale_metrics([{"reference": "x"}]) == {}
