"""The one public door.

Owns the way in: credentials, rate limits, body limits, routing, merged documentation. Owns no data
and no business rule; every path leads to the service that declares it.

Publishes nothing. Consumes nothing.
"""
