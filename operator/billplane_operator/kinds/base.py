"""What every kind of resource has in common: what is wanted, what runs, what is to be done."""

import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final, Literal, TypeAlias

from billplane.resources import Spec
from billplane.resources.exchange_rate_feed import Reference

from billplane_operator.conditions import Condition

PAUSE_ANNOTATION: Final = "billplane.io/reconcile"
APPROVE_ANNOTATION: Final = "billplane.io/approve"
ADOPT_ANNOTATION: Final = "billplane.io/adopt"

Policy = Literal["Retain", "Delete"]
Document: TypeAlias = dict[str, Any]
ChildName: TypeAlias = tuple[str, str]
"""Kind and name of an object that belongs to a resource, in the same namespace."""


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
class SimulatorImage:
    """What simulated utilities run from."""

    image: str
    pull_policy: str


@dataclass(frozen=True, slots=True)
class SourceValue:
    """One key of a Secret or ConfigMap that a spec names."""

    reference: Reference
    content: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class Provided:
    """What there is of the Secrets and ConfigMaps that a spec names; `digest` names it."""

    digest: str = ""
    values: Sequence[SourceValue] = ()


@dataclass(frozen=True, slots=True)
class Desired:
    """What somebody wrote.

    Shape: `generation` is the API server's count of the spec, None where nobody counts;
        `source_digest` names the content of the local file that the spec reads, if it does;
        `secrets_missing` tells each Secret or key of one that the spec names and nobody made,
        `config_maps_missing` each ConfigMap; `provided` is None where neither can be read;
        `simulator` is None where no simulated utility can be run.
    """

    key: Key
    uid: str
    spec: Spec
    spec_hash: str
    annotations: Mapping[str, str] = field(default_factory=dict)
    source_digest: str = ""
    generation: int | None = None
    secrets_missing: Sequence[str] = ()
    config_maps_missing: Sequence[str] = ()
    provided: Provided | None = None
    simulator: SimulatorImage | None = None

    @property
    def paused(self) -> bool:
        """Whether this resource is to be left alone."""
        return self.annotations.get(PAUSE_ANNOTATION) == "paused"

    @property
    def adopt(self) -> bool:
        """Whether this resource may take over what the API made under its name."""
        return self.annotations.get(ADOPT_ANNOTATION) == "true"


@dataclass(frozen=True, slots=True)
class Applied:
    """What a service runs of a resource.

    Shape: `spec_hash` is of the spec that it really runs; `source_digest` is of what it holds of
        the Secrets and ConfigMaps that a feed or a plan names.
    """

    id: str
    generation: int
    epoch: int
    spec_hash: str
    endpoint: str = ""
    source_digest: str = ""


@dataclass(frozen=True, slots=True)
class Actual:
    """What is.

    Shape: `details` are the kind's own facts of the applied object, as JSON data.
    """

    applied: Applied | None = None
    details: Mapping[str, Any] = field(default_factory=dict)
    children: Mapping[ChildName, Document] = field(default_factory=dict)

    def keeping(self, before: "Actual", name: str) -> "Actual":
        """Return the same with a detail that was found out before."""
        return replace(self, details={**self.details, name: before.details.get(name)})


@dataclass(frozen=True, slots=True)
class Apply:
    """Send the spec as this generation; `endpoint` is the simulator that is asked, if one is."""

    generation: int
    endpoint: str = ""


@dataclass(frozen=True, slots=True)
class Provide:
    """Hand over what a spec names of its namespace."""

    provided: Provided


@dataclass(frozen=True, slots=True)
class Refresh:
    """Have a feed fetched now."""


@dataclass(frozen=True, slots=True)
class Probe:
    """Have a utility asked whether it is there."""


@dataclass(frozen=True, slots=True)
class CompareBills:
    """Have billed usage rated by the spec: who would pay more, who less."""


@dataclass(frozen=True, slots=True)
class EnsureChild:
    """Make an object that belongs to the resource what it is to be."""

    document: Document


@dataclass(frozen=True, slots=True)
class DeleteChild:
    """Delete an object that belongs to the resource and is wanted no more."""

    child: ChildName


@dataclass(frozen=True, slots=True)
class Remove:
    """Take the object out of use."""

    generation: int
    policy: Policy


Action: TypeAlias = (
    Apply | CompareBills | Provide | Refresh | Probe | EnsureChild | DeleteChild | Remove
)


@dataclass(frozen=True, slots=True)
class Rules:
    """How one kind is reconciled; every function is pure.

    Shape: `rank` is the order between kinds: what others name comes first. `volatile` are fields
        of the status that are written along with others, but are no reason to write.
    """

    kind: str
    rank: int
    condition_types: Sequence[str]
    plan: Callable[[Desired, Actual], list[Action]]
    conditions: Callable[[Desired, Actual], list[Condition]]
    status: Callable[[Desired, Actual], dict[str, Any]]
    volatile: Sequence[str] = ()


def plan_apply(desired: Desired, actual: Actual) -> list[Action]:
    """Apply the spec where the service does not run it; a paused resource is left alone."""
    if desired.paused or runs(desired, actual):
        return []
    return [Apply(next_generation(desired, actual))]


def plan_provide(desired: Desired, actual: Actual) -> list[Action]:
    """Hand over what a spec names of its namespace, where the service holds something else."""
    held = actual.applied.source_digest if actual.applied else ""
    if desired.paused or desired.provided is None or desired.provided.digest == held:
        return []
    return [Provide(desired.provided)]


def next_generation(desired: Desired, actual: Actual) -> int:
    """Return the generation to apply as: the API server's, else one more than what runs."""
    if desired.generation is not None:
        return desired.generation
    return 1 if actual.applied is None else actual.applied.generation + 1


def plan_removal(actual: Actual, policy: Policy) -> list[Action]:
    """Remove what a service still has of a resource that nobody wants."""
    if actual.applied is None:
        return []
    return [Remove(actual.applied.generation, policy)]


def runs(desired: Desired, actual: Actual) -> bool:
    """Tell whether the service runs exactly the spec that was written, as its generation."""
    applied = actual.applied
    if applied is None or applied.spec_hash != desired.spec_hash:
        return False
    return desired.generation is None or applied.generation == desired.generation
