"""What `doctor` looks at: each check says what it found, and how to cure it in one line."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

import django
import psycopg
import redis
from django.core.exceptions import ImproperlyConfigured
from kombu.exceptions import OperationalError

from agentops.servers import ServerUnavailable, given

LONGEST_SKEW: Final = 2.0
SHORTEST_KEY: Final = 32
PING_SECONDS: Final = 2.0
PROBE_SECONDS: Final = 5.0
SHARE: Final = (
    "give every machine the same storage (AGENTOPS_ARTIFACTS, or _BACKEND and _OPTIONS), "
    "and every process the same user"
)
LOG: Final = "look into that worker's log; restart it, if it is of an older release"


@dataclass(frozen=True, slots=True)
class Check:
    """One finding; `cure` is empty when all is well."""

    name: str
    detail: str
    cure: str = ""

    @property
    def is_good(self) -> bool:
        return not self.cure


def look(only: str = "") -> list[Check]:
    """Make all checks, or the one of this name. None of them raises, none leaves anything."""
    return [_made(name, check) for name, check in CHECKS.items() if only in {"", name}]


def _made(name: str, check: Callable[[], tuple[str, str]]) -> Check:
    try:
        return Check(name, *check())
    except ServerUnavailable as error:
        what, _, cure = str(error).partition("\n")
        return Check(name, what, cure or "see the line above")
    except ImproperlyConfigured as error:
        return Check(name, str(error), "correct that variable of the environment")
    except (psycopg.Error, redis.RedisError, django.db.Error) as error:
        return Check(name, str(error).strip().splitlines()[0], "cure the database and Redis first")


def _secret_key() -> tuple[str, str]:
    key = os.environ.get("AGENTOPS_SECRET_KEY", "")
    if not key:
        return "AGENTOPS_SECRET_KEY is not set", "set it to a long random text, and keep it"
    if len(key) < SHORTEST_KEY:
        return f"it has only {len(key)} characters", f"take {SHORTEST_KEY} random ones or more"
    return f"{len(key)} characters", ""


def _database() -> tuple[str, str]:
    return given.postgres_version(os.environ.get("DATABASE_URL", "")), ""


def _redis() -> tuple[str, str]:
    return given.redis_version(os.environ.get("REDIS_URL", "")), ""


def _clock() -> tuple[str, str]:
    """Compare with the middle of the question, so that a slow network is no skew."""
    with psycopg.connect(os.environ.get("DATABASE_URL", ""), connect_timeout=5) as connection:
        before = time.time()
        row = connection.execute("SELECT extract(epoch FROM clock_timestamp())").fetchone()
        middle = (before + time.time()) / 2
    skew = (float(row[0]) if row else 0.0) - middle
    found = f"the database's clock is {abs(skew):.3f} s {'ahead' if skew > 0 else 'behind'}"
    late = abs(skew) > LONGEST_SKEW
    return found, "set both hosts' clocks with NTP; leases follow the database's" if late else ""


def _migrations() -> tuple[str, str]:
    _settings()
    from django.db import connection  # noqa: PLC0415 - needs settings
    from django.db.migrations.executor import MigrationExecutor  # noqa: PLC0415 - needs settings

    executor = MigrationExecutor(connection)
    missing = len(executor.migration_plan(executor.loader.graph.leaf_nodes()))
    if missing:
        return f"{missing} are not applied", "python manage.py migrate"
    return "all are applied", ""


def _worker() -> tuple[str, str]:
    _settings()
    from agentops.celery import app  # noqa: PLC0415 - needs settings

    try:
        answers = app.control.ping(timeout=PING_SECONDS)
    except (OSError, OperationalError) as error:
        return f"the broker cannot be reached: {error}", "start Redis, or correct REDIS_URL"
    if not answers:
        return "none answers", "start one; see docker-compose.yml, or logs/ in the state folder"
    return ", ".join(_names(answers)), ""


def _sweeper() -> tuple[str, str]:
    _settings()
    from django.conf import settings  # noqa: PLC0415 - needs settings

    with redis.Redis.from_url(settings.REDIS_URL, socket_timeout=5) as client:
        left = client.ttl(f"{settings.REDIS_PREFIX}:sweeper")
    if left < 0:
        return "no heart-beat for 15 s or more", "start it: python manage.py sweep"
    return "its heart beats", ""


def _artifacts() -> tuple[str, str]:
    """Let a probe lie there for as long as it takes to read it, here and in every worker.

    A storage may raise anything where it is given options that it does not know.
    """
    _settings()
    from runs.artifacts.here import kept_here, place  # noqa: PLC0415 - needs settings
    from runs.artifacts.probing import probed  # noqa: PLC0415
    from runs.errors import ArtifactsAway  # noqa: PLC0415

    try:
        storage = kept_here().storage()
    except Exception as error:  # noqa: BLE001 - as said above
        found = f"the storage of artifacts cannot be made: {type(error).__name__}: {error}"
        return found, "correct AGENTOPS_ARTIFACTS_BACKEND and AGENTOPS_ARTIFACTS_OPTIONS"
    try:
        with probed(storage) as key:
            answers = _seen_by_workers(key)
    except ArtifactsAway as error:
        cause = error.__cause__
        found = f"{error}: {cause}" if cause else str(error)
        return found, f"see to it that {place()} is there, and that web and workers may write to it"
    for name, said in sorted(answers.items()):
        if "why" not in said:
            return f"{name} does not say whether it reads {place()}: {said['error']}", LOG
        if said["why"]:
            found = f"{name} does not find what was written to {place()} here: {said['why']}"
            return found, SHARE
    seen = f"read by {', '.join(sorted(answers))}" if answers else "no worker said it reads it"
    return f"{place()}; {seen}", ""


def _seen_by_workers(key: str) -> dict[str, dict[str, str]]:
    """Ask each worker that answers pings for a probe: `why` it is not read, or an `error`."""
    from agentops.celery import app  # noqa: PLC0415 - needs settings
    from runs.artifacts.probing import PROBE  # noqa: PLC0415

    asked: dict[str, Any] = {"arguments": {"key": key}, "reply": True, "timeout": PROBE_SECONDS}
    try:
        there = _names(app.control.ping(timeout=PING_SECONDS))
        told = app.control.broadcast(PROBE, destination=there, **asked) if there else []
    except (OSError, OperationalError):
        return {}
    silent = {name: {"error": f"it said nothing for {PROBE_SECONDS:g} s"} for name in there}
    return silent | {name: said for answer in told or () for name, said in answer.items()}


def _names(answers: Iterable[Mapping[str, Any]] | None) -> list[str]:
    return sorted(name for answer in answers or () for name in answer)


def _settings() -> None:
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "agentops.settings")
    os.environ.setdefault("AGENTOPS_DATABASE_ROLE", "system")
    django.setup()


CHECKS: Final[dict[str, Callable[[], tuple[str, str]]]] = {
    "secret-key": _secret_key,
    "database": _database,
    "redis": _redis,
    "clock": _clock,
    "migrations": _migrations,
    "worker": _worker,
    "sweeper": _sweeper,
    "artifacts": _artifacts,
}
