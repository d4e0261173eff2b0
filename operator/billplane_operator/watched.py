"""Resources in a cluster as they were seen last: by the watch, by a list, or in an answer."""

import time
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from billplane.resources import KINDS

from billplane_operator.cluster import Document
from billplane_operator.kinds import Key

_PEOPLES = ("uid", "generation", "deletionTimestamp", "annotations")


def key_of(document: Document) -> Key:
    """Name a resource."""
    metadata = document["metadata"]
    return Key(metadata["namespace"], document["kind"], metadata["name"])


def newer(version: str, than: str) -> bool:
    """Tell whether a resourceVersion comes after another.

    Source: KEP-5504, by which they compare as numbers.
    """
    if version.isdigit() and than.isdigit():
        return int(version) > int(than)
    return version != than


def version_of(document: Document) -> str:
    """Return the resourceVersion of an object."""
    return str(document["metadata"].get("resourceVersion", ""))


def trimmed(document: Document) -> Document:
    """Return an object without what nobody here reads and much of the memory goes to."""
    metadata = {
        name: value for name, value in document["metadata"].items() if name != "managedFields"
    }
    return {**document, "metadata": metadata}


class Watched:
    """The newest known state of every resource, and how well the watch keeps up."""

    def __init__(self) -> None:
        self._documents: dict[Key, Document] = {}
        self._events: dict[str, float] = {}
        self._unseen: dict[str, float] = {}

    def __len__(self) -> int:
        return len(self._documents)

    def keys(self) -> list[Key]:
        """Return every resource that is there."""
        return list(self._documents)

    def get(self, key: Key) -> Document | None:
        """Return a resource as it was seen last."""
        return self._documents.get(key)

    def items(self) -> Iterator[tuple[Key, Document]]:
        """Yield every resource."""
        yield from list(self._documents.items())

    def event(self, document: Document, *, deleted: bool) -> Key | None:
        """Take what the watch told; return the resource if it is news."""
        key = key_of(document)
        self._events[key.kind] = time.monotonic()
        self._unseen.pop(key.kind, None)
        if deleted:
            return self._gone(key, version_of(document))
        return key if self.store(document) else None

    def store(self, document: Document) -> bool:
        """Keep a newer state; tell whether it calls for a look."""
        key, before = key_of(document), self._documents.get(key_of(document))
        if before is not None and not newer(version_of(document), version_of(before)):
            return False
        self._documents[key] = trimmed(document)
        return before is None or _telling(before) != _telling(document)

    def answered(self, document: Document) -> None:
        """Keep what the API server answered to a change of ours, unless others changed it too.

        What others changed is left for the watch to tell, since that calls for a look.
        """
        before = self._documents.get(key_of(document))
        if before is not None and _written_by_people(before) == _written_by_people(document):
            self.store(document)

    def forget(self, key: Key) -> None:
        """Drop a resource that is gone."""
        self._documents.pop(key, None)

    def listed(self, kind: str, found: Sequence[Document], version: str) -> list[Key]:
        """Take a whole list; return what the watch had not told of."""
        news = []
        for document in found:
            known = self._documents.get(key_of(document))
            unseen = known is None or newer(version_of(document), version_of(known))
            if unseen:
                self._unseen.setdefault(kind, time.monotonic())
            if self.store(document):
                news.append(key_of(document))
        names = {key_of(document) for document in found}
        for key in [key for key in self._documents if key.kind == kind and key not in names]:
            if not newer(version_of(self._documents[key]), version):
                self._unseen.setdefault(kind, time.monotonic())
                self.forget(key)
                news.append(key)
        return news

    def silent_seconds(self) -> Mapping[str, float]:
        """Return for each kind how long a list has known what the watch does not tell."""
        now = time.monotonic()
        return {kind: now - since for kind, since in self._unseen.items()}

    def event_ages(self) -> Mapping[str, float]:
        """Return for each kind the seconds since the watch last told anything."""
        now = time.monotonic()
        return {kind: now - self._events[kind] for kind in KINDS if kind in self._events}

    def _gone(self, key: Key, version: str) -> Key | None:
        before = self._documents.get(key)
        if before is None or newer(version_of(before), version):
            return None
        self.forget(key)
        return key


def _telling(document: Document) -> dict[str, Any]:
    ours = {"finalizers": document["metadata"].get("finalizers"), "status": document.get("status")}
    return _written_by_people(document) | ours


def _written_by_people(document: Document) -> dict[str, Any]:
    return {name: document["metadata"].get(name) for name in _PEOPLES}
