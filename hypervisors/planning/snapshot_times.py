"""When a schedule is due next: on the clock on the wall, through summer and winter time. Values in, a moment out."""

from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta
from zoneinfo import ZoneInfo

HOURS, DAILY, WEEKLY = "hours", "daily", "weekly"


@dataclass(frozen=True, kw_only=True)
class Rhythm:
    """`weekday`: Monday is 0. `every_hours` counts from midnight UTC of 1970-01-01, whatever the clock on the wall."""

    frequency: str
    every_hours: int = 1
    at_time: time = time()
    weekday: int = 0


def next_moment(rhythm: Rhythm, *, after: datetime, zone: ZoneInfo) -> datetime:
    """The first moment later than `after` (aware), in UTC.

    An hour that summer time skips counts as the hour after it; of one that comes twice the first counts.
    """
    if rhythm.frequency == HOURS:
        step_seconds = rhythm.every_hours * 3600
        return datetime.fromtimestamp((int(after.timestamp()) // step_seconds + 1) * step_seconds, tz=UTC)
    day = after.astimezone(zone).date() - timedelta(days=1)
    while True:
        if rhythm.frequency != WEEKLY or day.weekday() == rhythm.weekday:
            moment = datetime.combine(day, rhythm.at_time, tzinfo=zone).astimezone(UTC)
            if moment > after:
                return moment
        day += timedelta(days=1)
