"""What every kind of resource has in common: what is wanted, what runs, what is to be done."""

import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Literal, TypeAlias

from billplane.resources import Spec

from billplane_operator.conditions import Condition

PAUSE_ANNOTATION: Final = "billplane.io/reconcile"
APPROVE_ANNOTATION: Final = "billplane.io/approve"

Policy = Literal["Retain", "Delete"]


@dataclass(frozen=True, slots=True, order=True)
class Key:
    """Names one resource."""

    namespace: str
    kind: str
    name: str

    @property
    def uid(self) -> str:
        """The resource's id where no Kubernetes gives it one: always the same for a name."""
        return str(uuid.uuid5(uuid.NAMESPACE_URL, f"{self.kind}/{self.namespace}/{self.name}"))


@dataclass(frozen=True, slots=True)
class Desired:
    """What somebody wrote.

    Shape: `source_digest` names the content of the local file that the spec reads, if it does.
    """

    key: Key
    uid: str
    spec: Spec
    spec_hash: str
    annotations: Mapping[str, str] = field(default_factory=dict)
    source_digest: str = ""

    @property
    def paused(self) -> bool:
        """Whether this resource is to be left alone."""
        return self.annotations.get(PAUSE_ANNOTATION) == "paused"


@dataclass(frozen=True, slots=True)
class Applied:
    """What a service runs of a resource; `spec_hash` is of the spec that it really runs."""

    id: str
    generation: int
    epoch: int
    spec_hash: str


@dataclass(frozen=True, slots=True)
class Actual:
    """What is.

    Shape: `details` are the kind's own facts of the applied object, as JSON data.
    """

    applied: Applied | None = None
    details: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Apply:
    """Send the spec as this generation."""

    generation: int


@dataclass(frozen=True, slots=True)
class Refresh:
    """Have a feed fetched now."""


@dataclass(frozen=True, slots=True)
class Remove:
    """Take the object out of use."""

    generation: int
    policy: Policy


Action: TypeAlias = Apply | Refresh | Remove


@dataclass(frozen=True, slots=True)
class Rules:
    """How one kind is reconciled; every function is pure.

    Shape: `rank` is the order between kinds: what others name comes first.
    """

    kind: str
    rank: int
    condition_types: Sequence[str]
    plan: Callable[[Desired, Actual], list[Action]]
    conditions: Callable[[Desired, Actual], list[Condition]]
    status: Callable[[Desired, Actual], dict[str, Any]]


def plan_apply(desired: Desired, actual: Actual) -> list[Action]:
    """Apply the spec where the service does not run it; a paused resource is left alone."""
    if desired.paused or runs(desired, actual):
        return []
    generation = 1 if actual.applied is None else actual.applied.generation + 1
    return [Apply(generation)]


def plan_removal(actual: Actual, policy: Policy) -> list[Action]:
    """Remove what a service still has of a resource that nobody wants."""
    if actual.applied is None:
        return []
    return [Remove(actual.applied.generation, policy)]


def runs(desired: Desired, actual: Actual) -> bool:
    """Tell whether the service runs exactly the spec that was written."""
    return actual.applied is not None and actual.applied.spec_hash == desired.spec_hash
