#!/usr/bin/env python
"""The operator's command line. Its commands use the system's database role."""

from __future__ import annotations

import os
import sys

if __name__ == "__main__":
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "agentops.settings")
    os.environ.setdefault("AGENTOPS_DATABASE_ROLE", "system")
    from django.core.management import execute_from_command_line

    execute_from_command_line(sys.argv)
