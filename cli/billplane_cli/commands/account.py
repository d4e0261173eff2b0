"""`register`, `login`, `logout` and `keys`: who the command line is to the platform."""

import platform
import sys
from dataclasses import replace
from typing import Annotated, Any

import typer

from billplane_cli.client import path_of
from billplane_cli.errors import ApiError, CliError, UnreachableError
from billplane_cli.exit_codes import ExitCode
from billplane_cli.output import Column
from billplane_cli.profile import Profile
from billplane_cli.session import Session, command

LISTEN_SCOPES = ["events:read"]

EmailOption = Annotated[str | None, typer.Option("--email", help="E-mail address; asked for.")]
PasswordOption = Annotated[
    bool, typer.Option("--password-stdin", help="Read the password from standard input.")
]
_KEY_COLUMNS = [
    Column("ID", "id"),
    Column("TYPE", "type"),
    Column("NAME", "name"),
    Column("SCOPES", lambda key: " ".join(key.get("scopes") or [])),
    Column("CREATED", "created_at"),
    Column("LAST USED", "last_used_at"),
    Column("EXPIRES", "expires_at"),
    Column("REVOKED", "revoked_at"),
]


def add_to(app: typer.Typer) -> None:
    """Add these commands to the command line."""
    command(app, "register", example="billplane register --email dev@example.com")(register)
    command(
        app,
        "login",
        example="billplane login\nbillplane login --profile production --url https://… --api-key -",
    )(login)
    command(app, "whoami", example="billplane whoami -o json")(whoami)
    command(app, "logout", example="billplane logout")(logout)
    keys = typer.Typer(no_args_is_help=True, help="API keys of the tenant.")
    command(keys, "list", example="billplane keys list")(list_keys)
    command(
        keys,
        "create",
        example="billplane keys create --name ci\n"
        "billplane keys create --type live --scope invoices:read",
    )(create_key)
    command(keys, "rotate", example="billplane keys rotate key_…")(rotate_key)
    command(keys, "revoke", example="billplane keys revoke key_…")(revoke_key)
    app.add_typer(keys, name="keys")


def register(
    session: Session, email: EmailOption = None, password_stdin: PasswordOption = False
) -> None:
    """Create a user with a tenant of its own, and log in."""
    address = email or typer.prompt("E-mail")
    password = _password(password_stdin, confirm=True)
    body = {"email": address, "password": password}
    session.anonymous.post("/auth/register", body)
    _log_in(session, address, password)


def login(
    session: Session,
    email: EmailOption = None,
    password_stdin: PasswordOption = False,
    api_key: Annotated[
        str | None,
        typer.Option("--api-key", help="Log in with a key instead; `-` reads standard input."),
    ] = None,
) -> None:
    """Log in and keep the credential in a profile."""
    if api_key is not None:
        _use_key(session, sys.stdin.readline().strip() if api_key == "-" else api_key)
        return
    address = email or typer.prompt("E-mail", default=session.profile.email or None)
    _log_in(session, address, _password(password_stdin, confirm=False))


def whoami(session: Session) -> None:
    """Show who you are to the platform: user or key, tenant, mode and scopes."""
    session.output.show(session.client.get("/auth/me"))


def logout(session: Session) -> None:
    """Revoke what the log-in made, and forget the credential."""
    profile = session.profile
    try:
        if profile.listen_key_id:
            session.client.delete(path_of("auth", "api_keys", profile.listen_key_id))
        if profile.refresh_token:
            session.client.post("/auth/logout", {"refresh_token": profile.refresh_token})
    except (ApiError, UnreachableError) as error:
        session.output.warn(f"The platform could not be told: {error.message}")
    with session.profiles.locked():
        session.profiles.forget(profile)
    session.output.say(f"Logged out of {profile.url or 'nothing'}.")


def list_keys(session: Session) -> None:
    """List keys; the secret part of a key is never shown again."""
    keys = session.client.pages("/auth/api_keys")
    session.output.show_list(keys, _KEY_COLUMNS, "There are no keys.")


def create_key(
    session: Session,
    key_type: Annotated[str, typer.Option("--type", help="test or live.")] = "test",
    name: Annotated[str | None, typer.Option("--name", help="What it is for.")] = None,
    scope: Annotated[
        list[str] | None,
        typer.Option("--scope", "-s", help="Such as invoices:read; none for everything."),
    ] = None,
    expires_at: Annotated[
        str | None, typer.Option("--expires-at", help="Such as 2027-01-01T00:00:00Z.")
    ] = None,
    limits: Annotated[
        str | None,
        typer.Option("--limits", help="none: its requests are not counted; for staff to give."),
    ] = None,
) -> None:
    """Create a key and show it, this once."""
    given: dict[str, Any] = {
        "name": name,
        "scopes": scope,
        "expires_at": expires_at,
        "limits": limits,
    }
    body = {"type": key_type, **{key: value for key, value in given.items() if value}}
    session.output.show(session.client.post("/auth/api_keys", body))
    session.output.warn("Keep the key now: it is not shown again.")


def rotate_key(session: Session, key_id: str) -> None:
    """Replace a key; the old one works a while longer."""
    session.output.show(session.client.post(path_of("auth", "api_keys", key_id, "rotate")))
    session.output.warn("Keep the key now: it is not shown again.")


def revoke_key(session: Session, key_id: str) -> None:
    """Revoke a key; it is refused everywhere within 30 seconds."""
    session.client.delete(path_of("auth", "api_keys", key_id))
    session.output.say(f"{key_id} is revoked.")


def _log_in(session: Session, email: str, password: str) -> None:
    body = {"email": email, "password": password}
    tokens = session.anonymous.post("/auth/login", body)
    profile = Profile(
        session.profile.name,
        url=session.url,
        email=email,
        access_token=tokens["access_token"],
        refresh_token=tokens["refresh_token"],
    )
    session.profile = profile
    tenant_id = str(session.client.get("/auth/me").get("tenant_id", ""))
    # A key of its own, so that listening goes on when the token expires, and no more than that.
    name = f"billplane listen on {platform.node()}"
    key = session.client.post(
        "/auth/api_keys", {"type": "test", "name": name[:100], "scopes": LISTEN_SCOPES}
    )
    listening = {"listen_key": key["key"], "listen_key_id": key["id"]}
    _keep(session, replace(profile, tenant_id=tenant_id, **listening))
    session.output.say(f"Logged in to {session.url} as {email} (tenant {tenant_id}).")


def _use_key(session: Session, key: str) -> None:
    session.profile = Profile(session.profile.name, url=session.url, api_key=key)
    # Asked before it is kept, so that a wrong key is told now and not by the next command.
    tenant_id = str(session.client.get("/auth/me").get("tenant_id", ""))
    _keep(session, replace(session.profile, tenant_id=tenant_id))
    session.output.say(f"Profile {session.profile.name} uses this key at {session.url}.")


def _keep(session: Session, profile: Profile) -> None:
    with session.profiles.locked():
        session.profiles.save(profile, make_current=True)


def _password(from_stdin: bool, *, confirm: bool) -> str:
    if from_stdin:
        password = sys.stdin.readline().rstrip("\n")
    elif sys.stdin.isatty():
        password = str(typer.prompt("Password", hide_input=True, confirmation_prompt=confirm))
    else:
        raise CliError(
            "There is no terminal to ask for the password.",
            hint="Give it on standard input with --password-stdin.",
            exit_code=ExitCode.USAGE,
        )
    return password
