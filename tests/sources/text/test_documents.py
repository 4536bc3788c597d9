"""Reading documents: the plain form, the two raw forms, and what a user sees when a file is not as expected."""

import csv
import gzip
import io
import json
import os
from pathlib import Path

import pytest
import zstandard

from kedrec.errors import KedrecError
from kedrec.sources.text.documents import documents_hash, read_documents

ROW = {"id": "A1", "source": "pmc", "title": "Aspirin.", "text": "Aspirin thins blood.", "url": "https://x.org"}


def jsonl(*rows: object) -> bytes:
    return "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows).encode()


def write(path: Path, content: bytes) -> Path:
    path.write_bytes(content)
    return path


def trials_csv(*rows: tuple[str, ...]) -> bytes:
    out = io.StringIO()
    table = csv.writer(out)
    table.writerow(
        ["nctid", "status", "why_stop", "label", "phase", "diseases", "icdcodes", "drugs", "smiless", "criteria"]
    )
    table.writerows(rows)
    return out.getvalue().encode()


def trial(nct: str, drugs: str, criteria: str, diseases: str = "['asthma']") -> tuple[str, ...]:
    return (nct, "terminated", "LEAKED REASON", "1", "phase 3", diseases, "[]", drugs, "[]", criteria)


@pytest.mark.parametrize("suffix", ["", ".gz", ".zst"])
def test_plain_and_compressed_files_read_alike(tmp_path, suffix):
    content = jsonl(ROW, {**ROW, "id": "A2", "text": "one line\u2028still the same"})
    packed = {"": content, ".gz": gzip.compress(content), ".zst": zstandard.compress(content)}[suffix]
    first, second = read_documents(write(tmp_path / f"mine.jsonl{suffix}", packed))
    assert (first.id, first.source, first.url, first.license) == ("A1", "pmc", "https://x.org", "")
    assert second.text == "one line\u2028still the same"


def test_a_folder_is_read_by_name_and_other_files_are_ignored(tmp_path):
    write(tmp_path / "passages_b.jsonl", jsonl({**ROW, "id": "B"}))
    write(tmp_path / "passages.jsonl.gz", gzip.compress(jsonl(ROW)))
    write(tmp_path / "notes.jsonl", b"not json")
    assert [document.id for document in read_documents(tmp_path)] == ["A1", "B"]


@pytest.mark.parametrize("suffix", ["", ".gz"])
def test_a_document_without_source_gets_the_name_of_its_file(tmp_path, suffix):
    content = jsonl({"id": "A1", "title": "", "text": "Aspirin thins blood."}, {**ROW, "id": "A2"})
    path = write(tmp_path / f"passages.ward.jsonl{suffix}", gzip.compress(content) if suffix else content)
    assert [document.source for document in read_documents(path)] == ["passages.ward", "pmc"]


def test_pubmed_abstracts_prefer_the_pmc_id(tmp_path):
    rows = [
        {"pmid": "7", "title": "T", "abstract": "Text.", "year": "1999"},
        {"pmid": "8", "pmcid": "PMC5", "title": "T", "abstract": "Text.", "year": None},
    ]
    seven, eight = read_documents(write(tmp_path / "pubmed_abstracts.jsonl", jsonl(*rows)))
    assert (seven.id, seven.date, seven.url) == ("PMID7", "1999", "https://pubmed.ncbi.nlm.nih.gov/7/")
    assert (eight.id, eight.date, eight.source) == ("PMC5", "", "pmc")
    assert "PMC5" in eight.url


def test_rows_of_one_trial_are_merged_cleaned_and_carry_no_outcome(tmp_path):
    layout = "\n     Inclusion Criteria:\n\n       -  Adults aged 18\n          or above;\n\n       -  Stable asthma\n"
    rows = [
        trial("NCT1", "['salmeterol']", layout),
        trial("NCT1", "['salmeterol', 'placebo']", layout),
        trial("NCT2", "['x']", "None."),
    ]
    first, second = read_documents(write(tmp_path / "trials_phase123.csv", trials_csv(*rows)))
    assert first.title == "Phase 3 trial of salmeterol, placebo in asthma"
    assert first.text.endswith("Inclusion Criteria: Adults aged 18 or above. Stable asthma.")
    assert "Interventions: salmeterol, placebo. Phase: phase 3. Status: terminated." in first.text
    assert "LEAKED" not in first.text + first.title
    assert (second.id, second.source) == ("NCT2", "clinical_trials")


def test_a_document_that_recurs_comes_once(tmp_path):
    assert len(list(read_documents(write(tmp_path / "a.jsonl", jsonl(ROW, ROW))))) == 1


FAULTS = [
    (jsonl(ROW, {**ROW, "text": "Another."}), ["a.jsonl:2", "'A1'", "a.jsonl:1"]),
    (jsonl(ROW) + b"{\n", ["a.jsonl:2", "not JSON"]),
    (jsonl([1]), ["a.jsonl:1", "JSON object"]),
    (jsonl({"id": "x", "source": "pmc", "title": ""}), ["a.jsonl:1", "'text'"]),
    (jsonl({**ROW, "id": 3}), ["a.jsonl:1", "'id'", "3"]),
    (jsonl({**ROW, "source": " "}), ["a.jsonl:1", "'source'"]),
    (jsonl({**ROW, "date": 1999}), ["a.jsonl:1", "'date'"]),
    (jsonl(ROW) + b'{"id": "\xff"}\n', ["a.jsonl:2", "UTF-8"]),
]


@pytest.mark.parametrize(("content", "words"), FAULTS)
def test_a_faulty_record_is_named_by_file_and_line(tmp_path, content, words):
    path = write(tmp_path / "a.jsonl", content)
    with pytest.raises(KedrecError) as fault:
        list(read_documents(path))
    assert all(word in str(fault.value) for word in words), fault.value


@pytest.mark.parametrize("suffix", [".gz", ".zst"])
@pytest.mark.parametrize("harm", [lambda b: b[:-12], lambda b: b[:40] + b"XXXXXXXX" + b[48:], lambda b: b"plain text"])
def test_a_damaged_archive_is_refused(tmp_path, suffix, harm):
    content = jsonl(*({**ROW, "id": str(i), "text": os.urandom(20).hex()} for i in range(50)))
    packed = (
        gzip.compress(content) if suffix == ".gz" else zstandard.ZstdCompressor(write_checksum=True).compress(content)
    )
    path = write(tmp_path / f"a.jsonl{suffix}", harm(packed))
    with pytest.raises(KedrecError, match=r"a\.jsonl"):
        list(read_documents(path))


def test_missing_files_and_empty_folders_say_what_was_looked_for(tmp_path):
    with pytest.raises(KedrecError, match="no such file"):
        list(read_documents(tmp_path / "nowhere"))
    with pytest.raises(KedrecError, match=r"passages\*\.jsonl"):
        list(read_documents(tmp_path))


def test_a_broken_list_or_a_missing_column_is_named(tmp_path):
    path = write(tmp_path / "trials_phase123.csv", trials_csv(trial("NCT1", "['open", "x")))
    with pytest.raises(KedrecError, match=r"csv:2: drugs"):
        list(read_documents(path))
    with pytest.raises(KedrecError, match="no column"):
        list(read_documents(write(path, b"nctid,status\nNCT1,done\n")))


def test_the_hash_follows_the_content_and_the_names(tmp_path):
    path = write(tmp_path / "passages.jsonl", jsonl(ROW))
    before = documents_hash(tmp_path)
    write(tmp_path / "other.txt", b"not a document")
    assert documents_hash(tmp_path) == before
    write(path, jsonl({**ROW, "title": "Changed"}))
    assert documents_hash(tmp_path) != before


def test_real_trials_and_abstracts_are_read(real_data):
    text = real_data / "text"
    trials = list(read_documents(text / "trials_phase123.csv.zst"))
    assert len(trials) == 3686
    assert trials[0].title == "Phase 3 trial of sodium enoxaparin, sodium enoxaparin clexane in venous thromboembolism"
    assert not any("\n" in document.title or "  " in document.text for document in trials)
    abstracts = read_documents(text / "pubmed_abstracts.jsonl.zst")
    assert next(abstracts).id == "PMID399296"
