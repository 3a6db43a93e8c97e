"""The way out over HTTP: one fast, bounded transport under the SDKs that speak httpx.

It says plainly what became of a request, because money and effects hang on it:
`httpx2.ConnectError` was never sent; anything else may have arrived. (The SDKs' own
aiohttp transport reports both as a connect timeout.)
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Final

import aiohttp
import httpx2

LARGEST_ANSWER: Final = 8 * 1024 * 1024
CONNECT_SECONDS: Final = 10.0
KEEP_ALIVE_SECONDS: Final = 3.0
"""Shorter than servers commonly wait (uvicorn: 5), so that none hangs up as we ask."""

_DROPPED: Final = {b"content-encoding", b"content-length", b"transfer-encoding"}


class AiohttpTransport(httpx2.AsyncBaseTransport):
    """Carries httpx requests over one aiohttp session, with so many connections at most.

    An answer is read to its end before it is given, unless it is an event stream, so a
    connection that breaks in the middle is an error of the request, not of its reader.
    Belongs to the event loop of its first request.
    """

    def __init__(self, *, connections: int) -> None:
        self._connections = connections
        self._session: aiohttp.ClientSession | None = None

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        """Send a request and read its answer.

        Raises:
            httpx2.ConnectError: there was no connection; nothing was sent.
            httpx2.DecodingError: the answer is larger than `LARGEST_ANSWER`, or unreadable.
            httpx2.ReadTimeout: no answer in time; the request may have arrived.
            httpx2.ReadError: the connection broke; the request may have arrived.
        """
        try:
            answer = await self._send(request)
            return await _read(request, answer)
        except (aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError) as error:
            raise httpx2.ConnectError(str(error)) from error
        except (aiohttp.InvalidURL, aiohttp.NonHttpUrlClientError) as error:
            raise httpx2.ConnectError(f"not a usable URL: {error}") from error
        except TimeoutError as error:
            raise httpx2.ReadTimeout("no answer in time") from error
        except (aiohttp.ContentTypeError, aiohttp.ClientPayloadError) as error:
            raise httpx2.ReadError(str(error)) from error
        except (aiohttp.ClientError, OSError) as error:
            raise httpx2.ReadError(str(error) or "the connection broke") from error

    async def _send(self, request: httpx2.Request) -> aiohttp.ClientResponse:
        if self._session is None:
            self._session = aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(
                    limit=self._connections, keepalive_timeout=KEEP_ALIVE_SECONDS
                ),
                cookie_jar=aiohttp.DummyCookieJar(),
            )
        wanted = request.extensions.get("timeout", {})
        return await self._session.request(
            request.method,
            str(request.url),
            headers=request.headers.multi_items(),
            data=await request.aread() or None,
            allow_redirects=False,
            timeout=aiohttp.ClientTimeout(
                sock_connect=wanted.get("connect") or CONNECT_SECONDS,
                sock_read=wanted.get("read"),
            ),
        )

    async def aclose(self) -> None:
        """Close every connection."""
        if self._session is not None:
            await self._session.close()


async def _read(request: httpx2.Request, answer: aiohttp.ClientResponse) -> httpx2.Response:
    headers = [(k, v) for k, v in answer.raw_headers if k.lower() not in _DROPPED]
    if answer.content_type == "text/event-stream":
        return httpx2.Response(
            answer.status, headers=headers, stream=_Stream(answer), request=request
        )
    try:
        body = bytearray()
        async for chunk in answer.content.iter_any():
            body += chunk
            if len(body) > LARGEST_ANSWER:
                raise httpx2.DecodingError(f"the answer is larger than {LARGEST_ANSWER} bytes")
    finally:
        answer.release()
    return httpx2.Response(answer.status, headers=headers, content=bytes(body), request=request)


class _Stream(httpx2.AsyncByteStream):
    """An event stream, passed on as it comes."""

    def __init__(self, answer: aiohttp.ClientResponse) -> None:
        self._answer = answer

    async def __aiter__(self) -> AsyncIterator[bytes]:
        try:
            async for chunk in self._answer.content.iter_any():
                yield chunk
        except (aiohttp.ClientError, OSError) as error:
            raise httpx2.ReadError(str(error) or "the connection broke") from error

    async def aclose(self) -> None:
        self._answer.close()
