"""Billplane's services and what they share; `catalog.py` lists the services."""
