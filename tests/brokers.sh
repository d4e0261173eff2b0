#!/usr/bin/env bash
# Start one Kafka and one RabbitMQ for the tests on loopback ports, or remove them again.
#
#   eval "$(tests/brokers.sh up)"    starts both and sets what the tests read
#   tests/brokers.sh down            removes the two containers that `up` made
#
# Both listen with TLS too, by a certificate of an authority made for this run.
# Other ports: BILLPLANE_TEST_KAFKA_PORT, BILLPLANE_TEST_RABBITMQ_PORT; TLS is on the next one up.
set -euo pipefail

KAFKA_PORT=${BILLPLANE_TEST_KAFKA_PORT:-19092}
RABBITMQ_PORT=${BILLPLANE_TEST_RABBITMQ_PORT:-15673}
KAFKA_NAME=billplane-test-kafka
RABBITMQ_NAME=billplane-test-rabbitmq
LABEL=dev.billplane.tests=brokers
TLS=/tmp/billplane-test-tls

# An authority, and a key with its certificate for the loopback address; good for a week.
make_certificates() {
  [ -z "$(find "$TLS/server.pem" -mtime -3 2>/dev/null)" ] || return 0
  mkdir -p "$TLS"
  (
    cd "$TLS"
    openssl req -x509 -newkey rsa:2048 -nodes -days 7 -subj "/CN=Billplane tests" \
      -keyout authority.key -out ca.crt
    openssl req -newkey rsa:2048 -nodes -subj /CN=localhost -keyout server.key -out server.csr
    printf 'subjectAltName=IP:127.0.0.1,DNS:localhost\n' >extensions
    openssl x509 -req -in server.csr -CA ca.crt -CAkey authority.key -CAcreateserial -days 7 \
      -extfile extensions -out server.crt
    cat server.key server.crt >server.pem
    printf '%s\n' 'listeners.ssl.default = 5671' 'ssl_options.cacertfile = /tls/ca.crt' \
      'ssl_options.certfile = /tls/server.crt' 'ssl_options.keyfile = /tls/server.key' \
      'ssl_options.verify = verify_none' >rabbitmq.conf
    # The brokers run as users of their own.
    chmod 755 . && chmod 644 ./*
  ) >/dev/null 2>&1
}

start_kafka() {
  docker run -d --name "$KAFKA_NAME" --label "$LABEL" -v "$TLS:/tls:ro" \
    -p "127.0.0.1:$KAFKA_PORT:$KAFKA_PORT" \
    -p "127.0.0.1:$((KAFKA_PORT + 1)):$((KAFKA_PORT + 1))" \
    -e KAFKA_NODE_ID=1 -e KAFKA_PROCESS_ROLES=broker,controller \
    -e KAFKA_LISTENERS="PLAINTEXT://:$KAFKA_PORT,TLS://:$((KAFKA_PORT + 1)),CONTROLLER://:9093" \
    -e KAFKA_ADVERTISED_LISTENERS="PLAINTEXT://127.0.0.1:$KAFKA_PORT,TLS://127.0.0.1:$((KAFKA_PORT + 1))" \
    -e KAFKA_SSL_KEYSTORE_TYPE=PEM -e KAFKA_SSL_KEYSTORE_LOCATION=/tls/server.pem \
    -e KAFKA_CONTROLLER_LISTENER_NAMES=CONTROLLER \
    -e KAFKA_LISTENER_SECURITY_PROTOCOL_MAP=PLAINTEXT:PLAINTEXT,TLS:SSL,CONTROLLER:PLAINTEXT \
    -e KAFKA_CONTROLLER_QUORUM_VOTERS=1@localhost:9093 \
    -e KAFKA_OFFSETS_TOPIC_REPLICATION_FACTOR=1 -e KAFKA_OFFSETS_TOPIC_NUM_PARTITIONS=4 \
    -e KAFKA_TRANSACTION_STATE_LOG_REPLICATION_FACTOR=1 -e KAFKA_TRANSACTION_STATE_LOG_MIN_ISR=1 \
    -e KAFKA_GROUP_INITIAL_REBALANCE_DELAY_MS=0 -e KAFKA_AUTO_CREATE_TOPICS_ENABLE=false \
    -e KAFKA_HEAP_OPTS="-Xmx512m -Xms256m" \
    apache/kafka:4.3.1 >&2
}

start_rabbitmq() {
  docker run -d --name "$RABBITMQ_NAME" --hostname "$RABBITMQ_NAME" --label "$LABEL" \
    -p "127.0.0.1:$RABBITMQ_PORT:5672" -p "127.0.0.1:$((RABBITMQ_PORT + 1)):5671" \
    -v "$TLS:/tls:ro" -v "$TLS/rabbitmq.conf:/etc/rabbitmq/conf.d/20-tls.conf:ro" \
    -e RABBITMQ_DEFAULT_USER=tests -e RABBITMQ_DEFAULT_PASS=tests \
    rabbitmq:4-management >&2
}

running() { [ "$(docker inspect -f '{{.State.Running}}' "$1" 2>/dev/null)" = true ]; }

# Looks at the log and not into the container: a command of RabbitMQ that runs before the server
# does would write the server's cookie as another user.
wait_for() {
  local name=$1 said=$2
  for _ in $(seq 90); do
    # Reads all of it: a pipe that is closed early is an error here.
    if docker logs "$name" 2>&1 | grep "$said" >/dev/null; then return; fi
    running "$name" || break
    sleep 1
  done
  echo "$name did not become ready:" >&2
  docker logs --tail 20 "$name" >&2
  exit 1
}

up() {
  make_certificates
  running "$KAFKA_NAME" || { docker rm -f "$KAFKA_NAME" >/dev/null 2>&1 || true; start_kafka; }
  running "$RABBITMQ_NAME" || { docker rm -f "$RABBITMQ_NAME" >/dev/null 2>&1 || true; start_rabbitmq; }
  wait_for "$RABBITMQ_NAME" "Server startup complete"
  wait_for "$KAFKA_NAME" "Kafka Server started"
  echo "export BILLPLANE_TEST_KAFKA=127.0.0.1:$KAFKA_PORT"
  echo "export BILLPLANE_TEST_KAFKA_TLS=127.0.0.1:$((KAFKA_PORT + 1))"
  echo "export BILLPLANE_TEST_RABBITMQ_TLS=amqps://tests:tests@127.0.0.1:$((RABBITMQ_PORT + 1))"
  echo "export BILLPLANE_TEST_CA_FILE=$TLS/ca.crt"
  echo "export BILLPLANE_TEST_KAFKA_CONTAINER=$KAFKA_NAME"
  echo "export BILLPLANE_TEST_RABBITMQ=amqp://tests:tests@127.0.0.1:$RABBITMQ_PORT"
  echo "export BILLPLANE_TEST_RABBITMQ_CONTAINER=$RABBITMQ_NAME"
}

down() {
  docker ps -aq --filter "label=$LABEL" | xargs -r docker rm -f -v >/dev/null
}

case "${1:-}" in
  up | down) "$1" ;;
  *) echo "usage: $0 up|down" >&2; exit 2 ;;
esac
