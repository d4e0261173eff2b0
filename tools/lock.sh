#!/usr/bin/env bash
# Rewrites the lock files from pyproject.toml: hashes, no index address.
set -euo pipefail
cd "$(dirname "$0")/.."
lock() { uv pip compile --universal --python-version 3.11 --generate-hashes --no-header --no-annotate -q "$@"; }
lock pyproject.toml --group install -o requirements.lock
lock pyproject.toml --group dev -o requirements-dev.lock
for extra in examples/airport tests/judges; do
  if [ -f "$extra/requirements.in" ]; then lock "$extra/requirements.in" -o "$extra/requirements.lock"; fi
done
