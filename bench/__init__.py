"""Benchmarks: how fast Billplane is beside a reference in the same run.

Each module here but `harness`, `stores` and `__main__` has `async def measure(bench: Bench)`.
`python -m bench [module …]` runs them, prints one table and writes `bench/results.json`.
"""
