"""What somebody changes behind the platform's back is put right within thirty seconds."""

import json

from tests.cluster.kube import eventually
from tests.cluster.samples import SAMPLES

SECONDS = 30
METER, PLAN, FEED, PROVIDER = SAMPLES


def test_a_hand_edited_row_of_the_plan_table_is_repaired(kube, namespace, record_figure):
    kube.apply(PLAN.document("edited"), namespace=namespace)
    kube.wait_ready("billingplan", "edited", namespace)

    def stored():
        return kube.sql(
            "SELECT spec->>'displayName' FROM pricing.plans"
            " WHERE name = 'edited' AND removed_at IS NULL"
        )

    assert stored() == "Sample"
    kube.sql(
        "UPDATE pricing.plans SET spec = jsonb_set(spec, '{displayName}', '\"Somebody else''s\"')"
        " WHERE name = 'edited' AND removed_at IS NULL"
    )
    seconds = eventually(lambda: stored() == "Sample", SECONDS)
    record_figure("drift repair: a row of the plan table", seconds, "s")
    eventually(lambda: kube.condition("billingplan", "edited", namespace)["status"] == "True", 30)


def test_a_deleted_simulator_and_an_edited_policy_come_back(kube, namespace, record_figure):
    kube.apply(PROVIDER.document("northwind"), namespace=namespace)
    kube.wait_ready("utilityprovider", "northwind", namespace, 120)
    (deployment,) = kube.items("deployments", namespace=namespace)
    name = deployment["metadata"]["name"]
    kube.kubectl("delete", "deployment", name, namespace=namespace)

    def replaced():
        found = kube.items("deployments", namespace=namespace)
        return found and found[0]["metadata"]["uid"] != deployment["metadata"]["uid"]

    seconds = eventually(replaced, SECONDS)
    record_figure("drift repair: a deleted Deployment", seconds, "s")

    policies = kube.items("networkpolicies", namespace=namespace)
    policy = next(item for item in policies if item["metadata"]["name"] == name)
    opened = json.dumps({"spec": {"ingress": [{}]}})
    kube.kubectl("patch", "networkpolicy", name, "--type=merge", "-p", opened, namespace=namespace)

    def closed():
        found = kube.json("networkpolicy", name, namespace=namespace)
        return found["spec"]["ingress"] == policy["spec"]["ingress"]

    record_figure("drift repair: an edited NetworkPolicy", eventually(closed, SECONDS), "s")
    kube.wait_ready("utilityprovider", "northwind", namespace, 120)


def test_a_paused_resource_is_left_alone(kube, namespace):
    kube.apply(METER.document("paused"), namespace=namespace)
    kube.wait_ready("meter", "paused", namespace)
    pause = "billplane.io/reconcile=paused"
    kube.kubectl("annotate", "meter", "paused", pause, namespace=namespace)
    eventually(
        lambda: kube.condition("meter", "paused", namespace, "Paused").get("status") == "True", 30
    )
    kube.apply(METER.document("paused", displayName="Not yet"), namespace=namespace)
    kube.kubectl("annotate", "meter", "paused", pause, "--overwrite", namespace=namespace)

    def shown():
        return kube.sql(
            "SELECT spec->>'displayName' FROM metering.meters"
            " WHERE name = 'paused' AND removed_at IS NULL"
        )

    assert shown() != "Not yet"
    kube.kubectl("annotate", "meter", "paused", "billplane.io/reconcile-", namespace=namespace)
    eventually(lambda: shown() == "Not yet", 30)


def test_a_feed_reads_its_config_map_and_follows_it(kube, api, namespace):
    def table(rate):
        return {
            "apiVersion": "v1",
            "kind": "ConfigMap",
            "metadata": {"name": "rates"},
            "data": {"rates.csv": f"Date,USD\n2026-01-02,{rate}\n"},
        }

    source = {"csv": {"configMapRef": {"name": "rates", "key": "rates.csv"}, "wide": True}}
    kube.apply(
        table("1.25"),
        FEED.document("followed", source=source, schedule="15 16 * * *"),
        namespace=namespace,
    )
    kube.wait_ready("exchangeratefeed", "followed", namespace)

    def rate():
        query = "as_of=2026-01-02&feed=followed"
        return api.call("GET", f"/v1/exchange_rates/EUR/USD?{query}")["rate"]

    assert rate() == "1.25"
    kube.apply(table("1.5"), namespace=namespace)
    eventually(lambda: rate() == "1.5", SECONDS, rate)
    kube.kubectl("delete", "configmap", "rates", namespace=namespace)
    eventually(
        lambda: (
            kube.condition("exchangeratefeed", "followed", namespace).get("reason")
            == "ConfigMapMissing"
        ),
        SECONDS,
        lambda: str(kube.resource("exchangeratefeed", "followed", namespace)["status"]),
    )
