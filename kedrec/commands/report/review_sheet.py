"""The forms of a blinded review: a sheet for spreadsheets, tasks for Label Studio, and what reviewers are told."""

import csv
import io
import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from xml.etree import ElementTree as Xml

from kedrec.commands.report.review_form import COMMENT, RANK, RANK_ASKED, SCALES, numbered

QUESTION, ITEM = "question", "item"
# A spreadsheet takes a cell that begins so for a formula, and a cell begins at a semicolon, too, where that is the
# list separator of the user's country.
_BEGINS = "=+@-\N{FULLWIDTH EQUALS SIGN}\N{FULLWIDTH PLUS SIGN}\N{FULLWIDTH COMMERCIAL AT}\N{FULLWIDTH HYPHEN-MINUS}"
_FORMULA = re.compile(rf"(^|;)(\s*)(?=[{re.escape(_BEGINS)}])")


@dataclass(frozen=True)
class Item:
    """One rationale as a reviewer sees it.

    Attributes:
        id: tells nothing of its model.
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
        id: tells nothing of the pair.
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
    """Return a text of a model's or the web's in one line, without what is not printed."""
    return " ".join("".join(sign if sign.isprintable() else " " for sign in text).split())


def harmless(text: str) -> str:
    """Return a text that no spreadsheet takes for a formula: an apostrophe stands before what would begin one.

    >>> harmless("=1+1"), harmless("5 mg; -2 points")
    ("'=1+1", "5 mg; '-2 points")
    """
    return _FORMULA.sub(r"\1\2'", text)


def sheet_csv(sheets: Sequence[Sheet]) -> bytes:
    """Return the sheet, a row a rationale, with columns to be filled in; UTF-8 with the mark that Excel knows it by."""
    asked = {RANK: RANK_ASKED, **{one.name: f"{one.asked} {'; '.join(numbered(one))}" for one in SCALES}}
    header = [QUESTION, ITEM, "disease", "drug A", "drug B", "passages", "recommended", "rationale"]
    header += [f"{name}: {meaning}" for name, meaning in asked.items()] + [COMMENT]
    buffer = io.StringIO()
    writer = csv.writer(buffer, quoting=csv.QUOTE_ALL, lineterminator="\r\n")
    writer.writerow(header)
    for sheet in sheets:
        passages = "\n".join(_told(sheet))
        for item in sheet.items:
            row = [sheet.id, item.id, sheet.disease, *sheet.drugs, passages, item.recommended, item.rationale]
            writer.writerow([harmless(cell) for cell in row] + [""] * (len(asked) + 1))
    return buffer.getvalue().encode("utf-8-sig")


def label_studio_tasks(sheets: Sequence[Sheet]) -> str:
    """Return the same as JSON to be imported into Label Studio, a task a question."""
    tasks = []
    for sheet in sheets:
        case = f"{sheet.disease}\nA: {sheet.drugs[0]}\nB: {sheet.drugs[1]}"
        data = {QUESTION: sheet.id, "case": case, "passages": "\n".join(_told(sheet)) or "(no passages)"}
        for place, item in enumerate(sheet.items, start=1):
            data |= {f"{ITEM}_{place}": item.id, f"text_{place}": f"Recommends {item.recommended}\n{item.rationale}"}
        tasks.append({"data": data})
    return json.dumps(tasks, indent=1, ensure_ascii=False) + "\n"


def label_studio_config(items: int) -> str:
    """Return the labelling interface for tasks of so many rationales."""
    view = Xml.Element("View")
    for name, title in (("case", "Which drug treats the disease?"), ("passages", "Passages")):
        Xml.SubElement(view, "Header", value=title)
        Xml.SubElement(view, "Text", name=name, value=f"${name}", valueType="text")
    for place in range(1, items + 1):
        box = Xml.SubElement(view, "View", style="border-top: 2px solid #888; margin-top: 1em; padding-top: 1em")
        text = f"text_{place}"
        Xml.SubElement(box, "Header", value=f"Text {place} of {items}")
        Xml.SubElement(box, "Text", name=text, value=f"${text}", valueType="text")
        _choices(box, f"{RANK}_{place}", text, f"{RANK}: {RANK_ASKED}", [str(rank + 1) for rank in range(items)])
        for scale in SCALES:
            _choices(box, f"{scale.name}_{place}", text, f"{scale.name}: {scale.asked}", numbered(scale))
        Xml.SubElement(box, "Header", value="Comment", size="5")
        Xml.SubElement(
            box, "TextArea", name=f"{COMMENT}_{place}", toName=text, rows="2", maxSubmissions="1", editable="true"
        )
    Xml.indent(view)
    return Xml.tostring(view, encoding="unicode") + "\n"


def instructions(sheets: Sequence[Sheet], private: bool) -> str:
    """Return what reviewers are told, in Markdown."""
    texts = len(sheets[0].items)
    scales = [f"| {one.name} | {one.asked} | {'; '.join(numbered(one))} |" for one in SCALES]
    lines = [
        "# Review of drug recommendations",
        "",
        "Research use, not medical advice.",
        *(["", "**Made from data of patients.** Show it to nobody who may not see the data themselves."] * private),
        "",
        f"Each of {len(sheets)} questions names a disease and two drugs, of which one treats it. {texts} texts by "
        "different authors, people's or models', recommend one of the two and say why. Who wrote which is hidden, and "
        "the texts of each question stand in another order. Judge what is written, not who may have written it.",
        "",
        "* Passages are numbered anew in each question; `[2]` in a text cites the second. `[?]` cites something that "
        "its author was not shown. An author may have been shown some of the passages only, or none.",
        "* Texts may break off: their length was bounded.",
        "* Work alone, and do not speak of single texts with other reviewers before all have finished.",
        "",
        "| column | question | answers |",
        "|---|---|---|",
        f"| {RANK} | How good is the text beside the others of the question? | 1 to {texts}: {RANK_ASKED} |",
        *scales,
        f"| {COMMENT} | What should be known of your answers? | free text; nothing that tells who you are |",
        "",
        "Leave empty what you cannot judge: an empty cell counts as no answer, not as a bad one.",
        "",
        "## In a spreadsheet",
        "",
        "Save `sheet.csv` under your own name, such as `sheet_anna.csv`: that name tells your answers from others'. "
        "Type numbers into the empty columns. Do not change `question` and `item`; order and filters of rows do not "
        "matter. An apostrophe before a text's `=`, `+`, `-` or `@` keeps the spreadsheet from calculating it. Where "
        "all stands in one column, import the file as text parted by commas, in UTF-8 (Excel: Data > From Text/CSV). "
        "Save as CSV (Excel: CSV UTF-8) and send the file back.",
        "",
        "## In Label Studio",
        "",
        "Make a project, paste `labelling_config.xml` under Labeling Setup > Custom template, and import `tasks.json`. "
        "Each reviewer annotates with an account of their own. Export as JSON or JSON-MIN.",
        "",
    ]
    return "\n".join(lines)


def _told(sheet: Sheet) -> list[str]:
    return [
        f"[{number}] {text or '(its text was not kept)'} ({passage})"
        for number, (passage, text) in enumerate(sheet.passages, start=1)
    ]


def _choices(box: Xml.Element, name: str, text: str, asked: str, answers: Sequence[str]) -> None:
    Xml.SubElement(box, "Header", value=asked, size="5")
    choices = Xml.SubElement(box, "Choices", name=name, toName=text, choice="single-radio", showInline="true")
    for answer in answers:
        Xml.SubElement(choices, "Choice", value=answer)
