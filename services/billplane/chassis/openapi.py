"""The OpenAPI document of a service: what its routes say, and what holds for all of them."""

from typing import Any, Final

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi

from billplane.chassis.middleware import match
from billplane.chassis.runtime import Runtime
from billplane.chassis.stripe_dialect.answers import ERROR_SCHEMA, JSON
from billplane.chassis.stripe_dialect.routes import FORM
from billplane.money import CURRENCY_CODES
from billplane.resources.common import CURRENCY_PATTERN

_PROBLEM: Final = "application/problem+json"
_SCHEMAS: Final = "#/components/schemas/"
CURRENCY_SCHEMA: Final = {
    "type": "string",
    "description": "ISO 4217 code of a currency with minor units",
    "enum": sorted(CURRENCY_CODES),
}


def document_of(api: FastAPI, runtime: Runtime) -> dict[str, Any]:
    """Return the OpenAPI document, with the errors that every operation may answer."""
    document = get_openapi(
        title=api.title, version="v1", description=api.description, routes=api.routes
    )
    schemas = document.setdefault("components", {}).setdefault("schemas", {})
    schemas["Problem"] = PROBLEM_SCHEMA
    if any(route.dialect == "stripe" for route in runtime.app.routes):
        schemas["StripeError"] = ERROR_SCHEMA
    schemas.pop("HTTPValidationError", None)
    schemas.pop("ValidationError", None)
    document["components"]["securitySchemes"] = {"bearer": {"type": "http", "scheme": "bearer"}}
    content = {_PROBLEM: {"schema": {"$ref": "#/components/schemas/Problem"}}}
    public = {route.prefix for route in runtime.app.routes if route.public}
    for path, operations in document.get("paths", {}).items():
        for operation in operations.values():
            responses = operation.setdefault("responses", {})
            responses.pop("422", None)
            responses["default"] = {"description": "What is wrong", "content": content}
            if _speaks_stripe(runtime, path):
                _describe_dialect(operation, schemas)
            if path not in public:
                operation["security"] = [{"bearer": []}]
    extra = runtime.app.extra.get("openapi")
    if extra:
        document["paths"].update(extra.get("paths", {}))
        schemas.update(extra.get("schemas", {}))
    for route in runtime.app.routes:
        for operation in document["paths"].get(route.prefix, {}).values() if route.demo else ():
            operation["security"] = [{"bearer": []}, {}]
    _name_lists(document)
    return document


def _speaks_stripe(runtime: Runtime, path: str) -> bool:
    found = match(runtime.app.routes, path)
    return found is not None and found.dialect == "stripe"


def _describe_dialect(operation: dict[str, Any], schemas: dict[str, Any]) -> None:
    """Say that the operation takes a form as well, and how it refuses."""
    content = {JSON: {"schema": {"$ref": "#/components/schemas/StripeError"}}}
    operation["responses"]["default"] = {"description": "What is wrong", "content": content}
    body = operation.get("requestBody", {}).get("content", {})
    if JSON in body:
        body[FORM] = {"schema": _of_form(body[JSON]["schema"], schemas)}


def _of_form(schema: Any, schemas: dict[str, Any]) -> Any:
    """Return a schema as a form can meet it: nothing in a form is null, it is left out."""
    if isinstance(schema, list):
        return [_of_form(item, schemas) for item in schema]
    if not isinstance(schema, dict):
        return schema
    name = str(schema.get("$ref", "")).removeprefix(_SCHEMAS)
    if name:
        of_form = f"{name}Form"
        if of_form not in schemas:
            schemas[of_form] = {}  # one that names itself ends here
            schemas[of_form] = _of_form(schemas[name], schemas)
        return {"$ref": _SCHEMAS + of_form}
    made = {key: _of_form(value, schemas) for key, value in schema.items() if key != "default"}
    options = [item for item in made.get("anyOf", []) if item != {"type": "null"}]
    if len(options) == 1:
        del made["anyOf"]
        made |= options[0]
    elif options:
        made["anyOf"] = options
    return made


def _name_lists(document: dict[str, Any]) -> None:
    """Name the codes where a pattern alone would let any letters through."""
    schemas = document["components"]["schemas"]

    def visit(node: Any) -> None:
        for value in node.values() if isinstance(node, dict) else node:
            if isinstance(value, dict | list):
                visit(value)
        if isinstance(node, dict) and node.get("pattern") == CURRENCY_PATTERN:
            for key in ("pattern", "type"):
                del node[key]
            node["$ref"] = f"{_SCHEMAS}CurrencyCode"
            schemas["CurrencyCode"] = CURRENCY_SCHEMA

    for part in (document.get("paths", {}), {**schemas}):
        visit(part)


PROBLEM_SCHEMA: dict[str, Any] = {
    "type": "object",
    "description": "RFC 9457 problem details",
    "required": ["type", "title", "status", "detail", "reason", "request_id"],
    "properties": {
        "type": {"type": "string"},
        "title": {"type": "string"},
        "status": {"type": "integer"},
        "detail": {"type": "string"},
        "reason": {"type": "string"},
        "field": {"type": ["string", "null"]},
        "errors": {
            "type": "array",
            "items": {
                "type": "object",
                "properties": {
                    "field": {"type": "string"},
                    "reason": {"type": "string"},
                    "detail": {"type": "string"},
                    "index": {"type": "integer"},
                },
            },
        },
        "metadata": {"type": "object"},
        "request_id": {"type": "string"},
    },
}
