"""REST bodies that every resource of two origins has."""

from typing import Annotated, Any

from pydantic import StringConstraints

from billplane.chassis.rest import Body
from billplane.resources.common import NAME_PATTERN

Name = Annotated[str, StringConstraints(pattern=NAME_PATTERN, max_length=63)]


class SpecBody(Body):
    """One by the API; `spec` as in the resource."""

    name: Name
    spec: dict[str, Any]


class SpecPatch(Body):
    """A merge patch of a spec (RFC 7396)."""

    spec: dict[str, Any]
