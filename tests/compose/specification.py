"""What the Compose Specification says of the keys that are used here, as a JSON schema.

Source: https://github.com/compose-spec/compose-spec/blob/main/spec.md
"""

TEXT = {"type": "string"}
TEXTS = {"type": "array", "items": TEXT, "uniqueItems": True}
DURATION = {"type": "string", "pattern": "^([0-9]+(us|ms|s|m|h))+$"}
COMMAND = {"anyOf": [TEXT, {"type": "array", "items": TEXT}]}


def closed(properties, required=()):
    return {
        "type": "object",
        "properties": properties,
        "required": list(required),
        "additionalProperties": False,
    }


def named(schema, pattern="^[a-zA-Z0-9._-]+$"):
    return {"type": "object", "patternProperties": {pattern: schema}, "additionalProperties": False}


CONDITION = {"enum": ["service_started", "service_healthy", "service_completed_successfully"]}
SERVICE = closed(
    {
        "image": TEXT,
        "build": closed({"context": TEXT}),
        "command": COMMAND,
        "entrypoint": COMMAND,
        "environment": named(TEXT, "^[A-Z][A-Z0-9_]*$"),
        "ports": {
            "type": "array",
            "items": {"type": "string", "pattern": r"^\$\{[A-Z_]+:-[0-9.]+\}:[0-9]+:[0-9]+$"},
            "uniqueItems": True,
        },
        "volumes": TEXTS,
        "tmpfs": TEXTS,
        "hostname": TEXT,
        "read_only": {"type": "boolean"},
        "cap_drop": TEXTS,
        "security_opt": TEXTS,
        "restart": {"enum": ["no", "always", "on-failure", "unless-stopped"]},
        "stop_grace_period": DURATION,
        "depends_on": named(closed({"condition": CONDITION}, ["condition"])),
        "networks": named(closed({"aliases": TEXTS})),
        "healthcheck": closed(
            {
                "test": {"type": "array", "items": TEXT},
                "interval": DURATION,
                "timeout": DURATION,
                "retries": {"type": "integer", "minimum": 1},
                "start_period": DURATION,
                "start_interval": DURATION,
            },
            ["test"],
        ),
    },
    ["image"],
)
SCHEMA = closed(
    {
        "name": {"type": "string", "pattern": "^[a-z0-9][a-z0-9_-]*$"},
        "services": named(SERVICE),
        "volumes": named({"type": "null"}),
    },
    ["name", "services"],
)
