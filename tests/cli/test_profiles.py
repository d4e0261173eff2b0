"""Profiles, logging in and out, and where a credential may go."""

import stat
from pathlib import Path

import hypothesis
import pytest
from billplane_cli.exit_codes import ExitCode
from billplane_cli.profile import Profile, ProfileFile
from hypothesis import strategies

from tests.cli.conftest import Platform, Reply, Request, Run, problem


@pytest.fixture
def identity(platform: Platform) -> Platform:
    """Give a platform that knows one user and her key."""
    user = {"id": "usr_1", "email": "ada@example.com", "tenant_id": "ten_1"}
    tokens = {"access_token": "jwt_1", "refresh_token": "ref_1", "token_type": "Bearer"}

    def log_in(request: Request) -> Reply:
        if request.body["password"] != "correct horse":
            return problem(401, "CREDENTIALS_INVALID", "e-mail or password is wrong")
        return Reply(200, tokens)

    platform.on("POST", "/auth/register", Reply(201, user))
    platform.on("POST", "/auth/login", log_in)
    platform.on("GET", "/auth/me", Reply(200, user))
    platform.on("POST", "/auth/api_keys", Reply(201, {"id": "key_1", "key": "sk_test_listen"}))
    platform.on("DELETE", "/auth/api_keys/key_1", Reply(204))
    platform.on("POST", "/auth/logout", Reply(204))
    return platform


def test_registering_logs_in_and_keeps_a_private_profile(identity: Platform, run: Run) -> None:
    result = run(
        "register", "--email", "ada@example.com", "--password-stdin", given="correct horse\n"
    )
    assert result.code == 0, result.err
    path = ProfileFile().path
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    profile = ProfileFile().load()
    assert (profile.tenant_id, profile.access_token) == ("ten_1", "jwt_1")
    assert (profile.listen_key, profile.url) == ("sk_test_listen", identity.url)
    assert "correct horse" not in path.read_text() + result.out + result.err


def test_the_key_for_listening_is_a_restricted_test_key(identity: Platform, run: Run) -> None:
    run("login", "--email", "ada@example.com", "--password-stdin", given="correct horse\n")
    (request,) = identity.seen("POST", "/auth/api_keys")
    assert request.body["type"] == "test"
    assert request.body["scopes"] == ["events:read"]
    assert request.headers["authorization"] == "Bearer jwt_1"


def test_a_wrong_password_says_so_and_keeps_nothing(identity: Platform, run: Run) -> None:
    result = run("login", "--email", "ada@example.com", "--password-stdin", given="wrong\n")
    assert result.code == ExitCode.NOT_ALLOWED
    assert "e-mail or password is wrong" in result.err
    assert ProfileFile().names() == []


def test_logging_out_revokes_what_the_log_in_made(identity: Platform, run: Run) -> None:
    run("login", "--email", "ada@example.com", "--password-stdin", given="correct horse\n")
    assert run("logout").code == 0
    assert identity.seen("DELETE", "/auth/api_keys/key_1")
    assert identity.seen("POST", "/auth/logout")[0].body == {"refresh_token": "ref_1"}
    profile = ProfileFile().load()
    assert (profile.access_token, profile.listen_key, profile.email) == ("", "", "ada@example.com")


def test_logging_out_forgets_the_credential_even_when_nobody_answers(run: Run) -> None:
    ProfileFile().save(Profile(url="http://127.0.0.1:9", access_token="a", refresh_token="r"))
    result = run("logout", "--url", "http://127.0.0.1:9")
    assert result.code == 0
    assert "could not be told" in result.err
    assert ProfileFile().load().access_token == ""


def test_an_expired_token_is_renewed_once_and_kept(identity: Platform, run: Run) -> None:
    ProfileFile().save(Profile(url=identity.url, access_token="old", refresh_token="ref_1"))
    renewed = {"access_token": "new", "refresh_token": "ref_2"}
    identity.on("POST", "/auth/refresh", Reply(200, renewed))

    def plans(request: Request) -> Reply:
        fresh = request.headers["authorization"] == "Bearer new"
        empty = Reply(200, {"data": [], "next_cursor": None})
        return empty if fresh else problem(401, "TOKEN_EXPIRED", "the token has expired")

    identity.on("GET", "/v1/customers", plans)
    assert run("customer", "list").code == 0
    assert run("customer", "list").code == 0
    assert len(identity.seen("POST", "/auth/refresh")) == 1
    assert ProfileFile().load().refresh_token == "ref_2"


def test_a_credential_goes_only_to_the_address_that_it_was_made_for(
    platform: Platform, run: Run
) -> None:
    platform.on("GET", "/v1/customers", problem(401, "CREDENTIAL_MISSING", "no credential"))
    ProfileFile().save(Profile(url="https://billing.example.com", api_key="sk_live_secret"))
    result = run("customer", "list")
    assert result.code == ExitCode.NOT_ALLOWED
    assert "billplane login" in result.err
    assert "authorization" not in platform.requests[0].headers


def test_localhost_and_127_0_0_1_are_the_same_address() -> None:
    profile = Profile(url="http://localhost:8080/", api_key="sk_test_1")
    assert profile.credential_for("http://127.0.0.1:8080") == "sk_test_1"
    assert profile.credential_for("http://127.0.0.1:8081") == ""
    assert profile.credential_for("https://127.0.0.1:8080") == ""


def test_the_key_of_the_environment_wins(
    platform: Platform, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    platform.on("GET", "/v1/customers", Reply(200, {"data": [], "next_cursor": None}))
    ProfileFile().save(Profile(url=platform.url, api_key="sk_test_profile"))
    monkeypatch.setenv("BILLPLANE_API_KEY", "sk_test_environment")
    run("customer", "list")
    assert platform.requests[0].headers["authorization"] == "Bearer sk_test_environment"


def test_a_wrong_key_is_refused_at_once_and_not_kept(platform: Platform, run: Run) -> None:
    platform.on("GET", "/auth/me", problem(401, "KEY_UNKNOWN", "the key is not known"))
    assert run("login", "--api-key", "sk_test_wrong").code == ExitCode.NOT_ALLOWED
    assert ProfileFile().names() == []


def test_profiles_stand_beside_each_other(identity: Platform, run: Run) -> None:
    run("login", "--profile", "one", "--api-key", "sk_test_1")
    run("login", "--profile", "two", "--api-key", "-", given="sk_test_2\n")
    file = ProfileFile()
    assert file.names() == ["one", "two"]
    assert file.load("one").api_key == "sk_test_1"
    assert file.load().name == "two"


def test_a_broken_file_is_named(run: Run) -> None:
    path = ProfileFile().path
    path.parent.mkdir(parents=True)
    path.write_text("[profiles")
    result = run("customer", "list")
    assert result.code == ExitCode.FAILED
    assert str(path) in result.err


def test_without_a_terminal_a_password_is_not_asked_for(identity: Platform, run: Run) -> None:
    result = run("login", "--email", "ada@example.com")
    assert result.code == ExitCode.USAGE
    assert "--password-stdin" in result.err


NAMES = strategies.text(min_size=1, max_size=20).filter(lambda text: text.isprintable())


@hypothesis.given(name=NAMES, key=strategies.text(max_size=40))
@hypothesis.settings(
    max_examples=60, suppress_health_check=[hypothesis.HealthCheck.function_scoped_fixture]
)
def test_any_text_is_read_back_as_it_was_written(tmp_path: Path, name: str, key: str) -> None:
    hypothesis.assume(all(not 0xD800 <= ord(sign) <= 0xDFFF for sign in name + key))
    file = ProfileFile(tmp_path / "config.toml")
    file.save(Profile(name, api_key=key), make_current=True)
    assert file.load().api_key == key
    assert file.load().name == name
