#!/bin/sh
# What the image runs: `operator …`, `cli …`, or a command of the services such as `run tax`.
set -eu
case "${1:-}" in
  operator) shift; exec python -m billplane_operator "$@" ;;
  cli) shift; exec billplane "$@" ;;
  *) exec python -m billplane "$@" ;;
esac
