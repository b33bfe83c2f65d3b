// The library dragonboat as a member of the bench: one shard, its own TCP transport, its own log
// (tan, the fastest that comes with it, which syncs each batch), and a concurrent state machine,
// which is given entries in batches, that only counts.
//
// Sessions that do nothing: dragonboat's fastest way to write, without exactly once. Elections as in
// the other systems: a second without a leader, a heartbeat ten times in it.
package main

import (
	"context"
	"errors"
	"io"
	"path/filepath"
	"time"

	"github.com/lni/dragonboat/v4"
	"github.com/lni/dragonboat/v4/client"
	"github.com/lni/dragonboat/v4/config"
	"github.com/lni/dragonboat/v4/logger"
	"github.com/lni/dragonboat/v4/plugin/tan"
	"github.com/lni/dragonboat/v4/statemachine"

	"quorate/bench/peers/member"
)

const (
	shard          = 1
	rttMs          = 100
	electionRTT    = 10
	heartbeatRTT   = 1
	proposeTimeout = 30 * time.Second
	busyWait       = 100 * time.Microsecond
)

type system struct {
	host    *dragonboat.NodeHost
	session *client.Session
	replica uint64
}

func main() {
	for _, name := range []string{
		"raft", "rsm", "transport", "dragonboat", "logdb", "grpc", "config", "tan", "utils",
		"settings", "registry", "raftpb", "server", "fileutil", "order", "snapshot",
	} {
		logger.GetLogger(name).SetLevel(logger.CRITICAL)
	}
	member.Run(&system{})
}

func (s *system) Open(setup member.Setup) error {
	own, err := setup.Own()
	if err != nil {
		return err
	}
	members := make(map[uint64]dragonboat.Target)
	for i, peer := range setup.Members {
		members[uint64(i)+1] = peer.Address
		if peer.ID == setup.ID {
			s.replica = uint64(i) + 1
		}
	}
	directory := filepath.Join(setup.Directory, setup.ID)
	if s.host, err = dragonboat.NewNodeHost(config.NodeHostConfig{
		NodeHostDir:    directory,
		RTTMillisecond: rttMs,
		RaftAddress:    own.Address,
		Expert:         config.ExpertConfig{LogDBFactory: tan.Factory},
	}); err != nil {
		return err
	}
	s.session = s.host.GetNoOPSession(shard)
	return s.host.StartConcurrentReplica(members, false, newCounter, config.Config{
		ReplicaID:    s.replica,
		ShardID:      shard,
		ElectionRTT:  electionRTT,
		HeartbeatRTT: heartbeatRTT,
		CheckQuorum:  true,
		PreVote:      true,
	})
}

func (s *system) Ready() (bool, uint64) {
	leader, term, valid, err := s.host.GetLeaderID(shard)
	return err == nil && valid && leader == s.replica, term
}

func (s *system) Submit(value []byte) error {
	ctx, cancel := context.WithTimeout(context.Background(), proposeTimeout)
	defer cancel()
	for {
		_, err := s.host.SyncPropose(ctx, s.session, value)
		// Its queue takes some 2,000 writes; who gets no place asks again.
		if !errors.Is(err, dragonboat.ErrSystemBusy) {
			return err
		}
		time.Sleep(busyWait)
	}
}

func (s *system) Close() error {
	s.host.Close()
	return nil
}

// counter is the cheapest state machine there is.
type counter struct {
	commands uint64
	bytes    uint64
}

func newCounter(uint64, uint64) statemachine.IConcurrentStateMachine { return &counter{} }

func (c *counter) Update(entries []statemachine.Entry) ([]statemachine.Entry, error) {
	for i := range entries {
		c.commands++
		c.bytes += uint64(len(entries[i].Cmd))
		entries[i].Result = statemachine.Result{Value: c.commands}
	}
	return entries, nil
}

func (c *counter) Lookup(any) (any, error) { return c.commands, nil }

func (c *counter) PrepareSnapshot() (any, error) { return nil, nil }

// Nothing is in the snapshot: what is measured starts from nothing and restores nothing.
func (c *counter) SaveSnapshot(any, io.Writer, statemachine.ISnapshotFileCollection, <-chan struct{}) error {
	return nil
}

func (c *counter) RecoverFromSnapshot(io.Reader, []statemachine.SnapshotFile, <-chan struct{}) error {
	return nil
}

func (c *counter) Close() error { return nil }
