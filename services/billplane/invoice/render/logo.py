"""A tenant's logo: a PNG or JPEG of sane size, drawn inside a drawing of our own."""

import base64
import binascii
import struct
from dataclasses import dataclass
from typing import Final

BYTES_MAX: Final = 262_144
PIXELS_MAX: Final = 4_000
_PNG: Final = b"\x89PNG\r\n\x1a\n"
_JPEG: Final = b"\xff\xd8"
# Frames of JPEG that carry its size; the others of the range are tables.
_FRAMES: Final = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}


class LogoInvalid(ValueError):
    """What was given is no logo."""


@dataclass(frozen=True, slots=True)
class Logo:
    """A picture and its size in pixels."""

    media_type: str
    width: int
    height: int
    content: str

    @property
    def drawing(self) -> str:
        """An SVG that holds the picture and nothing else."""
        size = f'width="{self.width}" height="{self.height}"'
        return (
            f'<svg xmlns="http://www.w3.org/2000/svg" {size}'
            f' viewBox="0 0 {self.width} {self.height}">'
            f'<image {size} href="data:{self.media_type};base64,{self.content}"/></svg>'
        )


def read_logo(content: str) -> Logo:
    """Read a logo given as base64.

    Raises: LogoInvalid.
    """
    try:
        picture = base64.b64decode(content, validate=True)
    except (binascii.Error, ValueError):
        raise LogoInvalid("the logo is a PNG or JPEG in base64") from None
    if len(picture) > BYTES_MAX:
        raise LogoInvalid(f"the logo has at most {BYTES_MAX} bytes")
    try:
        media_type, width, height = _size(picture)
    except (struct.error, IndexError):
        raise LogoInvalid("the picture is cut off") from None
    if not (0 < width <= PIXELS_MAX and 0 < height <= PIXELS_MAX):
        raise LogoInvalid(f"the logo is at most {PIXELS_MAX} pixels wide and high")
    return Logo(media_type, width, height, base64.b64encode(picture).decode())


def _size(picture: bytes) -> tuple[str, int, int]:
    if picture.startswith(_PNG):
        width, height = struct.unpack_from(">II", picture, 16)
        return "image/png", width, height
    if not picture.startswith(_JPEG):
        raise LogoInvalid("the logo is a PNG or JPEG in base64")
    place = 2
    while True:
        marker, kind, length = struct.unpack_from(">BBH", picture, place)
        if marker != 0xFF or length < 2:
            raise LogoInvalid("the picture is no JPEG")
        if kind in _FRAMES:
            height, width = struct.unpack_from(">HH", picture, place + 5)
            return "image/jpeg", width, height
        place += 2 + length
