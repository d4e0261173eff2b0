"""Every exit code of the command line; scripts may rely on them."""

from enum import IntEnum


class ExitCode(IntEnum):
    """What a command's exit code says; see MEANINGS."""

    OK = 0
    FAILED = 1
    USAGE = 2
    UNREACHABLE = 3
    NOT_ALLOWED = 4
    NOT_FOUND = 5
    CONFLICT = 6
    INVALID = 7
    PARTLY_REJECTED = 8
    INTERRUPTED = 130


MEANINGS = {
    ExitCode.OK: "done",
    ExitCode.FAILED: "failed for a reason that no other code names",
    ExitCode.USAGE: "the command line itself is wrong",
    ExitCode.UNREACHABLE: "no platform answers, or none runs on this machine",
    ExitCode.NOT_ALLOWED: "the credential is missing, wrong, or may not do this",
    ExitCode.NOT_FOUND: "there is no such thing",
    ExitCode.CONFLICT: "the state of things does not allow it now",
    ExitCode.INVALID: "the input was refused; the message names the fields",
    ExitCode.PARTLY_REJECTED: "some rows of an import were refused, all others taken",
    ExitCode.INTERRUPTED: "interrupted",
}
