# Sourced by the scripts of this folder: Apicurio 3 wants a newer Java than Kafka
# and Spark do.
source "$(dirname "${BASH_SOURCE[0]}")/../lib.sh"

# need_java_21: ends the script unless there is a Java 21 or later.
need_java_21() { java_21 >/dev/null || provide "Java 21 or later" openjdk-21-jre-headless; }

# java_21: prints the home of a Java 21 or later.
java_21() {
  local home installed version
  installed=$(readlink -f "$(command -v java || true)" || true)
  for home in ${JAVA_HOME:+"$JAVA_HOME"} "${installed%/bin/java}" /usr/lib/jvm/*; do
    [ -x "$home/bin/java" ] || continue
    version=$("$home/bin/java" -version 2>&1 | sed -n 's/.* version "\([0-9]*\).*/\1/p' | head -n 1)
    if [ "${version:-0}" -ge 21 ]; then
      echo "$home"
      return 0
    fi
  done
  return 1
}
