"""A Kubernetes API server in the test's process: small, and faithful where the operator relies.

`store.py` is what the server knows and how it changes, `fields.py` server-side apply, `server.py`
the HTTP side with faults to inject.
"""

from tests.operator.fake_api.server import FakeApi, running_api
from tests.operator.fake_api.store import Refused, Store

__all__ = ["FakeApi", "Refused", "Store", "running_api"]
