"""The command line of Billplane: a client of its REST API and the key to the laptop platform.

Imports nothing of the platform: it speaks to it as any other program does, over HTTP, through
files in the home directory, and by starting `python -m billplane…` in process.py.
"""
