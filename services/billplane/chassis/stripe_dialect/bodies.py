"""What bodies of the dialect are made of."""

import re
from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, StringConstraints
from pydantic import model_validator as checked
from pydantic_core import PydanticCustomError

from billplane.chassis.rest import check_text


class StripeBody(BaseModel):
    """A body: unknown fields are ignored, and an empty text unsets its field."""

    model_config = ConfigDict(extra="ignore")

    @checked(mode="before")
    @classmethod
    def _prepared(cls, value: Any) -> Any:
        check_text(value)
        if not isinstance(value, dict):
            return value
        return {name: None if item == "" else item for name, item in value.items()}


def _whole(value: Any) -> Any:
    if isinstance(value, str) and re.fullmatch(r"-?[0-9]{1,18}", value):
        return int(value)
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    raise PydanticCustomError("PARAMETER_INVALID_INTEGER", "Invalid integer", {})


def _flag(value: Any) -> Any:
    if isinstance(value, bool):
        return value
    if value in ("true", "false"):
        return value == "true"
    raise PydanticCustomError("PARAMETER_INVALID_BOOLEAN", "must be true or false", {})


def _pairs(value: Any) -> Any:
    # Keys 0, 1, 2 … look like a list in a form.
    if isinstance(value, list):
        value = {str(index): item for index, item in enumerate(value)}
    if not isinstance(value, dict):
        return value
    return {
        key: str(item) if isinstance(item, int) and not isinstance(item, bool) else item
        for key, item in value.items()
    }


WholeNumber = Annotated[int, BeforeValidator(_whole)]
Flag = Annotated[bool, BeforeValidator(_flag)]
Text = Annotated[str, StringConstraints(max_length=5000)]
# An empty value takes the key away.
Metadata = Annotated[
    dict[
        Annotated[str, StringConstraints(min_length=1, max_length=40)],
        Annotated[str, StringConstraints(max_length=500)],
    ],
    BeforeValidator(_pairs),
    Field(max_length=50),
]


def merged(stored: dict[str, str], changes: dict[str, str] | None) -> dict[str, str]:
    """Return metadata after an update: keys with an empty value are taken away, None empties it."""
    if changes is None:
        return {}
    return {key: value for key, value in {**stored, **changes}.items() if value}
