"""Server-side apply: who owns which field of an object, and what an application makes of it.

Lists of objects with a known key merge by it, `finalizers` is a set, every other list is one
value.
"""

from copy import deepcopy

LIST_KEYS = {
    "conditions": "type",
    "containers": "name",
    "env": "name",
    "volumes": "name",
    "volumeMounts": "mountPath",
    "ownerReferences": "uid",
}
PORT_KEYS = ("containerPort", "port")
SET_LISTS = {"finalizers"}
UNOWNED = {("apiVersion",), ("kind",), ("metadata", "name"), ("metadata", "namespace")}
UNOWNED |= {("metadata", "uid"), ("metadata", "resourceVersion")}


def keyed(name, value):
    """Return the items of an associative list by key; None for any other value."""
    if not isinstance(value, list) or not value:
        return None
    if name in SET_LISTS:
        return {item: item for item in value}
    key = LIST_KEYS.get(name)
    if name == "ports" and isinstance(value[0], dict):
        key = next((candidate for candidate in PORT_KEYS if candidate in value[0]), None)
    # A NetworkPolicy's ports have no key: they belong to a rule that is replaced whole.
    if key is None or not all(isinstance(item, dict) and key in item for item in value):
        return None
    return {item[key]: item for item in value}


def paths(value, path=()):
    """Yield the path of every leaf that a configuration sets."""
    if isinstance(value, dict) and (value or not path):
        for name, below in value.items():
            items = keyed(name, below)
            if items is None:
                yield from paths(below, (*path, name))
                continue
            for key, item in items.items():
                at = (*path, name, f"[{key}]")
                yield at
                if isinstance(item, dict):
                    yield from paths(item, at)
        return
    if path not in UNOWNED:
        yield path


def find(value, path):
    """Return what is at a path; KeyError when nothing is."""
    name = ""
    for step in path:
        if step.startswith("["):
            value = {f"[{key}]": item for key, item in (keyed(name, value) or {}).items()}[step]
        else:
            name, value = step, value[step]
    return value


def merged(found, wanted, name=""):
    """Return an object with a configuration laid over it."""
    if isinstance(found, dict) and isinstance(wanted, dict):
        result = dict(found)
        for key, value in wanted.items():
            result[key] = merged(found[key], value, key) if key in found else deepcopy(value)
        return result
    here, other = keyed(name, found), keyed(name, wanted)
    if here is not None and other is not None:
        joined = [merged(item, other[key]) if key in other else item for key, item in here.items()]
        return joined + [deepcopy(item) for key, item in other.items() if key not in here]
    return deepcopy(wanted)


def without(value, path):
    """Take the field at a path away, if it is there."""
    *above, last = path
    try:
        holder = find(value, above)
    except (KeyError, TypeError):
        return
    if last.startswith("["):
        items = keyed(above[-1], holder) or {}
        holder[:] = [item for key, item in items.items() if f"[{key}]" != last]
    elif isinstance(holder, dict):
        holder.pop(last, None)
