"""The one block that says where everything is."""

from __future__ import annotations

from agentops.dev.record import Session


def block(session: Session) -> str:
    """Return what a person needs to know of a running session."""
    web = session.web
    ready = f"AgentOps dev server is ready                     ({session.seconds:.1f} s)"
    lines = [
        f"{ready}   DEVELOPMENT ONLY",
        f"  Admin     {web}/admin/",
        f"  Sign in   {web}{session.sign_in_path}   one use, 10 minutes",
        "            another: manage.py signin demo-reviewer (or demo-operator, demo-finance)",
        f"  API       {web}/api/v1/     docs: {web}/api/docs",
        f"  API key   {session.api_key}     tenant: {session.tenant}",
        f"  Queues    {session.flower}             (Flower)",
        f"  Servers   {session.servers}",
        f"  Data      {session.data}     empty it: manage.py dev --reset",
        f"  Model     {session.model}",
        f"Now: {_waiting(session.waiting)}  ->  {web}/admin/",
    ]
    return "\n".join(lines)


def _waiting(count: int) -> str:
    if count == 0:
        return "nothing waits for you"
    return "1 request waits for you" if count == 1 else f"{count} requests wait for you"
