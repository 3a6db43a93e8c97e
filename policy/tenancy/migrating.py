"""Migration steps that run a file of SQL functions as it is."""

from __future__ import annotations

import re
from pathlib import Path

from django.db import migrations

FUNCTION = re.compile(r"^CREATE (?:OR REPLACE )?FUNCTION (\w+)", re.MULTILINE)


def functions(path: Path) -> migrations.RunSQL:
    """Make a step that creates the functions of a file, and drops them when reversed."""
    text = path.read_text("utf-8")
    names = FUNCTION.findall(text)
    drop = "\n".join(f"DROP FUNCTION {name};" for name in reversed(names))
    return migrations.RunSQL(text, drop)
