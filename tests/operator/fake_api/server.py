"""The HTTP side of the API server, and what can go wrong with it."""

import asyncio
import json
from contextlib import asynccontextmanager
from pathlib import Path

import yaml
from aiohttp import web

from tests.operator.fake_api.store import KINDS_BY_PATH, WITH_STATUS, Refused, Store

BOOKMARK_SECONDS = 0.5
CHANGES = {"POST", "PUT", "PATCH", "DELETE"}


class FakeApi:
    """An API server that answers on `url`; its faults are set by tests."""

    def __init__(self, url):
        self.url = url
        self.store = Store()
        self.requests = []
        self.down = False
        self.silent = False
        self.lost_events = 0
        self.repeats_events = False
        self.refusals = []
        self.held = None
        self._watches = set()

    def kubeconfig(self, path: Path, namespace="billplane"):
        """Write how to reach this server."""
        path.write_text(
            yaml.safe_dump(
                {
                    "clusters": [{"name": "fake", "cluster": {"server": self.url}}],
                    "users": [{"name": "test", "user": {"token": "token"}}],
                    "contexts": [
                        {
                            "name": "fake",
                            "context": {"cluster": "fake", "user": "test", "namespace": namespace},
                        }
                    ],
                    "current-context": "fake",
                }
            )
        )
        return str(path)

    def writes(self, *, leases=False):
        """Return the changes that were asked for, those of the Lease apart."""
        return [
            f"{method} {path}"
            for method, path in self.requests
            if method in CHANGES and (leases or "/leases" not in path)
        ]

    def cut_watches(self):
        """Reset every watch that is open."""
        for task in list(self._watches):
            task.cancel()

    def refuse(self, code, *, method="PATCH", path="", times=1):
        """Answer some requests to come with an error."""
        self.refusals += [(code, method, path)] * times

    def hold_request(self, number, *, before):
        """Let the n-th change from now on hang, before or after it took effect."""
        self.held = Hold(number, before)
        return self.held

    async def handle(self, request):
        """Answer one request."""
        if self.down:
            request.transport.abort()
            raise web.HTTPServiceUnavailable
        self.requests.append((request.method, request.path))
        try:
            for refusal in self.refusals:
                code, method, path = refusal
                if method == request.method and path in request.path:
                    self.refusals.remove(refusal)
                    raise Refused(code, "Injected", f"injected {code}")
            return await self._answer(request)
        except Refused as refused:
            return status(refused)

    async def _answer(self, request):
        steps = request.path.strip("/").split("/")
        if steps in (["api"], ["apis"], ["version"]) or len(steps) == (2, 3)[steps[0] == "apis"]:
            return web.json_response(discovery(steps))
        group, version, steps = (
            ("", steps[1], steps[2:]) if steps[0] == "api" else (*steps[1:3], steps[3:])
        )
        namespace = None
        if steps[0] == "namespaces" and len(steps) > 2:
            namespace, steps = steps[1], steps[2:]
        kind = KINDS_BY_PATH.get((group, version, steps[0]))
        if kind is None:
            raise Refused(404, "NotFound", "the server could not find the requested resource")
        name, part = (*steps[1:], "", "")[:2]
        if request.method == "GET" and not name:
            if request.query.get("watch") == "true":
                return await self._watch(request, kind, namespace)
            return self._list(request, kind, namespace)
        if request.method == "GET":
            return web.json_response(self.store.get(kind, namespace, name))
        hold = self.held if "/leases" not in request.path else None
        if hold is not None and hold.counts() and hold.before:
            await hold.hang()
        answer = await self._change(request, kind, namespace, name, part)
        if hold is not None and hold.now and not hold.before:
            await hold.hang()
        return web.json_response(answer)

    async def _change(self, request, kind, namespace, name, part):
        body = json.loads(await request.read() or b"{}")
        if request.method == "DELETE":
            return await self.store.delete(kind, namespace, name)
        if request.method == "POST":
            body["metadata"].setdefault("namespace", namespace)
            return await self.store.create({"kind": kind, **body})
        if request.method == "PUT":
            return await self.store.replace(body, part)
        if request.content_type == "application/apply-patch+yaml":
            query = request.query
            force = query.get("force") == "true"
            return await self.store.apply(body, query["fieldManager"], force, part)
        if request.content_type != "application/merge-patch+json":
            raise Refused(415, "UnsupportedMediaType", f"no patch of type {request.content_type}")
        return await self.store.merge(kind, namespace, name, body, part)

    def _list(self, request, kind, namespace):
        items = list(self.store.list(kind, namespace, labels_of(request)))
        start, limit = int(request.query.get("continue") or 0), int(request.query.get("limit") or 0)
        page = items[start : start + limit] if limit else items[start:]
        metadata = {"resourceVersion": str(self.store.version)}
        if start + len(page) < len(items):
            metadata["continue"] = str(start + len(page))
        return web.json_response({"kind": f"{kind}List", "metadata": metadata, "items": page})

    async def _watch(self, request, kind, namespace):
        response = web.StreamResponse(headers={"Content-Type": "application/json"})
        await response.prepare(request)
        task = asyncio.current_task()
        self._watches.add(task)
        try:
            seconds = float(request.query.get("timeoutSeconds") or 300)
            async with asyncio.timeout(seconds):
                await self._stream(response, kind, namespace, int(request.query["resourceVersion"]))
        except TimeoutError:
            await response.write_eof()
        except (asyncio.CancelledError, ConnectionError):
            if request.transport is not None:
                request.transport.abort()
        finally:
            self._watches.discard(task)
        return response

    async def _stream(self, response, kind, namespace, version):
        if version < self.store.compacted:
            gone = {"kind": "Status", "code": 410, "reason": "Expired", "message": "too old"}
            await send(response, "ERROR", gone)
            return
        place = 0
        while True:
            if self.silent:
                await asyncio.sleep(3600)
            place = min(place, len(self.store.events))
            news, place = self.store.events[place:], len(self.store.events)
            for at, event, document in news:
                if at <= version:
                    continue
                version = at
                where = document["metadata"].get("namespace")
                if document["kind"] != kind or namespace not in (None, where):
                    continue
                if self.lost_events:
                    self.lost_events -= 1
                    continue
                await send(response, event, document)
                if self.repeats_events:
                    await send(response, event, document)
            try:
                async with asyncio.timeout(BOOKMARK_SECONDS), self.store.changed:
                    await self.store.changed.wait()
            except TimeoutError:
                metadata = {"resourceVersion": str(self.store.version)}
                if not self.silent:
                    await send(response, "BOOKMARK", {"kind": kind, "metadata": metadata})


class Hold:
    """One request that never comes back."""

    def __init__(self, number, before):
        self.number, self.before = number, before
        self.now = False
        self.reached = asyncio.Event()

    def counts(self):
        """Count one change; tell whether it is the one."""
        self.number -= 1
        self.now = self.number == 0
        return self.now

    async def hang(self):
        """Keep the caller waiting."""
        self.now = False
        self.reached.set()
        await asyncio.sleep(3600)


async def send(response, event, document):
    await response.write(json.dumps({"type": event, "object": document}).encode() + b"\n")


def labels_of(request):
    text = request.query.get("labelSelector")
    return dict(pair.split("=") for pair in text.split(",")) if text else None


def status(refused):
    body = {
        "kind": "Status",
        "apiVersion": "v1",
        "status": "Failure",
        "code": refused.code,
        "reason": refused.reason,
        "message": refused.message,
    }
    headers = {"Retry-After": "1"} if refused.code == 429 else {}
    return web.json_response(body, status=refused.code, headers=headers)


def discovery(steps):
    groups = sorted({(group, version) for group, version, _ in KINDS_BY_PATH if group})
    if steps == ["version"]:
        return {"major": "1", "minor": "34"}
    if steps == ["api"]:
        return {"kind": "APIVersions", "versions": ["v1"]}
    if steps == ["apis"]:
        named = [
            {
                "name": group,
                "versions": [{"groupVersion": f"{group}/{version}", "version": version}],
                "preferredVersion": {"groupVersion": f"{group}/{version}", "version": version},
            }
            for group, version in groups
        ]
        return {"kind": "APIGroupList", "groups": named}
    group, version = ("", steps[1]) if steps[0] == "api" else steps[1:3]
    resources = [
        {
            "name": plural,
            "singularName": kind.lower(),
            "kind": kind,
            "namespaced": kind != "Namespace",
            "verbs": ["create", "delete", "get", "list", "patch", "update", "watch"],
        }
        for (of, at, plural), kind in KINDS_BY_PATH.items()
        if (of, at) == (group, version)
    ]
    resources += [
        {**found, "name": f"{found['name']}/status", "verbs": ["get", "patch", "update"]}
        for found in resources
        if found["kind"] in WITH_STATUS
    ]
    at = f"{group}/{version}" if group else version
    return {"kind": "APIResourceList", "groupVersion": at, "resources": resources}


@asynccontextmanager
async def running_api():
    """Answer on a free port until the block ends."""
    api = FakeApi("")
    app = web.Application(client_max_size=8 * 2**20)
    app.router.add_route("*", "/{path:.*}", api.handle)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    host, port = site._server.sockets[0].getsockname()[:2]
    api.url = f"http://{host}:{port}"
    try:
        yield api
    finally:
        api.cut_watches()
        await runner.cleanup()
