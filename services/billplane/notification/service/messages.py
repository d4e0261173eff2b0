"""E-mails and short messages: kept first, sent then, never lost silently."""

import asyncio
import random
import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, Final, cast

from email_validator import EmailNotValidError, validate_email

from billplane.chassis import ids, logging
from billplane.chassis.database import ReadTransaction, Transaction
from billplane.chassis.errors import Kind, PeerError
from billplane.chassis.faults import faultpoint, register
from billplane.chassis.jobs import Worker
from billplane.chassis.rest import Page
from billplane.notification import domain, peers
from billplane.notification.errors import (
    MessageInvalid,
    MessageNotFailed,
    MessageNotFound,
    TemplateInvalid,
    TemplateNotFound,
)
from billplane.notification.models import MessageRow, SettingsRow
from billplane.notification.providers.base import Attachment, Letter, NotConfigured, NotSent, Way
from billplane.notification.repository import messages
from billplane.notification.service import templates
from billplane.notification.service.templates import READ, WRITE
from billplane.notification.settings import NotificationSettings
from billplane.protos.notification.v1.events_pb2 import NotifyTask

_log = logging.get("notification")

QUEUED, SENT, FAILED, NOT_CONFIGURED = "queued", "sent", "failed", "not_configured"
# The variable that names an invoice whose PDF goes along.
ATTACHED_INVOICE: Final = "attached_invoice_id"
LEASE_SECONDS: Final = 120.0
AT_ONCE: Final = 20
_PHONE: Final = re.compile(r"\+[1-9][0-9]{6,14}\Z")

register("notify.after_accept", "notify.after_send_before_note")


async def accept(tx: Transaction, asked: NotifyTask, event_id: str) -> None:
    """Keep a message that is to be sent soon.

    Raises: MessageInvalid.
    Idempotent by: dedupe_key, or the task itself where there is none.
    """
    tx.require_internal()
    recipient = _recipient(asked.channel, asked.to)
    await _keep(
        tx,
        channel=asked.channel,
        recipient=recipient,
        template=asked.template,
        locale=asked.locale,
        variables=dict(asked.variables),
        dedupe_key=asked.dedupe_key or event_id,
    )
    faultpoint("notify.after_accept")


async def notice(
    tx: Transaction, template: str, variables: Mapping[str, str], dedupe_key: str
) -> None:
    """Write to the address that a tenant has set for notices, if it has."""
    tx.require_internal()
    look = await messages.settings(tx)
    if look is not None and look.notice_email:
        await _keep(
            tx,
            channel="email",
            recipient=look.notice_email,
            template=template,
            locale="",
            variables=variables,
            dedupe_key=dedupe_key,
        )


async def _keep(
    tx: Transaction,
    *,
    channel: str,
    recipient: str,
    template: str,
    locale: str,
    variables: Mapping[str, str],
    dedupe_key: str,
) -> None:
    row = MessageRow(
        tenant_id=tx.tenant_id,
        id=ids.new("msg"),
        livemode=tx.livemode,
        channel=channel,
        recipient=recipient,
        template=template,
        locale=locale,
        variables=dict(variables),
        dedupe_key=dedupe_key,
        subject="",
        state=QUEUED,
        detail="",
        attempts=0,
        due_at=tx.now,
        created_at=tx.now,
    )
    if not await messages.add_message(tx, row):
        _log.info("message_known_already", template=template)


def _recipient(channel: str, to: str) -> str:
    if channel == "sms":
        number = re.sub(r"[ ()/-]", "", to)
        if not _PHONE.match(number):
            raise MessageInvalid("a number is written as +4930123456", field="to")
        return number
    if channel != "email":
        raise MessageInvalid("the channel is email or sms", field="channel")
    try:
        return validate_email(to, check_deliverability=False, test_environment=True).normalized
    except EmailNotValidError as error:
        raise MessageInvalid(str(error), field="to") from None


async def send_due(worker: Worker, ways: Mapping[str, Way], claimer: str) -> int:
    """Send what is due, each message on its own; return how many there were.

    A process that dies in between sends again what it had sent: the e-mail's Message-ID and the
    short message's key are the same then.
    """
    rows = await worker.find(
        "claim_messages",
        claimer=claimer,
        moment=worker.runtime.clock.now(),
        lease_seconds=LEASE_SECONDS,
        row_limit=AT_ONCE,
    )
    await asyncio.gather(*(_send(worker, ways, row, claimer) for row in rows))
    return len(rows)


async def _send(worker: Worker, ways: Mapping[str, Way], due: Any, claimer: str) -> None:
    state, detail, final, subject = SENT, "", False, ""
    async with worker.reading(due.tenant_id, due.livemode) as tx:
        row = await messages.message(tx, due.id)
        if row is None:
            return
        try:
            letter = await _letter(tx, row)
        except (TemplateNotFound, TemplateInvalid) as error:
            state, detail, final = FAILED, error.detail, True
    if state == SENT:
        subject = letter.subject
        try:
            detail = await ways[row.channel].send(await _with_files(worker, row, letter))
        except NotConfigured as missing:
            state, detail = NOT_CONFIGURED, str(missing)
        except NotSent as failed:
            state, detail, final = FAILED, str(failed), failed.final
        except PeerError as away:
            state, detail, final = FAILED, away.detail, away.kind is Kind.NOT_FOUND
    faultpoint("notify.after_send_before_note")
    async with worker.transaction(due.tenant_id, due.livemode) as write:
        noted = await messages.locked_message(write, due.id)
        if noted is not None and noted.state == QUEUED and noted.claimed_by == claimer:
            _note(write, noted, state, detail, final=final)
            noted.subject = subject


async def _with_files(worker: Worker, row: MessageRow, letter: Letter) -> Letter:
    """Put the PDF along that the message names; short messages have none.

    Raises: PeerError.
    """
    invoice_id = row.variables.get(ATTACHED_INVOICE, "")
    if not invoice_id or row.channel != "email":
        return letter
    file = await peers.invoice_pdf(worker, row.tenant_id, invoice_id, livemode=row.livemode)
    return replace(letter, attachments=(Attachment(*file),))


def _note(tx: Transaction, row: MessageRow, state: str, detail: str, *, final: bool) -> None:
    row.attempts += 1
    row.detail = detail.replace("\0", "")[:1000]
    row.claimed_by = None
    if state == FAILED and not final:
        chance = random.randrange(1000)  # noqa: S311 - spreads load
        again = domain.send_again_at(row.attempts, tx.now, chance)
        if again is not None:
            row.due_at = again
            return
    row.state = state
    row.sent_at = tx.now if state == SENT else None
    if state != SENT:
        _log.warning("message_not_sent", message_id=row.id, state=state, detail=row.detail)


async def _letter(tx: ReadTransaction, row: MessageRow) -> Letter:
    look = await messages.settings(tx)
    settings = cast("NotificationSettings", tx.runtime.settings)
    wanted = templates.locales(row.locale, look.locale if look else "", settings.locale)
    wording, _ = await templates.find(tx, row.template, wanted)
    rendered = templates.render(wording, row.variables)
    return Letter(
        message_id=row.id,
        to=row.recipient,
        # Nobody shall take a trial for the real thing.
        subject=rendered.subject if row.livemode else f"[Test] {rendered.subject}",
        text=rendered.text,
        html=rendered.html,
        sender_name=look.sender_name if look else "",
        reply_to=look.reply_to if look else "",
    )


async def list_messages(
    tx: ReadTransaction, state: str, template: str, page: Page
) -> tuple[Sequence[MessageRow], str | None]:
    """Return a page of messages.

    Shape: newest first, as many as the page says, and the cursor of the next.
    Raises: ScopeMissing, CursorInvalid.
    """
    tx.authorize(READ)
    return await messages.page_of_messages(tx, state, template, page)


async def get_message(tx: ReadTransaction, message_id: str) -> MessageRow:
    """Return one message.

    Raises: ScopeMissing, MessageNotFound.
    """
    tx.authorize(READ)
    row = await messages.message(tx, message_id)
    if row is None:
        raise MessageNotFound(f"there is no notification {message_id}")
    return row


async def resend_message(tx: Transaction, message_id: str) -> MessageRow:
    """Send a message again that failed, or that could not be sent when it was made.

    Raises: ScopeMissing, MessageNotFound, MessageNotFailed.
    """
    tx.authorize(WRITE)
    row = await messages.locked_message(tx, message_id)
    if row is None:
        raise MessageNotFound(f"there is no notification {message_id}")
    if row.state not in (FAILED, NOT_CONFIGURED):
        raise MessageNotFailed(f"the notification is {row.state}")
    row.state, row.attempts, row.due_at = QUEUED, 0, tx.now
    await tx.session.flush()
    return row


async def get_settings(tx: ReadTransaction) -> SettingsRow | None:
    """Return how the tenant's messages look, None where it has set nothing.

    Raises: ScopeMissing.
    """
    tx.authorize(READ)
    return await messages.settings(tx)


async def put_settings(
    tx: Transaction, *, locale: str, sender_name: str, reply_to: str, notice_email: str
) -> SettingsRow:
    """Set how the tenant's messages look.

    Raises: ScopeMissing, MessageInvalid.
    """
    tx.authorize(WRITE)
    row = SettingsRow(
        tenant_id=tx.tenant_id,
        locale=locale,
        sender_name=sender_name,
        reply_to=_recipient("email", reply_to) if reply_to else "",
        notice_email=_recipient("email", notice_email) if notice_email else "",
        updated_at=tx.now,
    )
    await messages.put_settings(tx, row)
    return row
