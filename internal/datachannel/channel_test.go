package datachannel

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// line is one direction of a connection in memory.
type line struct {
	frames chan []byte
	cut    chan struct{} // closed when the connection breaks
}

// wire is a connection as one end has it. lose says how many copies of a frame
// arrive; what is delayed is overtaken.
type wire struct {
	in, out line
	lose    func(b []byte) (copies int, delay time.Duration)
}

var errCut = errors.New("the connection broke")

func newWires(lose func([]byte) (int, time.Duration)) (a, b *wire, cut func()) {
	c := make(chan struct{})
	x, y := line{make(chan []byte, 10_000), c}, line{make(chan []byte, 10_000), c}
	return &wire{x, y, lose}, &wire{y, x, lose}, func() { close(c) }
}

func perfect([]byte) (int, time.Duration) { return 1, 0 }

func (w *wire) Read(ctx context.Context) ([]byte, error) {
	select {
	case b := <-w.in.frames:
		return b, nil
	case <-w.in.cut:
		return nil, errCut
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

func (w *wire) Write(ctx context.Context, b []byte) error {
	select {
	case <-w.out.cut:
		return errCut
	default:
	}
	copies, delay := w.lose(b)
	for range copies {
		if delay == 0 {
			w.out.frames <- b
			continue
		}
		time.AfterFunc(delay, func() { w.out.frames <- b })
	}
	return nil
}

// pair are both ends of a channel, on a connection.
func pair(t *testing.T, lose func([]byte) (int, time.Duration)) (service, client *Channel, cut func()) {
	service, client = New(Output), New(Input)
	return service, client, connect(t, service, client, lose)
}

// connect serves both ends until the connection is cut or the test ends.
func connect(t *testing.T, service, client *Channel, lose func([]byte) (int, time.Duration)) (cut func()) {
	ctx, cancel := context.WithCancel(t.Context())
	a, b, broken := newWires(lose)
	done := make(chan struct{}, 2)
	go func() { service.Serve(ctx, a); done <- struct{}{} }()
	go func() { client.Serve(ctx, b); done <- struct{}{} }()
	return func() {
		broken()
		<-done
		<-done
		cancel()
	}
}

// text is what n payloads say.
func send(ctx context.Context, c *Channel, n int) error {
	for i := range n {
		if err := c.Send(ctx, Data, fmt.Appendf(nil, "%d,", i)); err != nil {
			return err
		}
	}
	return c.Finish(ctx)
}

// receive wants what send sends. Pieces may come together.
func receive(ctx context.Context, c *Channel, n int) error {
	var want, got []byte
	for i := range n {
		want = fmt.Appendf(want, "%d,", i)
	}
	for len(got) < len(want) {
		p, err := c.Receive(ctx)
		if err != nil {
			return err
		}
		got = append(got, p.Data...)
		if !bytes.HasPrefix(want, got) || p.Kind != Data {
			return fmt.Errorf("%q of kind %d comes after %d bytes", p.Data, p.Kind, len(got)-len(p.Data))
		}
	}
	return nil
}

// bothWays sends n payloads each way.
func bothWays(t *testing.T, service, client *Channel, n int) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
	defer cancel()
	results := make(chan error, 4)
	go func() { results <- send(ctx, service, n) }()
	go func() { results <- send(ctx, client, n) }()
	go func() { results <- receive(ctx, service, n) }()
	go func() { results <- receive(ctx, client, n) }()
	for range 4 {
		if err := <-results; err != nil {
			t.Error(err)
		}
	}
}

func TestChannel(t *testing.T) {
	for name, lose := range map[string]func([]byte) (int, time.Duration){
		"perfect":  perfect,
		"slow":     func([]byte) (int, time.Duration) { return 1, 300 * time.Millisecond },
		"lossy":    func([]byte) (int, time.Duration) { return min(rand.IntN(4), 1), 0 },
		"doubling": func([]byte) (int, time.Duration) { return 1 + rand.IntN(2), 0 },
		"shuffled": func([]byte) (int, time.Duration) {
			return rand.IntN(3), time.Duration(rand.IntN(200)) * time.Millisecond
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				service, client, cut := pair(t, lose)
				bothWays(t, service, client, 500)
				time.Sleep(time.Second) // what is delayed arrives
				cut()
			})
		})
	}
}

// What a broken connection swallowed comes on the next.
func TestReconnect(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		service, client := New(Output), New(Input)
		done := make(chan struct{})
		go func() {
			defer close(done)
			bothWays(t, service, client, 2000)
		}()
		for range 20 {
			// What is on the way is lost with its connection.
			cut := connect(t, service, client, func([]byte) (int, time.Duration) { return 1, 40 * time.Millisecond })
			time.Sleep(300*time.Millisecond + time.Duration(rand.IntN(100))*time.Millisecond)
			cut()
		}
		cut := connect(t, service, client, perfect)
		<-done
		cut()
	})
}

// plugin takes frames as AWS's plugin does: it acknowledges each once, and leaves
// copies of what it has unanswered. deaf are frames whose acknowledgement is lost.
type plugin struct {
	conn     *wire
	expected int64
	deaf     map[int64]bool
	shows    bytes.Buffer
}

func (p *plugin) run(t *testing.T) {
	for {
		b, err := p.conn.Read(t.Context())
		if err != nil {
			return
		}
		f, err := Decode(b)
		if err != nil {
			t.Error(err)
			return
		}
		if f.Type != Output || f.Sequence != p.expected {
			continue
		}
		p.expected++
		p.shows.Write(f.Payload)
		if p.deaf[f.Sequence] {
			continue
		}
		p.conn.Write(t.Context(), (&Frame{Type: acknowledge, Payload: encode(acknowledgement{AcknowledgedMessageSequenceNumber: f.Sequence})}).Encode())
	}
}

// AWS's plugin never acknowledges again what it acknowledged on a connection
// that then broke: the end of the session does not wait for that.
func TestLostAcknowledgement(t *testing.T) {
	for name, deaf := range map[string]map[int64]bool{
		"the last": {4: true}, "one of them": {2: true}, "three": {1: true, 2: true, 4: true}, "all": {0: true, 1: true, 2: true, 3: true, 4: true},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				service := New(Output)
				p := &plugin{deaf: deaf}
				finished := make(chan error, 1)
				for connection := range 2 {
					a, b, cut := newWires(perfect)
					p.conn = b
					served, ran := make(chan struct{}), make(chan struct{})
					go func() { service.Serve(t.Context(), a); close(served) }()
					go func() { p.run(t); close(ran) }()
					if connection == 0 {
						for i := range 5 {
							service.Send(t.Context(), Data, fmt.Appendf(nil, "%d,", i))
							synctest.Wait() // so that they don't go together
						}
					} else {
						ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
						defer cancel()
						began := time.Now()
						finished <- service.Finish(ctx)
						if took := time.Since(began); took > 5*time.Second {
							t.Errorf("the end took %v", took)
						}
					}
					cut()
					<-served
					<-ran
				}
				if err := <-finished; err != nil {
					t.Error(err)
				}
				if got := p.shows.String(); got != "0,1,2,3,4," {
					t.Errorf("the plugin shows %q", got)
				}
			})
		})
	}
}

// Who doesn't read is sent no more than the window, and sends wait.
func TestBackPressure(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		service, client := New(Output), New(Input)
		ctx, cancel := context.WithCancel(t.Context())
		var taken atomic.Int64
		go func() {
			for service.Send(ctx, Data, make([]byte, PayloadSize)) == nil {
				taken.Add(1)
			}
		}()
		synctest.Wait()
		if sent := taken.Load(); sent != window {
			t.Errorf("%d payloads were taken without a connection", sent)
		}
		cut := connect(t, service, client, perfect)
		time.Sleep(10 * time.Second)
		before := taken.Load()
		if most := int64(inbox/PayloadSize + window + 1); before > most {
			t.Errorf("%d payloads were taken that nobody reads, at most %d", before, most)
		}
		for range 100 {
			if _, err := client.Receive(ctx); err != nil {
				t.Fatal(err)
			}
		}
		time.Sleep(10 * time.Second)
		if sent := taken.Load(); sent < before+100 {
			t.Errorf("%d payloads were taken, and %d after 100 were read", before, sent)
		}
		cancel()
		cut()
	})
}

func TestClose(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		service, client := New(Output), New(Input)
		a, b, _ := newWires(perfect)
		served := make(chan error, 2)
		go func() { served <- service.Serve(t.Context(), a) }()
		go func() { served <- client.Serve(t.Context(), b) }()
		if err := service.Send(t.Context(), Data, []byte("last")); err != nil {
			t.Fatal(err)
		}
		if err := service.Finish(t.Context()); err != nil {
			t.Fatal(err)
		}
		service.Close("id", "why")
		service.Close("id", "again")
		p, err := client.Receive(t.Context())
		if err != nil || string(p.Data) != "last" {
			t.Errorf("%+v, %v", p, err)
		}
		var closed *ClosedError
		if _, err := client.Receive(t.Context()); !errors.As(err, &closed) || closed.Output != "why" {
			t.Errorf("the client hears %v", err)
		}
		for _, err := range []error{service.Send(t.Context(), Data, nil), service.Finish(t.Context())} {
			if !errors.Is(err, ErrClosed) {
				t.Errorf("the service hears %v", err)
			}
		}
		for range 2 {
			if err := <-served; err != nil {
				t.Errorf("Serve: %v", err)
			}
		}
	})
}

// A client that never acknowledges is given up; one that pauses is not sent to.
func TestSilence(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		service := New(Output)
		a, b, _ := newWires(perfect)
		served := make(chan error, 1)
		go func() { served <- service.Serve(t.Context(), a) }()
		b.Write(t.Context(), (&Frame{Type: pause}).Encode())
		synctest.Wait()
		service.Send(t.Context(), Data, []byte("x"))
		time.Sleep(time.Minute)
		if n := len(b.in.frames); n != 0 {
			t.Errorf("%d frames were sent in the pause", n)
		}
		b.Write(t.Context(), (&Frame{Type: start}).Encode())
		began := time.Now()
		<-served
		if _, err := service.Receive(t.Context()); err == nil || !strings.Contains(err.Error(), "acknowledge") || time.Since(began) < patience {
			t.Errorf("after %v: %v", time.Since(began), err)
		}
		if n := len(b.in.frames); n < 100 || n > 1000 {
			t.Errorf("the frame was sent %d times", n)
		}
	})
}

// A frame that is none ends the connection; one of another type is left alone.
func TestStrangeFrames(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for _, b := range [][]byte{{1, 2, 3}, (&Frame{Type: acknowledge, Payload: []byte("{")}).Encode(), (&Frame{Type: closed, Payload: []byte("[")}).Encode()} {
			service := New(Output)
			a, c, _ := newWires(perfect)
			c.Write(t.Context(), (&Frame{Type: "something_new"}).Encode())
			ack, _ := json.Marshal(acknowledgement{AcknowledgedMessageSequenceNumber: 99})
			c.Write(t.Context(), (&Frame{Type: acknowledge, Payload: ack}).Encode())
			c.Write(t.Context(), (&Frame{Type: Input, Sequence: 1 << 60}).Encode())
			c.Write(t.Context(), (&Frame{Type: Input, Sequence: -1}).Encode())
			c.Write(t.Context(), b)
			if err := service.Serve(t.Context(), a); err == nil {
				t.Errorf("%q is taken", b)
			}
		}
	})
}

func TestReader(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := NewReader()
		big := bytes.Repeat([]byte("x"), 3*MaxPayload)
		go func() {
			r.Put(t.Context(), big)
			r.Put(t.Context(), []byte("end")) // waits for room
			r.End(io.EOF)
			r.End(errors.New("too late"))
		}()
		got, err := io.ReadAll(r)
		if err != nil || len(got) != len(big)+3 || !bytes.HasSuffix(got, []byte("xend")) {
			t.Errorf("%d bytes, %v", len(got), err)
		}
		full := NewReader()
		full.Put(t.Context(), big)
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if err := full.Put(ctx, []byte("x")); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("Put into a full one: %v", err)
		}
	})
}

func TestPayloads(t *testing.T) {
	if s, err := DecodeSize([]byte(`{"cols":120,"rows":40}`)); err != nil || s != (WindowSize{Cols: 120, Rows: 40}) {
		t.Errorf("%+v, %v", s, err)
	}
	if got := string(EncodeSize(WindowSize{Cols: 120, Rows: 40})); got != `{"cols":120,"rows":40}` {
		t.Error(got)
	}
	if _, err := DecodeSize([]byte("x")); err == nil {
		t.Error("a size that is none is taken")
	}
	if code, err := DecodeExit(EncodeExit(137)); err != nil || code != 137 {
		t.Error(code, err)
	}
	if err := CheckHandshake(Accept("1")); err != nil {
		t.Error(err)
	}
	for _, refused := range []string{
		`{}`, `[`, `{"ProcessedClientActions":[{"ActionType":"SessionType","ActionStatus":2}],"Errors":["no"]}`,
		`{"ProcessedClientActions":[{"ActionType":"KMSEncryption","ActionStatus":1}]}`,
	} {
		if CheckHandshake([]byte(refused)) == nil {
			t.Errorf("%s is taken", refused)
		}
	}
	// As the plugin sends it.
	ok := `{"ClientVersion":"1.2","ProcessedClientActions":[{"ActionType":"SessionType","ActionStatus":1,"ActionResult":null,"Error":""}],"Errors":null}`
	if err := CheckHandshake([]byte(ok)); err != nil {
		t.Error(err)
	}
}
