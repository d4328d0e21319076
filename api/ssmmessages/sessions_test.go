package ssmmessages

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/coder/websocket"

	"github.com/berth/berth/internal/datachannel"
	"github.com/berth/berth/state"
)

// node runs a function.
type node func(ctx context.Context, r state.ExecRequest, stdin io.Reader, stdout, stderr io.Writer, sizes <-chan state.WindowSize) (int, error)

func (n node) Exec(ctx context.Context, r state.ExecRequest, stdin io.Reader, stdout, stderr io.Writer, sizes <-chan state.WindowSize) (int, error) {
	return n(ctx, r, stdin, stdout, stderr, sizes)
}

// book keeps transcripts.
type book struct {
	mu     sync.Mutex
	text   map[string]string // by stream
	broken error
}

func (b *book) Open(_ context.Context, t state.LogTarget) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if t.Group != "group" {
		return errors.New("no such group")
	}
	return nil
}

func (b *book) Put(_ context.Context, t state.LogTarget, _ string, events []state.LogEvent, _ int64) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, e := range events {
		b.text[t.Stream] += e.Message + "\n"
	}
	return b.broken
}

// safe is a log that may be read while it is written.
type safe struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (s *safe) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.Write(p)
}

func (s *safe) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.String()
}

type desk struct {
	*Sessions
	t    *testing.T
	url  string
	book *book
	log  *safe
}

func newDesk(t *testing.T, n node) *desk {
	d := &desk{t: t, book: &book{text: map[string]string{}}, log: &safe{}}
	d.Sessions = New(Config{
		Node:        func(id string) (Node, bool) { return n, id == "n" },
		Transcripts: d.book, Log: slog.New(slog.NewTextHandler(d.log, &slog.HandlerOptions{Level: slog.LevelDebug})),
	})
	server := httptest.NewServer(d.Sessions)
	d.url = server.URL
	t.Cleanup(func() {
		d.Close()
		server.Close()
	})
	return d
}

func (d *desk) offer(id string) (token string) {
	d.t.Helper()
	token, err := d.Open(d.t.Context(), state.ExecSession{
		ID: id, Node: "n", TaskID: "task", Task: "arn:task", Container: "app", RuntimeID: "r", Command: "do it", By: "arn:someone", From: "10.0.0.1",
		Log: &state.LogTarget{Group: "group", Stream: id},
	})
	if err != nil {
		d.t.Fatal(err)
	}
	return token
}

// client is one that has connected.
type client struct {
	*datachannel.Channel
	socket *datachannel.Socket
	served chan error
	stop   context.CancelFunc
}

// connect brings a token. ch is an earlier client's channel, or nil.
func (d *desk) connect(id, token string, mode datachannel.Mode, ch *datachannel.Channel) *client {
	d.t.Helper()
	socket, err := datachannel.Dial(d.t.Context(), d.URL(d.url, id), datachannel.Open{TokenValue: token, ClientVersion: "1.0", Mode: mode})
	if err != nil {
		d.t.Fatal(err)
	}
	c := &client{Channel: ch, socket: socket, served: make(chan error, 1)}
	if ch == nil {
		c.Channel = datachannel.New(datachannel.Input)
	}
	ctx, stop := context.WithCancel(d.t.Context())
	c.stop = stop
	d.t.Cleanup(stop)
	go func() {
		c.served <- c.Serve(ctx, socket)
		socket.Close()
	}()
	return c
}

// begin does the handshake.
func (d *desk) begin(id, token string, mode datachannel.Mode) *client {
	d.t.Helper()
	c := d.connect(id, token, mode, nil)
	want := map[datachannel.Mode]string{datachannel.ModePipes: `"SessionType":"NonInteractiveCommands"`}[mode]
	if want == "" {
		want = `"SessionType":"InteractiveCommands"`
	}
	d.expect(c, datachannel.HandshakeRequest, want)
	if err := c.Send(d.t.Context(), datachannel.HandshakeResponse, datachannel.Accept("1.0")); err != nil {
		d.t.Fatal(err)
	}
	d.expect(c, datachannel.HandshakeComplete, "HandshakeTimeToComplete")
	return c
}

func (d *desk) expect(c *client, k datachannel.Kind, text string) {
	d.t.Helper()
	ctx, cancel := context.WithTimeout(d.t.Context(), 20*time.Second)
	defer cancel()
	p, err := c.Receive(ctx)
	if err != nil || p.Kind != k || !strings.Contains(string(p.Data), text) {
		d.t.Fatalf("got %q of kind %d, %v, want %q of kind %d\n%s", p.Data, p.Kind, err, text, k, d.log)
	}
}

// closed waits for the end and returns what it says.
func (d *desk) closed(c *client) string {
	d.t.Helper()
	ctx, cancel := context.WithTimeout(d.t.Context(), 20*time.Second)
	defer cancel()
	for {
		_, err := c.Receive(ctx)
		var end *datachannel.ClosedError
		switch {
		case err == nil:
		case errors.As(err, &end):
			return end.Output
		default:
			d.t.Fatalf("%v\n%s", err, d.log)
		}
	}
}

// echo prints the request, its windows' sizes, and what it is told, until it is
// told to exit.
var echo = node(func(ctx context.Context, r state.ExecRequest, stdin io.Reader, stdout, stderr io.Writer, sizes <-chan state.WindowSize) (int, error) {
	fmt.Fprintf(stdout, "%s %s %s %v %v|", r.Command, r.TaskID, r.RuntimeID, r.Terminal, r.Size)
	fmt.Fprint(stderr, "err")
	lines := make(chan string)
	go func() {
		b := make([]byte, 100)
		for {
			n, err := stdin.Read(b)
			if err != nil {
				close(lines)
				return
			}
			select {
			case lines <- string(b[:n]):
			case <-ctx.Done():
				return
			}
		}
	}()
	for {
		select {
		case s := <-sizes:
			fmt.Fprintf(stdout, "%v|", s)
		case line, ok := <-lines:
			if !ok {
				return 4, nil
			}
			if line == "exit" {
				return 3, nil
			}
			if _, err := fmt.Fprintf(stdout, "said %s\r\n", line); err != nil {
				return -1, err
			}
		case <-ctx.Done():
			return -1, ctx.Err()
		}
	}
})

func TestSession(t *testing.T) {
	d := newDesk(t, echo)
	ctx := t.Context()
	token := d.offer("s1")
	c := d.begin("s1", token, datachannel.ModePlugin)
	c.Send(ctx, datachannel.Size, datachannel.EncodeSize(datachannel.WindowSize{Cols: 80, Rows: 25}))
	d.expect(c, datachannel.Data, "do it task r true {25 80}|")
	d.expect(c, datachannel.Stderr, "err")
	c.Send(ctx, datachannel.Size, datachannel.EncodeSize(datachannel.WindowSize{Cols: 81, Rows: 26}))
	d.expect(c, datachannel.Data, "{26 81}|")
	c.Send(ctx, datachannel.Data, []byte("hello"))
	d.expect(c, datachannel.Data, "said hello\r\n")
	c.Send(ctx, datachannel.Data, []byte("exit"))
	if out := d.closed(c); out != "" {
		t.Errorf("the end says %q", out)
	}
	if err := d.Close(); err != nil { // waits for it
		t.Error(err)
	}
	text := d.book.text["s1"]
	for _, want := range []string{`s1 began: arn:someone (10.0.0.1) runs "do it" in container app of arn:task`, "said hello\n", "with exit code 3\n"} {
		if !strings.Contains(text, want) {
			t.Errorf("the transcript has no %q:\n%s", want, text)
		}
	}
	log := d.log.String()
	for _, want := range []string{`msg="exec session began"`, `msg="exec session ended" session=s1 by=arn:someone from=10.0.0.1 task=arn:task container=app command="do it" took=`, "exitCode=3"} {
		if !strings.Contains(log, want) {
			t.Errorf("the log has no %q:\n%s", want, log)
		}
	}
	if strings.Contains(log, token) || strings.Contains(text, token) {
		t.Error("the token can be read")
	}
}

func TestModes(t *testing.T) {
	d := newDesk(t, echo)
	ctx := t.Context()
	c := d.begin("pipes", d.offer("pipes"), datachannel.ModePipes)
	d.expect(c, datachannel.Data, "false {0 0}|")
	d.expect(c, datachannel.Stderr, "err")
	c.Send(ctx, datachannel.Data, nil) // the end of its input
	d.expect(c, datachannel.ExitCode, "4")
	d.closed(c)

	c = d.begin("terminal", d.offer("terminal"), datachannel.ModeTerminal)
	d.expect(c, datachannel.Data, "true {0 0}|") // says no size: it begins all the same
	d.expect(c, datachannel.Stderr, "err")
	c.Send(ctx, datachannel.Data, []byte("exit"))
	d.expect(c, datachannel.ExitCode, "3")
	d.closed(c)
}

// A token is for one connection, of its own session, and lasts as long.
func TestTokens(t *testing.T) {
	d := newDesk(t, echo)
	token, other := d.offer("a"), d.offer("b")
	refused := func(id, token string) {
		t.Helper()
		c := d.connect(id, token, "", nil)
		select {
		case err := <-c.served:
			if err == nil || !strings.Contains(err.Error(), "not good") {
				t.Errorf("Serve: %v", err)
			}
		case <-time.After(20 * time.Second):
			t.Error("is let in")
		}
	}
	refused("a", other)
	refused("a", "")
	refused("nobody", token)
	c := d.begin("a", token, datachannel.ModePlugin)
	refused("a", token)
	c.Send(t.Context(), datachannel.Data, []byte("exit"))
	d.closed(c)
	d.Close()
	refused("b", other)
	if _, err := d.Open(t.Context(), state.ExecSession{ID: "late"}); err == nil {
		t.Error("a session is opened after Close")
	}
	if len(token) < 60 || token == other {
		t.Errorf("tokens %q and %q", token, other)
	}
}

// A client whose connection breaks comes back with another token, and misses
// nothing.
func TestResume(t *testing.T) {
	d := newDesk(t, echo)
	ctx := t.Context()
	c := d.begin("s", d.offer("s"), datachannel.ModeTerminal)
	d.expect(c, datachannel.Data, "true")
	d.expect(c, datachannel.Stderr, "err")
	c.stop()
	<-c.served
	c.Send(ctx, datachannel.Data, []byte("while away"))
	token, ok := d.Resume("s")
	if !ok {
		t.Fatal("it can't be resumed")
	}
	c = d.connect("s", token, datachannel.ModeTerminal, c.Channel)
	d.expect(c, datachannel.Data, "said while away")
	// Before the service knows that the connection is dead, too.
	if token, ok = d.Resume("s"); !ok {
		t.Fatal("it can't be resumed")
	}
	old := c
	c = d.connect("s", token, datachannel.ModeTerminal, c.Channel)
	<-old.served
	c.Send(ctx, datachannel.Data, []byte("again"))
	d.expect(c, datachannel.Data, "said again")
	if s, ok := d.Find("s"); !ok || s.Task != "arn:task" {
		t.Errorf("Find = %+v, %v", s, ok)
	}
	d.Terminate("s")
	if out := d.closed(c); out != errTerminated.Error() {
		t.Errorf("the end says %q", out)
	}
	d.Close()
	if _, ok := d.Resume("s"); ok {
		t.Error("a session that is over can be resumed")
	}
	if _, ok := d.Find("s"); ok {
		t.Error("a session that is over is there")
	}
}

// A command that ends while its client is away leaves it its output and its exit
// code.
func TestEndsWhileAway(t *testing.T) {
	away := make(chan struct{})
	d := newDesk(t, func(_ context.Context, _ state.ExecRequest, _ io.Reader, stdout, _ io.Writer, _ <-chan state.WindowSize) (int, error) {
		fmt.Fprint(stdout, "begun")
		<-away
		fmt.Fprint(stdout, "done")
		return 6, nil
	})
	c := d.begin("s", d.offer("s"), datachannel.ModeTerminal)
	d.expect(c, datachannel.Data, "begun")
	c.stop()
	<-c.served
	close(away)
	token, ok := d.Resume("s")
	if !ok {
		t.Fatal("it can't be resumed")
	}
	c = d.connect("s", token, datachannel.ModeTerminal, c.Channel)
	d.expect(c, datachannel.Data, "done")
	d.expect(c, datachannel.ExitCode, "6")
	if out := d.closed(c); out != "" {
		t.Errorf("the end says %q", out)
	}
}

// Who speaks something else is sent away.
func TestStrangers(t *testing.T) {
	d := newDesk(t, echo)
	d.offer("s")
	resp, err := http.Get(d.url + Path + "s")
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	if resp.StatusCode != http.StatusUpgradeRequired {
		t.Errorf("plain HTTP: %s", resp.Status)
	}
	for kind, text := range map[websocket.MessageType]string{websocket.MessageText: "{", websocket.MessageBinary: `{"TokenValue":"x"}`} {
		ws, _, err := websocket.Dial(t.Context(), d.URL(d.url, "s"), nil)
		if err != nil {
			t.Fatal(err)
		}
		if err := ws.Write(t.Context(), kind, []byte(text)); err != nil {
			t.Fatal(err)
		}
		if _, _, err := ws.Read(t.Context()); websocket.CloseStatus(err) != websocket.StatusPolicyViolation {
			t.Errorf("%v %q: %v", kind, text, err)
		}
	}
}

// Why a session ends is told to its client, and to the log.
func TestEnds(t *testing.T) {
	for name, test := range map[string]struct {
		node node
		end  func(d *desk, c *client)
		want string
	}{
		"the command can't be started": {
			func(context.Context, state.ExecRequest, io.Reader, io.Writer, io.Writer, <-chan state.WindowSize) (int, error) {
				return -1, errors.New("no such program")
			}, func(*desk, *client) {}, "----------ERROR-------\nUnable to start command: no such program",
		},
		"Berth ends":          {echo, func(d *desk, _ *client) { go d.Close() }, errShutdown.Error()},
		"its client wants it": {echo, func(d *desk, c *client) { c.Send(d.t.Context(), datachannel.Flag, []byte{0, 0, 0, 2}) }, errTerminated.Error()},
		"a size that is none": {echo, func(d *desk, c *client) { c.Send(d.t.Context(), datachannel.Size, []byte("x")) }, "read a window size"},
		"the transcript can't be kept": {echo, func(d *desk, c *client) {
			d.book.mu.Lock()
			d.book.broken = errors.New("the disk is full")
			d.book.mu.Unlock()
			c.Send(d.t.Context(), datachannel.Data, []byte("hello"))
		}, "its transcript could not be written: the disk is full"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			d := newDesk(t, test.node)
			c := d.begin("s", d.offer("s"), datachannel.ModePlugin)
			test.end(d, c)
			if out := d.closed(c); !strings.Contains(out, test.want) {
				t.Errorf("the end says %q, want %q", out, test.want)
			}
			d.Close()
			if log := d.log.String(); !strings.Contains(log, "exec session ended") || !strings.Contains(log, "err=") {
				t.Errorf("the log:\n%s", log)
			}
		})
	}
}

func TestOpenRefuses(t *testing.T) {
	d := newDesk(t, echo)
	if !d.Reachable("n") || d.Reachable("m") {
		t.Error("the wrong nodes are reachable")
	}
	if _, err := d.Open(t.Context(), state.ExecSession{ID: "x", Log: &state.LogTarget{Group: "none"}}); err == nil {
		t.Error("a session without its transcript is offered")
	}
	for i := range maxSessions {
		d.offer(fmt.Sprint(i))
	}
	if _, err := d.Open(t.Context(), state.ExecSession{ID: "x"}); !errors.Is(err, errTooMany) {
		t.Errorf("one session too many: %v", err)
	}
	d.Terminate("7") // which never began
	d.offer("7")
}

// Lines of a transcript are whole, in order, and cut where they have no end.
func TestTranscript(t *testing.T) {
	b := &book{text: map[string]string{}}
	tr := &transcript{to: b, target: &state.LogTarget{Stream: "s"}, source: "s", failed: func(error) {}}
	long := strings.Repeat("y", 2*maxLine+10)
	var want strings.Builder
	for i := range 3 * batchLines {
		fmt.Fprintf(tr, "line %d\r", i)
		fmt.Fprint(tr, "\n\r\n")
		fmt.Fprintf(&want, "line %d\n", i)
	}
	fmt.Fprint(tr, long+"\nbad \xff byte\nno end")
	want.WriteString(long[:maxLine] + "\n" + long[:maxLine] + "\n" + long[:10] + "\nbad \uFFFD byte\nno end\n")
	if err := tr.close(); err != nil {
		t.Fatal(err)
	}
	if b.text["s"] != want.String() {
		t.Errorf("%d bytes, want %d", len(b.text["s"]), want.Len())
	}
	none := &transcript{}
	none.say("nothing")
	if err := none.close(); err != nil {
		t.Error(err)
	}
}
