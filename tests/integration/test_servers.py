"""The embedded servers: found again, never doubled, never left behind."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import psycopg
import pytest
import redis

from agentops import process_ids, servers
from agentops.servers.accounts import home_of, remove_home
from agentops.servers.scratch import forget_keys
from tests.processes import eventually, is_alive

ELSEWHERE = """
import pathlib, sys, time
from agentops import servers
with servers.running(pathlib.Path(sys.argv[1])) as found:
    print(found.database_url, flush=True)
    time.sleep(600)
"""

SCRATCH_ELSEWHERE = """
import time
from agentops import servers
with servers.scratch(durable=False) as (state, _):
    print(state, flush=True)
    time.sleep(600)
"""


@pytest.fixture
def state(tmp_path: Path) -> Iterator[Path]:
    folder = tmp_path / "state"
    yield folder
    remove_home(folder)


def remember(url: str, word: str) -> None:
    with psycopg.connect(url) as connection:
        connection.execute("CREATE TABLE IF NOT EXISTS remembered (word text)")
        connection.execute("INSERT INTO remembered VALUES (%s)", [word])


def remembered(url: str) -> list[str]:
    with psycopg.connect(url) as connection:
        return [word for (word,) in connection.execute("SELECT word FROM remembered")]


def databases(url: str) -> set[str]:
    with psycopg.connect(url) as connection:
        return {name for (name,) in connection.execute("SELECT datname FROM pg_database")}


def postmaster(found: servers.Servers) -> int:
    return int((found.data / "postgres" / "postmaster.pid").read_text().splitlines()[0])


@contextlib.contextmanager
def started_elsewhere(state: Path) -> Iterator[subprocess.Popen[str]]:
    other = subprocess.Popen(  # noqa: S603 - ourselves
        [sys.executable, "-c", ELSEWHERE, str(state)], stdout=subprocess.PIPE, text=True
    )
    try:
        yield other
    finally:
        other.kill()
        other.communicate()


@contextlib.contextmanager
def scratch_elsewhere() -> Iterator[subprocess.Popen[str]]:
    """Run a scratch command, on servers of its own."""
    own = {name: value for name, value in os.environ.items() if not name.endswith("_URL")}
    other = subprocess.Popen(  # noqa: S603 - ourselves
        [sys.executable, "-c", SCRATCH_ELSEWHERE],
        stdout=subprocess.PIPE,
        text=True,
        env=own,
    )
    try:
        yield other
    finally:
        other.kill()
        other.communicate()


def first_line(process: subprocess.Popen[str]) -> str:
    assert process.stdout
    return process.stdout.readline().strip()


def test_both_servers_answer_and_the_role_is_no_superuser(state: Path) -> None:
    with servers.running(state) as found:
        with psycopg.connect(found.database_url) as connection:
            role = connection.execute(
                "SELECT rolsuper, rolbypassrls, rolcreaterole, rolcreatedb FROM pg_roles"
                " WHERE rolname = current_user"
            ).fetchone()
        assert role == (False, False, True, True)
        with redis.Redis.from_url(found.redis_url) as client:
            assert client.ping()
        assert found.database_kind.startswith("embedded PostgreSQL 18")
        assert found.redis_kind.startswith("embedded Valkey 9")


def test_nobody_gets_in_without_the_password(state: Path) -> None:
    with servers.running(state) as found:
        wrong = found.database_url.replace("postgresql://agentops:", "postgresql://agentops:x")
        with pytest.raises(psycopg.OperationalError, match="password"):
            psycopg.connect(wrong)
        port = found.redis_url.rsplit(":", 1)[1]
        with (
            redis.Redis.from_url(f"redis://127.0.0.1:{port}") as client,
            pytest.raises(redis.AuthenticationError),
        ):
            client.ping()
        assert (state / "secrets.json").stat().st_mode & 0o077 == 0
        password = found.redis_url.split(":")[2].split("@")[0]
        assert password not in subprocess.check_output(["/bin/ps", "axww"], text=True)


def test_the_same_state_folder_finds_the_same_data(state: Path) -> None:
    with servers.running(state) as found:
        remember(found.database_url, "kept")

    with servers.running(state) as found:
        assert remembered(found.database_url) == ["kept"]


def test_two_state_folders_run_side_by_side(state: Path) -> None:
    with servers.running(state) as one, servers.scratch(durable=False) as (_, other):
        remember(one.database_url, "one")
        remember(other.database_url, "other")

        assert remembered(one.database_url) == ["one"]


def test_a_second_command_on_the_same_state_folder_is_refused(state: Path) -> None:
    with (
        servers.running(state),
        pytest.raises(servers.StateInUse, match="status"),
        servers.running(state),
    ):
        pytest.fail("two commands ran on one state folder")


def test_data_survives_the_killing_of_everything(state: Path) -> None:
    with started_elsewhere(state) as other:
        remember(first_line(other), "kept")
        everything = [other.pid, *postgres_in(state), *valkey_in(state)]
        for pid in everything:
            kill(pid)

    with servers.running(state) as found:
        assert remembered(found.database_url) == ["kept"]


def test_a_server_that_outlived_its_killed_command_is_ended(state: Path) -> None:
    with started_elsewhere(state) as other:
        remember(first_line(other), "kept")
        main = int(first_pid(state))
        os.kill(main, signal.SIGSTOP)
        other.kill()

    with servers.running(state) as found:
        assert not is_alive(main)
        assert remembered(found.database_url) == ["kept"]


@pytest.mark.parametrize("whose", ["our own", "nobody's"])
def test_a_stale_pid_file_is_not_believed(state: Path, whose: str) -> None:
    with servers.running(state) as found:
        remember(found.database_url, "kept")
        pid_file = found.data / "postgres" / "postmaster.pid"
        left = pid_file.read_text().splitlines()
    left[0] = str(os.getpid()) if whose == "our own" else "4194303"
    pid_file.write_text("\n".join(left) + "\n")

    with servers.running(state) as found:
        assert remembered(found.database_url) == ["kept"]


def test_a_start_that_was_killed_while_making_the_cluster_is_made_again(state: Path) -> None:
    servers.open_state(state)
    (home_of(state).folder / "postgres.new" / "base").mkdir(parents=True)

    with servers.running(state) as found:
        assert databases(found.database_url) >= {"agentops"}


def test_a_database_that_dies_is_started_again_at_the_same_address(state: Path) -> None:
    with servers.running(state) as found:
        remember(found.database_url, "kept")
        first = postmaster(found)
        kill(first)

        assert eventually(lambda: answers(found.database_url))
        assert postmaster(found) != first
        assert remembered(found.database_url) == ["kept"]


def test_ending_leaves_no_process_behind(state: Path) -> None:
    with servers.running(state) as found:
        with psycopg.connect(found.database_url):
            pids = [*postgres_in(state), *valkey_in(state)]
        assert pids

    assert not [pid for pid in pids if is_alive(pid)]


def test_a_given_server_that_does_not_answer_says_what_to_do(state: Path) -> None:
    port = servers.free_port()
    url = f"postgresql://someone:secret@127.0.0.1:{port}/agentops"

    with (
        pytest.raises(servers.ServerUnavailable) as raised,
        servers.running(state, database_url=url),
    ):
        pytest.fail("it ran without a database")

    assert "unset it to use the embedded PostgreSQL" in str(raised.value)
    assert "secret" not in str(raised.value)


def test_a_given_redis_that_does_not_answer_says_what_to_do(state: Path) -> None:
    url = f"redis://127.0.0.1:{servers.free_port()}/0"

    with (
        pytest.raises(servers.ServerUnavailable, match="correct REDIS_URL"),
        servers.running(state, redis_url=url),
    ):
        pytest.fail("it ran without Redis")


def test_scratch_on_given_servers_has_a_database_of_its_own_and_drops_it(state: Path) -> None:
    with servers.running(state) as given:
        before = databases(given.database_url)
        with servers.scratch(database_url=given.database_url, redis_url=given.redis_url) as (
            folder,
            own,
        ):
            remember(own.database_url, "scratch")
            with redis.Redis.from_url(own.redis_url) as client:
                client.set(f"{own.redis_prefix}:key", "1")
            assert databases(given.database_url) > before

        assert databases(given.database_url) == before
        assert forget_keys(given.redis_url, own.redis_prefix) == 0
        assert not folder.exists()


def test_scratch_in_a_kept_folder_finds_its_database_again(state: Path, tmp_path: Path) -> None:
    kept = tmp_path / "kept"
    with servers.running(state) as given:
        on_given = partial(
            servers.scratch, kept, database_url=given.database_url, redis_url=given.redis_url
        )
        with on_given() as (_, own):
            remember(own.database_url, "kept")
            first = own.redis_prefix
        with on_given() as (_, own):
            assert remembered(own.database_url) == ["kept"]
            assert own.redis_prefix == first


def test_what_a_killed_scratch_command_left_is_removed_by_the_next() -> None:
    with scratch_elsewhere() as other:
        left = Path(first_line(other))
        other.kill()
    kept = Path(tempfile.mkdtemp(prefix="agentops-"))
    servers.open_state(kept)
    os.utime(left / "temporary", (0, 0))

    with servers.scratch(durable=False):
        assert not left.exists()
        assert kept.exists()
    shutil.rmtree(kept)


def test_processes_that_inherit_the_tests_environment_start_no_servers_of_their_own() -> None:
    with servers.for_tests() as first, servers.for_tests() as second:
        assert first == second
        assert os.environ["DATABASE_URL"] == first["DATABASE_URL"]


@pytest.mark.skipif(os.geteuid() != 0, reason="only root hands its servers to another user")
def test_roots_servers_live_elsewhere_when_their_user_cannot_reach_the_state_folder(
    tmp_path: Path,
) -> None:
    private = tmp_path / "private"
    private.mkdir(mode=0o700)
    state = private / "state"
    try:
        with servers.running(state) as found:
            assert not found.data.is_relative_to(private)
            assert str(found.data) in (state / "servers" / "elsewhere.txt").read_text()
            remember(found.database_url, "kept")
        with servers.running(state) as found:
            assert remembered(found.database_url) == ["kept"]
    finally:
        remove_home(state)

    assert private.stat().st_mode & 0o777 == 0o700
    assert not found.data.exists()


def kill(pid: int) -> None:
    if is_alive(pid):
        os.kill(pid, signal.SIGKILL)


def answers(url: str) -> bool:
    try:
        psycopg.connect(url, connect_timeout=1).close()
    except psycopg.OperationalError:
        return False
    return True


def postgres_in(state: Path) -> list[int]:
    return _pids(state, "postgres", "postgres")


def valkey_in(state: Path) -> list[int]:
    return _pids(state, "valkey", "valkey-server")


def first_pid(state: Path) -> str:
    return (home_of(state).folder / "postgres" / "postmaster.pid").read_text().splitlines()[0]


def _pids(state: Path, folder: str, program: str) -> list[int]:
    place = (home_of(state).folder / folder).resolve()
    return [found.pid for found in process_ids.working_in(place, program=program)]
