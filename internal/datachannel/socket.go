package datachannel

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/coder/websocket"
)

// handshakeTime is how long a client may take for its first message.
const handshakeTime = 15 * time.Second

// pingEvery is how often a service asks a silent connection whether it lives.
const pingEvery = 30 * time.Second

// Socket is a Conn over a websocket.
type Socket struct{ ws *websocket.Conn }

// AcceptSocket makes a request a websocket and reads the client's Open. Its error is
// not answered any more: the connection is closed.
func AcceptSocket(w http.ResponseWriter, r *http.Request) (*Socket, Open, error) {
	ws, err := websocket.Accept(w, r, nil)
	if err != nil {
		return nil, Open{}, fmt.Errorf("accept a websocket: %w", err)
	}
	s := &Socket{ws}
	ws.SetReadLimit(MaxPayload + minFrame)
	ctx, cancel := context.WithTimeout(r.Context(), handshakeTime)
	defer cancel()
	kind, b, err := ws.Read(ctx)
	var open Open
	if err == nil && kind != websocket.MessageText {
		err = errors.New("it is not a text message")
	}
	if err == nil {
		err = json.Unmarshal(b, &open)
	}
	if err != nil {
		s.Refuse("the first message must be OpenDataChannel's input")
		// Without the message: there may be a token in it.
		return nil, Open{}, errors.New("the client's first message is not OpenDataChannel's input")
	}
	return s, open, nil
}

// Dial opens a data channel as a client.
func Dial(ctx context.Context, url string, o Open) (*Socket, error) {
	ws, _, err := websocket.Dial(ctx, url, nil)
	if err != nil {
		return nil, fmt.Errorf("open the data channel: %w", err)
	}
	ws.SetReadLimit(MaxPayload + minFrame)
	o.MessageSchemaVersion = "1.0"
	o.RequestId, o.ClientId = uuid(newID()), uuid(newID())
	if err := ws.Write(ctx, websocket.MessageText, encode(o)); err != nil {
		ws.CloseNow()
		return nil, fmt.Errorf("open the data channel: %w", err)
	}
	return &Socket{ws}, nil
}

// Read implements Conn.
func (s *Socket) Read(ctx context.Context) ([]byte, error) {
	_, b, err := s.ws.Read(ctx)
	return b, err
}

// Write implements Conn.
func (s *Socket) Write(ctx context.Context, b []byte) error {
	return s.ws.Write(ctx, websocket.MessageBinary, b)
}

// Ping asks again and again whether the other end lives, until it doesn't or
// ctx ends.
func (s *Socket) Ping(ctx context.Context) error {
	for tick := time.NewTicker(pingEvery); ; {
		select {
		case <-ctx.Done():
			tick.Stop()
			return ctx.Err()
		case <-tick.C:
		}
		once, cancel := context.WithTimeout(ctx, pingEvery)
		err := s.ws.Ping(once)
		cancel()
		if err != nil {
			tick.Stop()
			return err
		}
	}
}

// Refuse closes the connection because of what the client did.
func (s *Socket) Refuse(reason string) { s.ws.Close(websocket.StatusPolicyViolation, reason) }

// Close closes the connection in order.
func (s *Socket) Close() error { return s.ws.Close(websocket.StatusNormalClosure, "") }
