"""What can go wrong with the servers; every message says what to do."""

from __future__ import annotations


class ServerUnavailable(Exception):  # noqa: N818 - named as what is true when it is raised
    """A server we were given does not answer, or one of ours cannot be started."""


class StateInUse(ServerUnavailable):
    """Another command runs on this state folder now."""
