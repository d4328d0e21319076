package datachannel

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"
)

// Conn carries whole frames. Read and Write may be called at the same time.
type Conn interface {
	Read(ctx context.Context) ([]byte, error)
	Write(ctx context.Context, b []byte) error
}

// Payload is one piece of a stream.
type Payload struct {
	Kind Kind
	Data []byte
}

// What a channel holds at most.
const (
	// window is how many frames may wait for their acknowledgement: Send waits
	// when it is full, which is what slows a command down.
	window = 64
	// inbox is how many bytes received wait for Receive, and early how many frames
	// that came before their turn. Frames beyond are not acknowledged, so they
	// come again.
	inbox = 1 << 20
	early = 1024
)

// patience is how long a frame may stay unacknowledged while there is a
// connection. The plugin gives up after as long.
const patience = 5 * time.Minute

// ErrClosed is the end of a channel that this end closed.
var ErrClosed = errors.New("the data channel is closed")

// A ClosedError is the end of a channel that the other end closed.
type ClosedError struct{ Output string }

func (e *ClosedError) Error() string {
	if e.Output == "" {
		return "the data channel was closed by the other end"
	}
	return "the data channel was closed by the other end: " + e.Output
}

// Channel is one end of a data channel. It outlives its connections: what was
// not acknowledged on one is sent again on the next.
type Channel struct {
	out     string // type of the frames it sends
	in      string // of those it gets
	changed *signal

	mu       sync.Mutex
	wake     chan struct{} // holds one when the writer has something to do
	next     int64         // sequence number of the next frame to send
	unacked  []*sent       // in order
	acks     [][]byte      // to be sent
	paused   bool
	placed   int64 // place of the last frame first sent on this connection
	timeout  estimate
	expected int64 // sequence number of the next frame to receive
	early    map[int64]Payload
	ready    []Payload
	readyLen int // bytes
	end      error
}

// sent is a frame that was not acknowledged yet.
type sent struct {
	seq   int64
	kind  Kind
	data  []byte
	bytes []byte    // of the frame, once it was sent
	first time.Time // when it was sent, on any connection; zero: never
	due   time.Time // when to send it again; zero: at once
	tries int

	carried bool  // an earlier connection carried it, and may have lost its acknowledgement
	here    int   // how often this connection carried it
	place   int64 // among the frames of this connection, when it was first sent there
}

// New returns an end that sends frames of a type: Output on the service's side,
// Input on the client's.
func New(out string) *Channel {
	in := Input
	if out == Input {
		in = Output
	}
	return &Channel{
		out: out, in: in, changed: newSignal(), wake: make(chan struct{}, 1), early: map[int64]Payload{}, timeout: newEstimate(),
	}
}

// Send sends one payload, and waits while too many are not acknowledged. data
// may be used again afterwards. Data and Stderr are streams: pieces of them may
// arrive as one payload, but for empty ones.
func (c *Channel) Send(ctx context.Context, k Kind, data []byte) error {
	c.mu.Lock()
	for c.end == nil && !c.joins(k, data) && len(c.unacked) >= window {
		if err := c.wait(ctx); err != nil {
			return err
		}
	}
	defer c.mu.Unlock()
	switch {
	case c.end != nil:
		return c.end
	case c.joins(k, data):
		last := c.unacked[len(c.unacked)-1]
		last.data = append(last.data, data...)
	default:
		c.unacked = append(c.unacked, &sent{seq: c.next, kind: k, data: bytes.Clone(data)})
		c.next++
		c.ring()
	}
	return nil
}

// joins tells whether a piece of a stream can go with the one before, which waits
// to be sent: a command that prints a line at a time would fill the window with
// small frames. c.mu is held.
func (c *Channel) joins(k Kind, data []byte) bool {
	if len(c.unacked) == 0 || len(data) == 0 || k != Data && k != Stderr {
		return false
	}
	last := c.unacked[len(c.unacked)-1]
	return last.tries == 0 && last.kind == k && len(last.data) > 0 && len(last.data)+len(data) <= PayloadSize
}

// encode makes the frame of what is sent the first time.
func (c *Channel) encode(s *sent, now time.Time) {
	f := Frame{Type: c.out, Created: now, Sequence: s.seq, ID: newID(), Kind: s.kind, Payload: s.data}
	s.bytes, s.data = f.Encode(), nil
}

// Receive returns the next payload. Its error is the channel's end or ctx's.
func (c *Channel) Receive(ctx context.Context) (Payload, error) {
	c.mu.Lock()
	for len(c.ready) == 0 {
		if c.end != nil {
			defer c.mu.Unlock()
			return Payload{}, c.end
		}
		if err := c.wait(ctx); err != nil {
			return Payload{}, err
		}
	}
	defer c.mu.Unlock()
	p := c.ready[0]
	c.ready = c.ready[1:]
	c.readyLen -= len(p.Data)
	return p, nil
}

// Finish waits until all that was sent is acknowledged.
func (c *Channel) Finish(ctx context.Context) error {
	c.mu.Lock()
	for c.end == nil && len(c.unacked) > 0 {
		if err := c.wait(ctx); err != nil {
			return err
		}
	}
	defer c.mu.Unlock()
	return c.end
}

// Close ends the channel. Serve sends what is left of acknowledgements and a
// last frame that tells the other end.
func (c *Channel) Close(session, output string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.end != nil {
		return
	}
	now := time.Now()
	f := Frame{Type: closed, Created: now, ID: newID()}
	f.Payload = encode(Closed{
		MessageId: uuid(f.ID), CreatedDate: now.UTC().Format(time.RFC3339Nano), SessionId: session, MessageType: closed, SchemaVersion: 1, Output: output,
	})
	c.acks = append(c.acks, f.Encode())
	c.finish(ErrClosed)
}

// finish notes the end, once. c.mu is held.
func (c *Channel) finish(err error) {
	if c.end != nil {
		return
	}
	c.end = err
	c.changed.fire()
	c.ring()
}

// Serve moves frames over a connection until that breaks, which is its error,
// or the channel ends, which is nil. One connection is served at a time.
func (c *Channel) Serve(ctx context.Context, conn Conn) error {
	ctx, stop := context.WithCancelCause(ctx)
	read := make(chan struct{})
	defer func() { <-read }()
	defer stop(nil)
	go func() {
		defer close(read)
		stop(c.read(ctx, conn))
	}()
	err := c.write(ctx, conn)
	if err == nil {
		if c.endedBy() != ErrClosed {
			return nil
		}
		// The other end has yet to read the last frame, and then hangs up. To cut
		// it off while it sends could take that frame from it.
		select {
		case <-read:
		case <-time.After(linger):
		}
		return nil
	}
	stop(err)
	return context.Cause(ctx)
}

func (c *Channel) endedBy() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.end
}

// linger is how long the other end may take to hang up.
const linger = 2 * time.Second

// read takes frames from a connection.
func (c *Channel) read(ctx context.Context, conn Conn) error {
	for {
		b, err := conn.Read(ctx)
		if err != nil {
			return err
		}
		f, err := Decode(b)
		if err != nil {
			return err
		}
		if err := c.take(f); err != nil {
			return err
		}
	}
}

// take takes one frame in.
func (c *Channel) take(f Frame) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch f.Type {
	case c.in:
		return c.takeData(f)
	case acknowledge:
		var a acknowledgement
		if err := json.Unmarshal(f.Payload, &a); err != nil {
			return fmt.Errorf("read an acknowledgement: %w", err)
		}
		c.acknowledged(a.AcknowledgedMessageSequenceNumber)
	case closed:
		var was Closed
		if err := json.Unmarshal(f.Payload, &was); err != nil {
			return fmt.Errorf("read the end of the channel: %w", err)
		}
		c.finish(&ClosedError{Output: was.Output})
	case pause, start:
		c.paused = f.Type == pause
		c.ring()
	}
	return nil // types to come are left alone, as AWS's clients do
}

// takeData takes a frame of the stream, and acknowledges it if it is kept or
// was before.
func (c *Channel) takeData(f Frame) error {
	if f.Sequence >= c.expected {
		if f.Sequence > c.expected+early || c.readyLen+len(f.Payload) > inbox {
			return nil // it will come again
		}
		if _, have := c.early[f.Sequence]; !have {
			c.early[f.Sequence] = Payload{Kind: f.Kind, Data: f.Payload}
		}
		for p, ok := c.early[c.expected]; ok; p, ok = c.early[c.expected] {
			delete(c.early, c.expected)
			c.expected++
			c.ready = append(c.ready, p)
			c.readyLen += len(p.Data)
		}
		c.changed.fire()
	}
	if len(c.acks) > 4*early {
		return errors.New("the other end sends and does not read")
	}
	ack := Frame{Type: acknowledge, Created: time.Now(), Flags: 3, ID: newID()}
	ack.Payload = encode(acknowledgement{
		AcknowledgedMessageType: f.Type, AcknowledgedMessageId: uuid(f.ID), AcknowledgedMessageSequenceNumber: f.Sequence, IsSequentialMessage: true,
	})
	c.acks = append(c.acks, ack.Encode())
	c.ring()
	return nil
}

// acknowledged forgets a frame that the other end has.
func (c *Channel) acknowledged(seq int64) {
	for i, s := range c.unacked {
		if s.seq != seq {
			continue
		}
		if s.tries == 1 { // of a frame sent twice nobody knows which one was acknowledged
			c.timeout.add(time.Since(s.first))
		}
		c.unacked = slices.DeleteFunc(slices.Delete(c.unacked, i, i+1), func(earlier *sent) bool {
			return earlier.silent() && earlier.place < s.place
		})
		c.changed.fire()
		return
	}
}

// wait waits for a change, with c.mu held, which it gives away meanwhile. When
// ctx ends first, it returns ctx's error with c.mu not held.
func (c *Channel) wait(ctx context.Context) error {
	changed := c.changed.next()
	c.mu.Unlock()
	select {
	case <-changed:
		c.mu.Lock()
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// ring wakes the writer. c.mu is held.
func (c *Channel) ring() {
	select {
	case c.wake <- struct{}{}:
	default:
	}
}

// signal tells any number of goroutines of a change. Its owner's lock guards it.
type signal struct{ c chan struct{} }

func newSignal() *signal { return &signal{make(chan struct{})} }

func (s *signal) next() <-chan struct{} { return s.c }

func (s *signal) fire() {
	close(s.c)
	s.c = make(chan struct{})
}

// Reader is the Data of a channel as a stream, filled by whoever receives.
type Reader struct {
	mu      sync.Mutex
	changed *signal
	data    []byte
	err     error
}

// NewReader returns an empty one.
func NewReader() *Reader { return &Reader{changed: newSignal()} }

// Put adds data, waiting while much is unread, until ctx ends.
func (r *Reader) Put(ctx context.Context, data []byte) error {
	r.mu.Lock()
	for r.err == nil && len(r.data) > MaxPayload {
		changed := r.changed.next()
		r.mu.Unlock()
		select {
		case <-changed:
		case <-ctx.Done():
			return ctx.Err()
		}
		r.mu.Lock()
	}
	defer r.mu.Unlock()
	r.data = append(r.data, data...)
	r.changed.fire()
	return nil
}

// End makes Read return err once all is read.
func (r *Reader) End(err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.err == nil {
		r.err = err
		r.changed.fire()
	}
}

// Read implements io.Reader.
func (r *Reader) Read(p []byte) (int, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for len(r.data) == 0 {
		if r.err != nil {
			return 0, r.err
		}
		changed := r.changed.next()
		r.mu.Unlock()
		<-changed
		r.mu.Lock()
	}
	n := copy(p, r.data)
	r.data = r.data[n:]
	r.changed.fire()
	return n, nil
}
