"""A folder filled piece by piece: what a kill leaves is repaired, and the end does not tell how it was reached."""

import errno
import json
import os

import pytest

from kedrec.errors import KedrecError
from kedrec.sources.text.documents import Document, read_documents
from kedrec.sources.text.harvest import Harvest
from tests.support.harvest_folder import contents

ASKED = {"source": "test", "query": "x"}


def document(name: str, text: str = "A text.") -> Document:
    return Document(id=name, source="test", title="A title", text=text, date="2001-02-03")


PIECES = {
    "first": ([document("B"), document("D", "Größe\u2028and more.")], {"X": "no text"}),
    "second": ([], {"Y": "no text", "A": "late"}),
    "third": ([document("A"), document("B", "A later text.")], {}),
}


def fill(folder, pieces=PIECES):
    harvest = Harvest(folder, ASKED)
    if not harvest.finished:
        for name, (documents, left_out) in pieces.items():
            if name not in harvest:
                harvest.keep(name, documents, left_out, {"next": name})
        harvest.finish({"Z": "not returned"})
    return contents(folder)


def test_the_end_is_two_files_sorted_and_unique(tmp_path):
    found = fill(tmp_path / "whole")
    assert sorted(found) == ["documents.jsonl", "harvest.json"]
    documents = list(read_documents(tmp_path / "whole" / "documents.jsonl"))
    assert [one.id for one in documents] == ["A", "B", "D"]
    assert [one.text for one in documents] == ["A text.", "A later text.", "Größe\u2028and more."]
    summary = json.loads(found["harvest.json"])
    assert summary == {
        "asked": ASKED,
        "documents": 3,
        "left_out": {"no text": ["X", "Y"], "not returned": ["Z"]},  # A was left out of one piece, but came in another
    }
    assert fill(tmp_path / "whole") == found


def test_a_journal_cut_at_any_byte_is_taken_up_from_its_last_whole_piece(tmp_path):
    whole = fill(tmp_path / "whole")
    harvest = Harvest(tmp_path / "half", ASKED)
    for name in ("first", "second", "third"):
        harvest.keep(name, *PIECES[name], {"next": name})
    journal = (tmp_path / "half" / "journal.jsonl").read_bytes()
    lines = journal.split(b"\n")
    ends = {name: journal.index(json.dumps({"piece": name})[:-1].encode()) for name in PIECES}
    for cut in range(0, len(journal) + 1, 7):
        folder = tmp_path / f"cut{cut}"
        folder.mkdir()
        (folder / "journal.jsonl").write_bytes(journal[:cut])
        again = Harvest(folder, ASKED)
        expected = [name for name, start in ends.items() if journal.find(b"\n", start) < cut]
        assert list(again.pieces) == expected, (cut, len(lines))
        assert all(again.pieces[name] == {"next": name} for name in expected)
        assert fill(folder) == whole


def test_what_comes_after_a_cut_is_kept_by_the_next_cut(tmp_path):
    harvest = Harvest(tmp_path, ASKED)
    harvest.keep("first", *PIECES["first"], {"next": "first"})
    with (tmp_path / "journal.jsonl").open("ab") as journal:
        journal.write(b'{"id": "Q", "text": "half a li')
    Harvest(tmp_path, ASKED).keep("second", *PIECES["second"], {"next": "second"})
    assert list(Harvest(tmp_path, ASKED).pieces) == ["first", "second"]


@pytest.mark.parametrize(
    "there", [(".documents.jsonl.partial",), ("documents.jsonl",), ("documents.jsonl", "harvest.json")]
)
def test_a_kill_between_the_last_steps_is_mended(tmp_path, there):
    whole = fill(tmp_path / "whole")
    harvest = Harvest(tmp_path / "half", ASKED)
    for name, (documents, left_out) in PIECES.items():
        harvest.keep(name, documents, left_out, {"next": name})
    for name in there:
        (tmp_path / "half" / name).write_bytes(whole.get(name, b"half a li"))
    assert fill(tmp_path / "half") == whole


@pytest.mark.parametrize("finished", [True, False])
def test_a_folder_begun_for_something_else_is_refused(tmp_path, finished):
    harvest = Harvest(tmp_path, ASKED)
    harvest.keep("first", [document("A")])
    if finished:
        harvest.finish()
    with pytest.raises(KedrecError, match=r'belongs to the request .*"x".*not to .*"y".*another folder'):
        Harvest(tmp_path, {**ASKED, "query": "y"})


def test_nothing_found_is_an_end_too(tmp_path):
    harvest = Harvest(tmp_path, ASKED)
    assert harvest.finish().read_bytes() == b""
    assert json.loads((tmp_path / "harvest.json").read_text())["documents"] == 0


def test_a_full_disk_is_told_and_nothing_is_lost(tmp_path, monkeypatch):
    harvest = Harvest(tmp_path / "full", ASKED)
    harvest.keep("first", *PIECES["first"], {"next": "first"})
    with monkeypatch.context() as broken:

        def full(_):
            raise OSError(errno.ENOSPC, "No space left on device")

        broken.setattr(os, "fsync", full)
        with pytest.raises(KedrecError, match=r"the disk is full; free some space and start again"):
            harvest.keep("second", *PIECES["second"])
    assert fill(tmp_path / "full") == fill(tmp_path / "whole")


def test_half_a_surrogate_pair_does_not_stop_the_work(tmp_path):
    harvest = Harvest(tmp_path, ASKED)
    harvest.keep("first", [document("A", "broken \ud83d here")])
    (one,) = read_documents(harvest.finish())
    assert one.text == "broken ? here"
