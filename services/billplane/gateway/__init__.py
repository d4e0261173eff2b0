"""The one public door.

Owns the way in: credentials, rate limits, body limits, routing, merged documentation, and the
stream of events, which it reads from who keeps them. Owns no data and no business rule; every
other path leads to the service that declares it.

Publishes nothing. Consumes nothing.
"""
