"""What is asked of a way to a person."""

from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True)
class Attachment:
    """A file that goes along with an e-mail."""

    file_name: str
    media_type: str
    content: bytes


@dataclass(frozen=True, slots=True)
class Letter:
    """What somebody is told; a short message has its text alone."""

    message_id: str
    to: str
    subject: str
    text: str
    html: str
    sender_name: str = ""
    reply_to: str = ""
    attachments: tuple[Attachment, ...] = ()


class NotSent(Exception):
    """The message was not taken; `final` when trying again is of no use."""

    def __init__(self, why: str, *, final: bool) -> None:
        super().__init__(why)
        self.final = final


class NotConfigured(Exception):
    """There is no way to people yet; the words say which setting makes one."""


class Way(Protocol):
    """A mail server or an SMS service."""

    async def send(self, letter: Letter) -> str:
        """Hand a message over; return what the other side said.

        Raises: NotSent, NotConfigured.
        """
        ...

    async def close(self) -> None:
        """Let go of connections."""
        ...
