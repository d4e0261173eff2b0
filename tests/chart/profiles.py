"""Values as people would set them, by name."""

from pathlib import Path

import yaml

PRODUCTION = Path(__file__).parents[2] / "docs" / "operating" / "stores" / "production.yaml"

EXTERNAL = {
    "postgres": {
        "mode": "external",
        "external": {"existingSecret": "our-postgres", "networks": ["10.20.0.0/16"]},
    },
    "redis": {"mode": "external", "external": {"existingSecret": "our-redis", "port": 6380}},
    "rabbitmq": {"mode": "external", "external": {"existingSecret": "our-rabbitmq"}},
    "kafka": {
        "mode": "external",
        "external": {
            "bootstrapServers": "kafka-0.example:9093,kafka-1.example:9093",
            "existingSecret": "our-kafka",
        },
    },
    "secrets": {"existingSecret": "our-billplane"},
    "tls": {"caSecret": "our-authority"},
}
KIND = {
    "topology": "compact",
    "gateway": {"nodePort": {"enabled": True}},
    "rabbitmq": {"bundled": {"managementNodePort": {"enabled": True}}},
}
PROFILES = {
    "defaults": {},
    "production": yaml.safe_load(PRODUCTION.read_text()),
    "kind": KIND,
    "external": EXTERNAL,
    "external-kafka-without-log-in": {
        "kafka": {
            "mode": "external",
            "external": {"bootstrapServers": "k:9092", "securityProtocol": "PLAINTEXT"},
        }
    },
    "high-availability": {
        **EXTERNAL,
        "defaults": {"replicas": 3},
        "operator": {"replicas": 2},
        "services": {
            "metering": {
                "autoscaling": {"enabled": True, "minReplicas": 2, "maxReplicas": 20},
                "resources": {"requests": {"cpu": "1", "memory": "1Gi"}},
            },
            "tax": {"replicas": 1},
        },
    },
    "one-service-apart": {
        "services": {
            "tax": {
                "image": {"tag": "0.2.0"},
                "replicas": 2,
                "env": [{"name": "BILLPLANE_TAX_LOG_LEVEL", "value": "DEBUG"}],
                "existingSecret": "tax-settings",
                "databaseUrlSecret": {"name": "tax-database", "key": "uri"},
            }
        }
    },
    "edge-and-monitoring": {
        "gateway": {
            "httpRoute": {
                "enabled": True,
                "parentRefs": [{"name": "public", "namespace": "gateways"}],
                "hostnames": ["billing.example.com"],
            },
            "ingress": {
                "enabled": True,
                "className": "nginx",
                "host": "billing.example.com",
                "tlsSecret": "billing-tls",
            },
        },
        "monitoring": {
            "serviceMonitor": {"enabled": True, "labels": {"release": "prometheus"}},
            "prometheusRule": {"enabled": True},
            "dashboards": {"enabled": True},
        },
        "networkPolicy": {
            "monitoring": [
                {
                    "namespaceSelector": {
                        "matchLabels": {"kubernetes.io/metadata.name": "monitoring"}
                    }
                }
            ]
        },
        "otlpEndpoint": "http://collector.observability:4317",
    },
    "namespaced-operator": {
        "operator": {"watchNamespaces": ["team-a", "team-b"]},
        "crds": {"enabled": False},
        "networkPolicy": {"apiServerNetworks": ["10.0.0.1/32"]},
    },
    "placed": {
        "defaults": {
            "nodeSelector": {"pool": "billing"},
            "tolerations": [{"key": "billing", "operator": "Exists", "effect": "NoSchedule"}],
            "podAnnotations": {"example.com/owner": "billing"},
            "podLabels": {"team": "billing"},
            "priorityClassName": "business-critical",
        },
        "image": {"repository": "registry.example/billplane", "pullSecrets": ["registry"]},
    },
    "bare": {
        "operator": {"enabled": False},
        "crds": {"enabled": False},
        "networkPolicy": {"enabled": False},
        "podDisruptionBudget": {"enabled": False},
        "migrations": {"enabled": False},
    },
}
