"""A server on this machine that answers for one dataset as the hub does, as far as `datasets` asks."""

import hashlib
import json
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import unquote, urlsplit

COMMIT = "0123456789abcdef0123456789abcdef01234567"


@contextmanager
def serving_dataset(identifier: str, files: dict[str, bytes]) -> Iterator[str]:
    """The server's address."""

    class Handler(_Handler):
        dataset = identifier
        content = files

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.daemon_threads = True
        thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_address[1]}"
        finally:
            server.shutdown()
            thread.join()


class _Handler(BaseHTTPRequestHandler):
    dataset: str
    content: dict[str, bytes]
    protocol_version = "HTTP/1.1"

    def log_message(self, format: str, *args: Any) -> None:
        pass

    def do_GET(self) -> None:
        path = unquote(urlsplit(self.path).path)
        api, files = f"/api/datasets/{self.dataset}", f"/datasets/{self.dataset}/resolve/"
        name = path.removeprefix(files).partition("/")[2]
        if path in (api, f"{api}/revision/main", f"{api}/revision/{COMMIT}"):
            siblings = [{"rfilename": name} for name in self.content]
            self._answer({"id": self.dataset, "sha": COMMIT, "siblings": siblings, "private": False, "tags": []})
        elif path.startswith(f"{api}/tree/"):
            self._answer([self._entry(name) for name in self.content])
        elif path.startswith(files) and name in self.content:
            self._file(self.content[name])
        else:
            missing = "EntryNotFound" if self.dataset in path else "RepoNotFound"
            self._send(404, {"X-Error-Code": missing}, b"")

    do_HEAD = do_GET

    def _entry(self, name: str) -> dict[str, Any]:
        content = self.content[name]
        return {"type": "file", "path": name, "size": len(content), "oid": _blob(content)}

    def _file(self, content: bytes) -> None:
        headers = {"ETag": f'"{_blob(content)}"', "X-Repo-Commit": COMMIT}
        match = re.fullmatch(r"bytes=(\d+)-(\d+)", self.headers.get("Range") or "")
        if not match:
            self._send(200, headers, content)
            return
        first, last = int(match[1]), min(int(match[2]), len(content) - 1)
        headers["Content-Range"] = f"bytes {first}-{last}/{len(content)}"
        self._send(206, headers, content[first : last + 1])

    def _answer(self, value: Any) -> None:
        self._send(200, {"Content-Type": "application/json"}, json.dumps(value).encode())

    def _send(self, status: int, headers: dict[str, str], body: bytes) -> None:
        self.send_response(status)
        for name, value in ({"Content-Length": str(len(body))} | headers).items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)


def _blob(content: bytes) -> str:
    """git's name of it."""
    return hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()
