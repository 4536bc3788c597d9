import pytest

from kedrec.errors import KedrecError
from kedrec.mimic.clinical_codes import ATC, CROSS_REFERENCES, ICD9_TITLES, NDC, Mappings, load_mappings

GOOD = {
    ICD9_TITLES: "0010  Cholera due to vibrio cholerae\n7231  M\xe9ni\xe8re's disease\n",
    NDC: "{'00338500341': u'1665046', '00064100133': ''}",
    ATC: "CID000003015,G03HA01\nCID000004011,N06AA21,N06AA22\n",
    CROSS_REFERENCES: (
        "mondo_id\tname\tnamespace\txref\n5\tx\tICD9\t279.8\n5\tx\tICD10CM\tD84.1\n5\tx\tMESH\tD053206\n6\ty\tICD9\t255.4\n"
    ),
}


def _write(folder, tables):
    for name, text in tables.items():
        (folder / name).write_text(text, encoding="latin-1" if name == ICD9_TITLES else "utf-8")
    return folder


def test_the_tables_are_read(tmp_path):
    found = load_mappings(_write(tmp_path, GOOD))
    assert found.titles["ICD9", "0010"] == "Cholera due to vibrio cholerae"
    assert found.titles["ICD9", "7231"] == "Ménière's disease"
    assert found.rxcui == {"00338500341": "1665046"}
    assert found.atc == {"3015": ("G03HA01",), "4011": ("N06AA21", "N06AA22")}
    same = ("Disease::MESH:D053206",)
    assert found.diseases == {("ICD9", "2798"): same, ("ICD10", "D841"): same}  # no dots; y has no id of the graph
    assert found.diseases_of(("ICD9", "27981")) == same  # those of the code above
    assert found.diseases_of(("ICD9", "279")) == found.diseases_of(("ICD10", "2798")) == ()


def test_tables_that_are_not_there_say_nothing(tmp_path):
    assert load_mappings(None) == load_mappings(tmp_path) == Mappings()


@pytest.mark.parametrize(
    ("name", "text", "told"),
    [
        (ICD9_TITLES, "0010  Cholera\n0011\n", "line 2"),
        (NDC, "__import__('os').getcwd()", "not a literal dict"),
        (NDC, "['00338500341']", "not a dict"),
        (ATC, "CID1,A\n3015,G03HA01\n", "line 2"),
        (CROSS_REFERENCES, "1\tname\tICD9\n", "line 1: 3 columns"),
    ],
)
def test_a_bad_line_is_named(tmp_path, name, text, told):
    with pytest.raises(KedrecError, match=told):
        load_mappings(_write(tmp_path, {name: text}))


def test_a_folder_that_is_not_there_is_named(tmp_path):
    with pytest.raises(KedrecError, match="no such folder"):
        load_mappings(tmp_path / "none")


def test_the_real_tables(real_data):
    found = load_mappings(real_data / "mappings")
    assert found.titles["ICD9", "99591"] == "Sepsis"
    assert len(found.rxcui) > 4000
    assert "Disease::MESH:D003920" in found.diseases_of(("ICD9", "25000"))  # diabetes, which MONDO knows as 250
