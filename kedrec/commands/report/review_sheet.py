"""Writes the files of a blinded review: a sheet for spreadsheets, tasks for Label Studio, and instructions."""

import csv
import io
import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from xml.etree import ElementTree as Xml

from kedrec.commands.report.review_form import COMMENT, RANK, RANK_WORDING, SCALES, numbered

QUESTION, ITEM = "question", "item"
# A spreadsheet takes a cell with such a beginning for a formula. A semicolon begins a cell, too, where it is the list
# separator of the user's country.
_BEGINS = "=+@-\N{FULLWIDTH EQUALS SIGN}\N{FULLWIDTH PLUS SIGN}\N{FULLWIDTH COMMERCIAL AT}\N{FULLWIDTH HYPHEN-MINUS}"
_FORMULA = re.compile(rf"(^|;)(\s*)(?=[{re.escape(_BEGINS)}])")


@dataclass(frozen=True)
class Item:
    """One rationale as a reviewer sees it.

    Attributes:
        id: random id that does not reveal the model.
        recommended: name of the drug.
        rationale: citations as numbers of the question's passages.
    """

    id: str
    recommended: str
    rationale: str


@dataclass(frozen=True)
class Sheet:
    """One question as a reviewer sees it.

    Attributes:
        id: random id that does not reveal the pair.
        disease: its name.
        drugs: names of the two drugs, A and B.
        passages: id and excerpt of each, in the order of their numbers.
        items: the rationales, in the order shown.
    """

    id: str
    disease: str
    drugs: tuple[str, str]
    passages: Sequence[tuple[str, str]]
    items: Sequence[Item]


def plain(text: str) -> str:
    """Return a text from outside in one line, without unprintable characters."""
    return " ".join("".join(sign if sign.isprintable() else " " for sign in text).split())


def harmless(text: str) -> str:
    """Return a text that no spreadsheet takes for a formula: an apostrophe is put before a formula's beginning.

    >>> harmless("=1+1"), harmless("5 mg; -2 points")
    ("'=1+1", "5 mg; '-2 points")
    """
    return _FORMULA.sub(r"\1\2'", text)


def sheet_csv(sheets: Sequence[Sheet]) -> bytes:
    """Return the sheet as CSV, one row per rationale, empty columns for the answers; UTF-8 with a BOM for Excel."""
    answer_columns = {RANK: RANK_WORDING, **{one.name: f"{one.wording} {'; '.join(numbered(one))}" for one in SCALES}}
    header = [QUESTION, ITEM, "disease", "drug A", "drug B", "passages", "recommended", "rationale"]
    header += [f"{name}: {meaning}" for name, meaning in answer_columns.items()] + [COMMENT]
    buffer = io.StringIO()
    writer = csv.writer(buffer, quoting=csv.QUOTE_ALL, lineterminator="\r\n")
    writer.writerow(header)
    for sheet in sheets:
        passages = "\n".join(_passage_lines(sheet))
        for item in sheet.items:
            row = [sheet.id, item.id, sheet.disease, *sheet.drugs, passages, item.recommended, item.rationale]
            writer.writerow([harmless(cell) for cell in row] + [""] * (len(answer_columns) + 1))
    return buffer.getvalue().encode("utf-8-sig")


def label_studio_tasks(sheets: Sequence[Sheet]) -> str:
    """Return the questions as JSON for Label Studio, one task per question."""
    tasks = []
    for sheet in sheets:
        case = f"{sheet.disease}\nA: {sheet.drugs[0]}\nB: {sheet.drugs[1]}"
        data = {QUESTION: sheet.id, "case": case, "passages": "\n".join(_passage_lines(sheet)) or "(no passages)"}
        for number, item in enumerate(sheet.items, start=1):
            data |= {f"{ITEM}_{number}": item.id, f"text_{number}": f"Recommends {item.recommended}\n{item.rationale}"}
        tasks.append({"data": data})
    return json.dumps(tasks, indent=1, ensure_ascii=False) + "\n"


def label_studio_config(items: int) -> str:
    """Return the labelling interface for tasks with ``items`` rationales each."""
    view = Xml.Element("View")
    for name, title in (("case", "Which drug treats the disease?"), ("passages", "Passages")):
        Xml.SubElement(view, "Header", value=title)
        Xml.SubElement(view, "Text", name=name, value=f"${name}", valueType="text")
    for number in range(1, items + 1):
        box = Xml.SubElement(view, "View", style="border-top: 2px solid #888; margin-top: 1em; padding-top: 1em")
        text = f"text_{number}"
        Xml.SubElement(box, "Header", value=f"Text {number} of {items}")
        Xml.SubElement(box, "Text", name=text, value=f"${text}", valueType="text")
        _choices(box, f"{RANK}_{number}", text, f"{RANK}: {RANK_WORDING}", [str(rank + 1) for rank in range(items)])
        for scale in SCALES:
            _choices(box, f"{scale.name}_{number}", text, f"{scale.name}: {scale.wording}", numbered(scale))
        Xml.SubElement(box, "Header", value="Comment", size="5")
        Xml.SubElement(
            box, "TextArea", name=f"{COMMENT}_{number}", toName=text, rows="2", maxSubmissions="1", editable="true"
        )
    Xml.indent(view)
    return Xml.tostring(view, encoding="unicode") + "\n"


def instructions(sheets: Sequence[Sheet], private: bool) -> str:
    """Return the instructions to reviewers, in Markdown."""
    texts = len(sheets[0].items)
    scales = [f"| {one.name} | {one.wording} | {'; '.join(numbered(one))} |" for one in SCALES]
    lines = [
        "# Review of drug recommendations",
        "",
        "Research use, not medical advice.",
        *(["", "**Made from patient data.** Show it only to people who may see the data themselves."] * private),
        "",
        f"Each of {len(sheets)} questions names a disease and two drugs, of which one treats it. {texts} texts by "
        "different authors, people's or models', recommend one of the two and say why. The authors are hidden, and "
        "the order of the texts differs from question to question. Judge the text, not its possible author.",
        "",
        "* Passages are numbered within each question; `[2]` in a text cites the second one. `[?]` cites something "
        "that the author was not shown. An author may have been shown only some of the passages, or none.",
        "* Texts may break off: their length was limited.",
        "* Work alone, and do not discuss single texts with other reviewers before all have finished.",
        "",
        "| column | question | answers |",
        "|---|---|---|",
        f"| {RANK} | How good is the text compared with the others of the question? | 1 to {texts}: {RANK_WORDING} |",
        *scales,
        f"| {COMMENT} | Remarks on your answers | free text; nothing that identifies you |",
        "",
        "Leave empty what you cannot judge: an empty cell counts as no answer, not as a bad one.",
        "",
        "## In a spreadsheet",
        "",
        "Save `sheet.csv` under your own name, such as `sheet_anna.csv`: the name identifies your answers. "
        "Type numbers into the empty columns. Do not change `question` and `item`; order and filters of rows do not "
        "matter. An apostrophe before `=`, `+`, `-` or `@` keeps the spreadsheet from reading a formula. If "
        "everything is in one column, import the file as comma-separated text in UTF-8 (Excel: Data > From Text/CSV). "
        "Save as CSV (Excel: CSV UTF-8) and send the file back.",
        "",
        "## In Label Studio",
        "",
        "Make a project, paste `labelling_config.xml` under Labeling Setup > Custom template, and import `tasks.json`. "
        "Each reviewer annotates with an account of their own. Export as JSON or JSON-MIN.",
        "",
    ]
    return "\n".join(lines)


def _passage_lines(sheet: Sheet) -> list[str]:
    return [
        f"[{number}] {text or '(the run did not keep its text)'} ({passage})"
        for number, (passage, text) in enumerate(sheet.passages, start=1)
    ]


def _choices(box: Xml.Element, name: str, text: str, wording: str, answers: Sequence[str]) -> None:
    Xml.SubElement(box, "Header", value=wording, size="5")
    choices = Xml.SubElement(box, "Choices", name=name, toName=text, choice="single-radio", showInline="true")
    for answer in answers:
        Xml.SubElement(choices, "Choice", value=answer)
