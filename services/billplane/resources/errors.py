"""What is wrong with a spec, as a list of fields with a reason each."""

import re
from collections.abc import Sequence
from dataclasses import dataclass

_STEP = re.compile(r"\.?([^.\[\]]+)|\[([0-9]+)\]")


@dataclass(frozen=True, slots=True)
class Violation:
    """One broken rule.

    `field` is a path such as `spec.charges[2].usage.model.graduated.tiers[0].upTo`, `reason` is
    UPPER_SNAKE and stable, `detail` is a sentence for people.
    """

    field: str
    reason: str
    detail: str

    @property
    def pointer(self) -> str:
        """The field as a JSON pointer: `/spec/charges/2/…`.

        Source: RFC 6901.
        """
        steps = (name or index for name, index in _STEP.findall(self.field))
        return "".join("/" + step.replace("~", "~0").replace("/", "~1") for step in steps)

    def __str__(self) -> str:
        return f"{self.field}: {self.detail} ({self.reason})"


class SpecError(Exception):
    """A spec that breaks at least one rule; it holds every rule found broken.

    Not a ValueError, so that it leaves a pydantic validator as it is, with its paths.
    """

    def __init__(self, violations: Sequence[Violation]) -> None:
        self.violations = list(violations)
        super().__init__("; ".join(map(str, self.violations)))
