"""Specs as services hold them: read, compared by hash, changed by merging."""

import json
from typing import Any

from billplane.chassis.applied.shapes import AppliedColumns
from billplane.chassis.errors import FieldError, Invalid, MalformedBody
from billplane.resources import Spec, SpecError, spec_hash, validate_change, validate_spec


def parse_spec(kind: str, spec: Any) -> Spec:
    """Validate a spec.

    Raises: Invalid with every violation, fields named as `spec.charges[2].usage…`.
    """
    try:
        return validate_spec(kind, spec)
    except SpecError as error:
        found = [FieldError(item.field, item.reason, item.detail) for item in error.violations]
        invalid = Invalid(found)
        invalid.reason = "INVALID_SPEC"
        raise invalid from None


def read_spec_json(kind: str, text: str) -> Spec:
    """Validate a spec that came as JSON text.

    Raises: MalformedBody, Invalid.
    """
    try:
        data = json.loads(text)
    except (ValueError, RecursionError):
        raise MalformedBody("spec_json is not JSON", field="spec_json") from None
    return parse_spec(kind, data)


def hash_of(kind: str, row: AppliedColumns) -> str:
    """Return the hash of the spec that a row makes the service run, recomputed each time.

    Shape: empty for a row that no longer holds a valid spec: no hash is run, so that whoever
        compares finds the damage and applies the spec anew.
    """
    try:
        return spec_hash(validate_spec(kind, row.spec))
    except SpecError:
        return ""


def refuse_immutable(kind: str, row: AppliedColumns, spec: Spec) -> None:
    """Refuse a change of what must not change.

    Raises: Invalid.
    """
    try:
        before = validate_spec(kind, row.spec)
    except SpecError:
        return  # a damaged row has nothing to keep
    try:
        validate_change(kind, before, spec)
    except SpecError as error:
        found = [FieldError(item.field, item.reason, item.detail) for item in error.violations]
        raise Invalid(found) from None


def merge_patch(target: Any, patch: Any) -> Any:
    """Merge a patch into a JSON value.

    Source: RFC 7396.
    """
    if not isinstance(patch, dict):
        return patch
    merged = dict(target) if isinstance(target, dict) else {}
    for key, value in patch.items():
        if value is None:
            merged.pop(key, None)
        else:
            merged[key] = merge_patch(merged.get(key), value)
    return merged
