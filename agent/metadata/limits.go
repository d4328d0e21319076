package metadata

import (
	"net"
	"net/http"
	"net/netip"
	"sync"
	"time"
)

// The ECS agent's limits of requests (ECS_TASK_METADATA_RPS_LIMIT), and ours of
// connections.
const (
	perSecond      = 40
	burst          = 60
	maxConnections = 32
)

// limits are how much more each task may ask.
type limits struct {
	mu    sync.Mutex
	tasks map[string]*allowance
}

type allowance struct {
	left float64
	at   time.Time
}

// take reports whether the task may ask once more.
func (l *limits) take(task string, now time.Time) bool {
	const most = 1024 // tasks remembered; one with all of its allowance can be forgotten
	l.mu.Lock()
	defer l.mu.Unlock()
	a := l.tasks[task]
	if a == nil {
		if len(l.tasks) >= most {
			for id, a := range l.tasks {
				if now.Sub(a.at) > burst/perSecond*time.Second+time.Second {
					delete(l.tasks, id)
				}
			}
		}
		if l.tasks == nil {
			l.tasks = map[string]*allowance{}
		}
		a = &allowance{left: burst, at: now}
		l.tasks[task] = a
	}
	a.left = min(burst, a.left+now.Sub(a.at).Seconds()*perSecond)
	a.at = now
	if a.left < 1 {
		return false
	}
	a.left--
	return true
}

// callers keep one address from taking all connections of a listener.
type callers struct {
	mu   sync.Mutex
	open map[netip.Addr]int
}

func newCallers() *callers { return &callers{open: map[netip.Addr]int{}} }

// count is an http.Server's ConnState.
func (c *callers) count(conn net.Conn, s http.ConnState) {
	from, err := netip.ParseAddrPort(conn.RemoteAddr().String())
	if err != nil || from.Addr().IsLoopback() { // the host's door is for many tasks
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	switch s {
	case http.StateNew:
		c.open[from.Addr()]++
		if c.open[from.Addr()] > maxConnections {
			conn.Close() // which is counted when the server has seen it
		}
	case http.StateClosed, http.StateHijacked:
		if c.open[from.Addr()]--; c.open[from.Addr()] == 0 {
			delete(c.open, from.Addr())
		}
	}
}
