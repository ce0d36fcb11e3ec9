# Sourced by the scripts of interop/ and by .ci/run: paths, pinned versions, and
# the three things that each of them does: retry an install, look for a tool,
# wait for a process.

set -euo pipefail

REPO=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
INTEROP=$REPO/interop
CACHE=${CALVE_INTEROP_CACHE:-$REPO/.cache/interop}
mkdir -p "$CACHE/logs"
CACHE=$(cd "$CACHE" && pwd)
LOGS=$CACHE/logs

# shellcheck source=versions.env
source "$INTEROP/versions.env"

# Exit status of a script that could not have what it needs (EX_TEMPFAIL of
# sysexits.h). Any other status but 0 is a failure.
NOT_RUN=75

# not_run REASON...: ends the script. The reason is its last line on stderr.
not_run() {
  echo "not run: $*" >&2
  exit "$NOT_RUN"
}

# reason STATUS FILE: prints why a script with this status and this stderr was not run.
# Both must say so: a program that a script runs may use the status for its own ends.
reason() {
  [ "$1" = "$NOT_RUN" ] && tail -n 1 "$2" | grep '^not run: '
}

# fail WHAT...: ends the script with a failure.
fail() {
  echo "interop: $*" >&2
  exit 1
}

# fetch NAME COMMAND...: runs an install command up to three times, its output in
# LOGS/NAME.log. When the third fails the thing cannot be had, and the script ends.
fetch() {
  local name=$1 attempt
  shift
  for attempt in 1 2 3; do
    if nice -n 10 "$@" >"$LOGS/$name.log" 2>&1 </dev/null; then
      return 0
    fi
    [ "$attempt" = 3 ] || sleep $((attempt * 10))
  done
  # Quoted, since the log may end within a line.
  echo "$(tail -n 15 "$LOGS/$name.log")" >&2
  not_run "$name cannot be installed, tried 3 times (see $LOGS/$name.log)"
}

# need TOOL DEBIAN_PACKAGE: ends the script unless the tool is there.
need() { command -v "$1" >/dev/null || provide "$1" "$2"; }

# need_java: ends the script unless there is a Java that Kafka and Spark both run on.
need_java() { java_home >/dev/null || provide "Java 17 or 21" openjdk-17-jre-headless; }

# provide WHAT DEBIAN_PACKAGE: installs what is missing in CI, as root, and nowhere
# else: a developer's machine is left as it is.
provide() {
  if [ "${CI:-}" != true ] || [ "$(id -u)" != 0 ] || ! command -v apt-get >/dev/null; then
    not_run "$1 is not on this machine: install it ($2 on Debian)"
  fi
  fetch apt-update apt-get update
  fetch "apt-$2" env DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends "$2"
}

# java_home: prints the home of a Java 17 or 21.
java_home() {
  local home installed
  installed=$(readlink -f "$(command -v java || true)" || true)
  for home in ${JAVA_HOME:+"$JAVA_HOME"} "${installed%/bin/java}" /usr/lib/jvm/*17* /usr/lib/jvm/*21*; do
    if [ -x "$home/bin/java" ] && "$home/bin/java" -version 2>&1 | grep -Eq ' version "(17|21)[."]'; then
      echo "$home"
      return 0
    fi
  done
  return 1
}

# free_ports N: prints N loopback ports that nothing listens on, distinct.
free_ports() {
  python3 - "$1" <<'PYTHON'
import socket, sys
held = [socket.socket() for _ in range(int(sys.argv[1]))]
for s in held:
    s.bind(("127.0.0.1", 0))
print(*(s.getsockname()[1] for s in held))
PYTHON
}

# wait_until SECONDS PID COMMAND...: polls the command until it succeeds. Fails when
# the time is over or the process has ended.
wait_until() {
  local deadline=$((SECONDS + $1)) pid=$2
  shift 2
  until "$@" >/dev/null 2>&1; do
    kill -0 "$pid" 2>/dev/null || return 1
    [ "$SECONDS" -lt "$deadline" ] || return 1
    sleep 0.2
  done
}

# stop_process PID: asks it to end, waits half a minute, then ends it.
stop_process() {
  local pid=$1 deadline=$((SECONDS + 30))
  kill "$pid" 2>/dev/null || return 0
  while kill -0 "$pid" 2>/dev/null; do
    if [ "$SECONDS" -ge "$deadline" ]; then
      kill -KILL "$pid" 2>/dev/null || true
      return 0
    fi
    sleep 0.2
  done
}

# copy_jars POM DIRECTORY NAME PROPERTY...: the POM's run-time class path, as files.
# Without --update-snapshots Maven remembers a failure and does not try again.
copy_jars() {
  local pom=$1 directory=$2 name=$3
  shift 3
  need mvn maven
  [ -e "$directory/.complete" ] && return 0
  rm -rf "$directory"
  fetch "$name" mvn --batch-mode --update-snapshots -Dstyle.color=never --file "$pom" "$@" \
    "org.apache.maven.plugins:maven-dependency-plugin:$MAVEN_DEPENDENCY_PLUGIN_VERSION:copy-dependencies" \
    -DincludeScope=runtime "-DoutputDirectory=$directory"
  touch "$directory/.complete"
}

# spark_jars, python_environment: where engines/install puts its two halves.
spark_jars() { echo "$CACHE/spark-jars-$ICEBERG_SPARK_VERSION-$ICEBERG_VERSION"; }
python_environment() {
  echo "$CACHE/python-$(cat "$INTEROP/versions.env" "$INTEROP/engines/install" | sha256sum | cut -c 1-12)"
}

# fetches URL: whether a GET succeeds.
fetches() {
  python3 -c 'import sys, urllib.request; urllib.request.urlopen(sys.argv[1], timeout=2)' "$1"
}

# minutes SECONDS: in minutes, with one decimal.
minutes() { printf '%d.%d' $(($1 / 60)) $(($1 % 60 / 6)); }
