"""Rolling the platform and one service alone while calls come in: none fails."""

import pytest

from tests.cluster.conftest import CONTEXT
from tests.cluster.kube import eventually, run
from tests.cluster.pods import Load, image_of
from tests.cluster.test_05_kills import loaded, usage, workloads

__all__ = ["loaded"]

pytestmark = pytest.mark.full

OTHER = "billplane:other"


@pytest.fixture
def other_image(kube):
    """Give a second tag of the image in the cluster, which stands for another release."""
    run("docker", "tag", image_of(kube), OTHER)
    name = CONTEXT.removeprefix("kind-")
    run("kind", "load", "docker-image", "--name", name, OTHER, seconds=300)
    return OTHER.partition(":")[2]


def upgrade(kube, *settings):
    options = [item for setting in settings for item in ("--set", setting)]
    kube.helm(
        *("upgrade", "billplane", "charts/billplane", "--reuse-values", *options),
        *("--wait", "--timeout", "600s"),
    )


def images(kube):
    return {
        item["metadata"]["name"]: item["spec"]["template"]["spec"]["containers"][0]["image"]
        for item in kube.items("deployments", selector="app.kubernetes.io/part-of=billplane")
    }


def test_an_upgrade_under_load_fails_no_request(kube, api, loaded, other_image):
    tag = image_of(kube).partition(":")[2]
    load = Load(kube, loaded, api.key, 150)
    eventually(
        lambda: kube.json("pod", "load", namespace=loaded)["status"].get("phase") == "Running", 60
    )
    try:
        upgrade(kube, f"image.tag={other_image}")
        assert {images(kube)[name] for name in workloads(kube)} == {OTHER}
    finally:
        counts = load.result()
        upgrade(kube, f"image.tag={tag}")
    assert counts["again"] == counts["given_up"] == counts["refused"] == 0, counts
    assert usage(api, load) == counts["acknowledged"]
