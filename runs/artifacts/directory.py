"""Artifacts on a disk: each is whole under its name, or not there."""

from __future__ import annotations

import os
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import Any

from django.core.files.storage import FileSystemStorage

from runs import faults


class Directory(FileSystemStorage):
    """A directory in which what is saved replaces what is there, in one step."""

    def get_available_name(self, name: str, max_length: int | None = None) -> str:  # noqa: ARG002
        """Give the name itself: the same name has the same content."""
        return name

    def _save(self, name: str, content: Any) -> str:
        """Write beside, make it last, put it in place; so with every folder that may be new."""
        path = Path(self.path(name))
        path.parent.mkdir(parents=True, exist_ok=True)
        beside = NamedTemporaryFile(dir=path.parent, prefix="beside-", delete=False)  # noqa: SIM115
        try:
            with beside as file:
                for chunk in content.chunks():
                    file.write(chunk)
                file.flush()
                os.fsync(file.fileno())
            faults.point("file.beside")
            Path(beside.name).replace(path)
        except BaseException:
            Path(beside.name).unlink(missing_ok=True)
            raise
        for folder in (path.parent, *path.parent.parents):
            _make_last(folder)
            if folder == Path(self.location):
                break
        return name


def _make_last(folder: Path) -> None:
    """See to it that a name in a directory survives a loss of power."""
    opened = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(opened)
    finally:
        os.close(opened)
