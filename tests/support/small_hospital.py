"""A hospital made up for tests: a folder in MIMIC-III's layout, and a graph whose compounds it prescribes."""

import random

from kedrec.graph.therapeutic import THERAPEUTIC

DRUGS = [f"Drug{letter}mycin" for letter in "ABCDEFGHIJKL"]
DISEASES = ["4019", "0389", "25000", "486"]
TITLES = {"4019": "Hypertension", "0389": "Septicemia", "25000": "Diabetes mellitus", "486": "Pneumonia"}


def write_mimic3(folder, patients, stays=2, upper=False, seed=0):
    """Each patient has a principal diagnosis a stay, and mostly three drugs that go with it."""
    folder.mkdir(parents=True)
    draw = random.Random(seed)
    admissions, diagnoses, procedures, orders = [], [], [], []
    for patient in range(100, 100 + patients):
        for stay in range(stays):
            number = patient * 10 + stay
            at = draw.randrange(len(DISEASES))
            admissions.append(f"{patient},{number},21{stay:02}-01-01 00:00:00")
            other = DISEASES[(at + 1) % len(DISEASES)]
            diagnoses += [f"{patient},{number},1,{DISEASES[at]}", f"{patient},{number},2,{other}"]
            procedures.append(f"{patient},{number},1,{3890 + at}")
            given = [DRUGS[3 * at + place] for place in range(3)] + draw.sample(DRUGS, 1)
            orders += [f"{patient},{number},MAIN,{drug} HCl,,{drug},{at:011}" for drug in dict.fromkeys(given)]
            orders.append(f"{patient},{number},BASE,D5W,,,")
    tables = {
        "ADMISSIONS": ("subject_id,hadm_id,admittime", admissions),
        "DIAGNOSES_ICD": ("subject_id,hadm_id,seq_num,icd9_code", diagnoses),
        "PROCEDURES_ICD": ("subject_id,hadm_id,seq_num,icd9_code", procedures),
        "PRESCRIPTIONS": ("subject_id,hadm_id,drug_type,drug,drug_name_poe,drug_name_generic,ndc", orders),
    }
    for name, (header, rows) in tables.items():
        columns = header.upper() if upper else header
        (folder / f"{name}.csv").write_text("\n".join((columns, *rows)) + "\n")
    return folder


def write_mappings(folder):
    """Titles of the diagnoses, and diabetes as the graph knows it."""
    folder.mkdir()
    (folder / "CMS32_DESC_LONG_DX.txt").write_text("".join(f"{code:5} {title}\n" for code, title in TITLES.items()))
    crossed = "mondo_id\tname\tnamespace\txref\n1\tdiabetes\tICD9\t250.00\n1\tdiabetes\tMESH\tD003920\n"
    (folder / "mondo_xrefs.tsv").write_text(crossed)
    return folder


def write_graph(folder):
    """Compounds with names and classes; the last of them treats diabetes, though nobody there is given it for that."""
    folder.mkdir()
    lines = []
    for place in range(len(DRUGS)):
        lines.append(f"Compound::DB{place:05}\tDRUGBANK::x-atc::Compound:Atc\tAtc::A{place // 3:02}A")
        lines += [f"Compound::DB{place:05}\tDRUGBANK::target::Compound:Gene\tGene::{gene}" for gene in (place % 4, 9)]
    lines.append(f"Compound::DB{len(DRUGS) - 1:05}\t{THERAPEUTIC[0]}\tDisease::MESH:D003920")
    lines.append(f"Compound::DB00000\t{THERAPEUTIC[0]}\tDisease::MESH:D000001")
    (folder / "triples.tsv").write_text("\n".join(lines) + "\n")
    names = [f"Compound::DB{place:05}\t{name}\t\t" for place, name in enumerate(DRUGS)]
    (folder / "entities.tsv").write_text("\n".join(("entity\tname\tsynonyms\tdescription", *names)) + "\n")
    return folder
