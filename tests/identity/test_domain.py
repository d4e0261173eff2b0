"""Rules of identity."""

import pytest
from billplane.chassis.auth import Principal
from billplane.chassis.errors import Invalid
from billplane.chassis.scopes import ROLE_SCOPES
from billplane.identity import domain
from hypothesis import given
from hypothesis import strategies as some


@pytest.mark.parametrize("livemode", [False, True])
def test_a_key_is_read_back(livemode):
    key, parts = domain.make_key(livemode=livemode)
    assert key.startswith("sk_live_" if livemode else "sk_test_")
    assert domain.read_key(key) == parts
    assert key not in parts.hash


def test_a_key_with_one_character_changed_is_none_of_ours():
    key, _ = domain.make_key(livemode=False)
    for index in range(len(key)):
        other = "b" if key[index] != "b" else "c"
        assert domain.read_key(key[:index] + other + key[index + 1 :]) is None


@given(some.text(max_size=80))
def test_no_text_is_taken_for_a_key_by_accident(text):
    assert domain.read_key(text) is None
    assert domain.read_key(f"sk_test_{text}") is None


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("Ada@Example.com", "ada@example.COM"),
        ("ada@bücher.example", "ada@xn--bcher-kva.example"),
        ("jos\u00e9@example.com", "jose\u0301@example.com"),
        ("ada@example.com", "  ada@example.com "),
    ],
)
def test_an_address_is_found_however_it_is_written(one, other):
    assert domain.email_key(one) == domain.email_key(other)


@pytest.mark.parametrize("bad", ["", "ada", "@example.com", "ada@", "a b@example.com", "a@b@c.d"])
def test_what_is_no_address_is_refused(bad):
    with pytest.raises(Invalid) as refused:
        domain.normalise_email(bad)
    assert refused.value.errors[0].reason == "EMAIL_INVALID"


@pytest.mark.parametrize(
    ("scope", "fine"),
    [
        ("*", True),
        ("customers:read", True),
        ("customers:write", True),
        ("keys:live", False),
        ("*:read", False),
        ("customers", False),
        ("customers:read\n", False),
        ("", False),
    ],
)
def test_scopes_are_a_resource_and_an_action(scope, fine):
    if fine:
        domain.check_scopes([scope])
    else:
        with pytest.raises(Invalid):
            domain.check_scopes([scope])


@pytest.mark.parametrize(
    ("role", "may", "may_not"),
    [
        ("viewer", {"customers:read"}, {"customers:write", "keys:test", "keys:live"}),
        ("developer", {"customers:read", "customers:write", "keys:test"}, {"keys:live"}),
        ("admin", {"customers:write", "keys:test", "keys:live"}, set()),
        ("owner", {"customers:write", "keys:test", "keys:live"}, set()),
    ],
)
def test_roles_give_scopes(role, may, may_not):
    who = Principal("user:u", "t", livemode=False, scopes=ROLE_SCOPES[role])
    assert all(who.allows(scope) for scope in may)
    assert not any(who.allows(scope) for scope in may_not)
