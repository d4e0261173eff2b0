"""The laptop's stores and the supervisor that keeps the platform running beside them.

Owns: finding server binaries, the home directory, Postgres and Valkey as child processes, and
`billplane up`. Does not own: schemas, roles or migrations (the chassis), nor anything that runs
on Kubernetes, where the stores come from the chart. Synchronous, and light to import: whoever
supervises a platform must not weigh as much as one.
"""
