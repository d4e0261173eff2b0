"""What every command shares: its common options, the client it calls with, and its ending."""

import functools
import inspect
import os
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Annotated, Any

import typer

from billplane_cli.client import Client
from billplane_cli.errors import ApiError, CliError
from billplane_cli.exit_codes import ExitCode
from billplane_cli.home import laptop_url
from billplane_cli.output import Format, Output
from billplane_cli.profile import Profile, ProfileFile

OutputOption = Annotated[
    Format,
    typer.Option("--output", "-o", envvar="BILLPLANE_OUTPUT", help="How data is written."),
]
ProfileOption = Annotated[
    str | None,
    typer.Option("--profile", envvar="BILLPLANE_PROFILE", help="Profile to use."),
]
UrlOption = Annotated[
    str | None,
    typer.Option("--url", envvar="BILLPLANE_URL", help="Address of the platform's gateway."),
]
LiveOption = Annotated[
    bool,
    typer.Option("--live", help="Work on live data; without it, on test data."),
]


@dataclass(frozen=True)
class Options:
    """The common options as they were given."""

    output: Format = Format.TABLE
    profile: str | None = None
    url: str | None = None
    live: bool = False


class Session:
    """One run of one command."""

    def __init__(
        self,
        options: Options,
        *,
        output: Output | None = None,
        profiles: ProfileFile | None = None,
    ) -> None:
        self.options = options
        self.output = output or Output(options.output)
        self.profiles = profiles or ProfileFile()

    @functools.cached_property
    def profile(self) -> Profile:
        """The profile that was asked for, or the current one."""
        return self.profiles.load(self.options.profile)

    @property
    def url(self) -> str:
        """The platform's address: --url, BILLPLANE_URL, the profile's, this machine's."""
        return self.options.url or self.profile.url or laptop_url()

    @functools.cached_property
    def client(self) -> Client:
        """A client with the credential that belongs to the address."""
        tenant = os.environ.get("BILLPLANE_TENANT", "")
        return self._client({"Billplane-Tenant": tenant} if tenant else {})

    def client_with(self, headers: dict[str, str]) -> Client:
        """Give the client that sends some headers with each request, in place of the usual one."""
        self.__dict__["client"] = made = self._client(headers)
        return made

    def _client(self, headers: dict[str, str]) -> Client:
        return Client(
            self.url,
            credential=self._credential,
            renew=self._renew,
            livemode=self.options.live,
            headers=headers,
        )

    @functools.cached_property
    def anonymous(self) -> Client:
        """A client without a credential, for the doors that need none."""
        return Client(self.url, credential=lambda: None)

    def listen_credential(self) -> str:
        """Give the credential to listen with: a key of its own where the log-in made one.

        Raises: CliError when there is none.
        """
        found = os.environ.get("BILLPLANE_API_KEY")
        if not found and self.profile.credential_for(self.url) and not self.options.live:
            found = self.profile.listen_key
        found = found or self._credential()
        if not found:
            raise CliError(
                "There is no credential.",
                hint="Log in with `billplane login`, or set BILLPLANE_API_KEY.",
                exit_code=ExitCode.NOT_ALLOWED,
            )
        return found

    def renew(self) -> bool:
        """Get a new credential in place of one that has run out, where that can be."""
        return self._renew()

    def close(self) -> None:
        """Close the connections that were opened."""
        for name in ("client", "anonymous"):
            if name in self.__dict__:
                self.__dict__[name].close()

    def _credential(self) -> str | None:
        return os.environ.get("BILLPLANE_API_KEY") or self.profile.credential_for(self.url) or None

    def _renew(self) -> bool:
        """Exchange the refresh token for a new access token; answer whether there is one now."""
        if os.environ.get("BILLPLANE_API_KEY") or self.profile.api_key:
            return False
        if not self.profile.credential_for(self.url):
            return False
        with self.profiles.locked():
            stored = self.profiles.load(self.profile.name)
            if stored.access_token != self.profile.access_token:
                # Another command of ours has just done it; a refresh token works only once.
                self.profile = stored
                return True
            if not stored.refresh_token:
                return False
            try:
                body = {"refresh_token": stored.refresh_token}
                tokens = self.anonymous.post("/auth/refresh", body)
            except ApiError:
                return False
            self.profile = replace(
                stored,
                access_token=tokens["access_token"],
                refresh_token=tokens.get("refresh_token") or stored.refresh_token,
            )
            self.profiles.save(self.profile)
        return True


def command(
    app: typer.Typer,
    name: str,
    *,
    example: str,
    remote: bool = True,
    output: bool = True,
    **settings: Any,
) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Add a function to the command line, with the common options and one ending for all.

    The function's first parameter is the Session; all others are options as typer reads them.
    `example` has a line for each command line that teaches the use.
    """
    common: dict[str, tuple[Any, Any]] = {}
    if output:
        common["output"] = (OutputOption, Format.TABLE)
    if remote:
        common["profile"] = (ProfileOption, None)
        common["url"] = (UrlOption, None)
        common["live"] = (LiveOption, False)

    def add(function: Callable[..., None]) -> Callable[..., None]:
        signature = inspect.signature(function, eval_str=True)
        own = list(signature.parameters.values())[1:]
        added = [
            inspect.Parameter(
                key, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=annotation
            )
            for key, (annotation, default) in common.items()
        ]

        def run(**values: Any) -> None:
            options = Options(**{key: values.pop(key) for key in common})
            finish(Session(options), lambda session: function(session, **values))

        parameters = [
            parameter.replace(kind=inspect.Parameter.KEYWORD_ONLY) for parameter in own
        ] + added
        run.__doc__ = function.__doc__
        run.__name__ = function.__name__
        run.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
        run.__annotations__ = {parameter.name: parameter.annotation for parameter in parameters}
        lines = [f"[dim]$[/dim] {line.strip()}" for line in example.strip().splitlines()]
        app.command(name, epilog="\n\n".join(lines), **settings)(run)
        return function

    return add


def finish(session: Session, run: Callable[[Session], None]) -> None:
    """Run a command and end with its exit code, its failure told in words.

    Raises: typer.Exit.
    """
    try:
        run(session)
    except CliError as error:
        session.output.fail(error)
        raise typer.Exit(error.exit_code) from error
    except KeyboardInterrupt as error:
        raise typer.Exit(ExitCode.INTERRUPTED) from error
    except BrokenPipeError as error:
        # The reader of our output has seen enough.
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        raise typer.Exit(ExitCode.OK) from error
    except OSError as error:
        # A file that may not be read, a full disk: the system's own words say what is wrong.
        where = f"{error.filename}: " if error.filename else ""
        session.output.fail(CliError(f"{where}{error.strerror or error}."))
        raise typer.Exit(ExitCode.FAILED) from error
    finally:
        session.close()
