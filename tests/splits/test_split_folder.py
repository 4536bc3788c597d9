import gzip

import numpy as np
import pytest
import zstandard

from kedrec.errors import KedrecError
from kedrec.graph.knowledge_graph import load_graph
from kedrec.splits.split_folder import is_split_folder, load_split
from kedrec.storage.artifact_store import Store

TREATS = "DRUGBANK::treats::Compound:Disease"
BINDS = "Hetionet::CbG::Compound:Gene"
TRAIN = [("Compound::B", TREATS, "Disease::Z"), ("Compound::A", BINDS, "Gene::1"), ("Gene::1", "r", "Gene::2")]
VALID = [("Compound::A", TREATS, "Disease::Z"), ("Compound::C", BINDS, "Gene::1")]
TEST = [("Compound::A", TREATS, "Disease::Y"), ("Disease::Z", "r", "Compound::B")]
NAMES = ["Gene::2", "Compound::A", "Compound::B", "Compound::C", "Disease::Y", "Disease::Z", "Gene::1"]
PACKS = {"": bytes, ".gz": gzip.compress, ".zst": zstandard.ZstdCompressor().compress}


def _text(rows):
    return "".join("\t".join(row) + "\n" for row in rows).encode()


def _dict(names):
    return _text((str(row), name) for row, name in enumerate(names))


def _write(folder, end="", **changes):
    """The three files and what ``changes`` names; ``None`` leaves a file out."""
    folder.mkdir(exist_ok=True)
    contents = {"train.txt": _text(TRAIN), "valid.txt": _text(VALID), "test.txt": _text(TEST)}
    contents |= {name.replace("_", "."): content for name, content in changes.items()}
    for name, content in contents.items():
        if content is not None:
            (folder / f"{name}{end}").write_bytes(PACKS[end](content))
    return folder


def _load(folder, **changes):
    return load_split(_write(folder, **changes), Store(folder / "store"))


def _named(graph, triples):
    return [(graph.entities[h], graph.relations[r], graph.entities[t]) for h, r, t in triples]


def test_each_file_is_a_part_and_the_graph_holds_them_all(tmp_path):
    graph, split = _load(tmp_path / "s")
    assert _named(graph, split.train) == TRAIN
    assert _named(graph, split.validation) == VALID
    assert list(split.tests) == ["test"]
    assert _named(graph, split.tests["test"]) == TEST
    assert graph.triples[: len(TRAIN)].tolist() == split.train.tolist()
    assert sorted(_named(graph, graph.triples)) == sorted(TRAIN + VALID + TEST)
    assert graph.triples.dtype == np.int32
    assert sorted(graph.entities) == sorted(NAMES)  # those that training lacks too
    assert (split.dropped, split.unseen_entities, split.leaking) == (0, 1, 1)


@pytest.mark.parametrize("end", ["", ".gz", ".zst"])
def test_dicts_number_the_rows_whatever_the_order_of_their_lines(tmp_path, end):
    relations = [BINDS, "never used", "r", TREATS]
    lines = _dict([*NAMES, "head"]).splitlines(keepends=True)  # LLaDR's own dicts number a header's words
    _write(tmp_path / "s", end, entities_dict=b"".join(lines[::-1]), relations_dict=_dict(relations))
    graph, split = load_split(tmp_path / "s", Store(tmp_path / "store"))
    assert graph.entities == [*NAMES, "head"]
    assert graph.relations == relations
    assert _named(graph, split.train) == TRAIN
    assert _named(graph, split.validation) == VALID
    assert _named(graph, split.tests["test"]) == TEST


def test_one_dict_alone_and_windows_line_ends_will_do(tmp_path):
    graph, split = _load(tmp_path / "s", entities_dict=_dict(NAMES).replace(b"\n", b"\r\n").rstrip())
    assert graph.entities == NAMES
    assert graph.relations == [TREATS, BINDS, "r"]
    assert _named(graph, split.tests["test"]) == TEST


def test_an_empty_validation_is_none(tmp_path):
    graph, split = _load(tmp_path / "s", valid_txt=b"")
    assert split.validation.shape == (0, 3)
    assert len(graph.triples) == len(TRAIN) + len(TEST)


def test_repeats_in_a_file_count_once_and_what_two_files_tell_is_asked_once_at_most(tmp_path, caplog):
    parts = {
        "train_txt": _text(TRAIN + TRAIN[:2]),
        "test_txt": _text([TRAIN[0], *TEST, TRAIN[0], TEST[0]]),
        "valid_txt": _text([TEST[1], *VALID, TRAIN[1], VALID[1]]),
    }
    folder = tmp_path / "s"
    for _ in range(2):  # the second time from the store
        caplog.clear()
        graph, split = _load(folder, **parts)
        assert _named(graph, split.train) == TRAIN
        assert _named(graph, split.tests["test"]) == TEST
        assert _named(graph, split.validation) == VALID
        assert split.dropped == 3
        assert (graph.duplicates, len(graph.triples)) == (8, 7)
        assert f"{folder / 'test.txt'}: 1 triple(s) are dropped" in caplog.text
        assert f"{folder / 'valid.txt'}: 2 triple(s) are dropped" in caplog.text
    caplog.clear()
    _load(tmp_path / "clean")
    assert not caplog.text


def test_the_second_load_parses_nothing_and_a_changed_file_is_read_again(tmp_path, monkeypatch):
    graph, split = _load(tmp_path / "s")
    with monkeypatch.context() as patch:
        patch.setattr("kedrec.graph.triple_parsing.parse_files", None)
        again, same = load_split(tmp_path / "s", Store(tmp_path / "s" / "store"))
    assert (again.entities, again.relations, again.source_hash) == (graph.entities, graph.relations, graph.source_hash)
    assert np.array_equal(same.train, split.train)
    changed, _ = _load(tmp_path / "s", valid_txt=_text(VALID[:1]))
    assert len(changed.triples) == len(graph.triples) - 1
    assert changed.source_hash != graph.source_hash
    numbered, _ = _load(tmp_path / "s", entities_dict=_dict(NAMES), valid_txt=_text(VALID))
    assert numbered.entities == NAMES


def test_the_training_part_is_the_graph_that_its_file_alone_gives(tmp_path):
    graph, split = _load(tmp_path / "s")
    alone = load_graph(tmp_path / "s" / "train.txt", Store(tmp_path / "store"))
    assert alone.entities == graph.entities[: len(alone.entities)]
    assert np.array_equal(alone.triples, split.train)


@pytest.mark.parametrize("end", ["", ".gz", ".zst"])
def test_a_folder_with_a_train_file_is_a_split_folder(tmp_path, end):
    folder = _write(tmp_path / "s", end)
    assert is_split_folder(folder)
    assert is_split_folder(str(folder))
    assert not is_split_folder(folder / f"train.txt{end}")
    assert not is_split_folder(tmp_path)
    (tmp_path / "triples.tsv").write_bytes(_text(TRAIN))
    assert not is_split_folder(tmp_path)
    assert not is_split_folder(tmp_path / "nowhere")


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"valid_txt": None}, ": none of valid.txt, valid.txt.gz, valid.txt.zst is in this folder"),
        ({"test_txt": None}, ": none of test.txt, test.txt.gz, test.txt.zst is in this folder"),
        ({"train_txt": b""}, "/train.txt: the file is empty"),
        ({"test_txt": b""}, "/test.txt: the file is empty"),
        ({"test_txt": _text(TRAIN[:2])}, "/test.txt: {folder}/train.txt has all of its triples too"),
        ({"train_txt": _text(TRAIN) + b"a\tb\n"}, "/train.txt, line 4: 2 column(s)"),
        ({"test_txt": _text(TEST) + b"Gene::1\tr\t\n"}, "/test.txt, line 3: the tail is empty"),
        ({"valid_txt": b"\n"}, "/valid.txt, line 1: 1 column(s)"),
        ({"valid_txt": _text([*VALID, ("head", "r", "Gene::1")])}, "/valid.txt, line 3: 'head' is not an entity"),
        ({"train_txt": _text([("a", "b", "c"), *TRAIN])}, "/train.txt, line 1: 'a' is not an entity"),
        ({"test_txt": _text([*TEST, ("Gene::1", "r", "x")])}, "/test.txt, line 3: 'x' is not an entity"),
        (
            {"entities_dict": _dict([name for name in NAMES if name != "Disease::Y"])},
            "/test.txt, line 1: 'Disease::Y' is not in {folder}/entities.dict; add it there",
        ),
        (
            {"relations_dict": _dict([BINDS, TREATS])},
            "/train.txt, line 3: 'r' is not in {folder}/relations.dict; add it there",
        ),
        (
            {"entities_dict": _dict([*NAMES, "Gene::2"])},
            "/entities.dict, line 8: 'Gene::2' is on line 1 too; remove one",
        ),
        ({"entities_dict": _dict(NAMES) + b"3\tx\n"}, "/entities.dict, line 8: row 3 is on line 4 too"),
        (
            {"entities_dict": b"9\tGene::9\n" + _dict(NAMES)},
            "/entities.dict, line 1: row 9 in a file of 8 lines; expected rows 0 to 7",
        ),
        ({"entities_dict": b"Gene::1\t0\n"}, "/entities.dict, line 1: expected a row and a name"),
        ({"relations_dict": b"0\tr\n1\t\n"}, "/relations.dict, line 2: expected a row and a name"),
        ({"relations_dict": b"0 r\n"}, "/relations.dict, line 1: expected a row and a name, tab-separated"),
        ({"relations_dict": b"-1\tr\n"}, "/relations.dict, line 1: expected a row and a name"),
    ],
)
def test_a_fault_is_named_with_file_and_line(tmp_path, changes, expected):
    folder = tmp_path / "s"
    with pytest.raises(KedrecError) as fault:
        _load(folder, **changes)
    assert str(fault.value).startswith(f"{folder}{expected.format(folder=folder)}")


def test_a_missing_folder_is_named(tmp_path):
    with pytest.raises(KedrecError, match=r"nowhere: none of train\.txt, .*expected train\.txt"):
        load_split(tmp_path / "nowhere", Store(tmp_path / "store"))
