"""The open vocabularies with names of DRKG's entities: address, licence, and how DRKG writes their identifiers."""

import functools
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from kedrec.errors import KedrecError, nearest
from kedrec.sources.graph import vocabulary_formats as formats
from kedrec.sources.graph.entity_names import EntityInfo


@dataclass(frozen=True)
class Vocabulary:
    """One open vocabulary.

    Attributes:
        title: its usual name.
        license: the licence of its names.
        read: yields (identifier, names) from a file.
        forms: how DRKG writes an entity of it: ``{id}`` is the identifier, ``{local}`` the part after its colon.
        url: the official address; ``None`` if the user has to download it.
        page: where the user downloads it, in words.
    """

    title: str
    license: str
    read: Callable[[Path], Iterator[tuple[str, EntityInfo]]]
    forms: tuple[str, ...]
    url: str | None = None
    page: str = ""

    def entries(self, path: Path) -> Iterator[tuple[str, EntityInfo]]:
        """Yield (entity as DRKG writes it, names) from a file; one identifier may give several entities."""
        for identifier, info in self.read(path):
            local = identifier.rpartition(":")[2]
            for form in self.forms:
                yield form.format(id=identifier, local=local), info


_MESH = ("Compound::MESH:{id}", "Disease::MESH:{id}", "Symptom::{id}")
_MESH_FILES = "https://nlmpubs.nlm.nih.gov/projects/mesh/MESH_FILES/xmlmesh"
_NLM = "NLM's terms for MeSH: free to use, with acknowledgement, not translated"
_OBO = "https://purl.obolibrary.org/obo"

# In order of preference: `build_entities` takes the first vocabulary that has a name.
VOCABULARIES: Mapping[str, Vocabulary] = {
    "drugbank": Vocabulary(
        "DrugBank open vocabulary",
        "CC0 1.0",
        formats.read_drugbank,
        ("Compound::{id}",),
        page="https://go.drugbank.com/releases/latest#open-data (in a browser: the site is not for programs)",
    ),
    "mesh": Vocabulary("MeSH descriptors", _NLM, formats.read_mesh, _MESH, f"{_MESH_FILES}/desc2026.gz"),
    "mesh_supplementary": Vocabulary(
        "MeSH supplementary concept records", _NLM, formats.read_mesh, _MESH, f"{_MESH_FILES}/supp2026.gz"
    ),
    "hgnc": Vocabulary(
        "HGNC complete set",
        "CC0 1.0",
        formats.read_hgnc,
        ("Gene::{id}",),
        "https://storage.googleapis.com/public-download-files/hgnc/tsv/tsv/hgnc_complete_set.txt",
    ),
    "ncbi_gene": Vocabulary(
        "NCBI gene info (human; the file of all organisms is gene/DATA/gene_info.gz)",
        "public domain",
        formats.read_gene_info,
        ("Gene::{id}",),
        "https://ftp.ncbi.nlm.nih.gov/gene/DATA/GENE_INFO/Mammalia/Homo_sapiens.gene_info.gz",
    ),
    "go": Vocabulary(
        "Gene Ontology",
        "CC BY 4.0",
        formats.read_obo,
        ("Biological Process::{id}", "Molecular Function::{id}", "Cellular Component::{id}"),
        f"{_OBO}/go/go-basic.obo",
    ),
    "disease_ontology": Vocabulary(
        "Disease Ontology", "CC0 1.0", formats.read_obo, ("Disease::{id}",), f"{_OBO}/doid.obo"
    ),
    "uberon": Vocabulary("UBERON", "CC BY 3.0", formats.read_obo, ("Anatomy::{id}",), f"{_OBO}/uberon/basic.obo"),
    "chebi": Vocabulary(
        "ChEBI",
        "CC BY 4.0",
        formats.read_obo,
        ("Compound::{id}", "Compound::chebi:{local}"),
        "https://ftp.ebi.ac.uk/pub/databases/chebi/ontology/chebi.obo.gz",
    ),
    "sider": Vocabulary(
        "SIDER 4.1, MedDRA terms",
        "CC BY-NC-SA 4.0; MedDRA's own terms apply",
        formats.read_sider,
        ("Side Effect::{id}",),
        page="http://sideeffects.embl.de/download/ (meddra.tsv.gz or meddra_all_se.tsv.gz)",
    ),
    "mondo": Vocabulary(
        "MONDO, for the identifiers that it calls equivalent",
        "CC BY 4.0",
        functools.partial(formats.read_obo, equivalents=True),
        ("Disease::{id}",),
        f"{_OBO}/mondo.obo",
    ),
    "hetionet": Vocabulary(
        "Hetionet v1.0 nodes (pathways, pharmacologic classes)",
        "CC0 1.0",
        formats.read_hetionet,
        ("{id}",),
        "https://raw.githubusercontent.com/hetio/hetionet/main/hetnet/tsv/hetionet-v1.0-nodes.tsv",
    ),
}


def find_vocabulary(name: str) -> Vocabulary:
    """Return the vocabulary of a name.

    Raises:
        KedrecError: `VOCABULARIES` has no such name.
    """
    if name not in VOCABULARIES:
        known = ", ".join(VOCABULARIES)
        raise KedrecError(f"unknown vocabulary {name!r}{nearest(name, VOCABULARIES)}; expected one of {known}")
    return VOCABULARIES[name]
