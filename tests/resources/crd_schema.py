"""What an API server does with a custom resource: defaults, the structural schema, CEL.

A test double of the API server's own validation, by independent libraries: jsonschema-rs for the
structural part and cel-python for the rules. Kubernetes itself replays the corpus in the cluster
suite.
"""

import itertools
import json
from collections.abc import Iterator
from copy import deepcopy
from decimal import Decimal
from functools import cache
from pathlib import Path

import celpy
import jsonschema_rs
import yaml
from celpy import celtypes

CRDS = Path(__file__).parents[2] / "crds"

# Source: the CEL language definition; the API server escapes such field names with underscores.
CEL_RESERVED = {"as", "break", "const", "continue", "else", "for", "function", "if", "import"}
CEL_RESERVED |= {"in", "let", "loop", "namespace", "null", "package", "return", "true", "false"}
CEL_RESERVED |= {"var", "void", "while"}


def is_sorted(values):
    return celtypes.BoolType(all(a <= b for a, b in itertools.pairwise(values)))


ENVIRONMENT = celpy.Environment()


@cache
def program(rule):
    return ENVIRONMENT.program(ENVIRONMENT.compile(rule), functions={"isSorted": is_sorted})


def cel_value(value):
    """Convert JSON data to CEL, with reserved field names escaped."""
    if isinstance(value, dict):
        return celtypes.MapType(
            {
                celtypes.StringType(f"__{key}__" if key in CEL_RESERVED else key): cel_value(item)
                for key, item in value.items()
            }
        )
    if isinstance(value, list):
        return celtypes.ListType([cel_value(item) for item in value])
    return celpy.json_to_cel(value)


class Crd:
    """One CustomResourceDefinition, and its verdict on a spec."""

    def __init__(self, plural):
        self.document = yaml.safe_load((CRDS / f"{plural}.yaml").read_text())
        self.names = self.document["spec"]["names"]
        (self.version,) = self.document["spec"]["versions"]
        self.schema = self.version["schema"]["openAPIV3Schema"]
        self.spec_schema = self.schema["properties"]["spec"]
        self._validator = jsonschema_rs.Draft7Validator(
            without_rules(self.spec_schema), validate_formats=True
        )

    def status_refusals(self, status):
        """Return why the API server refuses a status, or drops a field of it."""
        schema = self.schema["properties"]["status"]
        validator = jsonschema_rs.Draft7Validator(without_rules(schema), validate_formats=True)
        found = [
            f"status{path_of(error.instance_path)[4:]}: {error.message}"
            for error in validator.iter_errors(status)
        ]
        dropped = sorted(status.keys() - schema["properties"].keys())
        return found + [f"status.{name}: is dropped" for name in dropped]

    def defaulted(self, spec):
        """Return the spec as the API server stores it: unknown fields pruned, defaults set."""
        return with_defaults(self.spec_schema, deepcopy(spec))

    def refusals(self, spec, old=None):
        """Return why the API server refuses the spec; nothing if it accepts it."""
        stored = json.loads(json.dumps(self.defaulted(spec), default=as_number))
        found = [
            f"{path_of(error.instance_path)}: {error.message}"
            for error in self._validator.iter_errors(stored)
        ]
        found += list(repeated(self.spec_schema, stored, "spec"))
        # The API server, too, evaluates rules only on what has the right shape.
        return found or list(broken_rules(self.spec_schema, stored, old, "spec"))


def as_number(value):
    assert isinstance(value, Decimal)
    return float(value)


def path_of(steps):
    return "spec" + "".join(f"[{s}]" if isinstance(s, int) else f".{s}" for s in steps)


def without_rules(schema):
    if isinstance(schema, dict):
        return {
            key: without_rules(value)
            for key, value in schema.items()
            if not key.startswith("x-kubernetes-")
        }
    return [without_rules(item) for item in schema] if isinstance(schema, list) else schema


def with_defaults(schema, value):
    if isinstance(value, dict) and "properties" in schema:
        properties = schema["properties"]
        # A null where nothing is nullable is pruned, whether there is a default or not.
        kept = {key: value[key] for key in value if key in properties and value[key] is not None}
        for key, below in properties.items():
            if key not in kept and "default" in below:
                kept[key] = deepcopy(below["default"])
            if key in kept:
                kept[key] = with_defaults(below, kept[key])
        return kept
    if isinstance(value, list) and "items" in schema:
        return [with_defaults(schema["items"], item) for item in value]
    return value


def repeated(schema, value, path) -> Iterator[str]:
    """Yield where a list-map repeats a key or a list-set a value."""
    if isinstance(value, dict):
        for key, below in schema.get("properties", {}).items():
            if key in value:
                yield from repeated(below, value[key], f"{path}.{key}")
    elif isinstance(value, list):
        keys = schema.get("x-kubernetes-list-map-keys")
        identities = None
        if schema.get("x-kubernetes-list-type") == "set":
            identities = [json.dumps(item) for item in value]
        elif keys and all(isinstance(item, dict) for item in value):
            identities = [json.dumps([item.get(key) for key in keys]) for item in value]
        if identities and len(set(identities)) < len(identities):
            yield f"{path}: has duplicates"
        for index, item in enumerate(value):
            yield from repeated(schema.get("items", {}), item, f"{path}[{index}]")


def broken_rules(schema, value, old, path) -> Iterator[str]:
    """Yield the messages of the rules that do not hold, at the node that states them."""
    for rule in schema.get("x-kubernetes-validations", ()):
        if "oldSelf" in rule["rule"] and old is None:
            continue
        context = {"self": cel_value(value), "oldSelf": cel_value(old)}
        if not program(rule["rule"]).evaluate(context):
            yield f"{path}: {rule['message']}"
    if isinstance(value, dict):
        for key, below in schema.get("properties", {}).items():
            if key in value:
                before = old.get(key) if isinstance(old, dict) else None
                yield from broken_rules(below, value[key], before, f"{path}.{key}")
    elif isinstance(value, list):
        for index, item in enumerate(value):
            # Items of atomic lists have no old self; those of the others hold no such rule.
            yield from broken_rules(schema.get("items", {}), item, None, f"{path}[{index}]")
