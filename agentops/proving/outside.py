"""The outside: a service with a durable ledger of its own, over plain HTTP.

    POST /call     {"effect", "run", "key", "what"}     makes the effect, answers its result
    GET  /look?key=K                                    what a person finds who looks it up
    GET  /ledger                                        every call of every run

`read` changes nothing, `idempotent` happens once for each key, `once` happens as often as it
is asked, `shaky` is idempotent and fails at the first asking of each key, `mute` is `once` and
hangs up without an answer. The effect is made before the latency: a caller that dies while it
waits has it made.
"""

from __future__ import annotations

import argparse
import json
import sqlite3
import threading
import time
from collections.abc import Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Final, cast
from urllib.parse import parse_qs, urlsplit

BUSY: Final = 503
SCHEMA: Final = """
CREATE TABLE IF NOT EXISTS calls (seq INTEGER PRIMARY KEY, run TEXT NOT NULL, effect TEXT NOT NULL,
  key TEXT NOT NULL, what TEXT NOT NULL, happened INTEGER NOT NULL)
"""


class Ledger:
    """Every call that came in, and whether it made an effect; it survives a SIGKILL."""

    def __init__(self, path: Path) -> None:
        self._db = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
        self._db.execute("PRAGMA journal_mode = WAL")
        self._db.execute("PRAGMA synchronous = FULL")
        self._db.executescript(SCHEMA)
        self._lock = threading.Lock()

    def call(self, asked: Mapping[str, str]) -> bool:
        """Write a call down, with its effect; False when the service is too busy for it."""
        effect, key = asked["effect"], asked["key"]
        with self._lock:
            before = self._seen(key)
            refused = effect == "shaky" and not before
            made = any(happened for (happened,) in before)
            blind = effect in {"once", "mute"}
            happens = blind or (effect != "read" and not made and not refused)
            self._db.execute(
                "INSERT INTO calls (run, effect, key, what, happened) VALUES (?, ?, ?, ?, ?)",
                (asked["run"], effect, key, asked["what"], int(happens)),
            )
        return not refused

    def _seen(self, key: str) -> list[tuple[int]]:
        return self._db.execute("SELECT happened FROM calls WHERE key = ?", (key,)).fetchall()

    def look(self, key: str) -> bool:
        """Say whether an effect happened under this key."""
        with self._lock:
            return any(happened for (happened,) in self._seen(key))

    def rows(self) -> list[dict[str, Any]]:
        """Give every call, in the order in which they came."""
        columns = ("run", "effect", "key", "what", "happened")
        with self._lock:
            found = self._db.execute(f"SELECT {', '.join(columns)} FROM calls ORDER BY seq")  # noqa: S608 - fixed names
            return [dict(zip(columns, row, strict=True)) for row in found]


class Service(ThreadingHTTPServer):
    """Serves a ledger on a port of this host."""

    daemon_threads = True
    request_queue_size = 256

    def __init__(self, port: int, ledger: Ledger, *, latency: float = 0.0) -> None:
        super().__init__(("127.0.0.1", port), Door)
        self.ledger, self.latency = ledger, latency


class Door(BaseHTTPRequestHandler):
    """One request."""

    def do_GET(self) -> None:
        """Answer a look into the ledger."""
        asked, ledger = urlsplit(self.path), cast("Service", self.server).ledger
        if asked.path == "/look":
            self._say({"happened": ledger.look(parse_qs(asked.query)["key"][0])})
        elif asked.path == "/ledger":
            self._say(ledger.rows())
        else:
            self._say({})

    def do_POST(self) -> None:
        """Make a call's effect, take the time it takes, answer."""
        service = cast("Service", self.server)
        asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        done = service.ledger.call(asked)
        time.sleep(service.latency)
        if asked["effect"] == "mute":
            self.close_connection = True
            return
        self._say({"result": result(asked["effect"], asked["what"])}, 200 if done else BUSY)

    def _say(self, value: Any, status: int = 200) -> None:
        body = json.dumps(value).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: Any) -> None:
        """Say nothing of each request."""


def result(effect: str, what: str) -> str:
    """Give what a call is answered, the same for the same call."""
    return f"{effect}: {what}"


def main() -> None:
    """Serve until killed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--latency", type=float, default=0.02)
    given = parser.parse_args()
    Service(given.port, Ledger(given.data), latency=given.latency).serve_forever()


if __name__ == "__main__":
    main()
