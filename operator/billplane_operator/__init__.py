"""The operator: makes the services run exactly the resources that people wrote.

Owns reading resources, comparing them with what the services run, applying what differs, and
telling in each resource's status what became of it. Owns no prices, usage or money: services keep
billing while it is down. It knows services by their protos only.

`kinds/` is pure, `reconcile.py` the loop that every way of running shares, `local.py` resources in
a folder, `peers.py` the only module that talks to services.
"""
