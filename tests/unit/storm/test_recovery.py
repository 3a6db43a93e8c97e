"""How long the runs of a killed worker stand still."""

from __future__ import annotations

from agentops.storm.recovery import Recovery


def test_a_run_has_recovered_at_its_next_commit() -> None:
    recovery = Recovery()
    recovery.killed([("r", 5)], at=10)
    recovery.see("r", 5, at=12)
    recovery.see("r", 6, at=14)

    assert recovery.result()["max_recovery_seconds"] == 4


def test_a_second_kill_starts_the_clock_anew() -> None:
    recovery = Recovery()
    recovery.killed([("r", 5)], at=10)
    recovery.killed([("r", 5)], at=13)
    recovery.see("r", 6, at=14)

    assert recovery.result()["max_recovery_seconds"] == 1


def test_what_overlaps_an_outage_is_counted_apart() -> None:
    recovery = Recovery()
    recovery.outage(11, 12)
    recovery.killed([("r", 5)], at=10)
    recovery.see("r", 6, at=25)

    assert recovery.result()["recovered"] == 0
    assert recovery.result()["max_recovery_seconds_with_outage"] == 15
