"""Says by the rendered NetworkPolicies whether a pod may open a connection to another."""

from dataclasses import dataclass, field

from tests.chart.rendering import NAMESPACE, Document, containers, of_kind, pods, selects


@dataclass
class Pod:
    labels: Document
    namespace: str = NAMESPACE
    ports: dict[str, int] = field(default_factory=dict)


class Network:
    def __init__(self, documents: list[Document]) -> None:
        self.policies = of_kind(documents, "NetworkPolicy")
        self.pods = {}
        for name, labels, spec in pods(documents):
            ports = {
                port["name"]: port["containerPort"]
                for container in containers(spec)
                for port in container.get("ports", ())
            }
            self.pods[name] = Pod(labels, NAMESPACE, ports)

    def hosting(self, service: str) -> Pod:
        (found,) = [
            pod
            for pod in self.pods.values()
            if pod.labels.get(f"hosts.billplane.io/{service}") == "true"
        ]
        return found

    def allows(self, source: Pod | None, target: Pod | None, port: int) -> bool:
        """None is a machine outside the cluster."""
        return self._open("Egress", source, target, port) and self._open(
            "Ingress", target, source, port
        )

    def _open(self, direction: str, pod: Pod | None, other: Pod | None, port: int) -> bool:
        if pod is None or pod.namespace != NAMESPACE:
            return True
        about = [
            policy["spec"]
            for policy in self.policies
            if selects(policy["spec"]["podSelector"], pod.labels)
            and direction in policy["spec"]["policyTypes"]
        ]
        if not about:
            return True
        side, far = ("from", pod) if direction == "Ingress" else ("to", other)
        return any(
            self._ports(rule, far, port) and self._peer(rule.get(side), other)
            for spec in about
            for rule in spec.get(direction.lower(), ())
        )

    def _ports(self, rule: Document, target: Pod | None, port: int) -> bool:
        if "ports" not in rule:
            return True
        named = target.ports if target is not None else {}
        return any(named.get(item["port"], item["port"]) == port for item in rule["ports"])

    def _peer(self, peers: list[Document] | None, other: Pod | None) -> bool:
        if peers is None:
            return True
        for peer in peers:
            if other is None or "ipBlock" in peer:
                if other is None and "ipBlock" in peer:
                    return True
                continue
            if peer.get("namespaceSelector") is None and other.namespace != NAMESPACE:
                continue
            if (peer.get("namespaceSelector") or {}).get("matchLabels"):
                continue
            if "podSelector" not in peer or selects(peer["podSelector"], other.labels):
                return True
        return False
