#!/usr/bin/env bash
# Does a started engine answer? Waits for it, then asks /livez, /healthz, /version, /v1/models and a chat completion.
#
#   engine/smoke_test.sh [URL]              # default http://127.0.0.1:$PORT
#
# TIMEOUT_S (1800: a first start downloads weights)  NAME (hallmark-engine: its log is read for known troubles)
# API_KEY (where the gateway demands one)  Ends 0 when all answered as they should, 1 when not.
case ${1:-} in
  -h | --help) sed -n '2,/^[^#]/s/^# \{0,1\}//p' "$0" && exit 0 ;; # the comment above
  -*) echo "smoke_test.sh: $1: takes a URL, no options (--help lists its variables)" >&2 && exit 2 ;;
esac
exec python3 "$(dirname "$0")/smoke_test.py" "$@"
