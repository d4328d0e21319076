package ssmmessages

import (
	"context"
	"errors"
	"log/slog"
	"testing"
	"testing/synctest"
	"time"

	"github.com/berth/berth/internal/datachannel"
	"github.com/berth/berth/state"
)

// half is one end of a connection in memory.
type half struct{ in, out chan []byte }

func (h half) Read(ctx context.Context) ([]byte, error) {
	select {
	case b := <-h.in:
		return b, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

func (h half) Write(ctx context.Context, b []byte) error {
	select {
	case h.out <- b:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// begun is a session whose client has shaken hands, in a bubble of fake time,
// where there are no sockets.
func begun(t *testing.T, s *Sessions) (n *session, client *datachannel.Channel, hangUp func()) {
	t.Helper()
	token, err := s.Open(t.Context(), state.ExecSession{ID: "s", Node: "n"})
	if err != nil {
		t.Fatal(err)
	}
	a, b := make(chan []byte, 1000), make(chan []byte, 1000)
	ctx, hangUp := context.WithCancel(t.Context())
	n, number := s.redeem("s", token, hangUp)
	if number != 1 {
		t.Fatal("the token is not good")
	}
	go func() {
		defer s.work.Done()
		n.run(datachannel.ModeTerminal)
	}()
	client = datachannel.New(datachannel.Input)
	go func() {
		n.serving.Lock()
		defer n.serving.Unlock()
		n.channel.Serve(ctx, half{a, b})
	}()
	go client.Serve(ctx, half{b, a})
	for _, want := range []datachannel.Kind{datachannel.HandshakeRequest, datachannel.HandshakeComplete, datachannel.Data} {
		if p, err := client.Receive(t.Context()); err != nil || p.Kind != want {
			t.Fatalf("%+v, %v", p, err)
		}
		if want == datachannel.HandshakeRequest {
			client.Send(t.Context(), datachannel.HandshakeResponse, datachannel.Accept("1"))
		}
	}
	return n, client, hangUp
}

// ended is what the client of a session hears at its end.
func ended(t *testing.T, client *datachannel.Channel) string {
	t.Helper()
	for {
		_, err := client.Receive(t.Context())
		var end *datachannel.ClosedError
		switch {
		case errors.As(err, &end):
			return end.Output
		case err != nil:
			t.Fatal(err)
		}
	}
}

func inTime(t *testing.T, f func(t *testing.T, s *Sessions)) {
	synctest.Test(t, func(t *testing.T) {
		s := New(Config{Node: func(string) (Node, bool) { return echo, true }, Log: slog.New(slog.DiscardHandler)})
		f(t, s)
		s.Close()
	})
}

func TestIdle(t *testing.T) {
	inTime(t, func(t *testing.T, s *Sessions) {
		_, client, hangUp := begun(t, s)
		defer hangUp()
		time.Sleep(idleTime - time.Minute)
		client.Send(t.Context(), datachannel.Data, []byte("I am here"))
		began := time.Now()
		if out := ended(t, client); out != errIdle.Error() {
			t.Errorf("the end says %q", out)
		}
		if took := time.Since(began); took < idleTime || took > idleTime+time.Minute {
			t.Errorf("it ended after %v", took)
		}
	})
}

func TestOffersEnd(t *testing.T) {
	inTime(t, func(t *testing.T, s *Sessions) {
		token, err := s.Open(t.Context(), state.ExecSession{ID: "s", Node: "n"})
		if err != nil {
			t.Fatal(err)
		}
		time.Sleep(tokenLife + time.Second)
		if n, _ := s.redeem("s", token, func() {}); n != nil {
			t.Error("the token is good for ever")
		}
		if _, ok := s.Find("s"); ok {
			t.Error("a session that nobody came for is there")
		}
	})
}
