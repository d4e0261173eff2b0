"""ExchangeRateFeed: where rates come from, how often, and how old they may be."""

from collections.abc import Iterator
from typing import Annotated, Final, Literal, NamedTuple

from pydantic import Field

from billplane.resources.common import (
    OBJECT_KEY_PATTERN,
    OBJECT_NAME_PATTERN,
    CalendarDate,
    Currency,
    DeletionPolicy,
    DisplayName,
    Duration,
    Flag,
    PropertyPath,
    ResourceModel,
    Schedule,
    SecretRef,
    Spec,
    Text255,
    TimeZone,
    Url,
    exactly_one,
    unique,
)
from billplane.resources.decimal_string import DecimalString
from billplane.resources.errors import Violation

CURRENCIES_MAX: Final = 170
# Below the manifest's own folder: neither absolute nor by way of a parent.
FILE_PATTERN: Final = r"^[A-Za-z0-9_][A-Za-z0-9_.-]*(/[A-Za-z0-9_][A-Za-z0-9_.-]*){0,9}$"

FilePath = Annotated[str, Field(pattern=FILE_PATTERN, max_length=255)]


class EcbSource(ResourceModel):
    """The European Central Bank's reference rates, or a file of the same form elsewhere."""

    file: Literal["Daily", "Last90Days", "Historical"] = "Daily"
    url: Url | None = None


class JsonMapping(ResourceModel):
    """Where a JSON answer holds the rates.

    Shape: Object is `{"USD": 1.08, …}`; List is items that `quote` and `rate` are read from.
    """

    base: PropertyPath | None = None
    as_of: PropertyPath | None = None
    rates: PropertyPath
    shape: Literal["Object", "List"] = "Object"
    quote: PropertyPath | None = None
    rate: PropertyPath | None = None

    def check(self, path: str) -> Iterator[Violation]:
        """Yield a violation unless the item's fields are named exactly where there are items."""
        for name, value in (("quote", self.quote), ("rate", self.rate)):
            if self.shape == "List" and value is None:
                yield Violation(f"{path}.{name}", "REQUIRED", "is required where shape is List")
            if self.shape == "Object" and value is not None:
                yield Violation(f"{path}.{name}", "NOT_ALLOWED", "is read only for shape List")


class Reference(NamedTuple):
    """One key of an object in the resource's own namespace, whose value a source needs."""

    kind: Literal["Secret", "ConfigMap"]
    name: str
    key: str

    def __str__(self) -> str:
        return f"key {self.key} in {self.kind} {self.name}"


class JsonSource(ResourceModel):
    """A JSON API; `invert` where it answers units of base for one unit of the other."""

    url: Url
    secret_ref: SecretRef | None = None
    mapping: JsonMapping
    invert: Flag = False


class CsvMapping(ResourceModel):
    """The names of the columns of a file with one rate a row."""

    date: Text255
    base: Text255 | None = None
    quote: Text255
    rate: Text255


class ConfigMapRef(ResourceModel):
    """One key of a ConfigMap in the resource's own namespace."""

    name: Annotated[str, Field(pattern=OBJECT_NAME_PATTERN)]
    key: Annotated[str, Field(pattern=OBJECT_KEY_PATTERN)]


class CsvSource(ResourceModel):
    """A CSV file, plain or in a zip: one column a currency (`wide`), or one rate a row.

    `file` is relative to the manifest and works in local mode only.
    """

    url: Url | None = None
    file: FilePath | None = None
    config_map_ref: ConfigMapRef | None = None
    member: FilePath | None = None
    wide: Flag = False
    mapping: CsvMapping | None = None

    def check(self, path: str) -> Iterator[Violation]:
        """Yield a violation unless there is one place and one form."""
        places = {"url": self.url, "file": self.file, "configMapRef": self.config_map_ref}
        yield from exactly_one(path, places)
        if self.wide == (self.mapping is not None):
            yield Violation(
                f"{path}.mapping",
                "NOT_ALLOWED" if self.wide else "REQUIRED",
                "must be there exactly where wide is not true",
            )


class StaticRate(ResourceModel):
    """A rate by hand: units of quote for one unit of the feed's base, from one day on."""

    quote: Currency
    rate: DecimalString
    as_of: CalendarDate

    def check(self, path: str) -> Iterator[Violation]:
        """Yield a violation for a rate of nothing."""
        if self.rate == 0:
            yield Violation(f"{path}.rate", "OUT_OF_RANGE", "must be above zero")


class StaticSource(ResourceModel):
    """Rates that stand in the resource itself."""

    rates: Annotated[tuple[StaticRate, ...], Field(min_length=1, max_length=1000)]

    def check(self, path: str) -> Iterator[Violation]:
        """Yield rates that repeat a currency and a day."""
        days = [(rate.quote, rate.as_of) for rate in self.rates]
        yield from unique(f"{path}.rates", "asOf", days)


class Source(ResourceModel):
    """Exactly one place that rates come from."""

    ecb: EcbSource | None = None
    json_api: JsonSource | None = Field(default=None, alias="json")
    csv: CsvSource | None = None
    static: StaticSource | None = None

    def check(self, path: str) -> Iterator[Violation]:
        """Yield a violation unless there is exactly one source."""
        members = {
            "ecb": self.ecb,
            "json": self.json_api,
            "csv": self.csv,
            "static": self.static,
        }
        yield from exactly_one(path, members)

    @property
    def reference(self) -> Reference | None:
        """What the source reads of its namespace: a token, or the file itself."""
        if self.json_api is not None and self.json_api.secret_ref is not None:
            return Reference("Secret", self.json_api.secret_ref.name, self.json_api.secret_ref.key)
        if self.csv is not None and self.csv.config_map_ref is not None:
            found = self.csv.config_map_ref
            return Reference("ConfigMap", found.name, found.key)
        return None


class ExchangeRateFeedSpec(Spec):
    """A feed of rates from one base currency.

    Units: a rate is units of the other currency for one unit of `base`; `max_deviation` is a
    fraction: "0.10" holds back a jump of more than 10 %.
    """

    display_name: DisplayName | None = None
    source: Source
    base: Currency
    currencies: Annotated[tuple[Currency, ...], Field(min_length=1, max_length=CURRENCIES_MAX)]
    schedule: Schedule | None = None
    time_zone: TimeZone | None = None
    stale_after: Duration = "96h"
    on_stale: Literal["Serve", "Mark", "Refuse"] = "Mark"
    max_deviation: DecimalString | None = None
    fallbacks: Annotated[tuple[Source, ...], Field(max_length=3)] = ()
    deletion_policy: DeletionPolicy = "Retain"

    @property
    def zone(self) -> str:
        """The time zone whose dates the rates bear: the ECB's is Frankfurt's."""
        if self.time_zone is not None:
            return self.time_zone
        return "Europe/Berlin" if self.source.ecb is not None else "Etc/UTC"

    @property
    def references(self) -> tuple[Reference, ...]:
        """What the sources read of their namespace, each once and in order."""
        found = {each.reference for each in (self.source, *self.fallbacks)}
        return tuple(sorted(each for each in found if each is not None))

    def check(self, path: str) -> Iterator[Violation]:
        """Yield repeated currencies, the base among them, and a missing schedule."""
        yield from unique(f"{path}.currencies", "", self.currencies)
        for index, currency in enumerate(self.currencies):
            if currency == self.base:
                yield Violation(
                    f"{path}.currencies[{index}]", "NOT_ALLOWED", "is the feed's own base"
                )
        if self.schedule is None and self.source.static is None:
            yield Violation(f"{path}.schedule", "REQUIRED", "is required unless source is static")
