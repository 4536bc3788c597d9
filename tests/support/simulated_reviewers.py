"""Runs of known quality to be reviewed, and reviewers who read that quality with some noise."""

import csv
import functools
import io
import json
import re

import numpy as np

from kedrec.commands.report.review_form import COMMENT, RANK, SCALES
from kedrec.config import compose
from tests.conftest import REPOSITORY

QUALITY = {"good": 1.5, "fair": 0.5, "poor": 0.0}  # of three simulated models, in units of a reviewer's noise
PASSAGES = {f"NCT{number:04}": f"Excerpt {number} on the two drugs." for number in range(4)}


@functools.cache
def settings(experiment, *overrides):
    return compose(REPOSITORY / "experiments" / f"{experiment}.yaml", overrides).yaml()


def rows_of(quality, questions, shown=tuple(PASSAGES), rationale=None):
    """A student's predictions: the rationale holds its quality, as reviewers would see it by reading."""
    rows = []
    for at in range(questions):
        row = {
            "pair": f"Disease::D{at // 3}|Compound::R{at}|Compound::I{at}",
            "disease": f"disease {at // 3}",
            "drugs": [f"right{at}", f"wrong{at}"],
            "correct": 0,
            "swapped": False,
            "reference": f"The teacher writes of right{at} [1].",
            "passages": list(shown),
            "texts": [PASSAGES[passage] for passage in shown],
            "heuristics": {},
            "scores": [-1.0, -2.0],
            "choice": 0,
            "rationale": rationale or f"Text of worth {quality} on right{at}, as shown [1].",
        }
        swapped = {**row, "drugs": row["drugs"][::-1], "correct": 1, "swapped": True, "choice": 1}
        del swapped["rationale"]
        rows += [row, swapped]
    return rows


def sheet(folder):
    text = (folder / "reviewers" / "sheet.csv").read_bytes().decode("utf-8-sig")
    return list(csv.DictReader(io.StringIO(text, newline="")))


def key(folder):
    return json.loads((folder / "key.json").read_text())


def column(row, name):
    return next(header for header in row if header.partition(":")[0] == name)


def answers(rows, seed, noise=1.0):
    """What a reviewer answers who reads the worth of each text, with some noise: item -> name -> number."""
    draw = np.random.default_rng(seed)
    found = {}
    by_question = {}
    for row in rows:
        by_question.setdefault(row["question"], []).append(row)
    for of in by_question.values():
        worth = [float(re.search(r"worth ([\d.]+)", row["rationale"])[1]) + noise * draw.normal() for row in of]
        for row, own in zip(of, worth, strict=True):
            rating = 1 + int(own > 0) + int(own > 1)
            found[row["item"]] = {RANK: 1 + sum(other > own for other in worth)}
            found[row["item"]] |= dict.fromkeys((scale.name for scale in SCALES), rating)
    return found


def fill(folder, given, file, *, delimiter=",", encoding="utf-8-sig", comment=""):
    """Save the sheet as a spreadsheet does, some answers filled in."""
    rows = sheet(folder)
    for row in rows:
        for name, number in given.get(row["item"], {}).items():
            row[column(row, name)] = number
        row[COMMENT] = comment
    buffer = io.StringIO()
    writer = csv.DictWriter(buffer, list(rows[0]), delimiter=delimiter, lineterminator="\r\n")
    writer.writeheader()
    writer.writerows(rows)
    file.write_bytes(buffer.getvalue().encode(encoding))
    return file


def label_studio(folder, given, annotator=1, flat=False, comment="sound"):
    """Label Studio's JSON, or JSON-MIN, of one annotator who answered all tasks, as its own converter writes them."""
    exported = []
    for number, task in enumerate(json.loads((folder / "reviewers" / "tasks.json").read_text()), start=1):
        results, short = [], {}
        for place in range(1, len(QUALITY) + 1):
            for name, answer in given[task["data"][f"item_{place}"]].items():
                scale = {one.name: one for one in SCALES}.get(name)
                written = f"{answer} {scale.levels[answer - 1]}" if scale else str(answer)
                results.append(
                    {"from_name": f"{name}_{place}", "to_name": f"text_{place}", "type": "choices"}
                    | {"value": {"choices": [written]}}
                )
                short[f"{name}_{place}"] = written
            results.append({"from_name": f"comment_{place}", "type": "textarea", "value": {"text": [comment, "two"]}})
            short[f"comment_{place}"] = {"text": [comment, "two"]}
        meta = {"created_at": f"2026-01-01T00:00:{number:02}Z", "updated_at": "2026-01-02T00:00:00Z", "lead_time": 3.5}
        if flat:
            exported.append(
                {**task["data"], "id": number, **short, "annotator": annotator, "annotation_id": number, **meta}
            )
        else:
            done = {"id": number, "completed_by": annotator, "was_cancelled": False, "result": results, **meta}
            skipped = {**done, "id": 1000 + number, "was_cancelled": True}
            exported.append({"id": number, "data": task["data"], "annotations": [skipped, done], "predictions": []})
    return exported
