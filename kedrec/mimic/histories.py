"""Patients' histories from admissions: which visits count, and under which label a drug goes."""

import re
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path

from kedrec.errors import KedrecError
from kedrec.mimic.admission_tables import Admission, Code
from kedrec.mimic.formulary import Formulary
from kedrec.storage.compressed_text import text_lines

_ATC = re.compile(r"[A-Z](\d\d([A-Z]([A-Z](\d\d)?)?)?)?")


@dataclass(frozen=True)
class Visit:
    """A visit without identifying data.

    Attributes:
        diagnoses: none twice.
        procedures: likewise; may be empty.
        compounds: of the graph, that were prescribed and have an ATC code; sorted, none twice.
    """

    diagnoses: tuple[Code, ...]
    procedures: tuple[Code, ...]
    compounds: tuple[str, ...]


History = tuple[Visit, ...]


def histories(
    admissions: Iterable[Admission], formulary: Formulary, characters: int, least_visits: int
) -> dict[int, History]:
    """Return the visits with diagnoses and labelled drugs of each patient who has enough of them, in order of time.

    Args:
        admissions: ordered by patient and time.
        formulary: of their prescriptions.
        characters: of an ATC code that make a label.
        least_visits: of a patient who is taken.
    """
    found: dict[int, History] = {}
    for patient, stays in groupby(admissions, key=lambda stay: stay.patient):
        visits = []
        for stay in stays:
            named = {compound for order in stay.prescriptions if (compound := formulary.compound(order))}
            compounds = tuple(sorted(one for one in named if atc_labels(formulary, one, characters)))
            if stay.diagnoses and compounds:
                visits.append(Visit(stay.diagnoses, stay.procedures, compounds))
        if len(visits) >= least_visits:
            found[patient] = tuple(visits)
    return found


def atc_labels(formulary: Formulary, compound: str, characters: int) -> list[str]:
    """Return the beginnings of so many characters that a compound's ATC codes have, sorted."""
    return sorted({code[:characters] for code in formulary.atc(compound) if len(code) >= characters})


def label_compounds(
    compounds: Iterable[str], formulary: Formulary, characters: int, training: Iterable[Visit]
) -> dict[str, str]:
    """Return the one label of each compound.

    Of several it is that under which most drugs with one label alone are prescribed at training visits, then the first
    of the alphabet: acetylsalicylic acid goes with the antithrombotics, not with the drugs for teeth.
    """
    votes: Counter[str] = Counter()
    for visit in training:
        for compound in visit.compounds:
            votes.update(its if len(its := atc_labels(formulary, compound, characters)) == 1 else ())
    return {
        one: min(atc_labels(formulary, one, characters), key=lambda label: (-votes[label], label)) for one in compounds
    }


def read_interactions(path: str | Path, characters: int) -> Iterator[tuple[str, str]]:
    """Yield pairs of interacting drugs: compounds, ``Compound::…``, or ATC codes of at least so many characters.

    Raises:
        KedrecError: a line that is not two drugs; with the file and the line.
    """
    for line, content in text_lines(Path(path)):
        cells = content.removesuffix("\r").split("\t")
        if len(cells) != 2:
            raise KedrecError(f"{path}:{line}: {len(cells)} columns, expected two drugs, tab-separated, and no header")
        for cell in cells:
            if not cell.startswith("Compound::") and not (_ATC.fullmatch(cell) and len(cell) >= characters):
                raise KedrecError(
                    f"{path}:{line}: {cell!r} is no drug; expected a compound such as Compound::DB00945, or an "
                    f"ATC code of {characters} or more characters"
                )
        yield cells[0], cells[1]
