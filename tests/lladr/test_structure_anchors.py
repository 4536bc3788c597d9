import logging

import numpy as np
import pytest

from kedrec.errors import KedrecError
from kedrec.lladr.structure_anchors import fingerprint_modality, matrix_modality
from kedrec.sources.graph.molecules import morgan_fingerprints

ENTITIES = ["Disease::Z", "Compound::A", "Gene::1", "Compound::B"]
VECTORS = np.arange(6, dtype=np.float32).reshape(2, 3) + 1


@pytest.fixture
def matrix(tmp_path):
    def write(vectors=VECTORS, listed=("Compound::B", "Disease::Z"), name="vectors"):
        import torch
        from safetensors.torch import save_file

        save_file({name: torch.as_tensor(vectors)}, tmp_path / "images.safetensors")
        (tmp_path / "images.tsv").write_text("".join(f"{entity}\n" for entity in listed))
        return tmp_path / "images.safetensors"

    return write


def test_fingerprints_lie_in_the_rows_of_their_compounds(tmp_path, caplog):
    pytest.importorskip("rdkit")
    path = tmp_path / "s.tsv"
    path.write_text("entity\tsmiles\nCompound::Far\tC\nCompound::B\tCCO\nCompound::A\tC1CC\n")
    with caplog.at_level(logging.WARNING):
        found = fingerprint_modality(ENTITIES, path)
    assert found.name == "fingerprint"
    assert found.vectors.dtype == np.float32
    assert found.known.tolist() == [False, False, False, True]
    assert np.array_equal(found.vectors[3], morgan_fingerprints(["CCO"])[0][0])
    assert not found.vectors[:3].any()
    assert "1 SMILES of 2 cannot be read: Compound::A" in caplog.text
    assert fingerprint_modality(ENTITIES, path, bits=64).vectors.shape == (4, 64)


def test_a_matrix_is_spread_over_the_rows_of_its_entities(matrix):
    import torch

    for kind in (torch.float32, torch.bfloat16, torch.float64):
        found = matrix_modality(matrix(torch.as_tensor(VECTORS).to(kind)), ENTITIES)
        assert found.name == "images"
        assert found.known.tolist() == [True, False, False, True]
        assert found.vectors.dtype == np.float32
        assert found.vectors.tolist() == [[4, 5, 6], [0, 0, 0], [0, 0, 0], [1, 2, 3]]


@pytest.mark.parametrize(
    ("change", "place", "expected"),
    [
        ({"listed": ["Compound::B"]}, "safetensors", "has 2 rows and .*images.tsv 1 lines; write"),
        ({"listed": ["Compound::B", "Gene::7"]}, "tsv", "1 of 2 entities are not in the graph, e.g. 'Gene::7'; write"),
        ({"listed": ["Gene::1", "Gene::1"]}, "tsv", "'Gene::1' is on 2 lines; keep"),
        ({"vectors": VECTORS * [1, np.nan, 1]}, "safetensors", "2 rows hold NaN .*'Compound::B'; leave out"),
        ({"vectors": VECTORS[0]}, "safetensors", r"is \(3,\) of torch.float32; expected"),
        ({"vectors": VECTORS.astype(int)}, "safetensors", "of torch.int64; expected"),
        ({"name": "weights"}, "safetensors", "its tensors are weights; expected"),
    ],
)
def test_a_fault_is_named_with_file_and_remedy(matrix, change, place, expected):
    path = matrix(**change)
    with pytest.raises(KedrecError, match=expected) as fault:
        matrix_modality(path, ENTITIES)
    assert str(fault.value).startswith(str(path.with_suffix(f".{place}")))


def test_missing_and_damaged_files_are_refused(matrix, tmp_path):
    with pytest.raises(KedrecError, match=r"a\.safetensors: no such file"):
        matrix_modality(tmp_path / "a.safetensors", ENTITIES)
    path = matrix()
    path.write_bytes(path.read_bytes()[:-4])
    with pytest.raises(KedrecError, match="cannot be read"):
        matrix_modality(path, ENTITIES)
    path = matrix()
    path.with_suffix(".tsv").unlink()
    with pytest.raises(KedrecError, match=r"images\.tsv: no such file"):
        matrix_modality(path, ENTITIES)
