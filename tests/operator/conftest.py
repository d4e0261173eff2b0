"""An API server of its own for each test."""

import zlib

import pytest

from tests.operator.cluster import Kube
from tests.operator.fake_api import running_api


@pytest.fixture
async def kube(platform, tmp_path, request, monkeypatch):
    """Give one namespace of a fake cluster, with a tenant of the test's own."""
    async with running_api() as api:
        monkeypatch.setenv("KUBECONFIG", api.kubeconfig(tmp_path / "kubeconfig"))
        name = f"kube-{zlib.crc32(request.node.name.encode())}"
        yield await Kube(api, platform, name).start()
