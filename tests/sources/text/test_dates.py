"""Dates, whole and partial, and which of them lie surely before a day."""

import pytest

from kedrec.errors import KedrecError
from kedrec.sources.text.dates import check_cut_off, earliest, iso_date, surely_before


@pytest.mark.parametrize(
    ("parts", "expected"),
    [
        (("2011", "8", "2"), "2011-08-02"),
        (("2011", "Aug", "02"), "2011-08-02"),
        (("2011", "September", ""), "2011-09"),
        (("2011", "Winter", "3"), "2011"),
        (("2011", "2", "30"), "2011-02"),
        (("2011", "13", ""), "2011"),
        (("", "8", "2"), ""),
        (("11", "8", "2"), ""),
        (("0000", "1", "1"), ""),
        (("2011", "²", ""), "2011"),
    ],
)
def test_what_is_known_of_a_date_is_kept(parts, expected):
    assert iso_date(*parts) == expected


@pytest.mark.parametrize(
    ("dates", "first"),
    [
        (["2008-12", "2008-08-01"], "2008-08-01"),
        (["2013-03", "2013-03-12"], "2013-03-12"),
        (["2013", "2013-12-31"], "2013-12-31"),
        (["2012", "2013-01-01"], "2012"),
        (["", "unknown", "2013-99"], ""),
        ([], ""),
    ],
)
def test_the_earliest_is_the_one_that_was_surely_over_first(dates, first):
    assert earliest(dates) == earliest(dates[::-1]) == first


@pytest.mark.parametrize(
    ("written", "before"),
    [("2014-12-31", True), ("2014-12", True), ("2014", True), ("2015-01-01", False), ("2015", False), ("", False)],
)
def test_a_date_in_part_is_before_a_day_only_if_all_of_it_is(written, before):
    assert surely_before(written, "2015-01-01") is before


def test_a_year_is_not_before_a_day_within_it():
    assert not surely_before("2014", "2014-06-01")
    assert surely_before("2014-05", "2014-06-01")


def test_the_cut_off_is_a_day():
    assert str(check_cut_off("2015-01-01")) == "2014-12-31"
    for wrong in ("2015", "soon", "2015-02-30", "0001-01-01"):
        with pytest.raises(KedrecError, match=f"before: '{wrong}' is not a date; expected one such as 2015-01-01"):
            check_cut_off(wrong)
