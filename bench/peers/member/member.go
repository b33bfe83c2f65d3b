// Package member is the Go half of the bench's members: it answers the same questions over the same
// channel as a member in Node (bench/src/protocol.ts), and drives the same load.
//
// The channel is the one that Node gives a child it forked: a socket whose number is in
// NODE_CHANNEL_FD, with a JSON value on each line. When it closes, the bench is gone, and so is the
// member.
package member

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"
)

// Peer is one of the members, with the address where it listens for the others.
type Peer struct {
	ID      string `json:"id"`
	Address string `json:"address"`
}

// Setup is how a member is set up.
type Setup struct {
	ID        string `json:"id"`
	Directory string `json:"directory"`
	Members   []Peer `json:"members"`
}

// Own is the member's own entry in the list.
func (s Setup) Own() (Peer, error) {
	for _, peer := range s.Members {
		if peer.ID == s.ID {
			return peer, nil
		}
	}
	return Peer{}, fmt.Errorf("%s is not on the list", s.ID)
}

// System is what is measured. Submit returns when the value is committed and applied.
type System interface {
	Open(setup Setup) error
	Ready() (leads bool, term uint64)
	Submit(value []byte) error
	Close() error
}

type request struct {
	Type        string `json:"type"`
	Setup       Setup  `json:"setup"`
	Outstanding int    `json:"outstanding"`
	ValueBytes  int    `json:"valueBytes"`
	Reset       bool   `json:"reset"`
}

type message struct {
	Number  int     `json:"number"`
	Request request `json:"request"`
}

type answer struct {
	Number int    `json:"number"`
	Value  any    `json:"value,omitempty"`
	Error  string `json:"error,omitempty"`
}

type opened struct {
	Port int `json:"port"`
}

type readiness struct {
	Leads bool   `json:"leads"`
	Term  uint64 `json:"term"`
}

type sample struct {
	AtMs     float64    `json:"atMs"`
	CPUUs    int64      `json:"cpuUs"`
	RSSBytes int64      `json:"rssBytes"`
	Load     loadSample `json:"load"`
}

type loadSample struct {
	Entries uint64  `json:"entries"`
	P50Ms   float64 `json:"p50Ms"`
	P99Ms   float64 `json:"p99Ms"`
	MaxMs   float64 `json:"maxMs"`
}

// Run answers the bench until it is gone.
func Run(system System) {
	if err := serve(system); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func serve(system System) error {
	channel, err := openChannel()
	if err != nil {
		return err
	}
	var writing sync.Mutex
	load := newLoad(system.Submit)
	lines := bufio.NewScanner(channel)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		var asked message
		if err := json.Unmarshal(lines.Bytes(), &asked); err != nil {
			return err
		}
		// Each in turn: the bench asks one thing at a time.
		value, err := handle(system, load, asked.Request)
		said := answer{Number: asked.Number, Value: value}
		if err != nil {
			said.Error = err.Error()
		}
		bytes, err := json.Marshal(said)
		if err != nil {
			return err
		}
		writing.Lock()
		_, err = channel.Write(append(bytes, '\n'))
		writing.Unlock()
		if err != nil {
			return err
		}
	}
	return lines.Err()
}

func openChannel() (net.Conn, error) {
	number, err := strconv.Atoi(os.Getenv("NODE_CHANNEL_FD"))
	if err != nil {
		return nil, errors.New("started by the bench only: no NODE_CHANNEL_FD")
	}
	file := os.NewFile(uintptr(number), "channel")
	defer file.Close()
	return net.FileConn(file)
}

func handle(system System, load *load, asked request) (any, error) {
	switch asked.Type {
	case "open":
		return opened{}, system.Open(asked.Setup)
	case "ready":
		leads, term := system.Ready()
		return readiness{leads, term}, nil
	case "start":
		return nil, load.start(asked.Outstanding, asked.ValueBytes)
	case "sample":
		return takeSample(load, asked.Reset)
	case "stop":
		return nil, load.stop()
	case "close":
		return nil, system.Close()
	}
	return nil, fmt.Errorf("asked for %q", asked.Type)
}

var started = time.Now()

func takeSample(load *load, reset bool) (sample, error) {
	var usage syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &usage); err != nil {
		return sample{}, err
	}
	taken := sample{
		AtMs:     float64(time.Since(started).Nanoseconds()) / 1e6,
		CPUUs:    (usage.Utime.Nano() + usage.Stime.Nano()) / 1000,
		RSSBytes: residentBytes(),
		Load:     load.sample(),
	}
	if reset {
		load.reset()
	}
	return taken, nil
}

func residentBytes() int64 {
	text, err := os.ReadFile("/proc/self/statm")
	if err != nil {
		return 0
	}
	fields := strings.Fields(string(text))
	if len(fields) < 2 {
		return 0
	}
	pages, _ := strconv.ParseInt(fields[1], 10, 64)
	return pages * int64(os.Getpagesize())
}
