"""A real HTTP server on this machine that misbehaves as it is told to."""

import hashlib
import re
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, quote, urlsplit
from xml.sax.saxutils import escape

SHORT = ["retry.pause=0.01", "retry.attempts=3"]
"""Overrides that make a fetch's pauses too short to notice."""

Fetch = Callable[..., dict[str, Any]]
"""The fixture of that name."""


@dataclass(frozen=True)
class Fault:
    """What one answer does instead of the right thing.

    status: another code, with `headers`. body: other bytes. drop_after: the connection ends after so many bytes of
    a longer body. wait: seconds of silence first.
    """

    status: int = 0
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes | None = None
    drop_after: int | None = None
    wait: float = 0.0
    then: Callable[[], None] | None = None


@dataclass
class Server:
    """files: path -> bytes. faults: path -> what its next answers do, in turn. asked: (path, Range header) of all.

    ranges, if_range: whether the server honours these headers. etags: by path, where not the MD5. seconds_a_block:
    how long 16 KiB take. page: keys a bucket listing gives at once.
    """

    files: dict[str, bytes] = field(default_factory=dict)
    faults: dict[str, list[Fault]] = field(default_factory=dict)
    asked: list[tuple[str, str | None]] = field(default_factory=list)
    headers: list[dict[str, str]] = field(default_factory=list)
    etags: dict[str, str] = field(default_factory=dict)
    ranges: bool = True
    if_range: bool = True
    seconds_a_block: float = 0.0
    page: int = 2
    url: str = ""

    def put(self, path: str, content: bytes, companion: bool = False) -> None:
        self.files[path] = content
        if companion:
            name = path.rsplit("/", 1)[-1]
            self.files[path + ".md5"] = f"MD5({name})= {md5(content)}\n".encode()

    def times(self, path: str) -> int:
        return sum(asked == path for asked, _ in self.asked)

    def forget(self) -> None:
        self.asked.clear()
        self.headers.clear()

    def etag(self, path: str) -> str:
        return self.etags.get(path, f'"{md5(self.files[path])}"')


def md5(content: bytes) -> str:
    return hashlib.md5(content).hexdigest()


@contextmanager
def serving() -> Iterator[Server]:
    server = Server()

    class Handler(_Handler):
        state = server

    with _Quiet(("127.0.0.1", 0), Handler) as http:
        http.daemon_threads = True
        server.url = f"http://127.0.0.1:{http.server_address[1]}"
        thread = threading.Thread(target=http.serve_forever, args=(0.01,), daemon=True)
        thread.start()
        try:
            yield server
        finally:
            http.shutdown()
            thread.join()


class _Quiet(ThreadingHTTPServer):
    def handle_error(self, request: Any, client_address: Any) -> None:
        if not isinstance(sys.exception(), ConnectionError):  # a killed client
            super().handle_error(request, client_address)


class _Handler(BaseHTTPRequestHandler):
    state: Server
    protocol_version = "HTTP/1.1"

    def log_message(self, format: str, *args: Any) -> None:
        pass

    def do_GET(self) -> None:
        parts = urlsplit(self.path)
        path, query = parts.path, parse_qs(parts.query)
        self.state.asked.append((path, self.headers.get("Range")))
        self.state.headers.append(dict(self.headers))
        waiting = self.state.faults.get(path)
        fault = waiting.pop(0) if waiting else Fault()
        time.sleep(fault.wait)
        try:
            if fault.status:
                self._answer(fault.status, fault.headers, fault.body or b"", fault)
            elif fault.body is not None:
                self._answer(200, {}, fault.body, fault)
            elif "list-type" in query:
                self._answer(200, {}, self._bucket(path.rstrip("/") + "/", query), fault)
            elif path in self.state.files:
                self._file(path, fault)
            elif path.endswith("/"):
                self._answer(200, {"Content-Type": "text/html"}, self._apache(path), fault)
            else:
                self._answer(404, {}, b"<html>no such file</html>", fault)
        except (BrokenPipeError, ConnectionResetError):
            self.close_connection = True
        if fault.then:
            fault.then()

    def _file(self, path: str, fault: Fault) -> None:
        content, etag = self.state.files[path], self.state.etag(path)
        headers = {"ETag": etag, "Accept-Ranges": "bytes"}
        match = re.fullmatch(r"bytes=(\d+)-", self.headers.get("Range") or "")
        unchanged = self.headers.get("If-Range") == etag or not self.state.if_range
        if not match or not self.state.ranges or not unchanged:
            self._answer(200, headers, content, fault)
            return
        start = int(match[1])
        if start >= len(content):
            self._answer(416, {"Content-Range": f"bytes */{len(content)}"}, b"", fault)
            return
        headers["Content-Range"] = f"bytes {start}-{len(content) - 1}/{len(content)}"
        self._answer(206, headers, content[start:], fault)

    def _answer(self, status: int, headers: dict[str, str], body: bytes, fault: Fault) -> None:
        self.send_response(status)
        for name, value in ({"Content-Length": str(len(body))} | headers).items():
            self.send_header(name, value)
        self.end_headers()
        end = len(body) if fault.drop_after is None else fault.drop_after
        for start in range(0, end, 1 << 14):
            self.wfile.write(body[start : min(end, start + (1 << 14))])
            time.sleep(self.state.seconds_a_block)
        self.wfile.flush()
        if end < len(body):
            self.close_connection = True

    def _apache(self, folder: str) -> bytes:
        names = sorted(path.removeprefix(folder) for path in self.state.files if path.startswith(folder))
        sizes = {name: max(1, len(self.state.files[folder + name]) >> 10) for name in names if "/" not in name}
        lines = "".join(f'<a href="{quote(name)}">{name}</a>  2026-01-29 14:48  {sizes[name]}K\n' for name in sizes)
        head = f'<html><body><h1>Index of {folder}</h1><pre><a href="?C=N;O=D">Name</a><hr><a href="../">Parent</a>\n'
        return f"{head}{lines}<hr></pre></body></html>\n".encode()

    def _bucket(self, bucket: str, query: dict[str, list[str]]) -> bytes:
        """ListObjectsV2, a few keys a page."""
        prefix, delimiter = query.get("prefix", [""])[0], query.get("delimiter", [""])[0]
        keys = [path.removeprefix(bucket) for path in sorted(self.state.files) if path.startswith(bucket + prefix)]
        below = [key.removeprefix(prefix) for key in keys]
        if delimiter:
            folders = sorted({prefix + key.split(delimiter)[0] + delimiter for key in below if delimiter in key})
            entries = [f"<CommonPrefixes><Prefix>{escape(quote(one))}</Prefix></CommonPrefixes>" for one in folders]
        else:
            entries = [
                f"<Contents><Key>{escape(quote(key))}</Key><ETag>{escape(self.state.etag(bucket + key))}</ETag>"
                f"<Size>{len(self.state.files[bucket + key])}</Size></Contents>"
                for key in keys
            ]
        start = int(query.get("continuation-token", ["0"])[0])
        end = start + self.state.page
        more = end < len(entries)
        token = f"<NextContinuationToken>{end}</NextContinuationToken>" if more else ""
        return (
            '<?xml version="1.0" encoding="UTF-8"?><ListBucketResult xmlns="http://s3.amazonaws.com/doc/2006-03-01/">'
            f"<EncodingType>url</EncodingType><IsTruncated>{str(more).lower()}</IsTruncated>{token}"
            f"{''.join(entries[start:end])}</ListBucketResult>"
        ).encode()
