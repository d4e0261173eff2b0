"""How each kind is reconciled, as pure functions over what is wanted and what is."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from billplane_operator.kinds import billing_plan, exchange_rate_feed, meter, utility_provider
from billplane_operator.kinds.base import (
    PAUSE_ANNOTATION,
    Action,
    Actual,
    Applied,
    Apply,
    ChildName,
    CompareBills,
    DeleteChild,
    Desired,
    Document,
    EnsureChild,
    Key,
    Policy,
    Probe,
    Provide,
    Provided,
    Refresh,
    Remove,
    Rules,
    SimulatorImage,
    SourceValue,
    plan_removal,
)

RULES: Final[Mapping[str, Rules]] = MappingProxyType(
    {
        module.RULES.kind: module.RULES
        for module in (meter, exchange_rate_feed, billing_plan, utility_provider)
    }
)

__all__ = [
    "PAUSE_ANNOTATION",
    "RULES",
    "Action",
    "Actual",
    "Applied",
    "Apply",
    "ChildName",
    "CompareBills",
    "DeleteChild",
    "Desired",
    "Document",
    "EnsureChild",
    "Key",
    "Policy",
    "Probe",
    "Provide",
    "Provided",
    "Refresh",
    "Remove",
    "Rules",
    "SimulatorImage",
    "SourceValue",
    "plan_removal",
]
