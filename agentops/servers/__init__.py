"""The servers the product stands on: yours where a URL is given, else embedded ones.

    running(state)   for `make up`: one state folder, one pair of servers, kept for the next time
    scratch()        for commands that measure or prove: a place of its own, gone afterwards
    for_tests()      for the test suite: one forgetful pair, shared by all its processes

Our servers are child processes on free loopback ports, with random passwords, and data below
the state folder (see `accounts` for what differs when root starts them). They are killed with
us, and what a SIGKILL left behind is ended by the next start on the same state folder.
"""

from __future__ import annotations

from agentops.servers.errors import ServerUnavailable, StateInUse
from agentops.servers.ports import free_port
from agentops.servers.running import Servers, open_state, running
from agentops.servers.scratch import for_tests, scratch
from agentops.servers.secret_file import secret

__all__ = [
    "ServerUnavailable",
    "Servers",
    "StateInUse",
    "for_tests",
    "free_port",
    "open_state",
    "running",
    "scratch",
    "secret",
]
