#!/usr/bin/env bash
# Run tests on other versions of Postgres than the laptop's: each on a server of its own, which is
# Debian's where that is installed, else Docker's image, and removed again.
#
#   tests/postgres.sh "15 17" [pytest's arguments; tests/ledger by default]
#
# Or name a server yourself: BILLPLANE_TEST_POSTGRES=postgresql://admin:…@host/postgres pytest …
set -euo pipefail
cd "$(dirname "$0")/.."

VERSIONS=${1:?usage: $0 "15 17" [pytest arguments]}
shift
PYTHON=${BILLPLANE_TEST_PYTHON:-.venv/bin/python}
WORK=$(mktemp -d)
chmod 755 "$WORK"
STARTED=()

free_port() { "$PYTHON" -c 'from tests.fixtures.ports import free_port; print(free_port())'; }

remove() {
  for one in "${STARTED[@]}"; do
    case "$one" in
      docker:*) docker rm -f -v "${one#docker:}" >/dev/null ;;
      *) as_postgres "$one/pg_ctl" -D "$WORK/$(basename "$(dirname "$one")")" -m immediate stop >/dev/null ;;
    esac
  done
  STARTED=()
}
trap 'remove; rm -rf "$WORK"' EXIT

as_postgres() { if [ "$(id -u)" = 0 ]; then runuser -u postgres -- "$@"; else "$@"; fi; }

start_installed() {
  local version=$1 port=$2 bin=/usr/lib/postgresql/$1/bin
  mkdir "$WORK/$version"
  [ "$(id -u)" != 0 ] || chown postgres "$WORK/$version"
  as_postgres "$bin/initdb" -D "$WORK/$version" -U postgres --auth=trust --no-sync >/dev/null
  as_postgres "$bin/pg_ctl" -D "$WORK/$version" -w -l "$WORK/$version/log" start -o "-p $port \
    -c listen_addresses=127.0.0.1 -c unix_socket_directories= -c fsync=off -c max_connections=300" >/dev/null
  STARTED+=("$bin")
}

start_container() {
  local version=$1 port=$2 name=billplane-test-postgres-$1
  docker rm -f "$name" >/dev/null 2>&1 || true
  docker run -d --name "$name" -p "127.0.0.1:$port:5432" -e POSTGRES_HOST_AUTH_METHOD=trust \
    "postgres:$version" -c fsync=off -c max_connections=300 >/dev/null
  STARTED+=("docker:$name")
  for _ in $(seq 60); do
    # The server that initializes listens on no port; what answers on the port is the real one.
    if docker exec "$name" pg_isready -q -h 127.0.0.1 -U postgres; then return; fi
    sleep 1
  done
  docker logs --tail 20 "$name" >&2
  exit 1
}

for version in $VERSIONS; do
  port=$(free_port)
  if [ -x "/usr/lib/postgresql/$version/bin/initdb" ]; then
    start_installed "$version" "$port"
  else
    start_container "$version" "$port"
  fi
  echo "On Postgres $version:"
  BILLPLANE_TEST_POSTGRES="postgresql://postgres@127.0.0.1:$port/postgres" \
    "$PYTHON" -m pytest -n0 -q -p no:cacheprovider "${@:-tests/ledger}"
  remove
done
