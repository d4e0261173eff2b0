"""E-mails and short messages, their wordings and how they look."""

from typing import Annotated

from fastapi import Path

from billplane.chassis.rest import PageQuery, Reader, Writer, listing, router
from billplane.notification import schemas
from billplane.notification.models import MessageRow
from billplane.notification.service import messages, templates
from billplane.notification.service.templates import Wording

rest = router(tags=["notifications"])

Name = Annotated[str, Path(max_length=60)]
Locale = Annotated[str, Path(max_length=35)]


@rest.get("/v1/notifications")
async def list_notifications(
    tx: Reader,
    page: PageQuery,
    state: schemas.MessageState | None = None,
    template: str = "",
) -> schemas.NotificationList:
    """List e-mails and short messages; `failed` ones are given up, `not_configured` ones kept."""
    rows, cursor = await messages.list_messages(tx, state or "", template, page)
    return schemas.NotificationList(**listing([_notification(row) for row in rows], cursor))


@rest.post("/v1/notifications/{notification_id}:resend")
async def resend_notification(notification_id: str, tx: Writer) -> schemas.Notification:
    """Send again what failed, or could not be sent when it was made."""
    return _notification(await messages.resend_message(tx, notification_id))


@rest.get("/v1/notifications/{notification_id}")
async def get_notification(notification_id: str, tx: Reader) -> schemas.Notification:
    """Return one e-mail or short message."""
    return _notification(await messages.get_message(tx, notification_id))


@rest.get("/v1/notification_templates")
async def list_templates(tx: Reader) -> schemas.TemplateList:
    """List the tenant's own wordings."""
    rows = await templates.list_templates(tx)
    data = [
        schemas.Template(
            name=row.name,
            locale=row.locale,
            own=True,
            subject=row.subject,
            text=row.text,
            html=row.html,
        )
        for row in rows
    ]
    return schemas.TemplateList(data=data, next_cursor=None)


@rest.get("/v1/notification_templates/{template}/{locale}")
async def get_template(template: Name, locale: Locale, tx: Reader) -> schemas.Template:
    """Return a wording: the tenant's own, else ours."""
    wording, own = await templates.get_template(tx, template, locale)
    return _template(template, locale, wording, own=own)


@rest.put("/v1/notification_templates/{template}/{locale}")
async def put_template(
    template: Name, locale: Locale, body: schemas.TemplateBody, tx: Writer
) -> schemas.Template:
    """Word a message anew; variables stand in double braces, `{% if … %}` chooses."""
    wording = Wording(body.subject, body.text, body.html)
    await templates.put_template(tx, template, locale, wording)
    return _template(template, locale, wording, own=True)


@rest.delete("/v1/notification_templates/{template}/{locale}", status_code=204)
async def delete_template(template: Name, locale: Locale, tx: Writer) -> None:
    """Go back to our own wording."""
    await templates.delete_template(tx, template, locale)


@rest.get("/v1/notification_settings")
async def get_settings(tx: Reader) -> schemas.Settings:
    """Return how the tenant's messages look."""
    row = await messages.get_settings(tx)
    if row is None:
        return schemas.Settings(locale="", sender_name="", reply_to="", notice_email="")
    return schemas.Settings.model_validate(row)


@rest.put("/v1/notification_settings")
async def put_settings(body: schemas.SettingsBody, tx: Writer) -> schemas.Settings:
    """Set how the tenant's messages look."""
    row = await messages.put_settings(
        tx,
        locale=body.locale,
        sender_name=body.sender_name,
        reply_to=body.reply_to,
        notice_email=body.notice_email,
    )
    return schemas.Settings.model_validate(row)


def _notification(row: MessageRow) -> schemas.Notification:
    return schemas.Notification(
        id=row.id,
        channel=row.channel,
        recipient=row.recipient,
        template=row.template,
        locale=row.locale,
        variables=row.variables,
        subject=row.subject,
        state=row.state,
        detail=row.detail,
        attempts=row.attempts,
        next_attempt_at=row.due_at if row.state == messages.QUEUED else None,
        created_at=row.created_at,
        sent_at=row.sent_at,
    )


def _template(name: str, locale: str, wording: Wording, *, own: bool) -> schemas.Template:
    return schemas.Template(
        name=name,
        locale=locale,
        own=own,
        subject=wording.subject,
        text=wording.text,
        html=wording.html,
    )
