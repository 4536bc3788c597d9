import sys

import numpy as np
import pytest
import zstandard

from kedrec.errors import KedrecError
from kedrec.sources.graph.molecules import find_smiles_file, load_smiles, morgan_fingerprints

ASPIRIN, SAME, IBUPROFEN = "CC(=O)Oc1ccccc1C(=O)O", "OC(=O)c1ccccc1OC(C)=O", "CC(C)Cc1ccc(cc1)C(C)C(=O)O"
CONTENT = f"drugbank_id\tentity\tsmiles\nA\tCompound::A\t{ASPIRIN}\r\nB\tCompound::B\t\n"


def test_fingerprints_are_of_the_molecule_not_its_spelling():
    pytest.importorskip("rdkit")
    prints, valid = morgan_fingerprints([ASPIRIN, SAME, IBUPROFEN])
    assert prints.shape == (3, 2048)
    assert valid.all()
    assert set(np.unique(prints)) == {0, 1}
    assert np.array_equal(prints[0], prints[1])
    assert not np.array_equal(prints[0], prints[2])
    assert 20 <= prints[0].sum() <= 30  # 24 by RDKit 2026.09
    assert morgan_fingerprints([ASPIRIN], radius=0, bits=64)[0].sum() < 10
    assert morgan_fingerprints([])[0].shape == (0, 2048)


def test_unreadable_smiles_have_no_fingerprint_and_make_no_noise(capfd):
    pytest.importorskip("rdkit")
    prints, valid = morgan_fingerprints(["C1CC", "", "nonsense", "C(C)(C)(C)(C)C", ASPIRIN])
    assert valid.tolist() == [False, False, False, False, True]
    assert not prints[:4].any()
    assert capfd.readouterr() == ("", "")


def test_without_rdkit_the_remedy_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "rdkit", None)
    with pytest.raises(KedrecError, match=r"pip install kedrec\[molecules\]"):
        morgan_fingerprints([ASPIRIN])


def test_smiles_are_read_by_their_header(tmp_path):
    path = tmp_path / "compound_smiles.tsv.zst"
    path.write_bytes(zstandard.ZstdCompressor().compress(CONTENT.encode()))
    assert load_smiles(path) == {"Compound::A": ASPIRIN, "Compound::B": ""}
    assert find_smiles_file(tmp_path / "triples.tsv") == find_smiles_file(str(tmp_path)) == path
    assert find_smiles_file(tmp_path.parent) is None


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (CONTENT.replace("smiles", "inchi"), ":1: the header lacks smiles"),
        (CONTENT + "C\tCompound::C\n", ":4: 2 columns, expected 3"),
        (CONTENT + "C\tDB1\tC\n", ":4: 'DB1' is not an entity"),
        (CONTENT + "B\tCompound::B\tC\n", ":4: 'Compound::B' occurs a second time"),
        (CONTENT.split("\n", maxsplit=1)[0], ": it holds no SMILES"),
        ("", ": it holds no SMILES"),
    ],
)
def test_a_fault_is_named_with_file_and_line(tmp_path, content, expected):
    (tmp_path / "s.tsv").write_text(content)
    with pytest.raises(KedrecError) as fault:
        load_smiles(tmp_path / "s.tsv")
    assert str(fault.value).startswith(f"{tmp_path / 's.tsv'}{expected}")


def test_the_real_smiles(real_data):
    path = find_smiles_file(real_data / "graph")
    assert path is not None
    assert len(load_smiles(path)) == 9_425
