package member

import (
	"encoding/binary"
	"errors"
	"math/bits"
	"sync"
	"sync/atomic"
	"time"
)

// load keeps a fixed number of writes outstanding: a goroutine for each, which starts the next one
// when its last one ended.
type load struct {
	submit  func([]byte) error
	running atomic.Bool
	writers sync.WaitGroup
	failed  atomic.Pointer[error]
	counted [shards]histogram
}

// Writers share histograms, but not all of them one: its counters would be what is measured.
const shards = 16

func newLoad(submit func([]byte) error) *load {
	return &load{submit: submit}
}

func (l *load) start(outstanding, valueBytes int) error {
	if !l.running.CompareAndSwap(false, true) {
		return errors.New("the load runs already")
	}
	l.failed.Store(nil)
	for writer := range outstanding {
		l.writers.Go(func() { l.write(writer, valueBytes) })
	}
	return nil
}

func (l *load) stop() error {
	l.running.Store(false)
	l.writers.Wait()
	if failed := l.failed.Load(); failed != nil {
		return *failed
	}
	return nil
}

func (l *load) write(writer, valueBytes int) {
	counted := &l.counted[writer%shards]
	for sequence := uint32(0); l.running.Load(); sequence++ {
		// The library may keep what it is given: each write has bytes of its own.
		value := make([]byte, valueBytes)
		for i := range value {
			value[i] = byte(writer)
		}
		if valueBytes >= 8 {
			binary.BigEndian.PutUint32(value[4:], sequence)
		}
		begin := time.Now()
		if err := l.submit(value); err != nil {
			l.failed.CompareAndSwap(nil, &err)
			return
		}
		counted.record(time.Since(begin))
	}
}

func (l *load) reset() {
	for i := range l.counted {
		l.counted[i].clear()
	}
}

func (l *load) sample() loadSample {
	all := &histogram{}
	for i := range l.counted {
		all.add(&l.counted[i])
	}
	return loadSample{
		Entries: all.count.Load(),
		P50Ms:   all.quantileMs(0.5),
		P99Ms:   all.quantileMs(0.99),
		MaxMs:   float64(all.maxUs.Load()) / 1000,
	}
}

// histogram has logarithmic buckets of microseconds, 64 to each doubling, like the bench's own.
type histogram struct {
	counts [buckets]atomic.Uint64
	count  atomic.Uint64
	maxUs  atomic.Uint64
}

const (
	subBits = 6
	sub     = 1 << subBits
	buckets = sub * 32
)

func (h *histogram) record(elapsed time.Duration) {
	us := uint64(max(1, elapsed.Microseconds()))
	h.counts[bucketOf(us)].Add(1)
	h.count.Add(1)
	h.raiseMax(us)
}

func (h *histogram) raiseMax(us uint64) {
	for known := h.maxUs.Load(); us > known; known = h.maxUs.Load() {
		if h.maxUs.CompareAndSwap(known, us) {
			return
		}
	}
}

func (h *histogram) add(other *histogram) {
	for i := range other.counts {
		h.counts[i].Add(other.counts[i].Load())
	}
	h.count.Add(other.count.Load())
	h.raiseMax(other.maxUs.Load())
}

func (h *histogram) clear() {
	for i := range h.counts {
		h.counts[i].Store(0)
	}
	h.count.Store(0)
	h.maxUs.Store(0)
}

func (h *histogram) quantileMs(q float64) float64 {
	left := q * float64(h.count.Load())
	for i := range h.counts {
		left -= float64(h.counts[i].Load())
		if left <= 0 {
			return middleOf(i) / 1000
		}
	}
	return float64(h.maxUs.Load()) / 1000
}

func bucketOf(us uint64) int {
	if us < sub {
		return int(us)
	}
	octave := bits.Len64(us) - 1 - subBits
	return min(buckets-1, (octave+1)*sub+int(us>>octave)-sub)
}

func middleOf(index int) float64 {
	if index < sub {
		return float64(index)
	}
	octave := index/sub - 1
	return (float64(sub+index%sub) + 0.5) * float64(uint64(1)<<octave)
}
