import gzip

import pytest

from kedrec.errors import KedrecError
from kedrec.mimic.admission_tables import Prescription, read_admissions, read_titles
from tests.support.small_hospital import write_mimic3


def _write_mimic4(folder):
    """One patient with two admissions, in MIMIC-IV's layout: a folder `hosp`, gzip, codes of two versions."""
    tables = {
        "admissions": "subject_id,hadm_id,admittime,dischtime\n7,72,2180-05-06 22:23:00,\n7,71,2179-01-01 01:00:00,\n",
        "diagnoses_icd": (
            "subject_id,hadm_id,seq_num,icd_code,icd_version\n7,71,2,4019,9\n7,71,1,0389,9\n7,72,1,I10,10\n"
        ),
        "procedures_icd": "subject_id,hadm_id,seq_num,chartdate,icd_code,icd_version\n7,72,1,2180-05-07,02HV33Z,10\n",
        "prescriptions": (
            "subject_id,hadm_id,pharmacy_id,starttime,drug_type,drug,ndc\n"
            '7,71,1,2179-01-01,MAIN,"Heparin, porcine",63323026201\n7,71,2,2179-01-02,BASE,D5W,0\n'
            "7,,3,2179-01-02,MAIN,Aspirin,0\n"
        ),
        "d_icd_diagnoses": "icd_code,icd_version,long_title\n0389,9,Unspecified septicemia\nI10,10,Hypertension\n",
    }
    (folder / "hosp").mkdir()
    for name, text in tables.items():
        (folder / "hosp" / f"{name}.csv.gz").write_bytes(gzip.compress(text.encode()))
    return folder


def test_mimic_4_is_read_from_its_hosp_folder(tmp_path):
    first, second = read_admissions(_write_mimic4(tmp_path))
    assert (first.patient, first.admission, second.admission) == (7, 71, 72)  # by time, not by the file's order
    assert first.diagnoses == (("ICD9", "0389"), ("ICD9", "4019"))  # by priority; leading zeros stay
    assert first.prescriptions == (Prescription(("Heparin, porcine",), "63323026201"),)  # no fluid, no row of no stay
    assert second.diagnoses == (("ICD10", "I10"),)
    assert second.procedures == (("ICD10", "02HV33Z"),)
    assert read_titles(tmp_path) == {("ICD9", "0389"): "Unspecified septicemia", ("ICD10", "I10"): "Hypertension"}


def test_mimic_3_is_read_in_either_case_of_names(tmp_path):
    lower = read_admissions(write_mimic3(tmp_path / "lower", patients=3))
    upper = read_admissions(write_mimic3(tmp_path / "upper", patients=3, upper=True))
    assert lower == upper
    assert len({one.patient for one in lower}) == 3
    assert read_titles(tmp_path / "lower") == {}


def test_repeats_of_a_prescription_count_once(tmp_path):
    folder = write_mimic3(tmp_path / "m", patients=1)
    orders = folder / "PRESCRIPTIONS.csv"
    header, first, *rest = orders.read_text().splitlines(keepends=True)
    before = read_admissions(folder)
    orders.write_text(header + first + first + "".join(rest))
    assert read_admissions(folder) == before


@pytest.mark.parametrize(
    ("name", "spoil", "told"),
    [
        ("ADMISSIONS.csv", None, "no ADMISSIONS.csv"),
        ("ADMISSIONS.csv", lambda text: text.replace("hadm_id", "stay"), "no column hadm_id"),
        ("DIAGNOSES_ICD.csv", lambda text: text.replace("icd9_code", "code"), "no column icd9_code"),
        ("PRESCRIPTIONS.csv", lambda text: text.splitlines()[0] + "\n", "holds no row"),
        ("ADMISSIONS.csv", lambda text: text.replace("100,", "x100,", 1), "is not a number"),
    ],
)
def test_a_bad_table_is_named(tmp_path, name, spoil, told):
    folder = write_mimic3(tmp_path / "m", patients=2)
    path = folder / name
    if spoil is None:
        path.unlink()
    else:
        path.write_text(spoil(path.read_text()))
    with pytest.raises(KedrecError, match=told):
        read_admissions(folder)


def test_a_file_cut_short_is_not_taken_for_a_whole_one(tmp_path):
    _write_mimic4(tmp_path)
    path = tmp_path / "hosp" / "prescriptions.csv.gz"
    path.write_bytes(path.read_bytes()[:-12])
    with pytest.raises(KedrecError, match="not a whole CSV"):
        read_admissions(tmp_path)


def test_the_open_demo(real_data):
    admissions = read_admissions(real_data / "mimic3_demo")
    assert len(admissions) == 129
    assert len({one.patient for one in admissions}) == 100
    assert all(one.diagnoses for one in admissions)
    assert sum(len(one.diagnoses) for one in admissions) == 1761
