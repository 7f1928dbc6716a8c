#!/bin/sh
# A chat with nothing but curl: chat.sh USER TEXT [URL], with TOKEN in the environment. Opens the direct chat with USER, says
# TEXT, and prints what was said last. Exit code 1 if TEXT is not said.
set -eu
peer=$1 text=$2 url=${3:-http://127.0.0.1:3000}
: "${TOKEN:?needs a token: export TOKEN=\$(kervan token --user alice)}"

call() { # call METHOD PATH [BODY]
    curl -sS --fail-with-body -X "$1" "$url$2" -H "Authorization: Bearer $TOKEN" -H 'Content-Type: application/json' \
        -H "Idempotency-Key: $id" ${3:+--data "$3"}
}
field() { sed -n "s/.*\"$1\":\"\([^\"]*\)\".*/\1/p"; }
# A text as JSON: backslash, quote, tab and line end; other control characters, which may not stand there, are left out.
json() {
    tab=$(printf '\t')
    escaped=$(printf '%s' "$1" | tr -d '\001-\010\013-\037' | sed -e 's/\\/\\\\/g' -e 's/"/\\"/g' -e "s/$tab/\\\\t/g" |
        awk 'NR > 1 { printf "%s", "\\n" } { printf "%s", $0 }')
    printf '"%s"' "$escaped"
}
failed() { # Says what the server has answered, and ends.
    echo "$1" >&2
    exit 1
}

# Names this message: a retry with the same id is the same message.
id=$(cat /proc/sys/kernel/random/uuid)
chat=$(call POST /api/chats "{\"kind\":\"direct\",\"user\":$(json "$peer")}") || failed "no chat with $peer: $chat"
room=$(echo "$chat" | field room)
body="{\"body\":$(json "$text")}"
attempt=1
until said=$(call POST "/api/chats/$room/messages" "$body"); do
    # What is malformed or not allowed does not get better by trying again: only 5xx, 429 and no answer at all do.
    case $said in
    '' | *'"retry_after_ms"'* | *'"code":"unavailable"'* | *'"code":"outcome_unknown"'*) ;;
    *) failed "not said: $said" ;;
    esac
    [ "$attempt" -lt 3 ] || failed "not said after $attempt attempts: $said"
    sleep "$attempt"
    attempt=$((attempt + 1))
done
echo "$said"
call GET "/api/chats/$room/messages?limit=10"
echo
