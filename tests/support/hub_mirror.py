"""A local server in the layout of the Hugging Face hub, for huggingface_hub's own client: files by
commit with their digests, ranges, and commits of small files. It can cut a transfer and list a
wrong digest.
"""

import base64
import hashlib
import json
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import unquote, urlsplit

COMMIT = "c" * 40


class HubMirror:
    """What the server holds, and what it was asked.

    Attributes:
        files: bytes by repository and path.
        requests: method, path and Range header of each request.
        cut: the next transfer ends after so many bytes.
        digests: listed instead of the true sha256, by path.
    """

    def __init__(self):
        self.files: dict[str, dict[str, bytes]] = {}
        self.requests: list[tuple[str, str, str | None]] = []
        self.cut: int | None = None
        self.digests: dict[str, str] = {}
        self.url = ""

    def count(self, method: str, name: str) -> int:
        """How often a file was asked for."""
        return sum(m == method and path.endswith(name) for m, path, _ in self.requests)


@contextmanager
def serve_hub():
    """A mirror on loopback, until the block ends."""
    mirror = HubMirror()
    server = ThreadingHTTPServer(("127.0.0.1", 0), type("Handler", (_Handler,), {"mirror": mirror}))
    mirror.url = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield mirror
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


class _Handler(BaseHTTPRequestHandler):
    mirror: HubMirror

    def log_message(self, *args):
        pass

    def do_HEAD(self):
        self._file(with_body=False)

    def do_GET(self):
        self._file(with_body=True)

    def do_POST(self):
        path = urlsplit(self.path).path
        self.mirror.requests.append(("POST", path, None))
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        if path == "/api/repos/create":
            told = json.loads(body)
            repository = f"{told['organization']}/{told['name']}"
            self.mirror.files.setdefault(repository, {})
            self._json({"url": f"{self.mirror.url}/{repository}", "name": repository})
            return
        if path == "/api/validate-yaml":  # of a model card's head
            self._json({"errors": [], "warnings": []})
            return
        owner, name, what = path.removeprefix("/api/models/").split("/")[:3]
        if what == "preupload":
            how = {"uploadMode": "regular", "shouldIgnore": False}
            self._json({"files": [{"path": r["path"], **how} for r in json.loads(body)["files"]]})
        elif what == "commit":
            self._commit(f"{owner}/{name}", body)

    def _commit(self, repository, body):
        files = self.mirror.files[repository]
        for row in map(json.loads, body.splitlines()):
            if row["key"] == "file":
                files[row["value"]["path"]] = base64.b64decode(row["value"]["content"])
        self._json(
            {
                "success": True,
                "commitUrl": f"{self.mirror.url}/{repository}/commit/{COMMIT}",
                "commitOid": COMMIT,
            }
        )

    def _file(self, with_body):
        path, asked = unquote(urlsplit(self.path).path), self.headers.get("Range")
        self.mirror.requests.append((self.command, path, asked))
        repository, _, rest = path.strip("/").partition("/resolve/")
        data = self.mirror.files.get(repository, {}).get(rest.partition("/")[2])
        if data is None:
            missing = "EntryNotFound" if repository in self.mirror.files else "RepoNotFound"
            self._answer(404, {"X-Error-Code": missing, "X-Repo-Commit": COMMIT}, b"")
            return
        digest = self.mirror.digests.get(rest.partition("/")[2]) or hashlib.sha256(data).hexdigest()
        start = int(asked.removeprefix("bytes=").partition("-")[0]) if asked else 0
        headers = {"X-Repo-Commit": COMMIT, "ETag": f'"{digest}"', "X-Linked-Etag": f'"{digest}"'}
        headers |= {"X-Linked-Size": str(len(data)), "Accept-Ranges": "bytes"}
        if asked:
            headers["Content-Range"] = f"bytes {start}-{len(data) - 1}/{len(data)}"
        self._answer(206 if asked else 200, headers, data[start:], with_body)

    def _answer(self, status, headers, data, with_body=True):
        self.send_response(status)
        for name, value in {**headers, "Content-Length": str(len(data))}.items():
            self.send_header(name, value)
        self.end_headers()
        if not with_body:
            return
        cut, self.mirror.cut = self.mirror.cut, None
        self.wfile.write(data[:cut])
        self.close_connection = True

    def _json(self, told):
        self._answer(200, {"Content-Type": "application/json"}, json.dumps(told).encode())
