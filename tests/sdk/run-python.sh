#!/usr/bin/env bash
# Kervan against PyPI `centrifuge-python`, JSON and Protobuf: tests/sdk/run-python.sh [BINARY]. The last line is
# "N passed, N failed".
set -u
cd "$(dirname "$0")/python" || exit 1
export KERVAN_BIN=${1:-${KERVAN_BIN:-$PWD/../../../target/release/kervan}}
[ -x "$KERVAN_BIN" ] || { echo "no binary at $KERVAN_BIN: cargo build --release"; echo "0 passed, 1 failed"; exit 1; }
log=$(mktemp) && trap 'rm -f "$log"' EXIT
if ! { { [ -x .venv/bin/python ] || python3 -m venv .venv; } && .venv/bin/pip install -q -r requirements.txt; } >"$log" 2>&1; then
    cat "$log"
    echo "0 passed, 1 failed"
    exit 1
fi
.venv/bin/python -W ignore::ResourceWarning -m unittest -v 2>&1 | tee "$log"
code=${PIPESTATUS[0]}
ran=$(sed -n 's/^Ran \([0-9]*\) tests\? in .*/\1/p' "$log" | tail -1)
failed=$(sed -n 's/^FAILED (\(.*\))$/\1/p' "$log" | grep -o '[0-9]*' | paste -sd+ | { read -r sum && echo $((sum)) || echo 0; })
[ "$code" -ne 0 ] && [ "$failed" -eq 0 ] && failed=1
passed=$((${ran:-0} - failed))
[ "$passed" -lt 0 ] && passed=0
echo "$passed passed, $failed failed"
exit "$code"
