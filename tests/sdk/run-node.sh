#!/usr/bin/env bash
# Kervan against npm `centrifuge`, JSON and Protobuf: tests/sdk/run-node.sh [BINARY]. The last line is "N passed, N failed".
set -u
cd "$(dirname "$0")/node" || exit 1
export KERVAN_BIN=${1:-${KERVAN_BIN:-$PWD/../../../target/release/kervan}}
[ -x "$KERVAN_BIN" ] || { echo "no binary at $KERVAN_BIN: cargo build --release"; echo "0 passed, 1 failed"; exit 1; }
log=$(mktemp) && trap 'rm -f "$log"' EXIT
npm ci --ignore-scripts --no-audit --no-fund >"$log" 2>&1 || { cat "$log"; echo "0 passed, 1 failed"; exit 1; }
node --test --test-reporter=spec . 2>&1 | tee "$log"
code=${PIPESTATUS[0]}
count() { sed -n "s/^ℹ $1 \([0-9]*\)$/\1/p" "$log" | tail -1; }
passed=$(count pass) failed=$(($(count fail) + $(count cancelled)))
[ "$code" -ne 0 ] && [ "$failed" -eq 0 ] && failed=1
echo "${passed:-0} passed, $failed failed"
exit "$code"
