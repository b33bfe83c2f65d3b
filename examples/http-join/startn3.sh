#!/bin/sh
echo "Starting node3"

export HTTP_SERVER_PORT=8002
export RAFT_SERVER_PORT=9002
export RAFT_NODE_ID="n3"
export RAFT_VOLUME_DIR="/tmp/node3"

exec "$(dirname "$0")/http-join"
