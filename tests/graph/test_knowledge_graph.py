import gzip
import os
import time
from pathlib import Path

import numpy as np
import pytest
import zstandard

from kedrec.errors import KedrecError
from kedrec.graph.knowledge_graph import load_graph
from kedrec.storage.artifact_store import Store
from kedrec.storage.compressed_text import line_blocks
from kedrec.storage.hashing import file_hash

TREATS = "DRUGBANK::treats::Compound:Disease"
BINDS = "Hetionet::CbG::Compound:Gene"
LINES = [
    f"Compound::B\t{TREATS}\tDisease::Z",
    f"Compound::A\t{BINDS}\tGene::1",
    f"Compound::B\t{TREATS}\tDisease::Z",
    "Gene::1\tHetionet::Gr>G::Gene:Gene\tGene::1",
    f"Compound::A\t{TREATS}\tDisease::Z",
]


def _content(lines=LINES):
    return ("\n".join(lines) + "\n").encode()


def _load(tmp_path, content, name="triples.tsv"):
    path = tmp_path / name
    path.write_bytes(content)
    return load_graph(path, Store(tmp_path / "store"))


def _named(graph):
    return [(graph.entities[h], graph.relations[r], graph.entities[t]) for h, r, t in graph.triples]


def test_everything_stands_in_order_of_first_appearance(tmp_path):
    graph = _load(tmp_path, _content())
    assert graph.entities == ["Compound::B", "Disease::Z", "Compound::A", "Gene::1"]
    assert graph.relations == [TREATS, BINDS, "Hetionet::Gr>G::Gene:Gene"]
    assert _named(graph) == [tuple(LINES[i].split("\t")) for i in (0, 1, 3, 4)]
    assert graph.triples.dtype == np.int32
    assert (graph.duplicates, graph.self_loops) == (1, 1)
    assert graph.source_hash == file_hash(tmp_path / "triples.tsv")
    assert graph.entity_rows["Compound::A"] == 2
    assert graph.relation_rows[BINDS] == 1
    assert graph.of_type("Compound").tolist() == [0, 2]
    assert graph.edges([TREATS]).tolist() == [[0, 0, 1], [2, 0, 1]]


@pytest.mark.parametrize(
    ("name", "pack"),
    [("drkg.tsv", bytes), ("triples.tsv.gz", gzip.compress), ("triples.tsv.zst", zstandard.ZstdCompressor().compress)],
)
def test_compressed_files_and_folders_give_the_same_graph(tmp_path, name, pack):
    plain = _load(tmp_path, _content(), "plain.tsv")
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / name).write_bytes(pack(_content()))
    packed = load_graph(tmp_path / "folder", Store(tmp_path / "store"))
    assert packed.entities == plain.entities
    assert np.array_equal(packed.triples, plain.triples)
    assert packed.source_hash == file_hash(tmp_path / "folder" / name)


def test_windows_line_ends_a_byte_order_mark_and_a_missing_last_newline_change_nothing(tmp_path):
    graph = _load(tmp_path, b"\xef\xbb\xbf" + _content().replace(b"\n", b"\r\n").rstrip())
    assert _named(graph) == _named(_load(tmp_path, _content(), "other.tsv"))


def test_quotes_and_rare_separators_are_part_of_a_name(tmp_path):
    odd = 'Compound::"x\u2028y\tA::\'q"\tGene::#NA'
    assert _named(_load(tmp_path, _content([odd]))) == [tuple(odd.split("\t"))]


def test_drkgs_own_blank_gene_is_taken(tmp_path):
    assert "Gene::" in _load(tmp_path, _content([*LINES, "Gene::\tr\tGene::2"])).entities


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        (b"Compound::A\tr", "line 4: 2 column(s)"),
        (b"Compound::A\tr\tGene::1\tmore", "line 4: 4 column(s)"),
        (b"", "line 4: 1 column(s)"),
        (b"Compound::A r Gene::1", "line 4: 1 column(s)"),
        (b"\tr\tGene::1", "line 4: the head is empty"),
        (b"Compound::A\t\tGene::1", "line 4: the relation is empty"),
        (b"Compound::A\tr\t", "line 4: the tail is empty"),
        (b"head\trelation\ttail", "line 4: 'head' is not an entity"),
        (b"Compound::A\tr\tGene:1", "line 4: 'Gene:1' is not an entity"),
        (b"::A\tr\tGene::1", "line 4: '::A' is not an entity"),
        (b"Compound::\tr\tGene::1", "line 4: 'Compound::' is not an entity"),
        ("Compound::É\tr\tGene::1".encode("latin-1"), "line 4: not UTF-8"),
    ],
)
def test_a_bad_line_is_named(tmp_path, line, expected):
    good = [row.encode() for row in LINES]
    with pytest.raises(KedrecError) as fault:
        _load(tmp_path, b"\n".join([*good[:3], line, *good[3:]]))
    assert str(tmp_path / "triples.tsv") in str(fault.value)
    assert expected in str(fault.value)


def test_a_header_is_refused_at_line_one(tmp_path):
    with pytest.raises(KedrecError, match="line 1: 'head' is not an entity"):
        _load(tmp_path, _content(["head\trelation\ttail", *LINES]))


def test_line_numbers_count_on_over_blocks(tmp_path, monkeypatch):
    monkeypatch.setattr("kedrec.graph.triple_parsing.line_blocks", lambda path: line_blocks(path, size=100))
    lines = [f"Gene::{i}\tr\tGene::{i + 1}" for i in range(500)]
    assert len(_load(tmp_path, _content(lines), "whole.tsv").triples) == 500
    lines[321] = "Gene::1\tr"
    with pytest.raises(KedrecError, match="line 322: 2 column"):
        _load(tmp_path, _content(lines))


@pytest.mark.parametrize("name", ["triples.tsv.gz", "triples.tsv.zst"])
@pytest.mark.parametrize("harm", ["cut", "changed", "plain"])
def test_a_damaged_compressed_file_is_refused(tmp_path, name, harm):
    content = _content([f"Gene::{i * i}\tr\tGene::{i + 1}" for i in range(3000)])
    pack = gzip.compress if name.endswith("gz") else zstandard.ZstdCompressor(write_checksum=True).compress
    packed = bytearray(pack(content))
    packed[len(packed) // 2] ^= 0xFF
    harmed = {"cut": pack(content)[:-20], "changed": bytes(packed), "plain": content}[harm]
    with pytest.raises(KedrecError, match=rf"{name}: .*damaged"):
        _load(tmp_path, harmed, name)


def test_missing_and_empty_files_are_named(tmp_path):
    store = Store(tmp_path / "store")
    with pytest.raises(KedrecError, match=r"nowhere\.tsv: no such file"):
        load_graph(tmp_path / "nowhere.tsv", store)
    (tmp_path / "bare").mkdir()
    with pytest.raises(KedrecError, match=r"bare: .*triples\.tsv, triples\.tsv\.gz, .*drkg\.tsv\.zst"):
        load_graph(tmp_path / "bare", store)
    with pytest.raises(KedrecError, match=r"triples\.tsv: the file is empty"):
        _load(tmp_path, b"")


def test_the_second_load_neither_parses_nor_hashes(tmp_path, monkeypatch):
    path = tmp_path / "triples.tsv"
    path.write_bytes(_content())
    store = Store(tmp_path / "store")
    monkeypatch.setattr(time, "time_ns", lambda: path.stat().st_ctime_ns + 10**10)
    first = load_graph(path, store)
    monkeypatch.setattr("kedrec.graph.triple_parsing.line_blocks", None)
    monkeypatch.setattr("kedrec.graph.knowledge_graph.file_hash", None)
    second = load_graph(path, store)
    assert np.array_equal(first.triples, second.triples)
    assert (first.entities, first.relations, first.duplicates, first.self_loops, first.source_hash) == (
        second.entities, second.relations, second.duplicates, second.self_loops, second.source_hash,
    )  # fmt: skip


def test_a_changed_file_of_the_same_size_is_read_again(tmp_path):
    before = _load(tmp_path, _content())
    after = _load(tmp_path, _content().replace(b"Disease::Z", b"Disease::Y"))
    assert "Disease::Z" in before.entities
    assert "Disease::Y" in after.entities


def test_relations_are_found_by_their_beginning(tmp_path):
    reverse = "DRUGBANK::treats::Disease:Compound"
    graph = _load(tmp_path, _content([*LINES, f"Disease::Z\t{reverse}\tCompound::C", f"Gene::1\t{TREATS}x\tGene::2"]))
    assert graph.match_relations(["DRUGBANK::treats"]) == [TREATS, reverse, f"{TREATS}x"]
    assert graph.match_relations([TREATS]) == [TREATS, reverse]
    assert graph.match_relations(["GNBR::T", BINDS], optional=["GNBR::T::Compound:Disease"]) == [BINDS]
    with pytest.raises(KedrecError, match=r"'DRUGBANK::treat' is not in the graph; did you mean 'DRUGBANK::treats'"):
        graph.match_relations(["DRUGBANK::treat"])
    with pytest.raises(KedrecError, match="none of the relations"):
        graph.match_relations(["GNBR::T"], optional=["GNBR::T"])


@pytest.mark.skipif("KEDREC_REAL_DATA" not in os.environ, reason="needs the real data")
def test_the_real_graph(tmp_path):
    graph = load_graph(Path(os.environ["KEDREC_REAL_DATA"]) / "graph", Store(tmp_path))
    assert (len(graph.entities), len(graph.relations)) == (56_777, 48)
    assert len(graph.triples) + graph.duplicates == 706_867
    assert len(graph.match_relations(["DRUGBANK::treats", "Hetionet::CtD", "Hetionet::CpD"])) == 3
