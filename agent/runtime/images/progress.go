package images

import (
	"cmp"
	"io"
	"slices"
	"sync"
	"time"

	"github.com/opencontainers/go-digest"
	v1 "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/berth/berth/agent/runtime"
)

// pulling is a pull under way.
type pulling struct {
	ref   string
	began time.Time

	mu       sync.Mutex
	total    int64                   // of what is to be fetched; 0: not known yet
	at       map[digest.Digest]int64 // how much of a blob is there
	fetched  time.Time               // when the last byte came
	layers   int
	unpacked int
}

// Pulls tells how the pulls under way stand, the oldest first.
func (s *Store) Pulls() []runtime.Pulling {
	s.pulls.mu.Lock()
	defer s.pulls.mu.Unlock()
	list := make([]runtime.Pulling, 0, len(s.pulls.all))
	for p := range s.pulls.all {
		list = append(list, p.tell())
	}
	slices.SortFunc(list, func(a, b runtime.Pulling) int {
		return cmp.Or(a.Began.Compare(b.Began), cmp.Compare(a.Ref, b.Ref))
	})
	return list
}

// pulls are those under way.
type pulls struct {
	mu  sync.Mutex
	all map[*pulling]bool
}

func (s *Store) beginPull(ref string) (*pulling, func()) {
	p := &pulling{ref: ref, began: time.Now(), at: map[digest.Digest]int64{}}
	s.pulls.mu.Lock()
	defer s.pulls.mu.Unlock()
	s.pulls.all[p] = true
	return p, func() {
		s.pulls.mu.Lock()
		defer s.pulls.mu.Unlock()
		delete(s.pulls.all, p)
	}
}

func (p *pulling) tell() runtime.Pulling {
	p.mu.Lock()
	defer p.mu.Unlock()
	t := runtime.Pulling{Ref: p.ref, Began: p.began, Total: p.total, Layers: p.layers, Unpacked: p.unpacked}
	for _, n := range p.at {
		t.Done += n
	}
	// What led to the layers counts too, once they are known.
	t.Done = min(t.Done, t.Total)
	return t
}

// expect says what is to come.
func (p *pulling) expect(m v1.Manifest, total int64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.total, p.layers = total, len(m.Layers)
}

func (p *pulling) layerDone() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.unpacked++
}

// reached says that a blob is there up to a byte.
func (p *pulling) reached(blob digest.Digest, at int64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.at[blob], p.fetched = at, time.Now()
}

// of returns how much of a blob there is.
func (p *pulling) of(blob digest.Digest) int64 {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.at[blob]
}

// times are how long it took until the last byte was there, and from then until
// the last layer was unpacked.
func (p *pulling) times(end time.Time) (pulled, unpacked time.Duration) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.fetched.IsZero() {
		return end.Sub(p.began), 0
	}
	return p.fetched.Sub(p.began), end.Sub(p.fetched)
}

// counted is a blob as it comes.
type counted struct {
	io.ReadCloser
	p    *pulling
	blob digest.Digest
	at   int64
}

func (c *counted) Read(b []byte) (int, error) {
	n, err := c.ReadCloser.Read(b)
	if n > 0 {
		c.at += int64(n)
		c.p.reached(c.blob, c.at)
	}
	return n, err
}

// Seek is how a fetch goes on where an earlier one ended.
func (c *counted) Seek(offset int64, whence int) (int64, error) {
	at, err := c.ReadCloser.(io.Seeker).Seek(offset, whence)
	if err == nil {
		c.at = at
		c.p.reached(c.blob, at)
	}
	return at, err
}
