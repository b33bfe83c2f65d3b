// The library hashicorp/raft as a member of the bench: its own TCP transport, its own write-ahead
// log (raft-wal, which syncs each batch), and a state machine that only counts.
//
// Its defaults, except for what would hold it back here: appends of up to 1,024 entries instead of
// 64, applied in batches, and no reports.
package main

import (
	"io"
	"os"
	"path/filepath"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/hashicorp/raft"
	wal "github.com/hashicorp/raft-wal"

	"quorate/bench/peers/member"
)

const (
	maxAppendEntries = 1024
	connections      = 3
	ioTimeout        = 10 * time.Second
	applyTimeout     = 30 * time.Second
)

type system struct {
	raft *raft.Raft
	log  *wal.WAL
}

func main() { member.Run(&system{}) }

func (s *system) Open(setup member.Setup) error {
	own, err := setup.Own()
	if err != nil {
		return err
	}
	directory := filepath.Join(setup.Directory, setup.ID)
	logDirectory := filepath.Join(directory, "log")
	if err := os.MkdirAll(logDirectory, 0o700); err != nil {
		return err
	}
	if s.log, err = wal.Open(logDirectory); err != nil {
		return err
	}
	snapshots, err := raft.NewFileSnapshotStore(directory, 2, io.Discard)
	if err != nil {
		return err
	}
	transport, err := raft.NewTCPTransport(own.Address, nil, connections, ioTimeout, io.Discard)
	if err != nil {
		return err
	}
	config := configOf(setup.ID)
	if s.raft, err = raft.NewRaft(config, &counter{}, s.log, s.log, snapshots, transport); err != nil {
		return err
	}
	var servers raft.Configuration
	for _, peer := range setup.Members {
		servers.Servers = append(servers.Servers, raft.Server{
			ID:      raft.ServerID(peer.ID),
			Address: raft.ServerAddress(peer.Address),
		})
	}
	return s.raft.BootstrapCluster(servers).Error()
}

func configOf(id string) *raft.Config {
	config := raft.DefaultConfig()
	config.LocalID = raft.ServerID(id)
	config.MaxAppendEntries = maxAppendEntries
	config.BatchApplyCh = true
	config.Logger = hclog.NewNullLogger()
	return config
}

func (s *system) Ready() (bool, uint64) {
	return s.raft.State() == raft.Leader, s.raft.CurrentTerm()
}

func (s *system) Submit(value []byte) error {
	return s.raft.Apply(value, applyTimeout).Error()
}

func (s *system) Close() error {
	if err := s.raft.Shutdown().Error(); err != nil {
		return err
	}
	return s.log.Close()
}

// counter is the cheapest state machine there is.
type counter struct {
	commands uint64
	bytes    uint64
}

func (c *counter) Apply(log *raft.Log) any {
	c.commands++
	c.bytes += uint64(len(log.Data))
	return c.commands
}

func (c *counter) ApplyBatch(logs []*raft.Log) []any {
	results := make([]any, len(logs))
	for i, log := range logs {
		results[i] = c.Apply(log)
	}
	return results
}

func (c *counter) Snapshot() (raft.FSMSnapshot, error) { return nothing{}, nil }

func (c *counter) Restore(from io.ReadCloser) error { return from.Close() }

// nothing is the snapshot: what is measured starts from nothing and restores nothing.
type nothing struct{}

func (nothing) Persist(sink raft.SnapshotSink) error { return sink.Close() }

func (nothing) Release() {}
