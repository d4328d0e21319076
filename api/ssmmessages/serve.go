package ssmmessages

import (
	"context"
	"net/http"
	"strings"
	"time"

	"github.com/berth/berth/internal/datachannel"
)

// Path is where clients come, followed by the session's ID.
const Path = "/v1/data-channel/"

// URL is where the client of a session comes. endpoint is what it knows the
// server by: http://host:port.
func (s *Sessions) URL(endpoint, id string) string {
	return "ws" + strings.TrimPrefix(endpoint, "http") + Path + id + "?role=publish_subscribe"
}

// ServeHTTP answers a client that opens its data channel, and stays for as long
// as that connection. The request's signature isn't looked at: the token, which
// only the session's owner was told, says more.
func (s *Sessions) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	id := strings.TrimPrefix(r.URL.Path, Path)
	socket, open, err := datachannel.AcceptSocket(w, r)
	if err != nil {
		s.cfg.Log.Debug("a data channel could not be opened", "session", id, "from", r.RemoteAddr, "err", err)
		return
	}
	ctx, hangUp := context.WithCancel(context.WithoutCancel(r.Context()))
	defer hangUp()
	n, number := s.redeem(id, open.TokenValue, hangUp)
	if n == nil {
		s.cfg.Log.Warn("a data channel was refused: there is no such session, or its token was used before or is another", "session", id, "from", r.RemoteAddr)
		socket.Refuse("the session is unknown or its token is not good")
		return
	}
	if number == 1 {
		go func() {
			defer s.work.Done()
			n.run(open.Mode)
		}()
	}
	n.serve(ctx, socket, number)
}

// serve moves the session's frames over its connection of a number.
func (n *session) serve(ctx context.Context, socket *datachannel.Socket, number int) {
	n.serving.Lock()
	defer n.serving.Unlock()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	go func() {
		if socket.Ping(ctx) != nil {
			cancel()
		}
	}()
	err := n.channel.Serve(ctx, socket)
	socket.Close()
	if err == nil {
		return // the session is over, and the client knows
	}
	n.all.mu.Lock()
	defer n.all.mu.Unlock()
	if n.all.open[n.ID] != n || n.connections != number {
		return // it is over, or the client is back already
	}
	n.away.Stop()
	n.away = time.AfterFunc(resumeTime, func() { n.leave(errAway) })
	n.all.cfg.Log.Debug("a data channel broke; the command waits for its client", "session", n.ID, "err", err)
}
