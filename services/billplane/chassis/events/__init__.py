"""Messages: facts that happened and tasks that one worker must finish.

A message leaves in the transaction that causes it (outbox), is published in the order of its
aggregate (relay), and has its effect once at each consumer (inbox).
"""

from billplane.chassis.events.consumer import Consumers, Event
from billplane.chassis.events.registry import MessageType, fact, task

__all__ = ["Consumers", "Event", "MessageType", "fact", "task"]
