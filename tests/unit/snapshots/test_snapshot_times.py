"""When a schedule is due: on the clock on the wall, also in the nights that are shorter and longer."""

from datetime import UTC, datetime, time
from zoneinfo import ZoneInfo

import pytest

from hypervisors.planning.snapshot_times import DAILY, HOURS, WEEKLY, Rhythm, next_moment

BERLIN = ZoneInfo("Europe/Berlin")


def _utc(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


@pytest.mark.parametrize(
    ("after", "expected"),
    [
        ("2026-06-10T00:00", "2026-06-10T00:30"),
        ("2026-06-10T00:30", "2026-06-11T00:30"),
        ("2026-01-10T12:00", "2026-01-11T01:30"),
        # 02:30 is skipped on that night: 03:30 summer time stands for it.
        ("2026-03-28T12:00", "2026-03-29T01:30"),
        ("2026-03-29T01:30", "2026-03-30T00:30"),
        # 02:30 comes twice: the first counts, once.
        ("2026-10-24T12:00", "2026-10-25T00:30"),
        ("2026-10-25T00:30", "2026-10-26T01:30"),
        ("2026-10-25T01:15", "2026-10-26T01:30"),
    ],
)
def test_every_day_at_half_past_two_in_berlin(after: str, expected: str) -> None:
    rhythm = Rhythm(frequency=DAILY, at_time=time(2, 30))
    assert next_moment(rhythm, after=_utc(after), zone=BERLIN) == _utc(expected)


@pytest.mark.parametrize(
    ("after", "expected"),
    [
        ("2026-11-26T12:00", "2026-11-30T02:00"),
        ("2026-11-30T01:59", "2026-11-30T02:00"),
        ("2026-11-30T02:00", "2026-12-07T02:00"),
    ],
)
def test_every_monday_at_three_in_berlin(after: str, expected: str) -> None:
    rhythm = Rhythm(frequency=WEEKLY, at_time=time(3), weekday=0)
    assert next_moment(rhythm, after=_utc(after), zone=BERLIN) == _utc(expected)


@pytest.mark.parametrize(
    ("every_hours", "after", "expected"),
    [
        (1, "2026-11-26T12:00", "2026-11-26T13:00"),
        (6, "2026-11-26T12:34", "2026-11-26T18:00"),
        (6, "2026-11-26T18:00", "2026-11-27T00:00"),
        # Neither twice nor left out when the clocks change.
        (1, "2026-10-25T00:30", "2026-10-25T01:00"),
        (1, "2026-03-29T00:59", "2026-03-29T01:00"),
    ],
)
def test_every_few_hours(every_hours: int, after: str, expected: str) -> None:
    rhythm = Rhythm(frequency=HOURS, every_hours=every_hours)
    assert next_moment(rhythm, after=_utc(after), zone=BERLIN) == _utc(expected)
