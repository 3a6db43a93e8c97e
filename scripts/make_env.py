"""Build a virtual environment from hashed requirements, with nothing but Python.

    python3 scripts/make_env.py .venv requirements.txt [requirements-dev.txt ...]

Quick when nothing changed: a stamp inside the environment names the contents of the
requirements files. An environment whose making was interrupted, or whose interpreter is gone,
is made anew; one that was made by hand is completed. Standard library only; any Python 3.7 can
read this file, so that an old one can say what is needed.
"""

# ruff: noqa: INP001, T201 - a script that prints

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import sys
import venv
from pathlib import Path

NEEDED = (3, 11)
KNOWN_GOOD = ("python3.14", "python3.13", "python3.12", "python3.11")
PIP = Path(__file__).resolve().parent.parent / "vendor" / "pip-26.3-py3-none-any.whl"
STAMP = "agentops-installed.json"
UNFINISHED = "agentops-unfinished"
OWN_PACKAGES = (
    "import os, sys, sysconfig; sys.exit(not os.path.isdir(sysconfig.get_path('purelib')))"
)


def main(arguments: list[str]) -> int:
    """Make the environment, or see that it is there; return the exit code."""
    if len(arguments) < 2:  # noqa: PLR2004 - a folder and at least one file
        print(__doc__)
        return 2
    if sys.version_info < NEEDED:
        return use_newer_python(arguments)
    folder, files = Path(arguments[0]), [Path(name) for name in arguments[1:]]
    wanted = fingerprints(files)
    if is_whole(folder) and installed(folder).items() >= wanted.items():
        return 0
    if not is_whole(folder):
        make(folder)
    missing = [file for file in files if installed(folder).get(file.name) != wanted[file.name]]
    return install(folder, missing, {**installed(folder), **wanted})


def use_newer_python(arguments: list[str]) -> int:
    """Start again with a newer Python of this machine, or say that there is none."""
    found = next((path for path in map(shutil.which, KNOWN_GOOD) if path), None)
    if found:
        return subprocess.call([found, __file__, *arguments])  # noqa: S603 - ourselves
    have = ".".join(map(str, sys.version_info[:3]))
    print(
        f"AgentOps needs Python 3.11 or later; this is {have} ({sys.executable}).\n"
        "Install one, or name it: make PYTHON=/path/to/python3.11 ...",
        file=sys.stderr,
    )
    return 1


def fingerprints(files: list[Path]) -> dict[str, str]:
    """Return the digest of each requirements file, by its name."""
    return {file.name: hashlib.sha256(file.read_bytes()).hexdigest() for file in files}


def is_whole(folder: Path) -> bool:
    """Tell whether no installation was interrupted, and its Python still runs."""
    python = folder / "bin" / "python"
    if (folder / UNFINISHED).exists() or not python.exists():
        return False
    return subprocess.call([python, "-c", OWN_PACKAGES]) == 0  # noqa: S603 - its own Python


def installed(folder: Path) -> dict[str, str]:
    """Return the digests of what was installed."""
    stamp = folder / STAMP
    found: dict[str, str] = json.loads(stamp.read_text()) if stamp.exists() else {}
    return found


def make(folder: Path) -> None:
    """Make an empty environment in place of whatever is there."""
    print(f"Making {folder} with Python {sys.version.split()[0]} ...", flush=True)
    if folder.exists():
        shutil.rmtree(folder)
    venv.create(folder, with_pip=False, symlinks=True)


def install(folder: Path, files: list[Path], stamp: dict[str, str]) -> int:
    """Install the files; only then does the stamp say so."""
    print(f"Installing {', '.join(file.name for file in files)} ...", flush=True)
    (folder / UNFINISHED).touch()
    options = ["--quiet", "--require-hashes", "--disable-pip-version-check", "--no-input"]
    for file in files:
        options += ["-r", str(file)]
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    code = subprocess.call(  # noqa: S603 - the vendored pip
        [folder / "bin" / "python", PIP / "pip", "install", *options], env=environment
    )
    if code:
        print(f"pip could not install them (exit code {code}); see above.", file=sys.stderr)
        return code
    new = folder / (STAMP + ".new")
    new.write_text(json.dumps(stamp, indent=1) + "\n", encoding="utf-8")
    new.replace(folder / STAMP)
    (folder / UNFINISHED).unlink()
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
