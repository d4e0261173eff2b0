"""Telling people and programs what happened.

Owns developer events (one a fact, numbered without gaps per tenant and mode, kept 30 days), the
endpoints that they are delivered to with each delivery and its attempts, and the e-mails and short
messages to people with their templates. Owns no fact: what happened is for its own service to say.
Publishes nothing.
Consumes the facts that have an event, and NotifyTask.
Invariants: events are numbered without gaps; every endpoint that wanted an event has its delivery;
nothing waits that nobody would look for.
"""
