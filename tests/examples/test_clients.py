"""The clients for inside the cluster: their scripts on a laptop's platform, their manifests."""

import asyncio
import json
import os
import sys
from pathlib import Path

import pytest
import yaml

CLIENTS = Path(__file__).parents[2] / "examples" / "clients"
PRICING_PORT, TAX_PORT = 50053, 8001


@pytest.fixture
async def key(platform):
    """Give an sk_ key, as a person has one."""
    body = {"email": "clients@example.com", "password": "securepassword"}
    await platform.request("POST", "/auth/register", json=body)
    session = await platform.request("POST", "/auth/login", json=body, expect=200)
    headers = {"Authorization": f"Bearer {session['access_token']}"}
    made = await platform.request(
        "POST", "/auth/api_keys", json={"name": "client"}, headers=headers, expect=201
    )
    return made["key"]


async def run(platform, kind, key, **values):
    """Run a client as its pod does; return its exit code, its lines and its errors."""
    offset = platform.port_offset
    environ = {
        "PATH": os.environ["PATH"],
        "API_KEY": key,
        "GATEWAY_URL": platform.url(""),
        "TAX_URL": platform.url("", TAX_PORT),
        "PRICING_ADDRESS": f"127.0.0.1:{PRICING_PORT + offset}",
        **values,
    }
    process = await asyncio.create_subprocess_exec(
        sys.executable, str(CLIENTS / kind / "client.py"), env=environ, cwd="/",
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    async with asyncio.timeout(60):
        out, errors = await process.communicate()
    return process.returncode, [json.loads(line) for line in out.splitlines()], errors.decode()


async def test_the_rest_client_taxes_a_sale_sends_usage_and_reads_its_estimate(platform, key):
    code, lines, errors = await run(platform, "rest", key, RUNS="2")
    assert code == 0, errors
    assert [(line["tax_minor"], line["estimate"]) for line in lines] == [(1_900, "2.50")] * 2


async def test_the_grpc_client_checks_health_lists_services_and_asks_for_a_price(platform, key):
    code, lines, errors = await run(platform, "grpc", key, RUNS="2")
    assert code == 0, errors
    assert [(line["amount"], line["currency_code"]) for line in lines] == [("12.00", "EUR")] * 2


@pytest.mark.parametrize("kind", ["rest", "grpc"])
async def test_a_client_with_a_bad_key_says_so_and_fails(platform, kind):
    code, lines, errors = await run(platform, kind, "sk_test_0000000000_nonsense")
    assert code != 0
    assert lines == []
    assert "401" in errors or "UNAUTHENTICATED" in errors


@pytest.mark.parametrize("kind", ["rest", "grpc"])
def test_a_manifest_passes_restricted_pod_security_and_holds_no_key(kind):
    job = yaml.safe_load((CLIENTS / kind / "job.yaml").read_text())
    kustomization = yaml.safe_load((CLIENTS / kind / "kustomization.yaml").read_text())
    template = job["spec"]["template"]
    assert template["metadata"]["labels"]["billplane.io/client"] == "true"
    pod, (container,) = template["spec"], template["spec"]["containers"]
    assert pod["securityContext"]["runAsNonRoot"] is True
    assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    assert pod["automountServiceAccountToken"] is False
    assert container["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    (secret,) = (item for item in container["env"] if item["name"] == "API_KEY")
    assert secret["valueFrom"] == {"secretKeyRef": {"name": "billplane-client", "key": "api-key"}}
    (generated,) = kustomization["configMapGenerator"]
    assert generated["name"] == pod["volumes"][0]["configMap"]["name"]
    assert (CLIENTS / kind / generated["files"][0]).is_file()
