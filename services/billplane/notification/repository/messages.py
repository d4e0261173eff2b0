"""E-mails and short messages, their templates, how a tenant's look."""

from collections.abc import Sequence

from sqlalchemy import delete, select
from sqlalchemy.dialects.postgresql import insert

from billplane.chassis.database import ReadTransaction, Transaction
from billplane.chassis.rest import Page, fetch_page
from billplane.notification.models import MessageRow, SettingsRow, TemplateRow


async def add_message(tx: Transaction, row: MessageRow) -> bool:
    """Store a message; False when one of the same key is there already."""
    columns = [column.key for column in MessageRow.__mapper__.column_attrs]
    values = {name: getattr(row, name) for name in columns}
    statement = insert(MessageRow).values(values).on_conflict_do_nothing()
    return (await tx.session.scalar(statement.returning(MessageRow.id))) is not None


async def message(tx: ReadTransaction, message_id: str) -> MessageRow | None:
    """Return one message of the mode."""
    row = await tx.session.get(MessageRow, (tx.tenant_id, message_id))
    return row if row is not None and row.livemode == tx.livemode else None


async def locked_message(tx: Transaction, message_id: str) -> MessageRow | None:
    """Return one message of the mode, locked until the transaction ends."""
    query = select(MessageRow).where(
        MessageRow.id == message_id, MessageRow.livemode == tx.livemode
    )
    return (await tx.session.scalars(query.with_for_update())).one_or_none()


async def page_of_messages(
    tx: ReadTransaction, state: str, template: str, page: Page
) -> tuple[Sequence[MessageRow], str | None]:
    """Return a page of messages."""
    query = select(MessageRow).where(MessageRow.livemode == tx.livemode)
    if state:
        query = query.where(MessageRow.state == state)
    if template:
        query = query.where(MessageRow.template == template)
    return await fetch_page(tx, query, MessageRow.id, page)


async def template(tx: ReadTransaction, name: str, locale: str) -> TemplateRow | None:
    """Return a tenant's own wording."""
    return await tx.session.get(TemplateRow, (tx.tenant_id, name, locale))


async def templates(tx: ReadTransaction) -> Sequence[TemplateRow]:
    """Return a tenant's own wordings; there are few."""
    query = select(TemplateRow).order_by(TemplateRow.name, TemplateRow.locale)
    return (await tx.session.scalars(query)).all()


async def put_template(tx: Transaction, row: TemplateRow) -> None:
    """Store a wording in place of the one before."""
    await tx.session.merge(row)
    await tx.session.flush()


async def drop_template(tx: Transaction, name: str, locale: str) -> bool:
    """Remove a wording; False when there was none."""
    statement = delete(TemplateRow).where(TemplateRow.name == name, TemplateRow.locale == locale)
    found = await tx.session.scalar(statement.returning(TemplateRow.name))
    return found is not None


async def settings(tx: ReadTransaction) -> SettingsRow | None:
    """Return how the tenant's messages look."""
    return await tx.session.get(SettingsRow, tx.tenant_id)


async def put_settings(tx: Transaction, row: SettingsRow) -> None:
    """Store how the tenant's messages look."""
    await tx.session.merge(row)
    await tx.session.flush()
