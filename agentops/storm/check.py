"""What a storm must not have done. Pure: facts in, findings out."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

FINAL: Final = frozenset({"succeeded", "failed", "cancelled", "expired"})
HELD_BACK: Final = frozenset({"waiting", "interrupted", "paused"})
UNITS: Final = ("cost", "tokens", "model_calls", "tool_calls")
NEVER_SENT: Final = frozenset({"policy_denied"})

Row = Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """What is known after a storm: of the database, of the outside, and from during it."""

    accepted: Mapping[str, str]
    """The id of each run that was accepted, by its name."""
    runs: Sequence[Row]
    effects: Sequence[Row]
    outside: Sequence[Row]
    audited: Mapping[str, int]
    """How often each `action subject` stands in the audit log."""
    seen_ended: Mapping[str, Sequence[Any]]
    """How a run stood when it was first seen to have ended."""


@dataclass(slots=True)
class Findings:
    """What is wrong, each in words."""

    lost: list[str] = field(default_factory=list)
    duplicated: list[str] = field(default_factory=list)
    broken: list[str] = field(default_factory=list)
    ended: int = 0
    waiting_for_named: int = 0

    @property
    def clean(self) -> bool:
        return not (self.lost or self.duplicated or self.broken)


def check(facts: Facts) -> Findings:
    """Look at everything."""
    found = Findings()
    runs = {run["id"]: run for run in facts.runs}
    for name, run_id in facts.accepted.items():
        _stands(found, name, runs.get(run_id))
    found.broken += [line for run in facts.runs for line in _rules(run)]
    found.broken += _moved(facts, runs)
    found.broken += _unaudited(facts)
    _effects(found, facts)
    for name, times in Counter(run["name"] for run in facts.runs).items():
        if times > 1:
            found.duplicated.append(f"{name} was accepted {times} times")
    return found


def _stands(found: Findings, name: str, run: Row | None) -> None:
    """An accepted run has ended or waits for a named thing."""
    if run is None:
        found.lost.append(f"{name} was accepted and is not there")
    elif run["state"] in FINAL:
        found.ended += 1
    elif run["state"] in HELD_BACK and run["reason"]:
        found.waiting_for_named += 1
    else:
        found.lost.append(f"{name} ({run['id']}) is still {run['state']}")


def _rules(run: Row) -> Iterable[str]:
    """Name what does not hold of a run's own rows."""
    name = f"run {run['id']} ({run['state']})"
    if run["super_steps"] != list(range(run["super_step"] + 1)):
        yield f"{name} has checkpoints {run['super_steps']} at super-step {run['super_step']}"
    if run["tokens"] != sorted(run["tokens"]):
        yield f"{name} has falling tokens {run['tokens']}"
    if not run["events"] == run["last_event"] == run["event_seq"]:
        yield f"{name} has {run['events']} events up to {run['last_event']}"
    yield from _money(name, run)


def _money(name: str, run: Row) -> Iterable[str]:
    for unit in UNITS:
        limit, spent, reserved = (run[f"{unit}_{what}"] for what in ("limit", "spent", "reserved"))
        if limit is not None and spent + reserved > limit:
            yield f"{name} has spent {spent} and reserved {reserved} of {limit} {unit}"
        if reserved and run["state"] in FINAL | HELD_BACK:
            yield f"{name} is at rest with {reserved} {unit} reserved"
    for unit in ("cost", "tokens"):
        booked, known = run[f"{unit}_booked"], run[f"{unit}_in_ledger"]
        if booked != known:
            yield f"{name} booked {unit} {booked} and its ledger says {known}"


def _moved(facts: Facts, runs: Mapping[str, Row]) -> Iterable[str]:
    for run_id, before in facts.seen_ended.items():
        now = [runs[run_id][name] for name in ("state", "event_seq", "super_step")]
        if now != list(before):
            yield f"run {run_id} had ended as {before} and is now {now}"


def _unaudited(facts: Facts) -> Iterable[str]:
    for run in facts.runs:
        subject = f"run/{run['id']}"
        wanted = ["run.started", *([f"run.{run['state']}"] if run["state"] in FINAL else [])]
        for action in wanted:
            if (times := facts.audited.get(f"{action} {subject}", 0)) != 1:
                yield f"{action} of {subject} stands {times} times in the audit log"
    for effect in facts.effects:
        if effect["state"] in {"done", "failed"}:
            what = f"effect.{effect['state']} effect/{effect['key']}"
            if not facts.audited.get(what):
                yield f"{what} is not in the audit log"


def _effects(found: Findings, facts: Facts) -> None:
    """Compare the ledger with what the outside saw, key by key."""
    happened = Counter(row["key"] for row in facts.outside if row["happened"])
    known = {effect["key"]: effect for effect in facts.effects if effect["kind"] == "tool"}
    for key, times in happened.items():
        if times > 1:
            found.duplicated.append(f"{key} happened {times} times")
        if key not in known:
            found.broken.append(f"{key} happened and is not in the ledger")
        elif known[key]["error_class"] in NEVER_SENT:
            found.broken.append(f"{key} was denied and happened")
    for key, effect in known.items():
        if effect["state"] == "done" and effect["class"] != "read" and not happened[key]:
            found.lost.append(f"{key} is done and never happened")
