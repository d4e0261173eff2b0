"""What roles may do, and what a scope grants."""

ROLE_SCOPES = {
    "viewer": frozenset({"*:read"}),
    "developer": frozenset({"*:read", "*:write", "keys:test"}),
    "admin": frozenset({"*"}),
    "owner": frozenset({"*"}),
}
# What a role at the operating company may do for the tenant that it names.
STAFF_SCOPES = {
    "support": frozenset({"*:read", "audit_entries:read", "staff:read"}),
    "finance": frozenset({"*:read", "*:write", "audit_entries:read", "staff:read"}),
    "platform": frozenset({"*"}),
}
# What `*:read` and `*:write` do not reach: the scope itself is needed, or `*`.
CONFINED = frozenset({"audit_entries", "staff"})


def covers(granted: frozenset[str], scope: str) -> bool:
    """Tell whether scopes grant a scope; write includes read."""
    if "*" in granted or scope in granted:
        return True
    resource, _, action = scope.partition(":")
    if resource in CONFINED:
        return action == "read" and f"{resource}:write" in granted
    if f"*:{action}" in granted:
        return True
    return action == "read" and (f"{resource}:write" in granted or "*:write" in granted)
