"""What the room counts. Children are made once, because looking them up costs more than counting."""

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from muster.core.messaging import Reason

_FAST = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10)


class Meters:
    """The counters of one process, in the registry it is given."""

    def __init__(self, registry: CollectorRegistry) -> None:
        logins = Counter("muster_logins", "Connects decided for the broker", ["outcome"], registry=registry)
        self.admitted = logins.labels("admitted")
        self.refused = {reason: logins.labels(reason.value) for reason in Reason}
        self.login_seconds = Histogram(
            "muster_login_seconds", "Time to decide a connect", registry=registry, buckets=_FAST
        )
        self.sessions = Gauge(
            "muster_sessions",
            "Devices connected to the broker",
            registry=registry,
            multiprocess_mode="mostrecent",
        )
        self.cuts = Counter("muster_cut_sessions", "Sessions ended because rights changed", registry=registry)
        self.cut_seconds = Histogram(
            "muster_cut_seconds", "From the change of rights to its cuts", registry=registry, buckets=_FAST
        )
        published = Counter(
            "muster_published", "Messages published through Muster", ["protocol"], registry=registry
        )
        self.published = {protocol: published.labels(protocol) for protocol in ("http", "ws", "coap")}
        self.dropped = Counter(
            "muster_dropped_publishes", "MQTT messages dropped for want of a right", registry=registry
        )
        self.copied = Counter(
            "muster_copied_messages", "Messages copied to another address form", registry=registry
        )
