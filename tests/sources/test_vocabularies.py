import gzip
import hashlib
import os
import re
import tracemalloc
import zipfile
from dataclasses import replace
from pathlib import Path

import pytest
import zstandard

from kedrec.errors import KedrecError
from kedrec.sources import vocabularies
from kedrec.sources.names import EntityInfo, load_entity_info
from kedrec.sources.open_vocabularies import VOCABULARIES
from kedrec.sources.vocabularies import build_entities, vocabulary_file, vocabulary_key
from kedrec.sources.web import Web
from kedrec.store import Store
from tests.sources.faulty_server import FaultyServer, file, text

# Each in the form of its source, cut to a few records; DRKG's spelling of the identifiers is in the tests.
DRUGBANK = (
    "DrugBank ID,Accession Numbers,Common name,CAS,UNII,Synonyms,Standard InChI Key\n"
    'DB00001,BIOD00024 | BTD00024,Lepirudin,138068-37-8,Y43GF64R34,"[Leu1, Thr2]-63-desulfohirudin | R-hirudin",\n'
    'DB00945,APRD00264 | DB00006,Acetylsalicylic acid,50-78-2,R16CO5Y76E,"2-Acetoxybenzoic acid | Aspirin",BSY\n'
    "DB00006,,Bivalirudin,128270-60-0,TN9BEX005G,,OIR\n"
)
DESCRIPTORS = """<?xml version="1.0"?>
<!DOCTYPE DescriptorRecordSet SYSTEM "https://www.nlm.nih.gov/databases/dtd/nlmdescriptorrecordset_20260101.dtd">
<DescriptorRecordSet LanguageCode = "eng">
<DescriptorRecord DescriptorClass = "1">
 <DescriptorUI>D001249</DescriptorUI>
 <DescriptorName><String>Asthma</String></DescriptorName>
 <SeeRelatedList><SeeRelatedDescriptor><DescriptorReferredTo><DescriptorUI>D999999</DescriptorUI>
  <DescriptorName><String>Not this one</String></DescriptorName></DescriptorReferredTo></SeeRelatedDescriptor>
 </SeeRelatedList>
 <ConceptList>
  <Concept PreferredConceptYN="N"><ConceptName><String>Cardiac Asthma</String></ConceptName>
   <ScopeNote>Of the heart.</ScopeNote><TermList><Term><String>Cardiac Asthma</String></Term></TermList></Concept>
  <Concept PreferredConceptYN="Y"><ConceptName><String>Asthma</String></ConceptName>
   <ScopeNote>A form of bronchial disorder with
    airway &lt;obstruction&gt;.
   </ScopeNote>
   <TermList>
    <Term ConceptPreferredTermYN="Y" IsPermutedTermYN="N"><TermUI>T1</TermUI><String>Asthma</String></Term>
    <Term ConceptPreferredTermYN="N" IsPermutedTermYN="Y"><TermUI>T2</TermUI><String>Asthma, Bronchial</String></Term>
    <Term ConceptPreferredTermYN="N" IsPermutedTermYN="N"><TermUI>T2</TermUI><String>Bronchial Asthma</String></Term>
   </TermList></Concept>
 </ConceptList>
</DescriptorRecord>
</DescriptorRecordSet>
"""
SUPPLEMENTARY = """<?xml version="1.0"?>
<SupplementalRecordSet LanguageCode="eng">
<SupplementalRecord SCRClass="1"><SupplementalRecordUI>C000002</SupplementalRecordUI>
 <SupplementalRecordName><String>bevonium</String></SupplementalRecordName><Note>structure given in first source</Note>
 <HeadingMappedToList><HeadingMappedTo><DescriptorReferredTo><DescriptorUI>*D001561</DescriptorUI>
  <DescriptorName><String>Benzilates</String></DescriptorName></DescriptorReferredTo></HeadingMappedTo></HeadingMappedToList>
 <ConceptList><Concept PreferredConceptYN="Y"><TermList><Term><String>bevonium</String></Term>
  <Term><String>piribenzil</String></Term></TermList></Concept></ConceptList></SupplementalRecord>
<SupplementalRecord SCRClass="3"><SupplementalRecordUI>C535575</SupplementalRecordUI>
 <SupplementalRecordName><String>Carcinoma, squamous cell of head and neck</String></SupplementalRecordName>
 <Note>A tumour of the lining of mouth and throat.</Note>
 <ConceptList><Concept PreferredConceptYN="Y"><TermList><Term><String>HNSCC</String></Term></TermList></Concept>
 </ConceptList>
</SupplementalRecord>
</SupplementalRecordSet>
"""
GENE_INFO = (
    "#tax_id\tGeneID\tSymbol\tLocusTag\tSynonyms\tdbXrefs\tchromosome\tmap_location\tdescription\ttype_of_gene\t"
    "Symbol_from_nomenclature_authority\tFull_name_from_nomenclature_authority\tNomenclature_status\tOther_designations\t"
    "Modification_date\tFeature_type\n"
    "9606\t1\tA1BG\t-\tA1B|ABG\tMIM:138670|HGNC:HGNC:5\t19\t19q13.43\talpha-1-B glycoprotein\tprotein-coding\tA1BG\t"
    "alpha-1-B glycoprotein\tO\talpha-1B-glycoprotein|HEL-S-163pA\t20250101\t-\n"
    "7\t5692769\tNEWENTRY\t-\t-\t-\t-\t-\tRecord to support submission of GeneRIFs\tother\t-\t-\t-\t-\t20250101\t-\n"
)
HGNC = (
    "hgnc_id\tsymbol\tname\tlocus_group\tlocus_type\tstatus\talias_symbol\talias_name\tprev_symbol\tprev_name\tentrez_id\n"
    "HGNC:6871\tMAPK1\tmitogen-activated protein kinase 1\tx\ty\tApproved\t"
    '"ERK|ERK2"\t"p38|mitogen-activated ""protein"" kinase 2"\t"PRKM2|PRKM1"\t\t5594\n'
    "HGNC:6877\tMAPK3\tmitogen-activated protein kinase 3\tx\ty\tApproved\tERK1\t\tPRKM3\t\t5595\n"
    "HGNC:1\tNOID\tno entrez\tx\ty\tApproved\t\t\t\t\t\n"
)
GO = r"""format-version: 1.2
data-version: releases/2026-01-01
synonymtypedef: syngo_official_label "label approved by the SynGO project"

[Term]
id: GO:0000001
name: mitochondrion inheritance
namespace: biological_process
alt_id: GO:0006666
def: "The distribution of \"mitochondria\",\n including the DNA\: into daughter cells." [GOC:mcc, PMID:10873824]
synonym: "mitochondrial inheritance" EXACT []
synonym: "passing on, broadly" BROAD [GOC:x]
synonym: "inheritance \{of mitochondria\}" EXACT syngo_official_label [] {source="x"}
is_a: GO:0048308 ! organelle inheritance

[Term]
id: GO:0000005
name: obsolete ribosomal chaperone activity
namespace: molecular_function
def: "OBSOLETE. Assists in the assembly of ribosomes." [GOC:jl]
is_obsolete: true

[Typedef]
id: part_of
name: part of
"""
DOID = """[Term]
id: DOID:9352
name: type 2 diabetes mellitus
synonym: "NIDDM" EXACT []
xref: MESH:D003924
"""
UBERON = """[Term]
id: UBERON:0000004
name: nose {comment="of vertebrates"}
"""
CHEBI = """[Term]
id: CHEBI:15365
name: acetylsalicylic acid
synonym: "aspirin" EXACT INN [KEGG_DRUG]
"""
MONDO = """[Term]
id: MONDO:0007750
name: hypercholesterolemia, familial, 1
synonym: "FH" EXACT ABBREVIATION [OMIM:143890]
xref: DOID:13810 {source="MONDO:relatedTo"}
xref: OMIM:143890 {source="MONDO:equivalentTo", source="Orphanet:391665"}
"""
SIDER = (
    "CID100000085\tCID000010917\tC0000729\tLLT\tC0000729\tAbdominal cramps\n"
    "CID100000085\tCID000010917\tC0000729\tPT\tC0000737\tAbdominal pain\n"
    "CID100000085\tCID000010917\tC0000737\tLLT\tC0000737\tPain abdominal\n"
)
MEDDRA = (
    "C0000737\tLLT\t10000056\tPain abdominal\nC0000737\tPT\t10000081\tAbdominal pain\nC0000729\t10000058\tLLT\tCramps\n"
)
HETIONET = "id\tname\tkind\nPathway::PC7_6941\tTCA cycle\tPathway\nPharmacologic Class::N0000175732\tAnthracycline\tx\n"

SAMPLES = {
    "drugbank": DRUGBANK,
    "mesh": DESCRIPTORS,
    "mesh_supplementary": SUPPLEMENTARY,
    "hgnc": HGNC,
    "ncbi_gene": GENE_INFO,
    "go": GO,
    "disease_ontology": DOID,
    "uberon": UBERON,
    "chebi": CHEBI,
    "sider": SIDER,
    "mondo": MONDO,
    "hetionet": HETIONET,
}
ENTITIES = [  # one of each spelling in DRKG's list of 97,238
    "Gene::1",
    "Gene::5595;5594",
    "Gene::5595;99",
    "Gene::drugbank:BE0004796",
    "Gene::NVA0",
    "Gene::",
    "Compound::DB00945",
    "Compound::DB00006",
    "Compound::MESH:C000002",
    "Compound::MESH:C000002|MESH:D001249",
    "Compound::CHEMBL1668",
    "Compound::CHEBI:15365",
    "Compound::chebi:15365",
    "Compound::pubchem:49866494",
    "Compound::Bioarxivdrug:0",
    "Disease::MESH:D001249",
    "Disease::MESH:C535575",
    "Disease::DOID:9352",
    "Disease::OMIM:143890",
    "Disease::SARS-CoV2 nsp5_C145A",
    "Biological Process::GO:0006666",
    "Molecular Function::GO:0000005",
    "Anatomy::UBERON:0000004",
    "Symptom::D001249",
    "Side Effect::C0000737",
    "Side Effect::C0000729",
    "Pathway::PC7_6941",
    "Pharmacologic Class::N0000175732",
    "Atc::A10BA02",
    "Tax::9606",
]


@pytest.fixture(autouse=True)
def network(monkeypatch):
    for name in ("KEDREC_OFFLINE", "HF_HUB_OFFLINE"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture(scope="module")
def web():
    return Web(rate=1000, tries=2, timeout=5, patience=1)


@pytest.fixture
def server():
    with FaultyServer() as running:
        yield running


def put(tmp_path, name, content, ending=".txt"):
    path = tmp_path / f"{name}{ending}"
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


def entries(name, path):
    return list(VOCABULARIES[name].entries(path))


def fails(ask, *expected):
    with pytest.raises(KedrecError) as fault:
        ask()
    for part in expected:
        assert part in str(fault.value)
    assert "\n" not in str(fault.value)


# --- formats ---------------------------------------------------------------------------------------------------------


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
        ({"a.csv": DRUGBANK, "b.csv": DRUGBANK}, "2 tables"),
        ({"readme.txt": ""}, "0 tables"),
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


# --- the table of entities -------------------------------------------------------------------------------------------


def test_entities_of_each_spelling_are_named_or_listed(tmp_path):
    files = {name: put(tmp_path, name, content) for name, content in SAMPLES.items()}
    out = tmp_path / "out" / "entities.tsv"
    counts = build_entities([*ENTITIES, ENTITIES[0]], files, out)
    infos = load_entity_info(out)
    assert list(infos) == ENTITIES
    names = {entity: info.name for entity, info in infos.items() if info.name}
    assert names == {
        "Gene::1": "A1BG",
        "Gene::5595;5594": "MAPK3 and MAPK1",
        "Compound::DB00945": "Acetylsalicylic acid",
        "Compound::DB00006": "Bivalirudin",
        "Compound::MESH:C000002": "bevonium",
        "Compound::MESH:C000002|MESH:D001249": "bevonium and Asthma",
        "Compound::CHEBI:15365": "acetylsalicylic acid",
        "Compound::chebi:15365": "acetylsalicylic acid",
        "Disease::MESH:D001249": "Asthma",
        "Disease::MESH:C535575": "Carcinoma, squamous cell of head and neck",
        "Disease::DOID:9352": "type 2 diabetes mellitus",
        "Disease::OMIM:143890": "hypercholesterolemia, familial, 1",
        "Biological Process::GO:0006666": "mitochondrion inheritance",
        "Molecular Function::GO:0000005": "ribosomal chaperone activity",
        "Anatomy::UBERON:0000004": "nose",
        "Symptom::D001249": "Asthma",
        "Side Effect::C0000737": "Abdominal pain",
        "Side Effect::C0000729": "Abdominal cramps",
        "Pathway::PC7_6941": "TCA cycle",
        "Pharmacologic Class::N0000175732": "Anthracycline",
    }
    assert infos["Disease::MESH:D001249"] == EntityInfo(
        "Asthma", ("Asthma, Bronchial", "Bronchial Asthma"), "A form of bronchial disorder with airway <obstruction>."
    )
    assert infos["Gene::1"].synonyms == ("alpha-1-B glycoprotein", "A1B", "ABG")
    assert infos["Gene::5595;5594"].synonyms == ()
    unmapped = {
        "Atc": {"A": 1},
        "Compound": {"CHEMBL": 1, "pubchem": 1, "Bioarxivdrug": 1},
        "Disease": {"SARS-CoV": 1},
        "Gene": {"number": 1, "drugbank": 1, "NVA": 1, "blank": 1},
        "Tax": {"number": 1},
    }
    assert counts["unmapped"] == unmapped
    assert list(counts["unmapped"]) == sorted(unmapped)
    assert (counts["entities"], counts["named"], counts["described"]) == (30, 20, 5)
    assert counts["by_vocabulary"]["go"] == 2
    lines = (out.parent / "unmapped.tsv").read_text().splitlines()
    assert lines[0].split("\t") == ["type", "prefix", "entity"]
    assert lines[1].split("\t") == ["Gene", "number", "Gene::5595;99"]
    assert [line.split("\t")[2] for line in lines[1:]] == [entity for entity in ENTITIES if entity not in names]
    assert sorted(path.name for path in out.parent.iterdir()) == ["entities.tsv", "unmapped.tsv"]


def test_the_first_vocabulary_names_and_later_ones_add(tmp_path):
    hetionet = put(tmp_path, "h", "id\tname\tkind\nGene::1\talpha  1|B\u2028protein\tGene\nGene::1\tanother\tGene\n")
    files = {"hetionet": hetionet, "ncbi_gene": put(tmp_path, "g", GENE_INFO)}
    for order, expected in (
        (("hetionet", "ncbi_gene"), ("alpha 1|B protein", ("A1BG", "alpha-1-B glycoprotein", "A1B", "ABG"))),
        (("ncbi_gene", "hetionet"), ("A1BG", ("alpha-1-B glycoprotein", "A1B", "ABG", "alpha 1/B protein"))),
    ):
        counts = build_entities(["Gene::1"], {name: files[name] for name in order}, tmp_path / "e.tsv")
        info = load_entity_info(tmp_path / "e.tsv")["Gene::1"]
        assert (info.name, info.synonyms) == expected
        assert counts["by_vocabulary"] == {order[0]: 1, order[1]: 0}


@pytest.mark.parametrize("ending", [".tsv", ".tsv.gz", ".tsv.zst"])
def test_the_same_input_gives_the_same_bytes_in_each_form(tmp_path, ending):
    files = {name: put(tmp_path, name, content) for name, content in SAMPLES.items()}
    for name in ("a", "b"):
        build_entities(iter(ENTITIES), files, tmp_path / name / f"entities{ending}")
    first, second = (tmp_path / name / f"entities{ending}" for name in ("a", "b"))
    assert first.read_bytes() == second.read_bytes()
    assert len(load_entity_info(first)) == len(ENTITIES)


def test_a_damaged_vocabulary_leaves_no_table(tmp_path):
    out = tmp_path / "entities.tsv"
    cut = put(tmp_path, "go", gzip.compress(GO.encode())[:-3], ".gz")
    fails(lambda: build_entities(ENTITIES, {"go": cut}, out), str(cut))
    fails(lambda: build_entities(ENTITIES, {"gene_onto": cut}, out), "no vocabulary 'gene_onto'", "expected one of")
    fails(lambda: build_entities(ENTITIES, {"drugbnk": cut}, out), "did you mean 'drugbank'?")
    assert not out.exists()


# --- fetching --------------------------------------------------------------------------------------------------------


def official(monkeypatch, name, url):
    table = {**VOCABULARIES, name: replace(VOCABULARIES[name], url=url)}
    for module in ("open_vocabularies", "vocabularies"):
        monkeypatch.setattr(f"kedrec.sources.{module}.VOCABULARIES", table)


def test_a_vocabulary_is_fetched_once_and_goes_on_where_it_was_cut(tmp_path, server, web, monkeypatch):
    packed = gzip.compress(
        GENE_INFO.encode() + b"".join(b"9606\t%d" % n + b"\tx" * 14 + b"\n" for n in range(9_000)), 0
    )
    url = server.script("/Homo_sapiens.gene_info.gz", file(packed, upto=50_000), file(packed))
    official(monkeypatch, "ncbi_gene", url)
    store, heard = Store(tmp_path), []
    assert not store.holds(vocabularies.KIND, vocabulary_key("ncbi_gene"))
    path = vocabulary_file("ncbi_gene", store, progress=lambda *count: heard.append(count), web=web)
    assert path.name == "Homo_sapiens.gene_info.gz"
    assert path.read_bytes() == packed
    assert heard[-1] == (len(packed), len(packed))
    assert store.holds(vocabularies.KIND, vocabulary_key("ncbi_gene"))
    assert vocabulary_file("ncbi_gene", store) == path
    assert [seen.headers.get("range") for seen in server.seen] == [None, "bytes=50000-"]
    monkeypatch.setenv("KEDREC_OFFLINE", "1")
    assert vocabulary_file("ncbi_gene", store) == path
    fails(lambda: vocabulary_file("ncbi_gene", Store(tmp_path / "b")), url, "KEDREC_OFFLINE")


@pytest.mark.parametrize(
    ("ending", "content", "expected"),
    [
        (".gz", gzip.compress(GO.encode())[:-6], "damaged or cut short"),
        (".gz", GO.encode(), "something else in place of the file"),
        (".gz", b"<html></html>", "a page of HTML"),
        (".obo", b"<html></html>", "a page of HTML"),
        (".obo", DOID.encode("utf-16"), "not UTF-8"),
        (".obo", b"name: x\n", "no terms in it"),
    ],
)
def test_a_damaged_vocabulary_never_enters_the_store(tmp_path, server, web, ending, content, expected):
    url = server.script(f"/go{ending}", file(content))
    fails(lambda: vocabulary_file("go", Store(tmp_path), url, web=web), url, expected)
    assert not [path for path in tmp_path.rglob("*") if path.is_file() and path.suffix != ".lock"]
    good = gzip.compress(GO.encode()) if ending == ".gz" else GO.encode()
    server.script(f"/go{ending}", file(good))  # mended: the next start does not find the damaged one
    assert vocabulary_file("go", Store(tmp_path), url, web=web).read_bytes() == good


def test_drugbank_is_never_fetched_from_its_site(tmp_path, server, web):
    for name, source in (
        ("drugbank", None),
        ("drugbank", "https://go.drugbank.com/releases/5-1-13/downloads/all-drugbank-vocabulary"),
        ("mesh", "https://drugbank.com/x"),
    ):
        fails(lambda: vocabulary_file(name, Store(tmp_path), source), "not fetched by kedrec", "name the local file")  # noqa: B023
    fails(lambda: vocabulary_file("sider", Store(tmp_path)), "sideeffects.embl.de", "name the local file")
    url = server.script("/drugbank.csv", text(DRUGBANK, "text/csv"))
    assert vocabulary_file("drugbank", Store(tmp_path), url, web=web).read_text() == DRUGBANK


def test_a_local_file_is_taken_as_it_is_and_its_checksum_checked(tmp_path):
    path = put(tmp_path, "go", GO, ".obo")
    good = hashlib.sha256(GO.encode()).hexdigest()
    assert vocabulary_file("go", Store(tmp_path / "s"), str(path), good.upper()) == path
    fails(lambda: vocabulary_file("go", Store(tmp_path), str(path), "0" * 64), str(path), good)
    fails(lambda: vocabulary_file("go", Store(tmp_path), str(tmp_path / "none")), "no such file")
    assert not (tmp_path / "s").exists()


def test_a_key_in_an_address_is_kept_nowhere(tmp_path, server, web):
    url = f"{server.script('/go.obo', file(GO.encode()))}?token=s3cr3t&v=2"
    vocabulary_file("go", Store(tmp_path), url, web=web)
    assert not [path for path in tmp_path.rglob("*") if path.is_file() and b"s3cr3t" in path.read_bytes()]
    assert vocabulary_key("go", url)["source"].endswith("/go.obo?v=2")


def test_each_vocabulary_says_its_terms_and_where_it_is():
    for vocabulary in VOCABULARIES.values():
        assert vocabulary.license
        assert bool(vocabulary.url) != bool(vocabulary.page)
        assert vocabulary.url is None or re.match(r"https://[a-z.]+/", vocabulary.url)


# --- real names ------------------------------------------------------------------------------------------------------


@pytest.mark.skipif("KEDREC_REAL_DATA" not in os.environ, reason="needs the real data")
def test_real_names_come_back_from_vocabularies_of_their_form(tmp_path):
    real = load_entity_info(Path(os.environ["KEDREC_REAL_DATA"]) / "graph" / "entities.tsv.zst")
    named = {entity: info for entity, info in real.items() if info.name}
    by_type: dict[str, dict[str, EntityInfo]] = {}
    for entity, info in named.items():
        kind, _, identifier = entity.partition("::")
        by_type.setdefault(kind, {})[identifier] = info

    def obo(kinds, prefix):
        terms = ((one, info) for kind in kinds for one, info in by_type[kind].items() if one.startswith(prefix))
        return "".join(
            f"[Term]\nid: {one}\nname: {_escaped(info.name)}\n"
            + (f'def: "{_escaped(info.description)}" [x]\n\n' if info.description else "\n")
            for one, info in terms
        )

    def quoted(*cells):
        return ",".join('"' + cell.replace('"', '""') + '"' for cell in cells)

    drugs = (
        quoted(one, "", info.name, "", "", " | ".join(info.synonyms), "") for one, info in by_type["Compound"].items()
    )
    genes = (f"{one}\t{info.name}\t{'|'.join(info.synonyms) or '-'}\t-" for one, info in by_type["Gene"].items())
    effects = (f"{one}\tPT\t1\t{info.name}" for one, info in by_type["Side Effect"].items())
    rest = (f"{kind}::{one}\t{info.name}\t{kind}" for kind in ("Pathway", "Pharmacologic Class", "Symptom")
            for one, info in by_type[kind].items())  # fmt: skip
    mesh = ((one, info) for one, info in by_type["Disease"].items() if one.startswith("MESH:"))
    contents = {
        "hetionet": "\n".join(["id\tname\tkind", *rest]),
        "drugbank": "\n".join([DRUGBANK.split("\n", maxsplit=1)[0], *drugs]),
        "mesh": f"<DescriptorRecordSet>{''.join(_record(*one) for one in mesh)}</DescriptorRecordSet>",
        "ncbi_gene": "\n".join(["#GeneID\tSymbol\tSynonyms\tdescription", *genes]),
        "go": obo(("Biological Process", "Molecular Function", "Cellular Component"), "GO:"),
        "disease_ontology": obo(("Disease",), "DOID:"),
        "uberon": obo(("Anatomy",), "UBERON:"),
        "sider": "\n".join(effects),
    }
    files = {name: put(tmp_path, name, content) for name, content in contents.items()}
    counts = build_entities(real, files, tmp_path / "entities.tsv.zst")
    built = load_entity_info(tmp_path / "entities.tsv.zst")
    assert list(built) == list(real)
    assert [one for one in real if _spaced(built[one].name) != _spaced(real[one].name)] == []
    ontology = [one for one in real if "::GO:" in one]
    assert [one for one in ontology if _spaced(built[one].description) != _spaced(real[one].description)] == []
    genes_differ = [
        one for one in named if one.startswith("Gene::")
        and {name.casefold() for name in (*built[one].synonyms, built[one].name)}
        != {_spaced(name).casefold() for name in (*real[one].synonyms, real[one].name)}
    ]  # fmt: skip
    assert genes_differ == []
    assert counts["named"] == len(named) == 49_291
    assert sum(sum(many.values()) for many in counts["unmapped"].values()) == 56_863 - 49_291
    assert counts["unmapped"]["Compound"]["CHEMBL"] == 3_177
    assert len((tmp_path / "unmapped.tsv").read_text().splitlines()) == 56_863 - 49_291 + 1


def _spaced(text):
    return " ".join(text.split())


def _escaped(text):
    return re.sub(r'(["\\{}!])', r"\\\1", text)


def _record(identifier, info):
    from xml.sax.saxutils import escape

    terms = "".join(f"<Term><String>{escape(name)}</String></Term>" for name in info.synonyms)
    return (
        f"<DescriptorRecord><DescriptorUI>{identifier.removeprefix('MESH:')}</DescriptorUI>\n"
        f"<DescriptorName><String>{escape(info.name)}</String></DescriptorName><ConceptList>"
        f"<Concept PreferredConceptYN='Y'><TermList>{terms}</TermList></Concept></ConceptList></DescriptorRecord>\n"
    )


@pytest.mark.skipif("KEDREC_REAL_DATA" not in os.environ, reason="needs the real data")
def test_every_entity_of_drkg_has_its_line_and_its_prefix(tmp_path):
    with zstandard.open(Path(os.environ["KEDREC_REAL_DATA"]) / "graph" / "drkg_entities.tsv.zst", "rt") as lines:
        entities = [line.split("\t")[0] for line in lines]
    counts = build_entities(entities, {}, tmp_path / "entities.tsv")
    assert counts["entities"] == 97_238 == len(load_entity_info(tmp_path / "entities.tsv"))
    unmapped = counts["unmapped"]
    assert unmapped["Gene"] == {"number": 36_816, "drugbank": 2_097, "NVA": 283, "NH": 23, "blank": 1}
    assert unmapped["Disease"] == {"MESH": 4_871, "DOID": 127, "OMIM": 78, "SARS-CoV": 27}
    assert len(unmapped["Compound"]) == 18
    assert sum(unmapped["Compound"].values()) == 24_313
