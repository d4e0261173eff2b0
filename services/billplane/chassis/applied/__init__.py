"""Resources of two origins: applied by the operator, or made through the API.

A service that runs specs of resources keeps one row a resource with these
columns, and lets these functions decide what an application means.
"""

from billplane.chassis.applied.errors import (
    ManagedByResource,
    NameTaken,
    ResourceNotFound,
    SpecHashDiffers,
    StaleGeneration,
)
from billplane.chassis.applied.rows import (
    add_named,
    apply,
    by_id_or_name,
    by_uid,
    change,
    create,
    page_of,
    refuse_managed,
    remove,
    row_for,
)
from billplane.chassis.applied.shapes import (
    API,
    APPLIED_SQL,
    RESOURCE,
    Application,
    AppliedColumns,
    ApplyRequest,
    application_of,
    applied_indexes,
    told,
)
from billplane.chassis.applied.specs import (
    hash_of,
    merge_patch,
    parse_spec,
    read_spec_json,
    refuse_immutable,
)

__all__ = [
    "API",
    "APPLIED_SQL",
    "RESOURCE",
    "Application",
    "AppliedColumns",
    "ApplyRequest",
    "ManagedByResource",
    "NameTaken",
    "ResourceNotFound",
    "SpecHashDiffers",
    "StaleGeneration",
    "add_named",
    "application_of",
    "applied_indexes",
    "apply",
    "by_id_or_name",
    "by_uid",
    "change",
    "create",
    "hash_of",
    "merge_patch",
    "page_of",
    "parse_spec",
    "read_spec_json",
    "refuse_immutable",
    "refuse_managed",
    "remove",
    "row_for",
    "told",
]
