"""Settings of the listener."""

from billplane.chassis.settings import Settings


class ListenerSettings(Settings):
    """What the listener reads beside the shared settings."""

    mirrors_enabled: bool = True
    """Copy marked facts to the names that programs outside know; needs RabbitMQ or Kafka."""
