"""As whom the servers run, and where their data may lie.

PostgreSQL refuses to run as root. Root therefore hands the servers to an unprivileged user, who
must be able to reach the data folder. A state folder below somebody's private home is out of
that user's reach, and no folder that is not ours is ever opened: the data then lies in a folder
of its own below /var/lib/agentops, named after the state folder.
"""

from __future__ import annotations

import hashlib
import os
import pwd
import shutil
import stat
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from agentops.servers.errors import ServerUnavailable
from agentops.supervisor import Account, as_account

ACCOUNTS: Final = ("agentops", "nobody")
SHARED: Final = Path("/var/lib/agentops")
OPEN_TO_PASS: Final = 0o711
PRIVATE: Final = 0o700


@dataclass(frozen=True, slots=True)
class Home:
    """Where the servers of one state folder keep their data, and as whom they run."""

    folder: Path
    account: Account | None

    def private_folder(self, name: str) -> Path:
        """Make a folder that only the servers' account can enter."""
        folder = self.folder / name
        if not folder.exists():
            folder.mkdir(mode=PRIVATE)
            self.own(folder)
        return folder

    def own(self, path: Path) -> None:
        if self.account:
            os.chown(path, self.account.uid, self.account.gid)


def home_of(state: Path) -> Home:
    """Choose where the servers of a state folder live; the same answer at every start."""
    account = unprivileged()
    inside = state / "servers"
    if account is None:
        return Home(_made(inside, PRIVATE), None)
    is_outside = (SHARED / _key(state) / "postgres").exists()  # an earlier start put it there
    if not is_outside and _reaches(_made(inside, OPEN_TO_PASS), account):
        return Home(inside, account)
    outside = _made(shared_folder() / _key(state), OPEN_TO_PASS)
    (inside / "elsewhere.txt").write_text(
        f"The servers run as user {account.uid}, who cannot reach this folder.\n"
        f"Their data: {outside}\n",
        encoding="utf-8",
    )
    return Home(outside, account)


def remove_home(state: Path) -> None:
    """Delete everything that the servers of a state folder kept."""
    places = [state / "servers"]
    if os.geteuid() == 0:
        places.append(SHARED / _key(state))
    for place in places:
        shutil.rmtree(place, ignore_errors=True)


def unprivileged() -> Account | None:
    """Return the user to drop to; None when we are not root and need no other."""
    if os.geteuid() != 0:
        return None
    for name in ACCOUNTS:
        try:
            entry = pwd.getpwnam(name)
        except KeyError:
            continue
        return Account(entry.pw_uid, entry.pw_gid)
    raise ServerUnavailable(
        "PostgreSQL does not run as root, and there is no user `nobody` to run it as: "
        "run as an ordinary user, or set DATABASE_URL"
    )


def shared_folder() -> Path:
    """Return root's folder that every user may pass through.

    Raises:
        ServerUnavailable: it cannot be made, or does not belong to us alone.
    """
    try:
        found = _made(SHARED, 0o755).lstat()
    except OSError as error:
        raise _unusable(str(error)) from error
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != 0 or found.st_mode & 0o022:
        raise _unusable("others than root may write there")
    return SHARED


def _unusable(why: str) -> ServerUnavailable:
    return ServerUnavailable(
        f"{SHARED} cannot hold the servers' data ({why}): run as an ordinary user, or set "
        "DATABASE_URL and REDIS_URL"
    )


def _key(state: Path) -> str:
    return hashlib.sha256(str(state.resolve()).encode()).hexdigest()[:16]


def _made(folder: Path, mode: int) -> Path:
    """Make a folder with this mode; one that is there already keeps its own."""
    if not folder.exists():
        folder.mkdir(parents=True)
        folder.chmod(mode)
    return folder


def _reaches(folder: Path, account: Account) -> bool:
    """Tell whether `account` can pass through every folder on the way."""
    return (
        subprocess.run(  # noqa: S603 - fixed program, our own path
            ["/bin/sh", "-c", 'cd "$1"', "sh", str(folder.resolve())],
            stderr=subprocess.DEVNULL,
            check=False,
            **as_account(account),
        ).returncode
        == 0
    )
