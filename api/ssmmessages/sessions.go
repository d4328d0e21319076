package ssmmessages

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"errors"
	"io"
	"log/slog"
	"sync"
	"time"

	"github.com/berth/berth/internal/datachannel"
	"github.com/berth/berth/state"
)

// Node runs commands in containers: one call is one session. See agent/exec.
type Node interface {
	Exec(ctx context.Context, r state.ExecRequest, stdin io.Reader, stdout, stderr io.Writer, sizes <-chan state.WindowSize) (exitCode int, err error)
}

// Transcripts keeps what sessions print.
type Transcripts interface {
	Open(ctx context.Context, t state.LogTarget) error
	// Put keeps events of a source, which counts what it has put.
	Put(ctx context.Context, t state.LogTarget, source string, events []state.LogEvent, next int64) error
}

// Objects keeps what sessions print in an account's buckets.
type Objects interface {
	// Check says why nothing can be put into a bucket.
	Check(account, bucket string) error
	// Begin begins an object, which is there when it was closed, or the process
	// ended.
	Begin(account, bucket, key string) (io.WriteCloser, error)
}

// Config is what Sessions need. All fields must be set.
type Config struct {
	// Node finds the node of an ID, if it can be reached now.
	Node        func(id string) (Node, bool)
	Transcripts Transcripts
	Objects     Objects
	Log         *slog.Logger
}

// The times of a session.
const (
	// tokenLife is how long a client may take to come.
	tokenLife = time.Minute
	// resumeTime is how long a command, or its last output, waits for a client
	// that has gone.
	resumeTime = 2 * time.Minute
	// idleTime is how long nothing may be typed and printed (Amazon ECS Developer
	// Guide, "Monitor Amazon ECS containers with ECS Exec": 20 minutes, not to be
	// changed).
	idleTime = 20 * time.Minute
	// handshakeTime is how long a client may take to answer.
	handshakeTime = 15 * time.Second
	// firstTime is how long the command waits for the client's first word: the
	// size of its terminal. Before that the plugin drops what it is sent.
	firstTime = 250 * time.Millisecond
	// hangUpTime is how long a client may take to hang up once it was told of the
	// end.
	hangUpTime = 5 * time.Second
)

// maxSessions are open at the same time.
const maxSessions = 1000

// Why a session ends, in words that its client shows.
var (
	errTooMany    = errors.New("there are too many sessions")
	errTerminated = errors.New("The session was terminated.")
	errShutdown   = errors.New("The session ended because Berth was shut down.")
	errIdle       = errors.New("Your session timed out due to inactivity.")
	errAway       = errors.New("The session ended because its client was gone for too long.")
)

// Sessions are all there are.
type Sessions struct {
	cfg  Config
	ctx  context.Context
	stop context.CancelCauseFunc
	work sync.WaitGroup

	mu   sync.Mutex
	open map[string]*session
}

// session is one of them.
type session struct {
	state.ExecSession
	all     *Sessions
	ctx     context.Context
	end     context.CancelCauseFunc
	channel *datachannel.Channel
	serving sync.Mutex // held by the connection that is served

	// Guarded by all.mu:
	token   [sha256.Size]byte  // of the one that is good, if any
	offered bool               // token is good
	hangUp  context.CancelFunc // ends the connection, if there was one
	away    *time.Timer        // ends the session when its client doesn't come
	// connections is how many there were; with the first one it began.
	connections int
}

// New returns no sessions.
func New(cfg Config) *Sessions {
	s := &Sessions{cfg: cfg, open: map[string]*session{}}
	s.ctx, s.stop = context.WithCancelCause(context.Background())
	return s
}

// Close ends all sessions and returns when no command of them runs any more.
func (s *Sessions) Close() error {
	s.mu.Lock()
	s.stop(errShutdown)
	s.mu.Unlock()
	s.work.Wait()
	return nil
}

// Reachable tells whether a node can run commands now.
func (s *Sessions) Reachable(node string) bool {
	_, ok := s.cfg.Node(node)
	return ok
}

// Open offers a session for a minute, and returns the token by which its client
// is known. The transcript is there when it returns.
func (s *Sessions) Open(ctx context.Context, e state.ExecSession) (token string, err error) {
	if e.Log != nil {
		if err := s.cfg.Transcripts.Open(ctx, *e.Log); err != nil {
			return "", err
		}
	}
	if e.Object != nil {
		if err := s.cfg.Objects.Check(e.Account, e.Object.Bucket); err != nil {
			return "", err
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.ctx.Err() != nil:
		return "", errShutdown
	case len(s.open) >= maxSessions:
		return "", errTooMany
	}
	n := &session{ExecSession: e, all: s, channel: datachannel.New(datachannel.Output)}
	n.ctx, n.end = context.WithCancelCause(s.ctx)
	s.open[e.ID] = n
	n.away = time.AfterFunc(tokenLife, func() { n.leave(errAway) })
	return n.offer(), nil
}

// Resume gives a client whose connection broke another token.
func (s *Sessions) Resume(id string) (token string, ok bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	n := s.open[id]
	if n == nil || n.ctx.Err() != nil {
		return "", false
	}
	return n.offer(), true
}

// Find tells whether a session is open, and what it is.
func (s *Sessions) Find(id string) (state.ExecSession, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	n := s.open[id]
	if n == nil {
		return state.ExecSession{}, false
	}
	return n.ExecSession, true
}

// Terminate ends a session, if it is open.
func (s *Sessions) Terminate(id string) {
	s.mu.Lock()
	n := s.open[id]
	s.mu.Unlock()
	if n != nil {
		n.leave(errTerminated)
	}
}

// offer makes the session's token. all.mu is held.
func (n *session) offer() string {
	secret := make([]byte, 48)
	rand.Read(secret)
	token := base64.StdEncoding.EncodeToString(secret)
	n.token, n.offered = sha256.Sum256([]byte(token)), true
	return token
}

// redeem finds the session of a token, and makes the token worthless. The
// connection that brings it is the session's from now on, and has a number, from
// 1 on.
func (s *Sessions) redeem(id, token string, hangUp context.CancelFunc) (n *session, number int) {
	sum := sha256.Sum256([]byte(token))
	s.mu.Lock()
	defer s.mu.Unlock()
	n = s.open[id]
	if n == nil || !n.offered || subtle.ConstantTimeCompare(sum[:], n.token[:]) != 1 || n.ctx.Err() != nil {
		return nil, 0
	}
	n.offered = false
	n.away.Stop()
	if n.hangUp != nil {
		n.hangUp() // the one before is dead, and doesn't know it yet
	}
	n.hangUp = hangUp
	n.connections++
	if n.connections == 1 {
		s.work.Add(1) // here, where Close doesn't wait yet
	}
	return n, n.connections
}

// leave ends a session for a reason. One that never began is forgotten.
func (n *session) leave(why error) {
	n.end(why)
	n.all.mu.Lock()
	defer n.all.mu.Unlock()
	if n.connections == 0 {
		n.forget()
	}
}

// forget takes the session from the open ones. all.mu is held.
func (n *session) forget() {
	n.away.Stop()
	delete(n.all.open, n.ID)
}
