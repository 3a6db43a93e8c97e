"""Receivers of notices: a web server and a mail server on this machine, each for one test."""

from __future__ import annotations

import socketserver
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


@dataclass(slots=True)
class Hook:
    """What a webhook was sent. `answer` gives the status, and may take its time."""

    answer: Callable[[int], int] = lambda _: 204
    got: list[tuple[dict[str, str], str]] = field(default_factory=list)
    arrived: threading.Event = field(default_factory=threading.Event)
    address: str = ""

    @property
    def url(self) -> str:
        return f"http://{self.address}/hook"


@contextmanager
def a_hook(answer: Callable[[int], int] = lambda _: 204) -> Iterator[Hook]:
    """Receive webhooks."""
    hook = Hook(answer)

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"])).decode()
            hook.got.append(({k.lower(): v for k, v in self.headers.items()}, body))
            hook.arrived.set()
            status = hook.answer(len(hook.got))
            self.send_response(status)
            if 300 <= status < 400:
                self.send_header("Location", hook.url)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: Any) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.daemon_threads = False
        hook.address = f"127.0.0.1:{server.server_address[1]}"
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield hook
        finally:
            server.shutdown()
            thread.join()


@contextmanager
def a_post_office() -> Iterator[tuple[int, list[str]]]:
    """Take e-mail by SMTP: the port, and the letters as they come."""
    letters: list[str] = []

    class Handler(socketserver.StreamRequestHandler):
        def handle(self) -> None:
            self.wfile.write(b"220 here\r\n")
            while line := self.rfile.readline().decode().strip():
                if line.upper().startswith("DATA"):
                    self.wfile.write(b"354 go on\r\n")
                    letters.append(self.letter())
                self.wfile.write(b"221 bye\r\n" if line.upper() == "QUIT" else b"250 ok\r\n")

        def letter(self) -> str:
            lines = []
            while (line := self.rfile.readline().decode().rstrip("\r\n")) != ".":
                lines.append(line)
            return "\n".join(lines)

    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), Handler) as server:
        server.daemon_threads = False
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield int(server.server_address[1]), letters
        finally:
            server.shutdown()
            thread.join()
