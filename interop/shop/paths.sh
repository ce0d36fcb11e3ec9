# Sourced by the scripts of this folder: where install puts what it installs.
source "$(dirname "${BASH_SOURCE[0]}")/../lib.sh"

POSTGRES=$CACHE/postgres-$POSTGRES_VERSION
CONNECT=$CACHE/connect-$KAFKA_VERSION
DEBEZIUM=$CACHE/debezium-$DEBEZIUM_VERSION
PSYCOPG=$CACHE/psycopg-$PSYCOPG_VERSION
