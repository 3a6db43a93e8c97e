"""Reads what a database and the code that is answer: the other side of `compare`."""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterator, Mapping
from typing import Any, Final

import psycopg
from celery import Celery
from psycopg import sql

from agentops.processes import CHECKOUT
from agentops.releases.record import Column, Record, Rule, Signature, Table, Task
from runs.core.checkpoint import Checkpoint

FILE: Final = CHECKOUT / "tests" / "golden" / "release.json"
"""The record of the newest release; `scripts/record_release.py` writes it."""
RELEASED: Final = re.compile(r"^## \[(\d[^\]]*)\]", re.MULTILINE)
PACKAGES: Final = ("agentops", "gateway", "policy", "runs", "tools")
WORD: Final = re.compile(r"\b(?:gateway|policy|runs|tools)_[a-z_]+\b")

FUNCTIONS: Final = """
SELECT p.proname, ARRAY(
    SELECT format_type(t, NULL) FROM unnest(p.proargtypes) WITH ORDINALITY AS a (t, n) ORDER BY n),
  p.pronargdefaults, pg_get_function_result(p.oid)
FROM pg_proc AS p WHERE p.pronamespace = 'public'::regnamespace AND p.prokind = 'f'
  AND p.prorettype <> 'trigger'::regtype AND p.proname = ANY (%s)
ORDER BY p.proname, p.oid::regprocedure::text
"""
COLUMNS: Final = """
SELECT c.relname, a.attname, format_type(a.atttypid, a.atttypmod), a.attnotnull,
  a.atthasdef OR a.attidentity <> ''
FROM pg_class AS c JOIN pg_attribute AS a ON a.attrelid = c.oid
WHERE c.relnamespace = 'public'::regnamespace AND c.relkind IN ('r', 'p')
  AND a.attnum > 0 AND NOT a.attisdropped
ORDER BY c.relname, a.attnum
"""
APP_MAY: Final = """
SELECT c.relname, array_agg(p ORDER BY p)
FROM pg_class AS c, unnest(ARRAY['SELECT', 'INSERT', 'UPDATE', 'DELETE']) AS p
WHERE c.relnamespace = 'public'::regnamespace AND c.relkind IN ('r', 'p')
  AND has_table_privilege(%s, c.oid, p) GROUP BY c.relname
"""
RULES: Final = """
SELECT c.relname, k.conname, pg_get_constraintdef(k.oid), ARRAY(
    SELECT a.attname::text FROM pg_attribute AS a
    WHERE a.attrelid = c.oid AND a.attnum = ANY (k.conkey)), pg_get_expr(k.conbin, c.oid)
FROM pg_constraint AS k JOIN pg_class AS c ON c.oid = k.conrelid
WHERE c.relnamespace = 'public'::regnamespace AND k.contype IN ('p', 'u', 'c', 'f', 'x')
UNION ALL
SELECT c.relname, i.relname, pg_get_indexdef(i.oid), ARRAY(
    SELECT a.attname::text FROM pg_attribute AS a
    WHERE a.attrelid = c.oid AND a.attnum = ANY (x.indkey)), NULL
FROM pg_index AS x
JOIN pg_class AS i ON i.oid = x.indexrelid JOIN pg_class AS c ON c.oid = x.indrelid
WHERE c.relnamespace = 'public'::regnamespace AND x.indisunique AND NOT EXISTS (
    SELECT FROM pg_constraint AS k WHERE k.conindid = i.oid AND k.contype IN ('p', 'u', 'x'))
UNION ALL
SELECT c.relname, t.tgname, pg_get_triggerdef(t.oid), '{}', NULL
FROM pg_trigger AS t JOIN pg_class AS c ON c.oid = t.tgrelid
WHERE c.relnamespace = 'public'::regnamespace AND NOT t.tgisinternal
ORDER BY 1, 2
"""
DEFAULTS: Final = """
SELECT a.attname, format_type(a.atttypid, a.atttypmod), pg_get_expr(d.adbin, d.adrelid)
FROM pg_attribute AS a LEFT JOIN pg_attrdef AS d ON d.adrelid = a.attrelid AND d.adnum = a.attnum
WHERE a.attrelid = to_regclass(%s) AND a.attname = ANY (%s)
"""
TYPE: Final = "SELECT format_type(%s::oid, NULL)"

Connection = psycopg.Connection[tuple[Any, ...]]


def newest_release() -> str:
    """Give the newest release that the changelog tells of."""
    found = RELEASED.search((CHECKOUT / "CHANGELOG.md").read_text("utf-8"))
    return found[1] if found else ""


def read(connection: Connection, celery: Celery, *, app_role: str) -> Record:
    """Read what a migrated database and this code answer."""
    return Record(
        release=newest_release(),
        checkpoint=Checkpoint.VERSION,
        tasks=dict(_tasks(celery)),
        functions=_functions(connection),
        tables=_tables(connection, app_role),
    )


def cannot_be_called(
    connection: Connection, functions: Mapping[str, tuple[Signature, ...]]
) -> list[str]:
    """Name the recorded calls that the server does not take as they are sent.

    It is asked to prepare each, its arguments of no declared type: so it finds what is missing
    and where two functions would answer.
    """
    return [
        f"{name} with {count} arguments: {why}"
        for name, ways in functions.items()
        for way in ways
        for count in range(len(way.needs), len(way.arguments) + 1)
        if (why := _prepared(connection, name, way.arguments[:count]))
    ]


def _prepared(connection: Connection, name: str, types: tuple[str, ...]) -> str:
    """Prepare a call; gives what the server has against it, or takes it for."""
    places = ", ".join(f"${number}" for number in range(1, len(types) + 1))
    libpq = connection.pgconn
    with connection.transaction(force_rollback=True):
        made = libpq.prepare(b"recorded", f"SELECT {name}({places})".encode())
        if made.error_message:
            return made.error_message.decode().strip()
        told = libpq.describe_prepared(b"recorded")
        oids = [told.param_type(number) for number in range(told.nparams)]
        found = [connection.execute(TYPE, [oid]).fetchall()[0][0] for oid in oids]
        connection.execute("DEALLOCATE recorded")
    return "" if tuple(found) == types else f"it is taken for ({', '.join(found)})"


def _functions(connection: Connection) -> dict[str, tuple[Signature, ...]]:
    found: dict[str, tuple[Signature, ...]] = {}
    for name, types, defaults, gives in connection.execute(FUNCTIONS, [sorted(named_in_code())]):
        needed = len(types) - defaults
        way = Signature(needs=tuple(types[:needed]), takes=tuple(types[needed:]), gives=gives)
        found[name] = (*found.get(name, ()), way)
    return found


def named_in_code() -> set[str]:
    """Give each word of the code that may be the name of a function in SQL."""
    files = (path for package in PACKAGES for path in (CHECKOUT / package).rglob("*.py"))
    code = (path for path in files if "migrations" not in path.parts)
    return {word for path in code for word in WORD.findall(path.read_text("utf-8"))}


def _tables(connection: Connection, app_role: str) -> dict[str, Table]:
    columns: dict[str, dict[str, Column]] = {}
    rules: dict[str, dict[str, Rule]] = {}
    for table, name, kind, is_needed, has_default in connection.execute(COLUMNS):
        made = Column(type=kind, is_needed=is_needed, has_default=has_default)
        columns.setdefault(table, {})[name] = made
    for table, name, definition, of, check in connection.execute(RULES).fetchall():
        rules.setdefault(table, {})[name] = Rule(
            definition=definition,
            columns=tuple(of),
            takes_defaults=bool(check) and _takes_defaults(connection, table, of, check),
        )
    may = {table: tuple(found) for table, found in connection.execute(APP_MAY, [app_role])}
    return {
        name: Table(columns=of, rules=rules.get(name, {}), app_may=may.get(name, ()))
        for name, of in columns.items()
    }


def _takes_defaults(connection: Connection, table: str, columns: list[str], check: str) -> bool:
    """Say whether a check is kept by a row in which its columns have their defaults."""
    defaults = connection.execute(DEFAULTS, [f'public."{table}"', columns]).fetchall()
    if not defaults:
        return False
    values = sql.SQL(", ").join(
        sql.SQL("({})::{} AS {}").format(
            sql.SQL(value or "NULL"), sql.SQL(kind), sql.Identifier(name)
        )
        for name, kind, value in defaults
    )
    asked = sql.SQL("SELECT ({}) IS NOT FALSE FROM (SELECT {}) AS row").format(
        sql.SQL(check), values
    )
    ((kept,),) = connection.execute(asked).fetchall()
    return bool(kept)


def _tasks(celery: Celery) -> Iterator[tuple[str, Task]]:
    celery.loader.import_default_modules()
    for name, task in sorted(celery.tasks.items()):
        if not name.startswith("celery."):
            yield name, _task(task, celery.amqp.router.route({}, name)["queue"].name)


def _task(task: Any, queue: str) -> Task:
    words = inspect.signature(task.run).parameters.values()
    named = [word for word in words if word.kind is not inspect.Parameter.VAR_KEYWORD]
    return Task(
        queue=queue,
        needs=tuple(word.name for word in named if word.default is inspect.Parameter.empty),
        takes=tuple(word.name for word in named if word.default is not inspect.Parameter.empty),
        ignores_others=len(named) < len(words),
    )
