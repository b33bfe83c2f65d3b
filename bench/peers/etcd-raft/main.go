// The library go.etcd.io/raft as a member of the bench, put together as etcd's own example of it
// (raftexample) does: etcd's write-ahead log, which syncs each batch, etcd's transport over HTTP,
// and one loop that saves, sends and applies whatever the library is ready with. The state machine
// only counts.
//
// Other than in the example: messages of up to 1 MiB and 256 of them under way; no snapshots, since
// what is measured starts from nothing; and no reports.
package main

import (
	"context"
	"encoding/binary"
	"errors"
	"io"
	"log"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"go.etcd.io/etcd/client/pkg/v3/types"
	"go.etcd.io/etcd/server/v3/etcdserver/api/rafthttp"
	stats "go.etcd.io/etcd/server/v3/etcdserver/api/v2stats"
	"go.etcd.io/etcd/server/v3/storage/wal"
	"go.etcd.io/raft/v3"
	"go.etcd.io/raft/v3/raftpb"
	"go.uber.org/zap"
	"google.golang.org/protobuf/proto"

	"quorate/bench/peers/member"
)

const (
	clusterID       = 0x1000
	tick            = 100 * time.Millisecond
	electionTicks   = 10
	maxMessageBytes = 1 << 20
	maxInflight     = 256
	keptEntries     = 10_000
	numberBytes     = 8
)

var errClosed = errors.New("closed")

type system struct {
	id        uint64
	node      raft.Node
	storage   *raft.MemoryStorage
	log       *wal.WAL
	transport *rafthttp.Transport
	server    *http.Server
	leads     atomic.Bool
	term      atomic.Uint64
	numbers   atomic.Uint64
	mutex     sync.Mutex
	waiting   map[uint64]chan struct{}
	stop      chan struct{}
	stopped   chan struct{}
	commands  uint64
	bytes     uint64
}

func main() { member.Run(&system{}) }

func (s *system) Open(setup member.Setup) error {
	own, err := setup.Own()
	if err != nil {
		return err
	}
	var peers []raft.Peer
	for i, peer := range setup.Members {
		peers = append(peers, raft.Peer{ID: idOf(i)})
		if peer.ID == own.ID {
			s.id = idOf(i)
		}
	}
	directory := filepath.Join(setup.Directory, setup.ID)
	if err := os.MkdirAll(directory, 0o700); err != nil {
		return err
	}
	if s.log, err = wal.Create(zap.NewNop(), filepath.Join(directory, "wal"), nil); err != nil {
		return err
	}
	s.storage = raft.NewMemoryStorage()
	s.waiting = map[uint64]chan struct{}{}
	s.stop, s.stopped = make(chan struct{}), make(chan struct{})
	s.node = raft.StartNode(&raft.Config{
		ID:              s.id,
		ElectionTick:    electionTicks,
		HeartbeatTick:   1,
		Storage:         s.storage,
		MaxSizePerMsg:   maxMessageBytes,
		MaxInflightMsgs: maxInflight,
		CheckQuorum:     true,
		PreVote:         true,
		Logger:          &raft.DefaultLogger{Logger: log.New(io.Discard, "", 0)},
	}, peers)
	if err := s.connect(own.Address, setup.Members); err != nil {
		return err
	}
	go s.run()
	return nil
}

func idOf(place int) uint64 { return uint64(place) + 1 }

func (s *system) connect(address string, members []member.Peer) error {
	name := strconv.FormatUint(s.id, 10)
	s.transport = &rafthttp.Transport{
		Logger:      zap.NewNop(),
		ID:          types.ID(s.id),
		ClusterID:   clusterID,
		Raft:        s,
		ServerStats: stats.NewServerStats("", ""),
		LeaderStats: stats.NewLeaderStats(zap.NewNop(), name),
		ErrorC:      make(chan error, 1),
	}
	if err := s.transport.Start(); err != nil {
		return err
	}
	listener, err := net.Listen("tcp", address)
	if err != nil {
		return err
	}
	s.server = &http.Server{Handler: s.transport.Handler()}
	go func() { _ = s.server.Serve(listener) }()
	for i, peer := range members {
		if idOf(i) != s.id {
			s.transport.AddPeer(types.ID(idOf(i)), []string{"http://" + peer.Address})
		}
	}
	return nil
}

func (s *system) run() {
	defer close(s.stopped)
	ticker := time.NewTicker(tick)
	defer ticker.Stop()
	for {
		select {
		case <-ticker.C:
			s.node.Tick()
		case ready := <-s.node.Ready():
			if err := s.take(ready); err != nil {
				log.Fatal(err)
			}
			s.node.Advance()
		case <-s.stop:
			return
		}
	}
}

func (s *system) take(ready raft.Ready) error {
	if ready.SoftState != nil {
		s.leads.Store(ready.SoftState.RaftState == raft.StateLeader)
	}
	if ready.HardState != nil {
		s.term.Store(ready.HardState.GetTerm())
	}
	if err := s.log.Save(ready.HardState, ready.Entries); err != nil {
		return err
	}
	if err := s.storage.Append(ready.Entries); err != nil {
		return err
	}
	if ready.HardState != nil {
		if err := s.storage.SetHardState(ready.HardState); err != nil {
			return err
		}
	}
	s.transport.Send(ready.Messages)
	for _, entry := range ready.CommittedEntries {
		if err := s.apply(entry); err != nil {
			return err
		}
	}
	return s.letGo()
}

func (s *system) apply(entry *raftpb.Entry) error {
	data := entry.GetData()
	if entry.GetType() == raftpb.EntryType_EntryConfChange {
		var change raftpb.ConfChange
		if err := proto.Unmarshal(data, &change); err != nil {
			return err
		}
		s.node.ApplyConfChange(&change)
		return nil
	}
	if len(data) < 2*numberBytes {
		return nil
	}
	s.commands++
	s.bytes += uint64(len(data) - 2*numberBytes)
	if binary.LittleEndian.Uint64(data) != s.id {
		return nil
	}
	number := binary.LittleEndian.Uint64(data[numberBytes:])
	s.mutex.Lock()
	done := s.waiting[number]
	delete(s.waiting, number)
	s.mutex.Unlock()
	if done != nil {
		close(done)
	}
	return nil
}

// letGo forgets entries that are applied everywhere in all likelihood, as the example does.
func (s *system) letGo() error {
	first, err := s.storage.FirstIndex()
	if err != nil {
		return err
	}
	last, err := s.storage.LastIndex()
	if err != nil || last < first+2*keptEntries {
		return err
	}
	return s.storage.Compact(last - keptEntries)
}

func (s *system) Ready() (bool, uint64) { return s.leads.Load(), s.term.Load() }

func (s *system) Submit(value []byte) error {
	number := s.numbers.Add(1)
	data := make([]byte, 2*numberBytes+len(value))
	binary.LittleEndian.PutUint64(data, s.id)
	binary.LittleEndian.PutUint64(data[numberBytes:], number)
	copy(data[2*numberBytes:], value)
	done := make(chan struct{})
	s.mutex.Lock()
	s.waiting[number] = done
	s.mutex.Unlock()
	if err := s.node.Propose(context.Background(), data); err != nil {
		return err
	}
	select {
	case <-done:
		return nil
	case <-s.stop:
		return errClosed
	}
}

func (s *system) Close() error {
	close(s.stop)
	<-s.stopped
	s.transport.Stop()
	s.node.Stop()
	_ = s.server.Close()
	return s.log.Close()
}

// What the transport asks of a member.

func (s *system) Process(ctx context.Context, m *raftpb.Message) error {
	return s.node.Step(ctx, m)
}

func (s *system) IsIDRemoved(uint64) bool { return false }

func (s *system) ReportUnreachable(id uint64) { s.node.ReportUnreachable(id) }

func (s *system) ReportSnapshot(id uint64, status raft.SnapshotStatus) {
	s.node.ReportSnapshot(id, status)
}
