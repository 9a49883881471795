"""What a guest says of its memory counts while it goes on saying it; who does not is asked to, once."""

from dataclasses import replace
from uuid import UUID

import pytest

from hypervisors.gateway.domains.statistics import DomainStatistics
from hypervisors.inventory.sessions.memory_reports import MemoryReports
from hypervisors.libvirtxml.memory_balloons import parse_memory_balloon

ONE = UUID(int=1)
READING = DomainStatistics(
    uuid=ONE,
    run=1,
    cpu_nanoseconds=1,
    vcpu_count=1,
    memory_used_kib=1000,
    memory_told_at=500,
    disk_read_bytes=0,
    disk_write_bytes=0,
    net_receive_bytes=0,
    net_transmit_bytes=0,
    is_complete=True,
)


def used(reports: MemoryReports, reading: DomainStatistics, now: float) -> int | None:
    return reports.believed([reading], now=now)[0].memory_used_kib


def test_a_report_counts_once_it_moves_and_until_it_stands_still() -> None:
    reports = MemoryReports()
    assert used(reports, READING, 0.0) is None
    assert used(reports, replace(READING, memory_told_at=505), 5.0) == 1000
    assert used(reports, replace(READING, memory_told_at=505), 35.0) == 1000
    assert used(reports, replace(READING, memory_told_at=505), 36.0) is None
    assert used(reports, replace(READING, memory_told_at=510), 40.0) == 1000


def test_who_tells_every_minute_is_believed_in_between() -> None:
    reports = MemoryReports()
    for minute in range(3):
        used(reports, replace(READING, memory_told_at=500 + 60 * minute), 60.0 * minute)
    assert used(reports, replace(READING, memory_told_at=620), 230.0) == 1000
    assert used(reports, replace(READING, memory_told_at=620), 300.0) is None


def test_a_first_report_after_none_is_one_word_and_no_habit() -> None:
    reports = MemoryReports()
    used(reports, replace(READING, memory_told_at=None, memory_used_kib=None), 0.0)
    assert used(reports, READING, 5.0) is None
    assert used(reports, replace(READING, memory_told_at=505), 10.0) == 1000


def test_who_stays_silent_is_named_once_in_each_run_of_it() -> None:
    reports = MemoryReports()

    def asked(reading: DomainStatistics, now: float) -> list[UUID]:
        reports.believed([reading], now=now)
        return list(reports.to_ask([reading], now=now))

    assert asked(READING, 0.0) == []
    assert asked(READING, 5.0) == []
    assert asked(replace(READING, is_complete=False), 12.0) == []
    assert asked(READING, 15.0) == [ONE]
    assert asked(READING, 20.0) == []
    assert asked(replace(READING, run=2), 25.0) == []
    assert asked(replace(READING, run=2), 40.0) == [ONE]


def test_who_tells_by_itself_is_never_asked_and_few_are_at_once() -> None:
    reports = MemoryReports()
    for second in range(0, 60, 5):
        reading = replace(READING, memory_told_at=500 + second)
        reports.believed([reading], now=float(second))
        assert reports.to_ask([reading], now=float(second)) == []
    many = [replace(READING, uuid=UUID(int=number)) for number in range(2, 60)]
    reports.believed(many, now=100.0)
    reports.believed(many, now=120.0)
    counts = []
    while found := reports.to_ask(many, now=120.0):
        counts.append(len(found))
    assert counts == [20, 20, 18]


@pytest.mark.parametrize(
    ("balloon", "can_tell", "period"),
    [
        ("<memballoon model='virtio'/>", True, 0),
        ("<memballoon model='virtio'><stats period='10'/></memballoon>", True, 10),
        ("<memballoon model='none'/>", False, 0),
        ("", False, 0),
    ],
)
def test_the_balloon_is_read_from_the_definition(balloon: str, can_tell: bool, period: int) -> None:
    parsed = parse_memory_balloon(f"<domain><devices>{balloon}</devices></domain>")
    assert (parsed.can_tell, parsed.period_seconds) == (can_tell, period)
