"""Bad values are refused with a message that names the key and what is wrong."""

import helm_python
import pytest

from tests.chart.rendering import render

REFUSED = [
    ({"topolgy": "fleet"}, "additional properties 'topolgy' not allowed"),
    ({"topology": "tiny"}, "at '/topology': value must be one of 'fleet', 'compact'"),
    ({"services": {"texas": {}}}, "at '/services': additional properties 'texas' not allowed"),
    ({"services": {"tax": {"replica": 2}}}, "at '/services/tax': additional properties 'replica'"),
    (
        {"services": {"tax": {"replicas": "2"}}},
        "at '/services/tax/replicas': got string, want integer",
    ),
    (
        {"services": {"tax": {"resources": {"requests": {"memory": "1 GB"}}}}},
        "at '/services/tax/resources/requests/memory'",
    ),
    (
        {"postgres": {"mode": "managed"}},
        "at '/postgres/mode': value must be one of 'bundled', 'external'",
    ),
    ({"postgres": {"mode": "external"}}, "at '/postgres/external/existingSecret': minLength"),
    ({"redis": {"mode": "external"}}, "at '/redis/external/existingSecret': minLength"),
    ({"rabbitmq": {"mode": "external"}}, "at '/rabbitmq/external/existingSecret': minLength"),
    ({"kafka": {"mode": "external"}}, "at '/kafka/external/bootstrapServers': minLength"),
    (
        {"kafka": {"mode": "external", "external": {"bootstrapServers": "kafka"}}},
        "bootstrapServers': 'kafka' does not match pattern",
    ),
    ({"kafka": {"bundled": {"heap": "384"}}}, "at '/kafka/bundled/heap'"),
    (
        {"gateway": {"nodePort": {"port": 8080}}},
        "at '/gateway/nodePort/port': minimum: got 8,080, want 30,000",
    ),
    (
        {"networkPolicy": {"apiServerNetworks": ["10.0.0.1"]}},
        "at '/networkPolicy/apiServerNetworks/0'",
    ),
    ({"networkPolicy": {"clients": [{}]}}, "at '/networkPolicy/clients/0': minProperties"),
    ({"operator": {"replicas": 3}}, "at '/operator/replicas': maximum: got 3, want 2"),
    ({"logLevel": "verbose"}, "at '/logLevel': value must be one of"),
    ({"otlpEndpoint": "collector"}, "at '/otlpEndpoint': 'collector' does not match pattern"),
    ({"defaults": {"terminationGracePeriodSeconds": 30}}, "must be above preStopSeconds + 28"),
    (
        {"services": {"identity": {"enabled": False}}},
        "services.admin needs identity, which is disabled",
    ),
    (
        {"gateway": {"httpRoute": {"enabled": True}}},
        "gateway.httpRoute.parentRefs: name the Gateway",
    ),
    ({"gateway": {"ingress": {"enabled": True}}}, "gateway.ingress.host: name the host"),
    (
        {"topology": "compact", "compact": {"groups": [{"name": "all", "services": ["tax"]}]}},
        "compact.groups: no group hosts admin",
    ),
    (
        {"topology": "compact", "compact": {"groups": [{"name": "a", "services": ["taxes"]}]}},
        "compact.groups: there is no service taxes",
    ),
    (
        {"topology": "compact", "compact": {"groups": [{"name": "a", "services": ["tax", "tax"]}]}},
        "compact.groups: tax is hosted twice",
    ),
]


@pytest.mark.parametrize(("values", "message"), REFUSED, ids=[message for _, message in REFUSED])
def test_bad_values_are_refused_by_name(values, message):
    with pytest.raises(helm_python.HelmError) as refused:
        render(values)
    assert message in str(refused.value)
