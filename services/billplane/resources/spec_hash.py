"""The fingerprint by which operator and services know that they speak of the same spec."""

import hashlib

import rfc8785

from billplane.resources.common import Spec


def spec_hash(spec: Spec) -> str:
    """Return the SHA-256, in hex, of the spec's canonical JSON with defaults filled in.

    A service computes it from the rows it runs, never from a stored copy.
    Source: RFC 8785.
    """
    return hashlib.sha256(rfc8785.dumps(spec.document())).hexdigest()
