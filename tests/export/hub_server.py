"""A model hub on this machine: as much of the Hub's HTTP calls as pushing and pulling a model
takes, over loopback.

What the real one would refuse is refused with its statuses and headers. Git, storage and accounts
are dictionaries.
"""

from __future__ import annotations

import base64
import hashlib
import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import unquote, urlsplit

ATTRIBUTES = (
    b"*.safetensors filter=lfs diff=lfs merge=lfs -text\n*.onnx filter=lfs diff=lfs "
    b"merge=lfs -text\n"
)
LARGE = (".safetensors", ".onnx")

Files = dict[str, bytes]


@dataclass
class Account:
    name: str
    organisations: tuple[str, ...] = ()
    role: str = "write"


@dataclass
class Repository:
    private: bool = False
    commits: dict[str, Files] = field(default_factory=dict)
    messages: list[str] = field(default_factory=list)
    branches: dict[str, str] = field(default_factory=dict)
    tags: dict[str, str] = field(default_factory=dict)

    def commit(self, branch: str, files: Files, message: str) -> str:
        oid = hashlib.sha1(f"{len(self.commits)} {message}".encode()).hexdigest()
        self.commits[oid], self.branches[branch] = files, oid
        self.messages.append(message)
        return oid

    def resolve(self, revision: str) -> str | None:
        return (
            self.branches.get(revision)
            or self.tags.get(revision)
            or (revision if revision in self.commits else None)
        )

    def files(self, revision: str = "main") -> Files:
        """The files without what the Hub itself puts there."""
        found = self.commits[str(self.resolve(revision))]
        return {name: content for name, content in found.items() if name != ".gitattributes"}


@dataclass(frozen=True)
class Call:
    method: str
    path: str
    body: bytes


@dataclass
class Hub:
    """The whole of it: what is stored, what was asked, and what shall go wrong."""

    url: str = ""
    accounts: dict[str, Account] = field(default_factory=dict)
    repositories: dict[str, Repository] = field(default_factory=dict)
    stored: Files = field(default_factory=dict)
    """Large files by SHA-256."""
    calls: list[Call] = field(default_factory=list)
    fault: Callable[[str, str], int | None] = lambda method, path: None
    """For a method and a path a status to answer with instead, if any; 0 cuts the connection amid
    what is sent.
    """

    def add(self, name: str, files: Files, *, private: bool = False) -> Repository:
        repository = self.repositories[name] = Repository(private=private)
        repository.commit("main", {".gitattributes": ATTRIBUTES, **files}, "initial commit")
        return repository

    def asked(self, method: str, part: str = "") -> list[Call]:
        return [call for call in self.calls if call.method == method and part in call.path]


class RefusedError(Exception):
    def __init__(self, status: int, message: str, code: str = "") -> None:
        self.status, self.message, self.code = status, message, code


@contextmanager
def serve() -> Iterator[Hub]:
    """A hub that listens on a free port of 127.0.0.1 while the block runs."""
    hub = Hub()
    server = ThreadingHTTPServer(("127.0.0.1", 0), type("Handler", (_Handler,), {"hub": hub}))
    hub.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield hub
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def blob_id(content: bytes) -> str:
    return hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()


def remote_id(path: str, content: bytes) -> str:
    return hashlib.sha256(content).hexdigest() if path.endswith(LARGE) else blob_id(content)


class _Handler(BaseHTTPRequestHandler):
    hub: Hub
    protocol_version = "HTTP/1.1"

    def log_message(self, *arguments: Any) -> None:
        pass

    def _handle(self) -> None:
        fault, length = (
            self.hub.fault(self.command, self.path),
            int(self.headers.get("Content-Length") or 0),
        )
        body = self.rfile.read(length // 2 if fault == 0 else length)
        self.hub.calls.append(Call(self.command, self.path, body))
        if fault == 0:
            self.close_connection = True
            return
        try:
            if fault is not None:
                raise RefusedError(fault, "something is wrong here")
            self._answer(body)
        except RefusedError as refused:
            headers = {"X-Error-Message": refused.message} | (
                {"X-Error-Code": refused.code} if refused.code else {}
            )
            self._send(refused.status, {"error": refused.message}, headers)

    do_GET = do_HEAD = do_POST = do_PUT = _handle  # noqa: N815

    def _send(self, status: int, content: Any, headers: dict[str, str] | None = None) -> None:
        data = content if isinstance(content, bytes) else json.dumps(content).encode()
        self.send_response(status)
        for name, value in {"Content-Length": str(len(data)), **(headers or {})}.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(data)

    def _answer(self, body: bytes) -> None:
        path = urlsplit(self.path).path.strip("/")
        parts = [unquote(part) for part in path.split("/")]
        if path == "api/whoami-v2":
            self._whoami()
        elif path == "api/repos/create":
            self._create(json.loads(body))
        elif path == "api/validate-yaml":
            self._send(200, {"errors": [], "warnings": []})
        elif parts[0] == "storage":
            self._store(parts[1], body)
        elif path.endswith(".git/info/lfs/objects/batch"):
            self._batch(path.removesuffix(".git/info/lfs/objects/batch"), json.loads(body))
        elif parts[:2] == ["api", "models"] and len(parts) >= 4:
            self._model("/".join(parts[2:4]), parts[4:], body)
        elif parts[0] == "datasets" and len(parts) >= 6 and parts[3] == "resolve":
            self._resolve("/".join(parts[:3]), parts[4], "/".join(parts[5:]))
        elif len(parts) >= 5 and parts[2] == "resolve":
            self._resolve("/".join(parts[:2]), parts[3], "/".join(parts[4:]))
        else:
            raise RefusedError(404, f"no such address: {self.command} {path}")

    def _account(self) -> Account | None:
        given = self.headers.get("Authorization", "").removeprefix("Bearer ")
        if given and given not in self.hub.accounts:
            raise RefusedError(401, "Invalid credentials in Authorization header")
        return self.hub.accounts.get(given)

    def _whoami(self) -> None:
        account = self._account()
        if account is None:
            raise RefusedError(401, "Invalid username or password.")
        organisations = [{"name": name} for name in account.organisations]
        auth = {"type": "access_token", "accessToken": {"role": account.role}}
        self._send(200, {"type": "user", "name": account.name, "orgs": organisations, "auth": auth})

    def _may_write(self, owner: str) -> None:
        account = self._account()
        if account is None:
            raise RefusedError(401, "Invalid username or password.")
        if account.role == "read" or owner not in (account.name, *account.organisations):
            raise RefusedError(
                403, f'You don\'t have the rights to create a model under the namespace "{owner}"'
            )

    def _create(self, asked: dict[str, Any]) -> None:
        owner = asked["organization"]
        self._may_write(owner)
        name = f"{owner}/{asked['name']}"
        if name in self.hub.repositories:
            raise RefusedError(409, "You already created this model repo")
        self.hub.add(name, {}, private=asked.get("visibility") == "private")
        self._send(200, {"url": f"{self.hub.url}/{name}", "name": name})

    def _repository(self, name: str, *, write: bool = False) -> Repository:
        repository, account = self.hub.repositories.get(name), self._account()
        owner = name.partition("/")[0]
        sees = account is not None and owner in (account.name, *account.organisations)
        if repository is None or (repository.private and not sees):
            raise RefusedError(404 if account else 401, "Repository not found", "RepoNotFound")
        if write:
            self._may_write(owner)
        return repository

    def _commit_of(self, repository: Repository, revision: str) -> str:
        commit = repository.resolve(revision)
        if commit is None:
            raise RefusedError(404, f"Invalid rev id: {revision}", "RevisionNotFound")
        return commit

    def _model(self, name: str, rest: list[str], body: bytes) -> None:
        if self.command == "POST":
            self._change(self._repository(name, write=True), name, rest, body)
            return
        repository = self._repository(name)
        if rest == ["refs"]:
            kinds = {"branches": repository.branches, "tags": repository.tags}
            refs = {
                kind: [
                    {"name": ref, "ref": f"refs/{kind}/{ref}", "targetCommit": oid}
                    for ref, oid in found.items()
                ]
                for kind, found in kinds.items()
            }
            self._send(200, {**refs, "converts": []})
        elif rest[:1] == ["tree"]:
            self._tree(repository.commits[self._commit_of(repository, rest[1])], "/".join(rest[2:]))
        elif not rest or rest[0] == "revision":
            commit = self._commit_of(repository, rest[1] if rest else "main")
            siblings = [
                {"rfilename": path, "size": len(content)}
                for path, content in repository.commits[commit].items()
            ]
            self._send(
                200,
                {"id": name, "sha": commit, "private": repository.private, "siblings": siblings},
            )
        else:
            raise RefusedError(404, f"no such address: {'/'.join(rest)}")

    def _tree(self, files: Files, folder: str) -> None:
        below = {
            path: content
            for path, content in files.items()
            if not folder or path.startswith(f"{folder}/")
        }
        if folder and not below:
            raise RefusedError(404, f"{folder} does not exist", "EntryNotFound")
        rows = [
            {"type": "file", "path": path, "size": len(found), "oid": blob_id(found)}
            for path, found in below.items()
        ]
        self._send(200, rows)

    def _change(self, repository: Repository, name: str, rest: list[str], body: bytes) -> None:
        kind, revision = rest[0], rest[1]
        if kind == "preupload":
            there = repository.commits[self._commit_of(repository, revision)]
            answers = []
            for file in json.loads(body)["files"]:
                path = file["path"]
                mode = "lfs" if path.endswith(LARGE) else "regular"
                oid = {"oid": remote_id(path, there[path])} if path in there else {}
                answers.append({"path": path, "uploadMode": mode, "shouldIgnore": False, **oid})
            self._send(200, {"files": answers})
        elif kind == "branch":
            if revision in repository.branches:
                raise RefusedError(409, "Reference already exists")
            repository.branches[revision] = self._commit_of(repository, "main")
            self._send(200, {})
        elif kind == "tag":
            tag = json.loads(body)["tag"]
            if tag in repository.tags:
                raise RefusedError(409, "Tag reference exists already")
            repository.tags[tag] = self._commit_of(repository, revision)
            self._send(200, {})
        elif kind == "commit":
            oid = self._commit(
                repository, revision, [json.loads(line) for line in body.splitlines()]
            )
            self._send(
                200,
                {
                    "success": True,
                    "commitOid": oid,
                    "commitUrl": f"{self.hub.url}/{name}/commit/{oid}",
                },
            )
        else:
            raise RefusedError(404, f"no such address: {kind}")

    def _commit(self, repository: Repository, branch: str, lines: list[dict[str, Any]]) -> str:
        if branch not in repository.branches:
            raise RefusedError(404, f"Invalid rev id: {branch}", "RevisionNotFound")
        header, files = lines[0]["value"], dict(repository.commits[repository.branches[branch]])
        if header.get("parentCommit") not in (None, repository.branches[branch]):
            raise RefusedError(412, "A commit has happened since. Please refresh and try again.")
        for line in lines[1:]:
            value = line["value"]
            if line["key"] == "file":
                files[value["path"]] = base64.b64decode(value["content"])
            elif line["key"] == "lfsFile":
                if value["oid"] not in self.hub.stored:
                    raise RefusedError(400, f"{value['path']}: its content was never uploaded")
                files[value["path"]] = self.hub.stored[value["oid"]]
            elif line["key"] == "deletedFile":
                del files[value["path"]]
        return repository.commit(branch, files, header["summary"])

    def _batch(self, name: str, asked: dict[str, Any]) -> None:
        self._repository(name, write=True)
        objects = []
        for one in asked["objects"]:
            address = {"upload": {"href": f"{self.hub.url}/storage/{one['oid']}?signature=hidden"}}
            objects.append(
                {**one, **({} if one["oid"] in self.hub.stored else {"actions": address})}
            )
        self._send(200, {"transfer": "basic", "objects": objects})

    def _store(self, oid: str, body: bytes) -> None:
        if hashlib.sha256(body).hexdigest() != oid:
            raise RefusedError(400, "the content is not what was announced")
        self.hub.stored[oid] = body
        self._send(200, b"")

    def _resolve(self, name: str, revision: str, path: str) -> None:
        repository = self._repository(name)
        commit = self._commit_of(repository, revision)
        content = repository.commits[commit].get(path)
        headers = {"X-Repo-Commit": commit}
        if content is None:
            raise RefusedError(404, f"{path} does not exist", "EntryNotFound")
        headers |= {
            "ETag": f'"{remote_id(path, content)}"',
            "X-Linked-Size": str(len(content)),
            "Accept-Ranges": "bytes",
        }
        start = int(self.headers.get("Range", "bytes=0-").removeprefix("bytes=").partition("-")[0])
        self._send(206 if start else 200, content[start:], headers)
