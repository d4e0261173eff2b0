"""Which variable wins, and what is said of a wrong one."""

from pathlib import Path

import pytest
from billplane import catalog
from billplane.chassis.settings import PLAIN_NAMES, Settings, SettingsError, candidates


def load(service="", settings=Settings, **environ):
    return settings.load(service, environ)


def test_a_service_s_own_name_wins_over_the_shared_one_and_that_over_the_plain_one():
    environ = {
        "REDIS_URL": "redis://plain",
        "BILLPLANE_REDIS_URL": "redis://shared",
        "BILLPLANE_TAX_REDIS_URL": "redis://tax",
    }
    assert load("tax", **environ).redis_url == "redis://tax"
    assert load("invoice", **environ).redis_url == "redis://shared"
    assert load(**environ).redis_url == "redis://shared"
    del environ["BILLPLANE_REDIS_URL"]
    assert load("invoice", **environ).redis_url == "redis://plain"
    assert load("tax", **environ).redis_url == "redis://tax"
    assert load("invoice").redis_url == "redis://redis:6379"


def test_only_four_plain_names_are_read():
    assert set(PLAIN_NAMES) == {"REDIS_URL", "JWT_SECRET", "ADMIN_KEY", "STRIPE_WEBHOOK_SECRET"}
    assert load(LOG_LEVEL="DEBUG", DATABASE_URL="postgresql://else", PORT_OFFSET="7") == load()
    assert load(JWT_SECRET="s").jwt_secret == "s"
    assert candidates("tax", "jwt_secret") == [
        "BILLPLANE_TAX_JWT_SECRET",
        "BILLPLANE_JWT_SECRET",
        "JWT_SECRET",
    ]


def test_an_empty_variable_is_as_if_it_were_not_there():
    assert load(BILLPLANE_REDIS_URL="", REDIS_URL="redis://plain").redis_url == "redis://plain"
    assert load(BILLPLANE_PORT_OFFSET="").port_offset == 0


def test_a_wrong_value_is_told_by_the_variable_that_holds_it():
    with pytest.raises(SettingsError) as wrong:
        load("tax", BILLPLANE_TAX_POOL_SIZE="many", BILLPLANE_PORT_OFFSET="x")
    assert "BILLPLANE_TAX_POOL_SIZE" in str(wrong.value)
    assert "BILLPLANE_PORT_OFFSET" in str(wrong.value)


def test_secrets_are_not_shown():
    secret = "a-secret-of-tests-that-is-long-enough"
    names = ("BILLPLANE_JWT_SECRET", "BILLPLANE_INTERNAL_SEED", "BILLPLANE_ADMIN_KEY")
    shown = repr(load(**dict.fromkeys(names, secret)))
    assert secret not in shown


def test_lists_are_written_with_commas():
    found = load(BILLPLANE_OUTGOING_ALLOW_LIST="10.0.0.0/8, bank.example ,")
    assert found.outgoing_allow_list == ("10.0.0.0/8", "bank.example")


def test_settings_of_a_service_are_read_under_its_name(service):
    settings = catalog.load(service).settings
    own = settings.model_fields.keys() - Settings.model_fields.keys()
    for name in own:
        assert candidates(service, name)[0] == f"BILLPLANE_{service.upper()}_{name.upper()}"
    assert settings.load(service, {}).port_offset == 0


def pytest_generate_tests(metafunc):
    if "service" in metafunc.fixturenames:
        metafunc.parametrize("service", catalog.SERVICES)


def test_the_example_names_every_setting_with_its_default_and_nothing_else():
    text = (Path(__file__).parents[2] / ".env.example").read_text(encoding="utf-8")
    lines = [line[1:] for line in text.splitlines() if line.startswith("#BILLPLANE_")]
    found = dict(line.split("=", 1) for line in lines)
    known = {candidates("", name)[0] for name in Settings.model_fields}
    for service in catalog.SERVICES:
        settings = catalog.load(service).settings
        own = settings.model_fields.keys() - Settings.model_fields.keys()
        known |= {candidates(service, name)[0] for name in own}
        # As it is written it changes nothing.
        assert settings.load(service, found) == settings.load(service, {}), service
    assert found.keys() == known
