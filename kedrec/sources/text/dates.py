"""Complete and partial dates of sources, and comparison of such dates with a cut-off date."""

import calendar
import re
from datetime import date, timedelta

from kedrec.errors import KedrecError

_MONTHS = {name.lower(): number for number, name in enumerate(calendar.month_abbr) if name}


def iso_date(year: str, month: str = "", day: str = "") -> str:
    """Return ``YYYY-MM-DD``, ``YYYY-MM`` or ``YYYY``, as far as the parts are valid; empty without a year.

    Args:
        year: four digits.
        month: a number, or an English name or its first three letters.
        day: a number.
    """
    if not re.fullmatch(r"\d{4}", year) or year == "0000":
        return ""
    number = int(month) if month.isdecimal() else _MONTHS.get(month[:3].lower(), 0)
    if not 1 <= number <= 12:
        return year
    if not day.isdecimal() or not 1 <= int(day) <= calendar.monthrange(int(year), number)[1]:
        return f"{year}-{number:02}"
    return f"{year}-{number:02}-{int(day):02}"


def last_day(written: str) -> date | None:
    """Return the last day that a complete or partial ISO date can mean; ``None`` if it is not such a date."""
    parts = re.fullmatch(r"(\d{4})(?:-(\d\d)(?:-(\d\d))?)?", written)
    if not parts:
        return None
    year, month = int(parts[1]), int(parts[2] or 12)
    try:
        return date(year, month, int(parts[3]) if parts[3] else calendar.monthrange(year, month)[1])
    except ValueError:  # also raised by calendar for an invalid month
        return None


def earliest(dates: list[str]) -> str:
    """Return the date whose last possible day is earliest, the most complete of equals; empty if there is no date."""
    known = [(day, -len(written), written) for written in dates if (day := last_day(written))]
    return min(known)[2] if known else ""


def surely_before(written: str, limit: str) -> bool:
    """Whether a complete or partial ISO date is before the day ``limit``, whatever its missing parts are."""
    day = last_day(written)
    return day is not None and day < date.fromisoformat(limit)


def check_cut_off(before: str) -> date:
    """Return the day before the cut-off date: the latest day that evidence may have.

    Raises:
        KedrecError: ``before`` is not a date ``YYYY-MM-DD``.
    """
    try:
        return date.fromisoformat(before) - timedelta(days=1)
    except (ValueError, OverflowError) as fault:
        raise KedrecError(f"before: {before!r} is not a date; expected one such as 2015-01-01") from fault
