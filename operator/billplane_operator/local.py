"""Resources in a folder: manifests in one place, what became of them in another.

`DIR/<namespace>/<kind>/<name>.yaml` is written by the command line, by rename; the status goes to
`status/<namespace>/<kind>/<name>.json`, also by rename: the whole object, with the digest of the
manifest that it speaks of. A status without a manifest is a resource that still has to be cleaned
up after.
"""

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from billplane.chassis.errors import BillplaneError
from billplane.resources import (
    API_VERSION,
    KINDS,
    Manifest,
    ManifestError,
    read_manifests,
    spec_hash,
)
from billplane.resources.errors import Violation
from billplane.resources.manifest import LocatedViolation, line_of

from billplane_operator.conditions import READY
from billplane_operator.kinds import ChildName, Desired, Document, Key
from billplane_operator.port import Broken, Gone, Settled

DIGEST_ANNOTATION: Final = "billplane.io/manifest-sha256"
DEFAULT_NAMESPACE: Final = "default"
_SUFFIXES: Final = frozenset({".yaml", ".yml", ".json"})

Stamp = tuple[int, int, int]


@dataclass(frozen=True, slots=True)
class _Filed:
    """Where a resource stands, and what told the file apart when it was last looked at."""

    path: Path
    stamp: Stamp


class Folder:
    """Resources and their status below two folders; without the second, status is only kept here.

    With `loose` every manifest below the folder counts, wherever it lies and however many are in
    one file; its namespace is its own or `default`.
    """

    def __init__(self, resources: Path, status: Path | None, *, loose: bool = False) -> None:
        self._resources = resources
        self._status = status
        self._loose = loose
        self._filed: dict[Key, _Filed] = {}
        self._tables: dict[Path, Stamp] = {}
        self._read: dict[Key, dict[str, Any]] = {}
        self._kept: dict[Key, dict[str, Any]] = {}
        self.unreadable: list[str] = []

    def scan(self) -> set[Key]:
        """Look at the folder; return the resources that came, went or changed since last time."""
        found = dict(self._find())
        changed = {key for key, filed in found.items() if self._filed.get(key) != filed} | (
            self._filed.keys() - found.keys()
        )
        tables = dict(self._find_tables())
        if tables != self._tables:
            changed |= {key for key in found if key.kind == "ExchangeRateFeed"}
        self._filed, self._tables = found, tables
        return changed

    def keys(self) -> Iterable[Key]:
        """Return every resource that is filed or has a status."""
        return {*self._filed, *self._with_status()}

    async def read(self, key: Key) -> Desired | Broken | Gone | None:
        """Return what is filed now."""
        filed = self._filed.get(key)
        if filed is None or not filed.path.exists():
            return self._gone(key)
        self._read.pop(key, None)
        try:
            text = filed.path.read_text()
            self._read[key] = self._object(key, text, None)
            manifest = self._manifest(key, text, filed.path)
            self._read[key] = self._object(key, text, manifest)
            spec = manifest.read_spec()
        except (OSError, UnicodeDecodeError) as error:
            return Broken(f"{filed.path}: {error}")
        except ManifestError as error:
            return Broken("\n".join(str(item) for item in error.located))
        return Desired(
            key,
            key.uid,
            spec,
            spec_hash(spec),
            manifest.annotations,
            self._source_digest(filed.path, manifest.document),
        )

    def settled(self, key: Key) -> Settled | None:
        """Return what the status says is run, if it speaks of the file as it is."""
        filed, document = self._filed.get(key), self._document(key)
        if filed is None or key.kind in ("ExchangeRateFeed", "UtilityProvider"):
            return None
        told = document.get("status") or {}
        ready = any(
            item.get("type") == READY and item.get("status") == "True"
            for item in told.get("conditions") or ()
        )
        annotations = (document.get("metadata") or {}).get("annotations") or {}
        try:
            digest = _digest(filed.path.read_bytes())
        except OSError:
            return None
        same = annotations.get(DIGEST_ANNOTATION) == digest
        found = str(told.get("specHash", ""))
        return Settled(key.uid, found) if ready and same and found else None

    def generation(self, _key: Key) -> int:
        """Return 0: nobody counts what is written to a folder."""
        return 0

    def told(self, key: Key) -> Mapping[str, Any]:
        """Return the status as it was written last."""
        status = self._document(key).get("status")
        return status if isinstance(status, dict) else {}

    async def write(self, key: Key, status: Mapping[str, Any]) -> None:
        """Write the whole object with its status, unless it says the same already."""
        before = self._document(key)
        found = self._read.pop(key, None) or self._object(key, "", None)
        document = found | {"status": dict(status)}
        if document == before:
            return
        if self._status is None:
            self._kept[key] = document
            return
        path = self._status_path(self._status, key)
        path.parent.mkdir(parents=True, exist_ok=True)
        partial = path.with_name(f"{path.name}.partial")
        partial.write_text(json.dumps(document, indent=2, ensure_ascii=False, default=str))
        partial.replace(path)

    async def hold(self, _key: Key) -> None:
        """Do nothing: a status without a file tells that something is to be cleaned up."""

    async def clear(self, key: Key) -> None:
        """Drop the status of a resource that is cleaned up after."""
        self._kept.pop(key, None)
        if self._status is not None:
            self._status_path(self._status, key).unlink(missing_ok=True)

    def explain(self, key: Key, error: BillplaneError) -> str:
        """Tell the file and line of each field that a service refused, else what it said."""
        filed = self._filed.get(key)
        if filed is None or not error.errors:
            return f"{error.detail} ({error.reason})"
        try:
            manifest = self._manifest(key, filed.path.read_text(), filed.path)
        except (OSError, UnicodeDecodeError, ManifestError):
            return f"{error.detail} ({error.reason})"
        return "\n".join(
            str(
                LocatedViolation(
                    str(filed.path),
                    line_of(item.field, manifest.lines),
                    Violation(item.field, item.reason, item.detail),
                )
            )
            for item in error.errors
        )

    def children(self, _key: Key) -> Mapping[ChildName, Document]:
        """Return nothing: no objects belong to files."""
        return {}

    async def ensure_child(self, _key: Key, document: Document) -> None:
        """Refuse: nothing can run beside a file."""
        raise NotImplementedError(f"a folder runs no {document['kind']}")

    async def delete_child(self, _key: Key, child: ChildName) -> None:
        """Refuse: nothing runs beside a file."""
        raise NotImplementedError(f"a folder runs no {child[0]}")

    async def look_around(self) -> Iterable[Key]:
        """Return nothing: `scan` finds what changed."""
        return ()

    def _find(self) -> Iterator[tuple[Key, _Filed]]:
        if self._loose:
            yield from self._find_loose()
            return
        for path in self._resources.glob("*/*/*.yaml"):
            key = _key_of(path)
            stamp = _stamp(path)
            if key.kind in KINDS and stamp is not None:
                yield key, _Filed(path, stamp)

    def _find_loose(self) -> Iterator[tuple[Key, _Filed]]:
        self.unreadable = []
        for path in sorted(self._resources.rglob("*")):
            stamp = _stamp(path)
            if path.suffix not in _SUFFIXES or stamp is None:
                continue
            try:
                text = path.read_text()
                # A table or a list of customers may lie beside manifests; it is not for us.
                manifests = read_manifests(text, str(path)) if API_VERSION in text else []
            except ManifestError as error:
                self.unreadable += [str(item) for item in error.located]
                continue
            for manifest in manifests:
                namespace = manifest.namespace or DEFAULT_NAMESPACE
                yield Key(namespace, manifest.kind, manifest.name), _Filed(path, stamp)

    def _find_tables(self) -> Iterator[tuple[Path, Stamp]]:
        """Find what feeds may read beside their manifests."""
        for path in self._resources.glob("*/ExchangeRateFeed/**/*"):
            stamp = _stamp(path)
            if path.suffix not in _SUFFIXES | {".partial"} and stamp is not None:
                yield path, stamp

    def _manifest(self, key: Key, text: str, path: Path) -> Manifest:
        """Return the manifest of a resource.

        Raises: ManifestError, also when the file holds another one.
        """
        manifests = read_manifests(text, str(path))
        for manifest in manifests:
            named = (manifest.namespace or key.namespace, manifest.kind, manifest.name)
            if named == (key.namespace, key.kind, key.name):
                return manifest
        line = manifests[0].line if manifests else 1
        detail = f"is not {key.kind} {key.name} of namespace {key.namespace}, as the path says"
        raise ManifestError(
            [LocatedViolation(str(path), line, Violation("metadata", "NAME_DIFFERS", detail))]
        )

    def _gone(self, key: Key) -> Gone | None:
        document = self._document(key)
        if not document:
            return None
        policy = (document.get("spec") or {}).get("deletionPolicy")
        return Gone("Delete" if policy == "Delete" else "Retain", key.uid)

    def _object(self, key: Key, text: str, manifest: Manifest | None) -> dict[str, Any]:
        """Return the object that a status belongs to, as its file was when it was read.

        What cannot be read keeps the spec that was read last.
        """
        annotations: dict[str, str] = {}
        if text:
            annotations[DIGEST_ANNOTATION] = _digest(text.encode())
        if manifest is None:
            spec = self._document(key).get("spec") or {}
        else:
            annotations |= manifest.annotations
            spec = _plain(manifest.document)
        return {
            "apiVersion": API_VERSION,
            "kind": key.kind,
            "metadata": {
                "name": key.name,
                "namespace": key.namespace,
                "uid": key.uid,
                "annotations": annotations,
            },
            "spec": spec,
        }

    def _source_digest(self, manifest: Path, spec: Any) -> str:
        """Return the digest of the tables that a feed's spec names, empty when it names none."""
        names = sorted(_files_of(spec))
        digest = hashlib.sha256()
        for name in names:
            path = manifest.parent / name
            if path.is_file():
                digest.update(path.read_bytes())
        return digest.hexdigest() if names else ""

    def _with_status(self) -> Iterator[Key]:
        if self._status is None:
            return
        for path in self._status.glob("*/*/*.json"):
            key = _key_of(path)
            if key.kind in KINDS:
                yield key

    def _document(self, key: Key) -> dict[str, Any]:
        if self._status is None:
            return self._kept.get(key, {})
        try:
            document = json.loads(self._status_path(self._status, key).read_text())
        except (OSError, ValueError):
            return {}
        return document if isinstance(document, dict) else {}

    @staticmethod
    def _status_path(folder: Path, key: Key) -> Path:
        return folder / key.namespace / key.kind / f"{key.name}.json"


def _key_of(path: Path) -> Key:
    return Key(*path.with_suffix("").parts[-3:])


def _stamp(path: Path) -> Stamp | None:
    try:
        found = path.stat()
    except OSError:
        return None
    return (found.st_mtime_ns, found.st_size, found.st_ino) if path.is_file() else None


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def _plain(document: Any) -> Any:
    """Return YAML data as JSON data; a number with a fraction keeps its digits as text."""
    return json.loads(json.dumps(document, default=str))


def _files_of(spec: Any) -> Iterator[str]:
    if isinstance(spec, list):
        for item in spec:
            yield from _files_of(item)
    if isinstance(spec, dict):
        table = spec.get("csv")
        if isinstance(table, dict) and isinstance(table.get("file"), str):
            yield table["file"]
        for value in spec.values():
            yield from _files_of(value)
