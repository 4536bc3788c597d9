import gzip

import pytest
import zstandard

from kedrec.errors import KedrecError
from kedrec.sources.graph.entity_names import EntityInfo, find_entities_file, load_entity_info
from kedrec.storage.compressed_text import line_blocks

CONTENT = (
    b"entity\tname\tsynonyms\tdescription\n"
    b'Compound::A\taspirin\tASA|"acetyl" acid||Aspro\tRelieves pain.\r\n'
    b"Disease::Z\t\t\t\n"
)


def _load(tmp_path, content, name="entities.tsv"):
    (tmp_path / name).write_bytes(content)
    return load_entity_info(tmp_path / name)


@pytest.mark.parametrize(
    ("name", "pack"), [("", bytes), (".gz", gzip.compress), (".zst", zstandard.ZstdCompressor().compress)]
)
def test_names_are_read_from_each_form(tmp_path, name, pack):
    infos = _load(tmp_path, pack(CONTENT), f"entities.tsv{name}")
    assert list(infos) == ["Compound::A", "Disease::Z"]
    assert infos["Compound::A"] == EntityInfo("aspirin", ("ASA", '"acetyl" acid', "Aspro"), "Relieves pain.")
    assert infos["Disease::Z"] == EntityInfo("", (), "")


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (CONTENT + b"Gene::1\tname\t\n", "line 4: 3 columns"),
        (CONTENT + b"\n", "line 4: 1 columns"),
        (CONTENT + b"gene\tname\t\t\n", "line 4: 'gene' is not an entity"),
        (CONTENT + b"Disease::Z\tname\t\t\n", "line 4: 'Disease::Z' occurs a second time"),
        (CONTENT + "Gene::1\té\t\t\n".encode("latin-1"), "line 4: not UTF-8"),
        (CONTENT[30:], "line 1: expected the header"),
        (CONTENT.split(b"\n")[0], "holds no entities"),
        (b"", "holds no entities"),
    ],
)
def test_a_fault_is_named_with_file_and_line(tmp_path, content, expected):
    with pytest.raises(KedrecError) as fault:
        _load(tmp_path, content)
    assert str(fault.value).startswith(str(tmp_path / "entities.tsv"))
    assert expected in str(fault.value)


def test_missing_and_cut_files_are_refused(tmp_path):
    with pytest.raises(KedrecError, match="no such file"):
        load_entity_info(tmp_path / "entities.tsv")
    with pytest.raises(KedrecError, match="damaged or cut short"):
        _load(tmp_path, zstandard.ZstdCompressor().compress(CONTENT * 50)[:-3], "entities.tsv.zst")


def test_blocks_of_any_size_join_to_the_file(tmp_path):
    content = b"".join(b"line %d\n" % number * (number % 7) for number in range(400)) + b"no newline"
    compressor = zstandard.ZstdCompressor()
    two_frames = compressor.compress(content[:1000]) + compressor.compress(content[1000:])
    for name, packed in {"a": content, "a.gz": gzip.compress(content), "a.zst": two_frames}.items():
        (tmp_path / name).write_bytes(packed)
        for size in (1, 64, 1 << 20):
            blocks = list(line_blocks(tmp_path / name, size))
            assert b"".join(blocks) == content
            assert all(block.endswith(b"\n") for block in blocks[:-1])


def test_the_entities_file_lies_in_the_folder_or_beside_the_graph(tmp_path):
    assert find_entities_file(tmp_path) is None
    (tmp_path / "entities.tsv.zst").touch()
    assert find_entities_file(tmp_path) == tmp_path / "entities.tsv.zst"
    assert find_entities_file(tmp_path / "triples.tsv") == tmp_path / "entities.tsv.zst"
    (tmp_path / "entities.tsv").touch()
    assert find_entities_file(str(tmp_path)) == tmp_path / "entities.tsv"


def test_the_real_names(real_data):
    path = find_entities_file(real_data / "graph")
    assert path is not None
    infos = load_entity_info(path)
    assert infos["Anatomy::UBERON:0000004"].name == "nose"
    assert len(infos) == 56_863
    assert sum(bool(info.name) for info in infos.values()) == 49_291
    assert sum(bool(info.description) for info in infos.values()) == 14_219
