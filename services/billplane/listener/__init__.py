"""What happens when something happened.

Owns the table of reactions (message, condition, task), the audit log of every fact of every
service, and the copies of facts for programs outside. Does not own what a reaction asks for: that
is a task of another service.
Publishes copies only: to RabbitMQ's exchange `billplane.events` and to Kafka topics that outside
programs know; no service of ours reads them.
Consumes every fact of every service.
Invariants: each tenant's audit log is an unbroken chain that ends where its head says.
"""
