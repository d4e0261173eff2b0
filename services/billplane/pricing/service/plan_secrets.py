"""What the Secrets hold that a plan's external prices name: handed over, sealed, opened."""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Final

from billplane.chassis import applied, logging
from billplane.chassis.applied import StaleGeneration
from billplane.chassis.database import ReadTransaction, Transaction
from billplane.chassis.sealing import SealBroken
from billplane.pricing import repository
from billplane.pricing.errors import PlanNotFound, PriceSecretRefused
from billplane.pricing.models import PlanRow, PlanSecretRow
from billplane.pricing.service.external import PriceSources, place_of
from billplane.protos.pricing.v1.pricing_pb2 import SecretValue, SecretValues

TOKEN_BYTES_MAX: Final = 4096
_TOKEN: Final = re.compile(rb"[\x21-\x7e]+")

_Named = tuple[str, str]
"""Name and key of a Secret."""

_log = logging.get("pricing")


async def provide_secrets(
    tx: Transaction,
    sources: PriceSources,
    uid: str,
    epoch: int,
    digest: str,
    values: Iterable[SecretValue],
) -> None:
    """Hold what a plan's newest spec names, in place of what was held of it before.

    What only earlier versions name stays: subscribers are billed by them.

    Raises: InternalOnly, PlanNotFound, StaleGeneration, PriceSecretRefused.
    Idempotent by: digest.
    """
    tx.require_internal()
    plan = await applied.by_uid(tx, PlanRow, uid)
    if plan is None or plan.removed_at is not None:
        raise PlanNotFound(f"there is no plan of the resource {uid}")
    if epoch < plan.epoch:
        raise StaleGeneration(f"epoch {plan.epoch} is newer", metadata={"epoch": plan.epoch})
    given = {(item.name, item.key): _checked(item) for item in values}
    held = await repository.plan_secret(tx, plan.id)
    wanted = set(named_in(plan.spec))
    kept = {name: value for name, value in _opened(sources, held).items() if name not in wanted}
    kept |= given
    if not kept:
        await repository.drop_plan_secret(tx, plan.id)
        return
    if held is None:
        held = PlanSecretRow(tenant_id=tx.tenant_id, plan_id=plan.id)
        tx.session.add(held)
    content = SecretValues(
        values=[
            SecretValue(name=name, key=key, content=value)
            for (name, key), value in sorted(kept.items())
        ]
    )
    held.sealed = sources.sealer.seal(
        content.SerializeToString(deterministic=True), *place_of(held)
    )
    held.digest, held.provided_at = digest, tx.now


async def digests(tx: ReadTransaction, plan_ids: Sequence[str]) -> Mapping[str, str]:
    """Return the digest, as it was provided, of what is held for each plan; for the operator.

    Raises: InternalOnly.
    """
    tx.require_internal()
    return await repository.plan_secret_digests(tx, plan_ids)


def named_in(spec: Any) -> Iterator[_Named]:
    """Yield name and key of every Secret that a plan's spec, as JSON data, refers to."""
    for charge in spec.get("charges", ()):
        external = ((charge.get("usage") or {}).get("model") or {}).get("external") or {}
        reference = external.get("secretRef")
        if reference:
            yield reference["name"], reference["key"]


def _opened(sources: PriceSources, held: PlanSecretRow | None) -> dict[_Named, bytes]:
    """Return what is held; nothing where it was sealed with another key: it comes anew."""
    if held is None:
        return {}
    try:
        content = sources.sealer.open(held.sealed, *place_of(held))
    except SealBroken as broken:
        _log.warning("plan_secret_not_opened", plan=held.plan_id, error=broken.detail)
        return {}
    return {(item.name, item.key): item.content for item in SecretValues.FromString(content).values}


def _checked(value: SecretValue) -> bytes:
    """Return a token without the line's end that editors leave.

    Raises: PriceSecretRefused, which tells nothing of the value.
    """
    content, where = value.content.strip(), f"key {value.key} in Secret {value.name}"
    if len(content) > TOKEN_BYTES_MAX:
        raise PriceSecretRefused(f"{where} is longer than {TOKEN_BYTES_MAX} bytes")
    if not _TOKEN.fullmatch(content):
        raise PriceSecretRefused(f"{where} is no token: one word of visible ASCII is expected")
    return content
