package metadata

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/ecs/types"
)

// Base is where tasks with a network of their own ask.
const base = "http://169.254.170.2"

// Config is what a Server needs.
type Config struct {
	// Dir keeps the port and the secret of the door for tasks in the host's network.
	Dir string
	Log *slog.Logger
}

// Server answers containers.
type Server struct {
	log  *slog.Logger
	door *hostDoor

	limits  limits
	samples samples

	mu      sync.Mutex
	source  Source
	stats   Stats
	records Records
	open    []*http.Server
	closed  bool
}

// Open opens the door for tasks in the host's network. Who comes there waits
// until Serve.
func Open(cfg Config) (*Server, error) {
	door, err := openHostDoor(cfg.Dir, cfg.Log)
	if err != nil {
		return nil, err
	}
	return &Server{log: cfg.Log, door: door}, nil
}

// Endpoint is the base of a container's URLs and its ID in them.
func (s *Server) Endpoint(container string, mode types.NetworkMode) (url, id string) {
	if mode == types.NetworkModeHost {
		return s.door.url(), s.door.id(container)
	}
	return base, container
}

// Serve answers until ctx ends.
func (s *Server) Serve(ctx context.Context, source Source, stats Stats, network Network, records Records) error {
	s.mu.Lock()
	s.source, s.stats, s.records = source, stats, records
	s.mu.Unlock()
	s.serve(s.door.listener, nil)
	network.Answer(s.serve)
	<-ctx.Done()
	return errors.Join(ctx.Err(), s.Close())
}

// Close ends all that goes on.
func (s *Server) Close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.closed = true
	errs := []error{s.door.close()}
	for _, o := range s.open {
		errs = append(errs, o.Close())
	}
	s.open = nil
	return errors.Join(errs...)
}

// serve answers on a listener until that is closed. Without an owner it is the
// host's door.
func (s *Server) serve(l net.Listener, owner func(netip.Addr) (string, bool)) {
	const limit = 5 * time.Second // the ECS agent's
	callers := newCallers()
	h := &http.Server{
		Handler:     s.handler(owner),
		ReadTimeout: limit, WriteTimeout: 2 * limit, IdleTimeout: time.Minute, MaxHeaderBytes: 16 << 10,
		ConnState: callers.count, ErrorLog: slog.NewLogLogger(s.log.Handler(), slog.LevelDebug),
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return
	}
	s.open = append(s.open, h)
	go func() {
		if err := h.Serve(l); err != nil && !errors.Is(err, http.ErrServerClosed) && !errors.Is(err, net.ErrClosed) {
			s.log.Error("answer tasks that ask for their metadata", "address", l.Addr(), "err", err)
		}
		s.mu.Lock()
		defer s.mu.Unlock()
		for i, o := range s.open {
			if o == h {
				s.open = append(s.open[:i], s.open[i+1:]...)
				break
			}
		}
	}()
}

// asked is a request of a known container.
type asked struct {
	task      *Task
	container *Container
	v4        bool
}

func (s *Server) handler(owner func(netip.Addr) (string, bool)) http.Handler {
	mux := http.NewServeMux()
	for _, v := range []string{"v3", "v4"} {
		v4 := v == "v4"
		on := func(path string, f func(context.Context, asked) (any, error)) {
			mux.HandleFunc("GET /"+v+"/{id}"+path, func(w http.ResponseWriter, r *http.Request) {
				a, ok := s.find(w, r, owner)
				if !ok {
					return
				}
				a.v4 = v4
				answer, err := f(r.Context(), a)
				if err != nil {
					s.log.Warn("answer a task that asks for its metadata", "task", a.task.Task.ID, "path", path, "err", err)
					reply(w, http.StatusInternalServerError, err.Error())
					return
				}
				reply(w, http.StatusOK, answer)
			})
		}
		on("", func(_ context.Context, a asked) (any, error) { return a.task.container(a.container, a.v4), nil })
		on("/task", func(ctx context.Context, a asked) (any, error) { return s.withStorage(ctx, a, a.task.document(a.v4)) })
		on("/taskWithTags", func(ctx context.Context, a asked) (any, error) { return s.withStorage(ctx, a, s.withTags(ctx, a)) })
		on("/stats", func(ctx context.Context, a asked) (any, error) {
			return s.statsOf(ctx, a.task, a.container, a.v4)
		})
		on("/task/stats", s.taskStats)
		mux.HandleFunc("GET /"+v+"/{id}/associations/{kind}", func(w http.ResponseWriter, r *http.Request) {
			if a, ok := s.find(w, r, owner); ok {
				list := []string{}
				if r.PathValue("kind") == "gpu" {
					list = append(list, a.container.GPUs...)
				}
				reply(w, http.StatusOK, map[string][]string{"Associations": list})
			}
		})
	}
	s.protection(mux, owner)
	mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		reply(w, http.StatusNotFound, "there is nothing at "+r.URL.Path)
	})
	return mux
}

// find finds the container that a URL names, or answers that the caller's task
// has none such.
func (s *Server) find(w http.ResponseWriter, r *http.Request, owner func(netip.Addr) (string, bool)) (asked, bool) {
	id := r.PathValue("id")
	container, allowed := id, ""
	if owner == nil {
		var ok bool
		if container, ok = s.door.container(id); ok {
			allowed, _, _ = strings.Cut(container, "-")
		}
	} else if from, err := netip.ParseAddrPort(r.RemoteAddr); err == nil {
		allowed, _ = owner(from.Addr())
	}
	if allowed != "" && !s.limits.take(allowed, time.Now()) {
		reply(w, http.StatusTooManyRequests, "the task asks more than 40 times a second")
		return asked{}, false
	}
	s.mu.Lock()
	source := s.source
	s.mu.Unlock()
	if t, ok := source.Task(allowed); ok {
		for i := range t.Containers {
			if t.Containers[i].ID == container {
				return asked{task: t, container: &t.Containers[i]}, true
			}
		}
	}
	reply(w, http.StatusNotFound, "the task that asks has no container "+id)
	return asked{}, false
}

// reply sends a value as JSON; errors are JSON strings, as the ECS agent's are.
func reply(w http.ResponseWriter, status int, v any) {
	b, err := json.Marshal(v)
	if err != nil {
		status, b = http.StatusInternalServerError, []byte(`"the answer can't be written as JSON"`)
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	w.Write(b)
}
