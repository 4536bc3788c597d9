import gzip
import os
import tracemalloc
import zipfile
from pathlib import Path

import pytest
import zstandard

from kedrec.errors import KedrecError
from kedrec.sources.graph.entity_names import EntityInfo
from kedrec.sources.graph.open_vocabularies import VOCABULARIES
from tests.support.faulty_server import fails
from tests.support.vocabulary_samples import (
    CHEBI,
    DESCRIPTORS,
    DRUGBANK,
    GENE_INFO,
    GO,
    HGNC,
    MEDDRA,
    MONDO,
    SAMPLES,
    SIDER,
    SUPPLEMENTARY,
    UBERON,
    put,
)


def entries(name, path):
    return list(VOCABULARIES[name].entries(path))


@pytest.mark.parametrize("ending", [".csv", ".csv.gz", ".zip"])
def test_drugbanks_vocabulary(tmp_path, ending):
    path = tmp_path / f"drugbank{ending}"
    if ending == ".zip":
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
            archive.writestr("../../drugbank vocabulary.csv", "\ufeff" + DRUGBANK)
    else:
        path.write_bytes(gzip.compress(DRUGBANK.encode()) if ending == ".csv.gz" else DRUGBANK.encode())
    aspirin = EntityInfo("Acetylsalicylic acid", ("2-Acetoxybenzoic acid", "Aspirin"), "")
    assert entries("drugbank", path) == [
        ("Compound::DB00001", EntityInfo("Lepirudin", ("[Leu1, Thr2]-63-desulfohirudin", "R-hirudin"), "")),
        ("Compound::DB00945", aspirin),
        ("Compound::DB00006", EntityInfo("Bivalirudin", (), "")),
        ("Compound::DB00006", aspirin),  # merged into it, but last: the record of its own stands
    ]


@pytest.mark.parametrize("ending", [".xml", ".gz", ".zst"])
def test_mesh_descriptors(tmp_path, ending):
    pack = {".xml": bytes, ".gz": gzip.compress, ".zst": zstandard.compress}[ending]
    found = entries("mesh", put(tmp_path, "desc", pack(DESCRIPTORS.encode()), ending))
    assert [entity for entity, _ in found] == ["Compound::MESH:D001249", "Disease::MESH:D001249", "Symptom::D001249"]
    info = found[0][1]
    assert (info.name, info.synonyms) == ("Asthma", ("Asthma", "Asthma, Bronchial", "Bronchial Asthma"))
    assert info.description.split() == ["A", "form", "of", "bronchial", "disorder", "with", "airway", "<obstruction>."]


def test_mesh_supplementary_records(tmp_path):
    found = dict(entries("mesh_supplementary", put(tmp_path, "supp", SUPPLEMENTARY)))
    assert found["Compound::MESH:C000002"] == EntityInfo("bevonium", ("bevonium", "piribenzil"), "")
    assert found["Disease::MESH:C535575"] == EntityInfo(
        "Carcinoma, squamous cell of head and neck", ("HNSCC",), "A tumour of the lining of mouth and throat."
    )


def test_gene_info(tmp_path):
    assert entries("ncbi_gene", put(tmp_path, "g", GENE_INFO)) == [
        ("Gene::1", EntityInfo("A1BG", ("alpha-1-B glycoprotein", "alpha-1-B glycoprotein", "A1B", "ABG"), ""))
    ]


def test_hgnc(tmp_path):
    first, second = entries("hgnc", put(tmp_path, "h", HGNC))
    aliases = ("ERK", "ERK2", "p38", 'mitogen-activated "protein" kinase 2', "PRKM2", "PRKM1")
    assert first == ("Gene::5594", EntityInfo("MAPK1", ("mitogen-activated protein kinase 1", *aliases), ""))
    assert second[0] == "Gene::5595"


def test_ontologies(tmp_path):
    found = dict(entries("go", put(tmp_path, "go", GO)))
    inheritance = EntityInfo(
        "mitochondrion inheritance",
        ("mitochondrial inheritance", "inheritance {of mitochondria}"),
        'The distribution of "mitochondria",  including the DNA: into daughter cells.',
    )
    assert found["Biological Process::GO:0000001"] == inheritance
    assert found["Biological Process::GO:0006666"] == inheritance
    chaperone = EntityInfo("ribosomal chaperone activity", (), "Assists in the assembly of ribosomes.")
    assert found["Molecular Function::GO:0000005"] == chaperone
    assert not any("part_of" in entity for entity in found)
    assert dict(entries("uberon", put(tmp_path, "u", UBERON))) == {
        "Anatomy::UBERON:0000004": EntityInfo("nose", (), "")
    }
    assert set(dict(entries("chebi", put(tmp_path, "c", CHEBI)))) == {"Compound::CHEBI:15365", "Compound::chebi:15365"}
    assert dict(entries("mondo", put(tmp_path, "m", MONDO))) == {
        "Disease::OMIM:143890": EntityInfo("hypercholesterolemia, familial, 1", ("FH",), "")
    }


def test_sider_prefers_preferred_terms(tmp_path):
    assert entries("sider", put(tmp_path, "s", SIDER, ".tsv")) == [
        ("Side Effect::C0000729", EntityInfo("Abdominal cramps", (), "")),
        ("Side Effect::C0000737", EntityInfo("Abdominal pain", ("Pain abdominal",), "")),
    ]
    assert entries("sider", put(tmp_path, "m", MEDDRA, ".tsv")) == [
        ("Side Effect::C0000737", EntityInfo("Abdominal pain", ("Pain abdominal",), "")),
        ("Side Effect::C0000729", EntityInfo("Cramps", (), "")),
    ]


@pytest.mark.parametrize("name", SAMPLES)
def test_a_wrong_file_is_one_clear_error(tmp_path, name):
    for content in ("<!DOCTYPE html><html><body>Not found</body></html>\n", "", "a\tb\n1\t2\n"):
        path = put(tmp_path, "wrong", content)
        fails(lambda: entries(name, path), str(path))  # noqa: B023
    fails(lambda: entries(name, tmp_path / "none"), "no such file")
    cut = put(tmp_path, "cut", gzip.compress(SAMPLES[name].encode())[:-9], ".gz")
    fails(lambda: entries(name, cut), str(cut), "damaged or cut short")
    latin = put(tmp_path, "latin", SAMPLES[name].encode() + "é\n".encode("latin-1"))
    fails(lambda: entries(name, latin), str(latin))


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (DRUGBANK.encode()[:300], "damaged, cut short"),
        ({"a.csv": DRUGBANK, "b.csv": DRUGBANK}, "2 CSV files"),
        ({"readme.txt": ""}, "0 CSV files"),
    ],
)
def test_a_wrong_zip_is_one_clear_error(tmp_path, content, expected):
    path = tmp_path / "drugbank.zip"
    if isinstance(content, bytes):
        path.write_bytes(content)
    else:
        with zipfile.ZipFile(path, "w") as archive:
            for name, table in content.items():
                archive.writestr(name, table)
    fails(lambda: entries("drugbank", path), str(path), expected)


def test_a_zip_with_a_flipped_bit_is_damaged(tmp_path):
    path = tmp_path / "drugbank.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("drugbank vocabulary.csv", DRUGBANK)
    path.write_bytes(path.read_bytes().replace(b"Bivalirudin", b"Bivalirudim"))
    fails(lambda: entries("drugbank", path), "damaged")


@pytest.mark.parametrize(
    "trick",
    [
        '<!DOCTYPE x [<!ENTITY e SYSTEM "file:///etc/hostname">]>',
        '<!DOCTYPE x [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;&a;&a;&a;&a;&a;"><!ENTITY e "&b;&b;&b;&b;&b;&b;">]>',
        '<!DOCTYPE x SYSTEM "http://127.0.0.1:9/never.dtd">',
    ],
)
def test_xml_is_data_only(tmp_path, trick):
    record = DESCRIPTORS[DESCRIPTORS.index("<DescriptorRecordSet") :].replace("Asthma, Bronchial", "x&e;y")
    path = put(tmp_path, "desc", f'<?xml version="1.0"?>\n{trick}\n{record}', ".xml")
    try:
        synonyms = entries("mesh", path)[0][1].synonyms
    except KedrecError as fault:  # an entity that nothing defines
        assert "not whole XML" in str(fault)
        return
    assert not any("aaa" in synonym for synonym in synonyms)
    hostname = Path("/etc/hostname").read_text().strip() if Path("/etc/hostname").exists() else ""
    assert not hostname or not any(hostname in synonym for synonym in synonyms)


def test_large_mesh_is_read_in_little_memory(tmp_path):
    record = SUPPLEMENTARY[
        SUPPLEMENTARY.index("<SupplementalRecord ") : SUPPLEMENTARY.index("</SupplementalRecordSet>")
    ]
    path = put(
        tmp_path,
        "supp",
        gzip.compress(f"<SupplementalRecordSet>\n{record * 4_000}</SupplementalRecordSet>".encode()),
        ".gz",
    )
    tracemalloc.start()
    before = _resident()
    count = sum(1 for _ in VOCABULARIES["mesh_supplementary"].read(path))
    grown, (_, peak) = _resident() - before, tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert count == 8_000
    assert peak < 12e6
    assert grown < 30e6


def _resident():
    pages = int(Path("/proc/self/statm").read_text().split()[1]) if Path("/proc/self/statm").exists() else 0
    return pages * os.sysconf("SC_PAGE_SIZE")
