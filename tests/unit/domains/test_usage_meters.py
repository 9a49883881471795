"""Counters become usage: shares of vCPUs and bytes per second, never negative, never of a gap."""

from dataclasses import replace
from uuid import UUID

from hypervisors.gateway.domains.statistics import DomainStatistics
from hypervisors.gateway.hypervisors.hosts import HostLoad
from hypervisors.inventory.sessions.usage_meters import AnswerJudge, UsageMeter

A = UUID(int=1)
FIRST = DomainStatistics(
    uuid=A,
    run=1,
    cpu_nanoseconds=10_000_000_000,
    vcpu_count=2,
    memory_used_kib=1000,
    memory_told_at=None,
    disk_read_bytes=100,
    disk_write_bytes=200,
    net_receive_bytes=300,
    net_transmit_bytes=400,
    is_complete=True,
)


def test_the_first_reading_tells_nothing_the_second_the_mean_between() -> None:
    meter = UsageMeter()
    assert meter.measure([FIRST], epoch=1000, now=50.0) == {}
    second = replace(FIRST, cpu_nanoseconds=15_000_000_000, disk_read_bytes=600, net_transmit_bytes=900)
    sample = meter.measure([second], epoch=1005, now=55.0)[A]
    assert (sample.epoch, sample.cpu_percent, sample.memory_kib) == (1005, 50.0, 1000)
    assert (sample.disk_read_bytes_per_second, sample.disk_write_bytes_per_second) == (100.0, 0.0)
    assert (sample.net_receive_bytes_per_second, sample.net_transmit_bytes_per_second) == (0.0, 100.0)


def test_counters_that_went_back_give_zero_and_more_than_all_vcpus_gives_all() -> None:
    meter = UsageMeter()
    meter.measure([FIRST], epoch=0, now=0.0)
    sample = meter.measure([replace(FIRST, cpu_nanoseconds=0, disk_read_bytes=0)], epoch=5, now=5.0)[A]
    assert (sample.cpu_percent, sample.disk_read_bytes_per_second) == (0.0, 0.0)
    assert meter.measure([replace(FIRST, cpu_nanoseconds=10**12)], epoch=10, now=10.0)[A].cpu_percent == 100.0


def test_a_domain_that_does_not_answer_is_left_out_and_resumed_without_a_spike() -> None:
    meter = UsageMeter()
    meter.measure([FIRST], epoch=0, now=0.0)
    assert meter.measure([replace(FIRST, is_complete=False, disk_read_bytes=0)], epoch=5, now=5.0) == {}
    sample = meter.measure([replace(FIRST, disk_read_bytes=1100)], epoch=10, now=10.0)[A]
    assert sample.disk_read_bytes_per_second == 100.0


def test_a_domain_that_was_away_starts_anew() -> None:
    meter = UsageMeter()
    meter.measure([FIRST], epoch=0, now=0.0)
    meter.measure([], epoch=5, now=5.0)
    assert meter.measure([FIRST], epoch=10, now=10.0) == {}


def test_the_hosts_load_is_the_share_of_all_its_processors() -> None:
    meter = UsageMeter()
    load = HostLoad(cpu_busy_nanoseconds=100, cpu_total_nanoseconds=1000, memory_used_kib=5)
    assert meter.measure_host(load, [], epoch=0) is None
    later = HostLoad(cpu_busy_nanoseconds=350, cpu_total_nanoseconds=2000, memory_used_kib=7)
    sample = meter.measure_host(later, [], epoch=5)
    assert sample is not None
    assert (sample.cpu_percent, sample.memory_kib) == (25.0, 7)
    unknown = HostLoad(cpu_busy_nanoseconds=None, cpu_total_nanoseconds=None, memory_used_kib=None)
    assert meter.measure_host(unknown, [], epoch=10) is None


def test_a_domain_is_said_not_to_answer_at_the_second_incomplete_sweep() -> None:
    judge, hung = AnswerJudge(), replace(FIRST, is_complete=False)
    assert judge.judge([FIRST]) == {A: True}, "said once, for a row from before a restart may say otherwise"
    assert judge.judge([FIRST]) == {}
    assert judge.judge([hung]) == {}
    assert judge.judge([hung]) == {A: False}
    assert judge.judge([hung]) == {}
    assert judge.judge([FIRST]) == {A: True}
    assert judge.judge([hung]) == {}
    assert judge.judge([FIRST]) == {A: True}, "harmless: the row says so already"
