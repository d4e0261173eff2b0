"""What the API server knows: objects with their versions, owners and finalizers, and history."""

import asyncio
import itertools
import uuid
from copy import deepcopy
from datetime import UTC, datetime

from billplane.resources import KINDS

from tests.operator.fake_api import fields
from tests.resources.crd_schema import Crd

BUILT_IN = {
    ("", "v1", "secrets"): "Secret",
    ("", "v1", "configmaps"): "ConfigMap",
    ("", "v1", "services"): "Service",
    ("", "v1", "namespaces"): "Namespace",
    ("apps", "v1", "deployments"): "Deployment",
    ("networking.k8s.io", "v1", "networkpolicies"): "NetworkPolicy",
    ("coordination.k8s.io", "v1", "leases"): "Lease",
}
CUSTOM = {("billplane.io", "v1alpha1", kind.plural): kind.name for kind in KINDS.values()}
KINDS_BY_PATH = BUILT_IN | CUSTOM
PATHS = {kind: path for path, kind in KINDS_BY_PATH.items()}
COUNTED = {*CUSTOM.values(), "Deployment", "NetworkPolicy"}
WITH_STATUS = {*CUSTOM.values(), "Deployment"}
CRDS = {kind.name: Crd(kind.plural) for kind in KINDS.values()}


class Refused(Exception):
    """The status that a request is answered with."""

    def __init__(self, code, reason, message):
        super().__init__(message)
        self.code, self.reason, self.message = code, reason, message


def not_found(kind, name):
    return Refused(404, "NotFound", f"{kind} {name!r} not found")


def conflict(name, why="the object has been modified"):
    return Refused(409, "Conflict", f"{name}: {why}")


class Store:
    """Every object; each change has a version, and watches read them in that order."""

    def __init__(self):
        self.versions = itertools.count(100)
        self.version = 100
        self.objects = {}
        self.owners = {}
        self.events = []
        self.compacted = 0
        self.changed = asyncio.Condition()
        self.starts_deployments = True

    def get(self, kind, namespace, name):
        found = self.objects.get((kind, namespace, name))
        if found is None:
            raise not_found(kind, name)
        return deepcopy(found)

    def list(self, kind, namespace=None, labels=None):
        for (of, where, _), found in list(self.objects.items()):
            has = found["metadata"].get("labels") or {}
            if of == kind and namespace in (None, where) and has.items() >= (labels or {}).items():
                # Objects are replaced and never changed: who only reads needs no copy.
                yield found

    async def create(self, document):
        document = deepcopy(document)
        kind, metadata = document["kind"], document["metadata"]
        key = (kind, metadata.get("namespace"), metadata["name"])
        if key in self.objects:
            raise Refused(409, "AlreadyExists", f"{kind} {metadata['name']!r} already exists")
        metadata |= {"uid": str(uuid.uuid4()), "creationTimestamp": stamp()}
        if kind in COUNTED:
            metadata["generation"] = 1
        if kind in WITH_STATUS:
            document.pop("status", None)
        self._admit(document, None)
        return await self._put(key, document, "ADDED")

    async def replace(self, document, part=""):
        metadata = document["metadata"]
        kind, namespace, name = document["kind"], metadata.get("namespace"), metadata["name"]
        found = self.get(kind, namespace, name)
        for own in ("resourceVersion", "uid"):
            if metadata.get(own, found["metadata"][own]) != found["metadata"][own]:
                raise conflict(name)
        document = deepcopy(document)
        if part == "status":
            document = found | {"status": document.get("status", {})}
        elif kind in WITH_STATUS:
            document = {key: value for key, value in document.items() if key != "status"}
            document |= {"status": found["status"]} if "status" in found else {}
        return await self._change(found, document)

    async def merge(self, kind, namespace, name, patch, part=""):
        found = self.get(kind, namespace, name)
        return await self.replace(merge_patch(found, patch), part)

    async def apply(self, document, manager, force, part=""):
        metadata = document["metadata"]
        kind, namespace, name = document["kind"], metadata.get("namespace"), metadata["name"]
        key = (kind, namespace, name)
        wanted = set(fields.paths(document))
        if key not in self.objects:
            if part or metadata.get("uid"):
                raise not_found(kind, name)
            made = await self.create(document)
            self.owners[key] = {(manager, part): wanted}
            return made
        found = self.get(*key)
        if metadata.get("uid", found["metadata"]["uid"]) != found["metadata"]["uid"]:
            raise conflict(name, "Precondition failed: UID in precondition")
        owners = self.owners.setdefault(key, {})
        for other, owned in owners.items():
            differ = {path for path in wanted & owned if differs(found, document, path)}
            if other != (manager, part) and differ:
                if not force:
                    raise conflict(name, f"conflict with {other[0]} at {sorted(differ)}")
                owned.difference_update(differ)
        result = fields.merged(found, document)
        result["metadata"] |= {"resourceVersion": found["metadata"]["resourceVersion"]}
        elsewhere = set().union(*(o for m, o in owners.items() if m != (manager, part)), wanted)
        before = owners.get((manager, part), set())
        for path in sorted(before - elsewhere, key=len, reverse=True):
            fields.without(result, path)
        owners[manager, part] = wanted
        return await self.replace(result, part)

    async def delete(self, kind, namespace, name):
        found = self.get(kind, namespace, name)
        if found["metadata"].get("finalizers"):
            if "deletionTimestamp" not in found["metadata"]:
                found["metadata"]["deletionTimestamp"] = stamp()
                found = await self._put((kind, namespace, name), found, "MODIFIED")
            return found
        return await self._remove(found)

    async def compact(self):
        """Forget all history: who watches from before must list anew."""
        self.compacted = self.version
        self.events.clear()

    async def _change(self, found, document):
        metadata, before = document["metadata"], found["metadata"]
        for own in ("uid", "creationTimestamp", "generation", "deletionTimestamp"):
            if own in before:
                metadata[own] = before[own]
        key = (document["kind"], metadata.get("namespace"), metadata["name"])
        metadata["resourceVersion"] = before["resourceVersion"]
        if any(document.get(name) != found.get(name) for name in ("spec", "status")):
            self._admit(document, found)
        if document == found:
            return found
        if document["kind"] in COUNTED and document.get("spec") != found.get("spec"):
            metadata["generation"] = before["generation"] + 1
        if "deletionTimestamp" in before and not metadata.get("finalizers"):
            return await self._remove(document)
        return await self._put(key, document, "MODIFIED")

    def _admit(self, document, found):
        """Fill in a custom resource's defaults and refuse what its CRD refuses."""
        crd = CRDS.get(document["kind"])
        if crd is None:
            return
        refusals = crd.status_refusals(document.get("status") or {})
        if found is None or document.get("spec") != found["spec"]:
            document["spec"] = crd.defaulted(document.get("spec", {}))
            refusals += crd.refusals(document["spec"], (found or {}).get("spec"))
        if refusals:
            raise Refused(422, "Invalid", "; ".join(refusals))

    async def _put(self, key, document, event):
        document["metadata"]["resourceVersion"] = str(self._next())
        self.objects[key] = document
        await self._note(event, document)
        if key[0] == "Deployment" and self.starts_deployments:
            await self._start(key, document)
        return deepcopy(self.objects[key])

    async def _remove(self, document):
        metadata = document["metadata"]
        key = (document["kind"], metadata.get("namespace"), metadata["name"])
        self.objects.pop(key, None)
        self.owners.pop(key, None)
        metadata["resourceVersion"] = str(self._next())
        await self._note("DELETED", document)
        for owned in [found for found in self.objects.values() if owned_by(found, metadata["uid"])]:
            at = owned["metadata"]
            await self.delete(owned["kind"], at.get("namespace"), at["name"])
        return document

    async def _start(self, key, document):
        """Play the Deployment controller: what was asked runs at once."""
        generation = document["metadata"]["generation"]
        status = {"observedGeneration": generation, "availableReplicas": 1}
        if document.get("status") != status:
            await self._put(key, deepcopy(document) | {"status": status}, "MODIFIED")

    def _next(self):
        self.version = next(self.versions)
        return self.version

    async def _note(self, event, document):
        self.events.append((self.version, event, deepcopy(document)))
        async with self.changed:
            self.changed.notify_all()


def owned_by(document, uid):
    references = document["metadata"].get("ownerReferences") or ()
    return any(reference["uid"] == uid for reference in references)


def differs(found, document, path):
    try:
        return fields.find(found, path) != fields.find(document, path)
    except (KeyError, TypeError):
        return False


def merge_patch(target, patch):
    if not isinstance(patch, dict):
        return patch
    result = dict(target) if isinstance(target, dict) else {}
    for key, value in patch.items():
        if value is None:
            result.pop(key, None)
        else:
            result[key] = merge_patch(result.get(key), value)
    return result


def stamp():
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
