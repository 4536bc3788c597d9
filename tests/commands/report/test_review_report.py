"""What reviewers meant comes back, and chance is told from preference."""

import json

import numpy as np
import pytest

from kedrec.commands.report.review_answers import Judgement, Reviewed, Reviews, read_reviews
from kedrec.commands.report.review_form import RANK, SCALES
from kedrec.commands.report.review_report import review_report
from kedrec.commands.report.reviewer_preference import bradley_terry, compared, preferences
from tests.support.simulated_reviewers import answers, fill, key, label_studio, sheet


def test_known_preferences_come_back(review, tmp_path):
    folder = review()
    rows = sheet(folder)
    given = [answers(rows, seed) for seed in range(3)]
    (tmp_path / "third.json").write_text(json.dumps(label_studio(folder, given[2])))
    files = [
        fill(folder, given[0], tmp_path / "anna.csv"),
        fill(folder, given[1], tmp_path / "bert.csv", delimiter=";", encoding="cp1252", comment="müde"),
        tmp_path / "third.json",
    ]
    reviews = read_reviews(files, folder / "key.json")
    report = review_report(reviews)

    models = key(folder)["questions"]
    model_of = {item: model for of in models.values() for item, model in of["items"].items()}
    assert {one.of.item: one.of.model for one in reviews.judgements} == model_of
    assert reviews.reviewers == ("anna", "bert", "third:1")
    assert [one.model.partition("/")[0] for one in report.standings] == ["good", "fair", "poor"]
    pair = next(one for one in report.preferences if [m[:4] for m in one.models] == ["good", "poor"])
    # Of two normal worths 1.5 apart the better one is seen as such with probability Phi(1.5 / sqrt 2) = 0.856.
    assert pair.share.low < 0.856 < pair.share.high
    assert pair.share.low > 0.5 > 0.05 > pair.p_holm >= pair.p
    assert (pair.questions, pair.diseases) == (30, 10)
    mean = {(one.model[:4], one.scale): one.mean.value for one in report.ratings}
    assert mean["good", "safety"] > mean["fair", "safety"] > mean["poor", "safety"]
    assert [one.on for one in report.agreement] == ["preference", *(scale.name for scale in SCALES)]
    assert all(
        0.05 < one.alpha.value < 0.9 and one.alpha.low < one.alpha.value < one.alpha.high for one in report.agreement
    )
    assert {one.text for one in report.comments} == {"müde", "sound / two"}
    assert json.loads(report.as_json())["standings"][0]["share"]["value"] == report.standings[0].share.value
    assert report.as_markdown().count("\n| good/good-id |") == 1 + 2 + len(SCALES)


def test_models_alike_are_not_told_apart():
    """Of 200 reviews of models that are alike, with moods by disease, about one in twenty may say otherwise."""
    items = {model: [Reviewed(f"{model}{at}", model, str(at), str(at // 3)) for at in range(45)] for model in "ab"}
    held = significant = 0
    draw = np.random.default_rng(0)
    for _ in range(200):
        mood = draw.normal(size=15)
        said = []
        for first, second in zip(*items.values(), strict=True):
            for reviewer in "xy":
                ahead = mood[int(first.disease)] + draw.normal() > 0
                said += [Judgement(reviewer, of, {RANK: 1 + int((of is first) != ahead)}, "") for of in (first, second)]
        reviews = Reviews(("a", "b"), (*items["a"], *items["b"]), tuple(said), False)
        (one,) = preferences(compared(reviews))
        held += one.share.low < 0.5 < one.share.high
        significant += one.p < 0.05
    assert 180 <= held <= 198
    assert significant <= 18


def said(models, ranks):
    """Reviews of one question a disease: of each reviewer the ranks that each question's models got."""
    items = [Reviewed(f"{model}{at}", model, str(at), str(at)) for at in range(len(ranks["x"])) for model in models]
    judgements = [
        Judgement(who, one, {RANK: given[int(one.question)][one.model]}, "")
        for who, given in ranks.items()
        for one in items
    ]
    return Reviews(tuple(models), tuple(items), tuple(judgements), False)


def test_which_model_is_called_first_does_not_change_the_agreement():
    draw = np.random.default_rng(0)
    worth = {"a": 1.0, "b": 0.0, "c": -1.0}
    ranks = {
        who: [{model: int(np.ceil(2 - own - draw.normal())) for model, own in worth.items()} for _ in range(40)]
        for who in "xy"
    }
    first, *others = (review_report(said(models, ranks)) for models in ("abc", "bac", "cba"))
    for other in others:
        for one, again in zip(first.agreement, other.agreement, strict=True):
            assert (again.alpha.value, again.kappa) == pytest.approx((one.alpha.value, one.kappa))
    share = {one.models: one.share.value for report in (first, *others) for one in report.preferences}
    assert share["a", "b"] == pytest.approx(1 - share["b", "a"])


def test_reviewers_of_a_question_are_averaged_and_p_values_adjusted():
    better, worse = {"a": 1, "b": 2, "c": 3}, {"a": 3, "b": 2, "c": 3}
    report = review_report(said("abc", {"x": [better] * 8, "y": [better] * 6 + [worse] * 2}))
    one, other, third = report.preferences
    assert one.models == ("a", "b")
    assert (one.share.value, one.won, one.lost, one.p) == (7 / 8, 6, 0, 2 / 2**6)  # two questions are undecided
    assert other.models == ("a", "c")
    assert (other.share.value, other.won, other.p) == (7.5 / 8, 8, 2 / 2**8)  # in two one of two reviewers sees a tie
    assert third.p == 2 / 2**8
    assert [pair.p_holm for pair in report.preferences] == [2 / 2**6, 3 * 2 / 2**8, 3 * 2 / 2**8]


def test_names_from_outside_are_escaped_in_markdown(review, tmp_path):
    folder = review(questions=3)
    file = fill(folder, answers(sheet(folder), 0), tmp_path / "<script>|*a*.csv")
    shown = review_report(read_reviews([file], folder / "key.json")).as_markdown()
    assert r"| &lt;script&gt;\|\*a\* |" in shown
    assert "<script>" not in shown


def test_bradley_terry_is_the_likeliest():
    strengths = np.array([1.0, 0.2, -0.5, -0.7])
    chance = 1 / (1 + np.exp(strengths[None, :] - strengths[:, None]))
    wins = 100 * chance * (1 - np.eye(4))
    assert bradley_terry(wins) == pytest.approx(strengths, abs=1e-6)
    wins[0, 1:], wins[1:, 0] = 100, 0  # who wins always has no finite strength
    assert np.isnan(bradley_terry(wins)).all()
