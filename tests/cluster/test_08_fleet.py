"""One Deployment a service: it comes up, one service rolls alone, two replicas hide a death."""

import pytest

from tests.cluster.kube import eventually
from tests.cluster.pods import Load, image_of
from tests.cluster.test_00_install import test_what_an_installation_takes_is_told as tell_memory
from tests.cluster.test_05_kills import kill, loaded, usage
from tests.cluster.test_07_upgrade import OTHER, images, other_image, upgrade

__all__ = ["loaded", "other_image"]
pytestmark = pytest.mark.full
TWICE = ("gateway", "metering", "pricing")


@pytest.fixture(scope="module")
def fleet(kube):
    """Turn the release into fleet topology, and back."""
    upgrade(kube, "topology=fleet")
    eventually(kube.all_ready, 120, kube.not_ready)
    yield kube
    upgrade(kube, "topology=compact")
    eventually(kube.all_ready, 120, kube.not_ready)


def test_a_fleet_comes_up_and_is_tried(fleet, record_figure):
    assert len(images(fleet)) >= 12
    tell_memory(fleet, record_figure)
    assert "Failed" not in fleet.helm("test", "billplane", "--timeout", "300s")


def test_one_service_alone_is_rolled(fleet, other_image):
    before = images(fleet)
    upgrade(fleet, f"services.tax.image.tag={other_image}")
    after = images(fleet)
    assert {name for name in after if after[name] != before[name]} == {"tax"}
    assert after["tax"] == OTHER
    upgrade(fleet, f"services.tax.image.tag={image_of(fleet).partition(':')[2]}")


def test_where_two_replicas_run_a_death_fails_no_call_after_retries(fleet, api, loaded):
    upgrade(fleet, *(f"services.{name}.replicas=2" for name in TWICE))
    eventually(fleet.all_ready, 180, fleet.not_ready)
    load = Load(fleet, loaded, api.key, 120)
    eventually(
        lambda: fleet.json("pod", "load", namespace=loaded)["status"].get("phase") == "Running", 60
    )
    for name in TWICE:
        if load.left > 20:
            kill(fleet, name)
    counts = load.result()
    assert counts["given_up"] == counts["refused"] == 0, counts
    assert usage(api, load) == counts["acknowledged"]
    upgrade(fleet, *(f"services.{name}.replicas=1" for name in TWICE))
