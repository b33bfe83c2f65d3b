#!/bin/sh
# A thousand values for node 1, unless something else is said: ./pump.sh --help
exec "$(dirname "$0")/pump" --to http://localhost:8000 "$@"
