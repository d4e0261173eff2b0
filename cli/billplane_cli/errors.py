"""What a command fails with: a sentence for the person, a code for the script."""

from collections.abc import Mapping, Sequence
from typing import Any

from billplane_cli.exit_codes import ExitCode

_EXIT_CODES = {
    400: ExitCode.INVALID,
    401: ExitCode.NOT_ALLOWED,
    403: ExitCode.NOT_ALLOWED,
    404: ExitCode.NOT_FOUND,
    409: ExitCode.CONFLICT,
    413: ExitCode.INVALID,
    422: ExitCode.INVALID,
}
_LOG_IN_REFUSED = "CREDENTIALS_INVALID"
_HINTS = {
    401: "Log in with `billplane login`, or set BILLPLANE_API_KEY.",
    429: "Wait a moment and try again.",
}


class CliError(Exception):
    """A failure that is told in one sentence, with what can be done about it."""

    def __init__(
        self, message: str, *, hint: str = "", exit_code: ExitCode = ExitCode.FAILED
    ) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint
        self.exit_code = exit_code


class UnreachableError(CliError):
    """Nothing answers at the address."""

    def __init__(self, url: str, cause: object) -> None:
        super().__init__(
            f"{url} does not answer: {cause}.",
            hint="Start a platform here with `billplane up`, or name another with --url.",
            exit_code=ExitCode.UNREACHABLE,
        )


class ApiError(CliError):
    """An answer that refuses, as problem+json has it (RFC 9457)."""

    def __init__(self, status: int, problem: Mapping[str, Any]) -> None:
        self.status = status
        self.reason = str(problem.get("reason") or "")
        self.field = problem.get("field")
        self.detail = str(problem.get("detail") or "")
        self.errors: Sequence[Mapping[str, Any]] = problem.get("errors") or ()
        self.request_id = problem.get("request_id")
        super().__init__(
            _sentence(status, problem),
            hint="" if self.reason == _LOG_IN_REFUSED else _HINTS.get(status, ""),
            exit_code=_EXIT_CODES.get(status, ExitCode.FAILED),
        )


def _sentence(status: int, problem: Mapping[str, Any]) -> str:
    reason = problem.get("reason")
    told = str(problem.get("detail") or problem.get("title") or f"the server answered {status}")
    lines = [f"{told} ({reason})" if reason else told]
    for error in problem.get("errors") or ():
        where = error.get("field") or "/"
        lines.append(f"  {where}: {error.get('detail', '')} ({error.get('reason', '')})")
    if status >= 500 and problem.get("request_id"):
        lines.append(f"  The server's logs know this request as {problem['request_id']}.")
    return "\n".join(lines)
