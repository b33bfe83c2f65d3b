#!/bin/sh
echo "Starting node1"

export HTTP_SERVER_PORT=8000
export RAFT_SERVER_PORT=9000
export RAFT_NODE_ID="n1"
export RAFT_VOLUME_DIR="/tmp/node1"

# One node, and only one, begins the cluster; the others are joined to it.
export RAFT_BOOTSTRAP=true

exec "$(dirname "$0")/http-join"
