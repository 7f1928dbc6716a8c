#!/bin/sh
# A chat with nothing but curl: chat.sh USER TEXT [URL], with TOKEN in the environment. Opens the direct chat with USER, says
# TEXT, and prints what was said last.
set -eu
peer=$1 text=$2 url=${3:-http://127.0.0.1:3000}

call() { # call METHOD PATH [BODY]
    curl -sS --fail-with-body -X "$1" "$url$2" -H "Authorization: Bearer $TOKEN" -H 'Content-Type: application/json' \
        -H "Idempotency-Key: $id" ${3:+--data "$3"}
}
field() { sed -n "s/.*\"$1\":\"\([^\"]*\)\".*/\1/p"; }

# Names this message: a retry with the same id is the same message.
id=$(cat /proc/sys/kernel/random/uuid)
room=$(call POST /api/chats "{\"kind\":\"direct\",\"user\":\"$peer\"}" | field room)
for attempt in 1 2 3; do
    call POST "/api/chats/$room/messages" "{\"body\":\"$text\"}" && break
    sleep "$attempt"
done
echo
call GET "/api/chats/$room/messages?limit=10"
echo
