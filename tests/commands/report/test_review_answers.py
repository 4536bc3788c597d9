"""Filled sheets and exports are read back, and faults in them told in one line."""

import json

import pytest

from kedrec.commands.report.review_answers import read_reviews
from kedrec.commands.report.review_form import RANK, SCALES
from kedrec.commands.report.review_report import review_report
from kedrec.errors import KedrecError
from tests.support.simulated_reviewers import answers, fill, label_studio, sheet


def test_all_forms_of_the_same_answers_say_the_same(review, tmp_path):
    folder = review(questions=6)
    given = answers(sheet(folder), 1)
    (tmp_path / "a.json").write_text(json.dumps(label_studio(folder, given)))
    (tmp_path / "b.json").write_text(json.dumps(label_studio(folder, given, {"id": 1, "email": "a@b.c"}, flat=False)))
    (tmp_path / "c.json").write_text(json.dumps(label_studio(folder, given, flat=True)))
    as_floats = {item: {name: f"{number}.0" for name, number in of.items()} for item, of in given.items()}
    files = [
        *(tmp_path / f"{name}.json" for name in "abc"),
        fill(folder, given, tmp_path / "d.csv"),
        fill(folder, given, tmp_path / "e.csv", delimiter="\t", encoding="utf-16"),
        fill(folder, as_floats, tmp_path / "f.csv"),
    ]
    read = [read_reviews([file], folder / "key.json") for file in files]
    assert [one.reviewers[0] for one in read] == ["a:1", "b:1", "c:1", "d", "e", "f"]
    said = [{one.of.item: one.numbers for one in reviews.judgements} for reviews in read]
    assert said[0] == given
    assert all(one == said[0] for one in said[1:])


def test_half_filled_sheets_count_what_is_there(review, tmp_path):
    folder = review(questions=9)
    rows = sheet(folder)
    given = answers(rows, 0)
    del given[rows[0]["item"]][RANK]  # one of three ranks: one of three comparisons is left
    for row in rows[3:6]:
        given[row["item"]] = {}
    given[rows[6]["item"]] = {RANK: given[rows[6]["item"]][RANK]}
    report = review_report(read_reviews([fill(folder, given, tmp_path / "anna.csv")], folder / "key.json"))
    assert report.answered == {"anna": {RANK: 23, **{scale.name: 23 for scale in SCALES}}}
    assert sum(one.questions for one in report.preferences) == 3 * 7 + 1
    assert report.rationales == 27
    assert report.agreement == []
    assert "23" in report.as_markdown()


def damage(folder, file, given, change):
    fill(folder, given, file)
    file.write_text(change(file.read_text(encoding="utf-8-sig")), encoding="utf-8")
    return file


def test_damaged_sheets_are_told_in_one_line(review, tmp_path):
    folder = review(questions=3)
    rows = sheet(folder)
    given = answers(rows, 0)
    item = rows[1]["item"]
    name, bad = tmp_path / "anna.csv", {**given, item: {**given[item], RANK: 4}}
    for answer, message in (
        (4, "rank is '4'; expected a number from 1 to 3"),
        (0, "rank is '0'"),
        ("best", "rank is 'best'"),
        ("1-2", "rank is '1-2'"),
        ("1 / 2", "rank is '1 / 2'"),
    ):
        bad[item] = {**given[item], RANK: answer}
        with pytest.raises(KedrecError, match=rf"anna.csv, row 3: {message}"):
            read_reviews([fill(folder, bad, name)], folder / "key.json")
    for change, message in (
        (lambda text: text.replace(item, "zzzzzzzzzz"), "row 3: .*key.json has no item 'zzzzzzzzzz'"),
        (lambda text: text.replace(item, ""), "row 3: the row has answers but no item"),
        (lambda text: text.replace(item, rows[0]["item"]), f"row 3: anna answered item {rows[0]['item']} already"),
        (
            lambda text: text.replace(",item,", ",thing,"),
            "anna.csv: not a filled sheet.csv: the column 'item' is missing",
        ),
        (lambda text: text.replace("safety:", "danger:"), "anna.csv: expected the column 'safety' exactly once"),
        (lambda text: text[: text.rindex('"')], "anna.csv: not a filled sheet.csv"),
        (lambda _: "", "anna.csv: not a filled sheet.csv"),
    ):
        with pytest.raises(KedrecError, match=message):
            read_reviews([damage(folder, name, given, change)], folder / "key.json")
    with pytest.raises(KedrecError, match=r"anna.csv: no answer is filled in"):
        read_reviews([fill(folder, {}, name)], folder / "key.json")
    with pytest.raises(KedrecError, match=r"nobody.csv: cannot be read"):
        read_reviews([tmp_path / "nobody.csv"], folder / "key.json")
    with pytest.raises(KedrecError, match="no filled sheet is given"):
        read_reviews([], folder / "key.json")


def test_a_reviewer_twice_is_refused(review, tmp_path):
    folder = review(questions=3)
    given = answers(sheet(folder), 0)
    (tmp_path / "other").mkdir()
    files = [fill(folder, given, place / "anna.csv") for place in (tmp_path, tmp_path / "other")]
    with pytest.raises(KedrecError, match=r"other/anna.csv, row 2: anna answered item \w+ already, in .*/anna.csv"):
        read_reviews(files, folder / "key.json")
    (tmp_path / "a.json").write_text(json.dumps(label_studio(folder, given)))
    (tmp_path / "b.json").write_text(json.dumps(label_studio(folder, given, flat=True)))  # the same annotations again
    with pytest.raises(KedrecError, match=r"b.json, task 1: b:1 answered item \w+ already, in .*a.json, task 1"):
        read_reviews([tmp_path / "a.json", tmp_path / "b.json"], folder / "key.json")


def test_damaged_exports_and_keys_are_told_in_one_line(review, tmp_path):
    folder = review(questions=3)
    file, place = tmp_path / "a.json", folder / "key.json"
    exported = label_studio(folder, answers(sheet(folder), 0))
    for content, message in (
        ("[", "a.json: not a JSON or JSON-MIN export"),
        ("{}", "a.json: no answer is filled in"),
        ('["a"]', "a.json: not a JSON or JSON-MIN export"),
        (
            json.dumps([{"id": 1, "data": {"text": "x"}, "annotations": exported[0]["annotations"]}]),
            "not a JSON or JSON-MIN export .*item_1",
        ),
        (json.dumps([{**exported[0], "annotations": []}]), "a.json: no answer is filled in"),
    ):
        file.write_text(content)
        with pytest.raises(KedrecError, match=message):
            read_reviews([file], place)
    file.write_text(json.dumps(exported))
    for content, message in (
        ("[]", "not the key.json"),
        ("{", "not the key.json"),
        ('{"models": []}', "not the key.json"),
    ):
        place.write_text(content)
        with pytest.raises(KedrecError, match=message):
            read_reviews([file], place)
    with pytest.raises(KedrecError, match="No such file"):
        read_reviews([file], tmp_path / "key.json")
