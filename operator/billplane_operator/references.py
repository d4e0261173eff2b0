"""The Secrets and ConfigMaps that specs name: what is there, what is missing, what changed.

Values pass through to the service that needs them; what is remembered is their version.
"""

import base64
import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from billplane.chassis import logging
from billplane.chassis.sealing import keyed_digest
from billplane.resources import BillingPlanSpec, ExchangeRateFeedSpec, Spec
from billplane.resources.exchange_rate_feed import Reference

from billplane_operator.cluster import CONFIG_MAPS, SECRETS, Cluster, Document, KubernetesError
from billplane_operator.kinds import Key, Provided, SourceValue
from billplane_operator.watched import version_of

_log = logging.get("operator")

_RESOURCES: Final = {"Secret": SECRETS, "ConfigMap": CONFIG_MAPS}
_FIELDS: Final = {
    "secretRef": SECRETS.kind,
    "clientSecretRef": SECRETS.kind,
    "configMapRef": CONFIG_MAPS.kind,
}

_Name = tuple[str, str, str]
"""Namespace, kind and name of an object."""


@dataclass(frozen=True, slots=True)
class Found:
    """What is there of what a spec names, and what is not, by kind of object."""

    missing: Mapping[str, list[str]]
    provided: Provided | None


class References:
    """Reads the objects that specs name, by name, and remembers their versions."""

    def __init__(self, cluster: Cluster, seed: bytes) -> None:
        self._cluster = cluster
        self._seed = seed
        self._versions: dict[_Name, str] = {}

    async def find(self, namespace: str, uid: str, document: Any, spec: Spec) -> Found:
        """Read what a spec names.

        Raises: KubernetesError.
        """
        names = sorted({(kind, name) for kind, name, _ in references_of(document)})
        objects = {each: await self._read((namespace, *each)) for each in names}
        missing: dict[str, list[str]] = {kind: [] for kind in _RESOURCES}
        for kind, name, key in sorted(set(references_of(document))):
            found = objects[kind, name]
            told = f"{kind} {name}" if found is None else f"key {key} in {kind} {name}"
            there = found is not None and key in _keys(found)
            if not there and told not in missing[kind]:
                missing[kind].append(told)
        if isinstance(spec, ExchangeRateFeedSpec):
            wanted = spec.references
        elif isinstance(spec, BillingPlanSpec):
            wanted = tuple(sorted(set(references_of(document))))
        else:
            return Found(missing, None)
        values = [
            SourceValue(reference, _content(found, reference))
            for reference in wanted
            if (found := objects[reference.kind, reference.name]) and reference.key in _keys(found)
        ]
        return Found(missing, Provided(self._digest(uid, values), values))

    async def changed(self, specs: Iterable[tuple[Key, Any]]) -> set[Key]:
        """Read what all specs name again; return the resources for which something changed."""
        users: dict[_Name, set[Key]] = {}
        for key, document in specs:
            for kind, of, _ in references_of(document):
                users.setdefault((key.namespace, kind, of), set()).add(key)
        self._versions = {name: seen for name, seen in self._versions.items() if name in users}
        changed: set[Key] = set()
        for name, keys in users.items():
            before = self._versions.get(name)
            try:
                await self._read(name)
            except KubernetesError as error:
                _log.warning("reference_not_read", reference="/".join(name), error=error.detail)
                continue
            if before is not None and self._versions[name] != before:
                changed |= keys
        return changed

    async def _read(self, name: _Name) -> Document | None:
        namespace, kind, of = name
        found = await self._cluster.get(_RESOURCES[kind], namespace, of)
        self._versions[name] = "" if found is None else version_of(found)
        return found

    def _digest(self, uid: str, values: Iterable[SourceValue]) -> str:
        """Name values to ourselves: without the key nobody can tell what they are."""
        told = [(*value.reference, hashlib.sha256(value.content).hexdigest()) for value in values]
        return keyed_digest(self._seed, json.dumps(told).encode(), uid) if told else ""


def references_of(spec: Any) -> Iterator[Reference]:
    """Yield every key of a Secret or ConfigMap that a spec, as JSON data, refers to."""
    if isinstance(spec, list):
        for item in spec:
            yield from references_of(item)
    if isinstance(spec, dict):
        for field, value in spec.items():
            kind: Any = _FIELDS.get(field)
            if kind and isinstance(value, dict):
                yield Reference(kind, str(value.get("name")), str(value.get("key")))
            else:
                yield from references_of(value)


def _keys(found: Document) -> set[str]:
    return {*(found.get("data") or {}), *(found.get("binaryData") or {})}


def _content(found: Document, reference: Reference) -> bytes:
    """Return one value: a ConfigMap holds text as it is, and everything else as base64."""
    data, binary = found.get("data") or {}, found.get("binaryData") or {}
    if reference.kind == "ConfigMap" and reference.key in data:
        return str(data[reference.key]).encode()
    return base64.b64decode(binary.get(reference.key) or data.get(reference.key) or "")
