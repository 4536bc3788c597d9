"""Public tables of clinical codes: titles of ICD-9, NDC to RxNorm, ATC of PubChem, ICD to MeSH."""

import ast
import csv
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from kedrec.errors import KedrecError
from kedrec.mimic.admission_tables import Code
from kedrec.storage.compressed_text import find_beside, text_lines

ICD9_TITLES = "CMS32_DESC_LONG_DX.txt"
NDC = "ndc2rxnorm_mapping.txt"
ATC = "drug-atc.csv"
CROSS_REFERENCES = "mondo_xrefs.tsv"
_VOCABULARIES = {"ICD9": "ICD9", "ICD9CM": "ICD9", "ICD10": "ICD10", "ICD10CM": "ICD10"}


@dataclass(frozen=True)
class Mappings:
    """The content of a folder's tables; empty for a table that is not there.

    Attributes:
        titles: code of a diagnosis -> its title.
        rxcui: NDC, 11 digits -> RxNorm concept.
        atc: PubChem compound, digits -> ATC codes.
        diseases: code of a diagnosis -> ids of the graph, ``Disease::MESH:…`` and ``Disease::DOID:…``, that MONDO says
            are the same disease.
    """

    titles: Mapping[Code, str] = field(default_factory=dict)
    rxcui: Mapping[str, str] = field(default_factory=dict)
    atc: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    diseases: Mapping[Code, tuple[str, ...]] = field(default_factory=dict)

    def diseases_of(self, code: Code) -> tuple[str, ...]:
        """Return the diseases of a code, or of the nearest code above it that has any, down to three characters."""
        vocabulary, digits = code
        above = ((vocabulary, digits[:length]) for length in range(len(digits), 2, -1))
        return next((self.diseases[one] for one in above if one in self.diseases), ())


def load_mappings(folder: str | Path | None) -> Mappings:
    """Read the tables of a folder.

    Args:
        folder: with any of ``CMS32_DESC_LONG_DX.txt`` (CMS: code and title, Latin-1), ``ndc2rxnorm_mapping.txt`` (a
            literal dict, as GAMENet ships it), ``drug-atc.csv`` (PubChem id and ATC codes, likewise) and
            ``mondo_xrefs.tsv[.gz|.zst]`` (mondo_id, name, namespace, xref); ``None`` for no tables.

    Raises:
        KedrecError: the folder or a line of a table is not of this form; with the file and the line.
    """
    if folder is None:
        return Mappings()
    directory = Path(folder)
    if not directory.is_dir():
        raise KedrecError(f"{directory}: no such folder; expected tables of clinical codes, such as {ICD9_TITLES}")
    titles, ndc, atc = (directory / name for name in (ICD9_TITLES, NDC, ATC))
    crossed = find_beside(directory, (CROSS_REFERENCES,))
    return Mappings(
        _titles(titles) if titles.is_file() else {},
        _rxcui(ndc) if ndc.is_file() else {},
        _atc(atc) if atc.is_file() else {},
        _diseases(crossed) if crossed else {},
    )


def _titles(path: Path) -> dict[Code, str]:
    found: dict[Code, str] = {}
    for number, line in enumerate(path.read_text(encoding="latin-1").splitlines(), start=1):
        code, _, title = line.partition(" ")
        if not (code and title.strip()):
            raise KedrecError(f"{path}, line {number}: expected a code, a space and a title")
        found["ICD9", code] = title.strip()
    return found


def _rxcui(path: Path) -> dict[str, str]:
    try:
        found = ast.literal_eval(path.read_text(encoding="utf-8"))  # literals alone: nothing of the file is run
    except (SyntaxError, ValueError) as fault:
        raise KedrecError(f"{path}: not a literal dict of NDC to RxCUI ({fault})") from fault
    if not isinstance(found, dict):
        raise KedrecError(f"{path}: not a dict of NDC to RxCUI")
    return {str(ndc): str(concept) for ndc, concept in found.items() if concept}


def _atc(path: Path) -> dict[str, tuple[str, ...]]:
    found: dict[str, list[str]] = defaultdict(list)
    with path.open(encoding="utf-8", newline="") as handle:
        for number, row in enumerate(csv.reader(handle), start=1):
            if len(row) < 2 or not row[0].startswith("CID"):
                raise KedrecError(f"{path}, line {number}: expected CID000000000,ATC[,ATC...]")
            found[row[0].removeprefix("CID").lstrip("0")] += row[1:]
    return {compound: tuple(codes) for compound, codes in found.items()}


def _diseases(path: Path) -> dict[Code, tuple[str, ...]]:
    codes: dict[str, list[Code]] = defaultdict(list)
    same: dict[str, list[str]] = defaultdict(list)
    for number, line in text_lines(path):
        cells = line.rstrip("\r").split("\t")
        if len(cells) != 4:
            raise KedrecError(f"{path}, line {number}: {len(cells)} columns, expected mondo_id, name, namespace, xref")
        mondo, _, space, identifier = cells
        if space in _VOCABULARIES:
            codes[mondo].append((_VOCABULARIES[space], identifier.replace(".", "")))
        elif space in ("MESH", "DOID"):
            same[mondo].append(f"Disease::{space}:{identifier}")
    found: dict[Code, dict[str, None]] = defaultdict(dict)
    for mondo, its in codes.items():
        for code in its:
            found[code].update(dict.fromkeys(same.get(mondo, ())))
    return {code: tuple(ids) for code, ids in found.items() if ids}
