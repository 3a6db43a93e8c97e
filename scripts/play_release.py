# noqa: INP001 - a script, run as it stands
"""Play runs with the processes of another release on the schema of this one, and judge them.

    python scripts/play_release.py v0.1.0 [--plays 2]

Takes the code of a git ref out into a scratch folder, migrates a scratch database with the present
code, and plays the runs of the crash sweep

    twin         with the present processes; what the others are compared with
    before       started, decided and carried out by the processes of the ref
    both         by workers and sweepers of both at once
    handed_over  begun by those of the ref, which are told to end, and ended by the present ones
    handed_back  the other way round, as when a release is taken back

Agents are those of the ref throughout, as an operator's would be. The last line is one JSON object;
exit 1 unless every end is that of its twin, each effect happened once, and no statement of the
ref's processes was refused.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import json
import re
import subprocess
import sys
import tarfile
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final

ROOT: Final = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from agentops.child import Child  # noqa: E402 - found by the line before
from agentops.processes import Processes  # noqa: E402
from agentops.proving import compare  # noqa: E402
from agentops.proving.stage import FINAL, Stage, stage  # noqa: E402
from agentops.supervisor import Process  # noqa: E402

PATIENCE_SECONDS: Final = 90.0
READY_SECONDS: Final = 60.0
SETTINGS: Final = {
    "AGENTOPS_LEASE_SECONDS": "2",
    "AGENTOPS_SWEEP_SECONDS": "0.2",
    "AGENTOPS_BURST_SUPER_STEPS": "2",  # so that a run goes through the hands of both
}
NAMES: Final = "import json; from agentops.proving.stage import AGENTS; print(json.dumps(AGENTS))"
REFUSED: Final = re.compile(r"does not exist|is not unique|violates|permission denied|not-null")
PRESENT: Final = ("workers", "sweeper")
BEFORE: Final = ("workers-before", "sweeper-before")

Ask = Callable[[Mapping[str, Any]], Mapping[str, Any]]
Ends = Mapping[str, Any]


@dataclass
class Play:
    """A stage whose processes may be the present ones, those of another release, or both."""

    up: Stage
    code: Path
    agents: Sequence[str]
    before: Child
    found: Counter[str] = field(default_factory=Counter)
    _there: dict[str, Process] = field(default_factory=dict)

    def have(self, *names: str) -> None:
        """Have exactly these processes: start who is missing, and tell the others to end."""
        supervisor = self.up.supervisor
        running = {each.name for each in supervisor.status()}
        for name in names:
            if name not in running:
                supervisor.start(self._made(name))
        for name in names:
            supervisor.wait_ready(name, timeout=READY_SECONDS)
        for name in {*PRESENT, *BEFORE} & running - {*names}:
            supervisor.stop(name)

    def _made(self, name: str) -> Process:
        if name not in self._there:
            run = self.up.supervisor.run / name
            run.mkdir()
            processes = Processes(self.up.environment, run)
            is_nursery = name.startswith("workers")
            made = processes.workers(2, concurrency=4) if is_nursery else processes.sweeper()
            folder = self.code if name in BEFORE else made.folder
            self._there[name] = replace(made, name=name, folder=folder)
        return self._there[name]

    def begin(self, ask: Ask, name: str) -> dict[str, str]:
        """Have a run of each agent started; gives their ids by agent."""
        ids = ask({"start": {f"{name}/{agent}": agent for agent in self.agents}})
        return {agent: ids[f"{name}/{agent}"] for agent in self.agents}

    def until_busy(self, ids: Sequence[str]) -> None:
        """Wait until half of the runs have called the outside."""
        until = time.monotonic() + PATIENCE_SECONDS
        while len(self.up.outside().keys() & set(ids)) < len(ids) / 2:
            if time.monotonic() > until:
                return
            time.sleep(0.05)

    def end(self, ask: Ask, ids: Mapping[str, str]) -> Ends:
        """Play the person until every run has ended, or for long enough; gives how each stands."""
        until = time.monotonic() + PATIENCE_SECONDS
        while not set(ask({"tend": list(ids.values())}).values()) <= FINAL:
            if time.monotonic() > until:
                break
            time.sleep(0.1)
        found = self.up.ends(list(ids.values()))
        return {agent: found[run_id] for agent, run_id in ids.items()}

    def judge(self, name: str, ends: Ends, twins: Ends) -> None:
        """Compare ends with those of their twins, and with what the outside saw."""
        seen = self.up.outside()
        for agent, end in ends.items():
            wrong = compare.differences(end, twins[agent])
            self.found.update(
                runs=1, ended=end["state"] in FINAL, same_end=not wrong, differs=bool(wrong)
            )
            for one in compare.whole(end):
                there = compare.outside(one, seen.get(one["run"], ()))
                self.found.update(duplicated=there.duplicated, missing=there.missing)
            if wrong:
                say(f"WRONG: {name}: {agent} ({end['state']}): {', '.join(wrong)}")

    def refused(self) -> int:
        """Count, and say, what the database refused the processes of the ref."""
        logs = [self.up.state / "logs" / f"{name}.log" for name in (*BEFORE, self.before.name)]
        kept = [path.read_text("utf-8") for path in logs if path.exists()]
        lines = {line for text in kept for line in text.splitlines() if REFUSED.search(line)}
        for line in sorted(lines)[:10]:
            say(f"REFUSED: {line[:400]}")
        return len(lines)


def main() -> int:
    """Play and judge; gives the exit code."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("ref", help="a tag or commit: the release before")
    parser.add_argument("--plays", type=int, default=1, help="how often each is played")
    asked = parser.parse_args()
    began = time.monotonic()
    with taken_out(asked.ref) as code, playing(code) as play:
        rounds(play, asked.plays)
        refused = play.refused()
    found = play.found
    wrong = found["runs"] - found["ended"] + found["differs"]
    all_right = not (wrong or refused or found["duplicated"] or found["missing"])
    facts = {
        "ref": asked.ref,
        **{name: found[name] for name in ("runs", "ended", "same_end", "duplicated", "missing")},
        "refused": refused,
        "all_right": all_right,
        "seconds": round(time.monotonic() - began, 1),
    }
    say(json.dumps(facts))
    return 0 if all_right else 1


@contextlib.contextmanager
def taken_out(ref: str) -> Iterator[Path]:
    """Have the code of a ref in a folder that is gone afterwards."""
    command = ["git", "archive", "--format=tar", ref]
    packed = subprocess.run(command, cwd=ROOT, capture_output=True, check=True)  # noqa: S603
    with tempfile.TemporaryDirectory(prefix="agentops-release-") as name:
        with tarfile.open(fileobj=io.BytesIO(packed.stdout)) as archive:
            archive.extractall(name, filter="data")
        yield Path(name)


@contextlib.contextmanager
def playing(code: Path) -> Iterator[Play]:
    """Have a migrated stage, and somebody of the other release who starts runs and decides."""
    names = subprocess.run(  # noqa: S603 - our own Python
        [sys.executable, "-c", NAMES], cwd=code, capture_output=True, text=True, check=True
    )
    settings = {**SETTINGS, "AGENTOPS_AGENTS": str(code / "agentops" / "proving" / "agents")}
    with stage(settings, workers=2, threads=4) as up:
        line = [sys.executable, "-m", "agentops.proving.driver"]
        logs = up.state / "logs"
        with Child("driver-before", line, up.environment, logs=logs, folder=code) as before:
            before.hear()
            yield Play(up, code, json.loads(names.stdout), before)


def rounds(play: Play, times: int) -> None:
    """Play everything, so many times."""
    now, before = play.up.ask, play.before.ask
    twins = play.end(now, play.begin(now, "twin"))
    play.judge("twin", twins, twins)
    for number in range(times):
        play.have(*BEFORE)
        judge(play, f"before-{number}", before, before, (), twins)
        play.have(*BEFORE, *PRESENT)
        judge(play, f"both-{number}", before, now, (), twins)
        play.have(*BEFORE)
        judge(play, f"handed_over-{number}", before, now, PRESENT, twins)
        judge(play, f"handed_back-{number}", now, before, BEFORE, twins)


def judge(play: Play, name: str, one: Ask, other: Ask, then: Sequence[str], twins: Ends) -> None:
    """Play once: begun by one, ended by another; in between other processes may take over."""
    began = time.monotonic()
    ids = play.begin(one, name)
    if then:
        play.until_busy(list(ids.values()))
        play.have(*then)
    play.judge(name, play.end(other, ids), twins)
    say(f"{name}: {time.monotonic() - began:.1f} s")


def say(line: str) -> None:
    """Print a line at once."""
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
