"""Admissions of MIMIC-III and MIMIC-IV in their official layout: diagnoses, procedures and prescriptions.

Both are for credentialed users (PhysioNet); only their demos of 100 patients are open. What is read here is patient
data: nothing of it may leave the user's machine or the run folder.
"""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import polars as pl

from kedrec.errors import KedrecError

Code = tuple[str, str]
"""A vocabulary, ``ICD9`` or ``ICD10``, and a code of it, without its dot."""

_ENDINGS = (".csv", ".csv.gz")
_NAMES = ("drug", "drug_name_poe", "drug_name_generic")
_FEW = 1000
_CARRIER = "BASE"  # the fluid that carries a drug


@dataclass(frozen=True)
class Prescription:
    """A drug as it was ordered.

    Attributes:
        names: what the order calls it, the display name first; none twice.
        ndc: National Drug Code, 11 digits; empty where there is none.
    """

    names: tuple[str, ...]
    ndc: str


@dataclass(frozen=True)
class Admission:
    """One stay in hospital: a visit.

    Attributes:
        patient: ``subject_id``.
        admission: ``hadm_id``.
        time: of admission, ``YYYY-MM-DD HH:MM:SS``, shifted as MIMIC shifts it.
        diagnoses: in order of priority, the principal one first; none twice.
        procedures: likewise.
        prescriptions: distinct, in the file's order, without fluids that carry drugs.
    """

    patient: int
    admission: int
    time: str
    diagnoses: tuple[Code, ...]
    procedures: tuple[Code, ...]
    prescriptions: tuple[Prescription, ...]


def read_admissions(folder: str | Path) -> list[Admission]:
    """Read the admissions of a folder, ordered by patient and time.

    Args:
        folder: with ADMISSIONS, DIAGNOSES_ICD, PROCEDURES_ICD and PRESCRIPTIONS, ``.csv`` or ``.csv.gz``, names of
            files and columns in upper or lower case: MIMIC-III's folder, or MIMIC-IV's with its ``hosp``.

    Raises:
        KedrecError: a file is absent, damaged or empty, or lacks a column, or an id is not a number; with the file.
    """
    stays = _table(folder, "admissions", ("subject_id", "hadm_id", "admittime"))
    diagnoses = _coded(folder, "diagnoses_icd")
    procedures = _coded(folder, "procedures_icd")
    orders = _ordered(folder)
    found = [
        Admission(
            int(patient),
            int(stay),
            time,
            tuple(diagnoses.get(stay, ())),
            tuple(procedures.get(stay, ())),
            tuple(orders.get(stay, ())),
        )
        for patient, stay, time in stays.iter_rows()
    ]
    return sorted(found, key=lambda one: (one.patient, one.time, one.admission))


def read_titles(folder: str | Path) -> dict[Code, str]:
    """Read the titles of diagnoses that MIMIC ships, D_ICD_DIAGNOSES; without that file there are none."""
    path = _find(folder, "d_icd_diagnoses")
    if path is None:
        return {}
    table = _table(folder, "d_icd_diagnoses", ("long_title",), ("icd9_code", "icd_code", "icd_version"))
    return {(_vocabulary(row), str(_code(row))): str(row["long_title"]) for row in table.iter_rows(named=True)}


def caution(patients: int) -> dict[str, str]:
    """Return the warning of a run's card on few patients; nothing where there are 1,000 or more."""
    if patients >= _FEW:
        return {}
    return {"limits": f"{patients} patients show that the parts fit together; they carry no conclusion"}


def _find(folder: str | Path, name: str) -> Path | None:
    """Return a table's file, in the folder or in its ``hosp``."""
    for directory in (Path(folder), Path(folder) / "hosp"):
        if directory.is_dir():
            by_name = {path.name.lower(): path for path in sorted(directory.iterdir())}
            for ending in _ENDINGS:
                if path := by_name.get(name + ending):
                    return path
    return None


def _table(folder: str | Path, name: str, needed: Sequence[str], optional: Sequence[str] = ()) -> pl.DataFrame:
    """Return the needed columns of a table, and those of the optional ones that it has, as texts."""
    path = _find(folder, name)
    if path is None:
        raise KedrecError(
            f"{folder}: no {name.upper()}.csv or .csv.gz in it or in its `hosp`; give the folder of MIMIC-III or -IV"
        )
    try:
        header = pl.read_csv(path, infer_schema=False, n_rows=1).columns
        names = {column: column.lower() for column in header if column.lower() in {*needed, *optional}}
        if missing := [column for column in needed if column not in names.values()]:
            raise KedrecError(f"{path}: no column {' and no '.join(missing)} among {', '.join(header)}")
        table = pl.read_csv(path, infer_schema=False, columns=list(names)).rename(names)
    except (pl.exceptions.PolarsError, OSError) as fault:
        raise KedrecError(f"{path}: not a whole CSV file ({str(fault).splitlines()[0]}); fetch it again") from fault
    if not len(table):
        raise KedrecError(f"{path}: holds no row")
    table = table.with_columns(pl.all().fill_null(""))
    for column in {"subject_id", "hadm_id", "seq_num"} & set(table.columns):
        # MIMIC leaves these empty in rows that are of no admission, and the order of some codes open.
        bad = table.with_row_index("line", offset=2).filter(~pl.col(column).str.contains(r"^\d*$"))
        if len(bad):
            raise KedrecError(f"{path}, row {bad['line'][0]}: {column} {bad[column][0]!r} is not a number")
    return table.select([*(column for column in needed), *(c for c in optional if c in table.columns)])


def _coded(folder: str | Path, name: str) -> dict[str, list[Code]]:
    """Return the codes of each admission, by priority."""
    table = _table(folder, name, ("hadm_id", "seq_num"), ("icd9_code", "icd_code", "icd_version"))
    if not {"icd9_code", "icd_code"} & set(table.columns):
        raise KedrecError(f"{_find(folder, name)}: no column icd9_code (MIMIC-III) or icd_code (MIMIC-IV)")
    table = table.with_columns(pl.col("seq_num").cast(pl.Int64, strict=False)).sort(
        "hadm_id", "seq_num", nulls_last=True, maintain_order=True
    )
    found: dict[str, dict[Code, None]] = defaultdict(dict)
    for row in table.iter_rows(named=True):
        if code := _code(row):
            found[row["hadm_id"]][_vocabulary(row), code] = None
    return {stay: list(codes) for stay, codes in found.items()}


def _code(row: dict[str, str]) -> str:
    return (row.get("icd9_code") or row.get("icd_code") or "").strip()


def _vocabulary(row: dict[str, str]) -> str:
    return f"ICD{(row.get('icd_version') or '9').strip()}"


def _ordered(folder: str | Path) -> dict[str, list[Prescription]]:
    """Return the prescriptions of each admission; equal ones are one object."""
    table = _table(folder, "prescriptions", ("hadm_id", "drug"), (*_NAMES[1:], "drug_type", "ndc"))
    if "drug_type" in table.columns:
        table = table.filter(pl.col("drug_type").str.to_uppercase() != _CARRIER).drop("drug_type")
    known: dict[Prescription, Prescription] = {}
    found: dict[str, list[Prescription]] = defaultdict(list)
    for row in table.unique(maintain_order=True).iter_rows(named=True):
        names = tuple(dict.fromkeys(filter(None, (row.get(column, "").strip() for column in _NAMES))))
        # An 11-digit zero is how MIMIC writes that there is no code.
        order = Prescription(names, row.get("ndc", "").strip().strip("0") and row["ndc"].strip())
        found[row["hadm_id"]].append(known.setdefault(order, order))
    return {stay: list(dict.fromkeys(orders)) for stay, orders in found.items()}
