package images

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"regexp"
	"sync"
	"sync/atomic"
	"time"

	"github.com/containerd/containerd/v2/core/remotes/docker"
	remoteerrors "github.com/containerd/containerd/v2/core/remotes/errors"
	"github.com/distribution/reference"
	v1 "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/berth/berth/agent/runtime"
)

// ECS's codes for an image that could not be had. Their texts are listed in the
// ECS developer guide, "CannotPullContainer task errors".
const (
	cannotPull    = "CannotPullContainerError"
	cannotPullECR = "CannotPullECRContainerError"
)

// ecr is how the registries of ECR are called.
var ecr = regexp.MustCompile(`^(\d{12}\.dkr\.ecr(-fips)?\.[a-z0-9-]+\.amazonaws\.com(\.cn)?|public\.ecr\.aws)/`)

// Pull makes an image present and unpacked. It asks the registry only if the
// image is absent or always is set, and then fetches what is not there. What a
// digest names is never another image, so a present one is not asked for at all.
func (s *Store) Pull(ctx context.Context, ref string, always bool) (runtime.Image, error) {
	name, err := normalize(ref)
	if err != nil {
		return runtime.Image{}, &runtime.PullError{Code: cannotPull, Err: err}
	}
	wanted := time.Now()
	unlock, err := s.refs.Lock(ctx, name)
	if err != nil {
		return runtime.Image{}, &runtime.PullError{Code: cannotPull, Err: err}
	}
	defer unlock()
	s.uses.touch(name)
	last, shared := s.last.since(name, wanted)
	if !always || byDigest(name) || shared && last.err == nil {
		img, err := s.Image(ctx, name)
		if err == nil && s.runnable(ctx, name) || err != nil && !errors.Is(err, runtime.ErrNotFound) {
			return img, err
		}
	}
	if shared && last.err != nil {
		return runtime.Image{}, last.err
	}
	began := time.Now()
	img, err := s.pull(ctx, name)
	if err != nil {
		err = &runtime.PullError{Code: code(name, err), Err: err}
	}
	if ctx.Err() == nil { // else it says nothing to others
		s.last.put(name, lastPull{began, err})
	}
	return img, err
}

// lastPulls are how the last pulls ended, so that many who want an image at the
// same time don't ask the registry one after another.
type lastPulls struct {
	mu sync.Mutex
	of map[string]lastPull
}

type lastPull struct {
	began time.Time
	err   error
}

// since returns the last pull of an image, if it began after a time.
func (l *lastPulls) since(name string, at time.Time) (lastPull, bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	p, ok := l.of[name]
	return p, ok && p.began.After(at)
}

func (l *lastPulls) put(name string, p lastPull) {
	l.mu.Lock()
	defer l.mu.Unlock()
	// Nobody waits for as long as that, and names come and go.
	for other, old := range l.of {
		if time.Since(old.began) > time.Hour {
			delete(l.of, other)
		}
	}
	l.of[name] = p
}

func byDigest(name string) bool {
	named, err := reference.ParseDockerRef(name)
	if err != nil {
		return false
	}
	_, ok := named.(reference.Digested)
	return ok
}

// code is ECS's for an error of a pull.
func code(name string, err error) string {
	if ecr.MatchString(name) && denied(err) {
		return cannotPullECR
	}
	return cannotPull
}

func denied(err error) bool {
	var status remoteerrors.ErrUnexpectedStatus
	if errors.As(err, &status) {
		return status.StatusCode == http.StatusUnauthorized || status.StatusCode == http.StatusForbidden
	}
	return errors.Is(err, docker.ErrInvalidAuthorization)
}

func (s *Store) pull(ctx context.Context, name string) (_ runtime.Image, err error) {
	leased, done, err := s.pullLease(ctx, name)
	if err != nil {
		return runtime.Image{}, err
	}
	defer s.collectAfter(&err)
	defer done()
	p, ended := s.beginPull(name)
	defer ended()

	resolver, err := s.reg.resolver()
	if err != nil {
		return runtime.Image{}, err
	}
	var target v1.Descriptor
	tries, err := retry(leased, manifestTries, nil, func() (err error) {
		if _, target, err = resolver.Resolve(leased, name); err != nil {
			return fmt.Errorf("failed to resolve ref %s: %w", name, err)
		}
		return nil
	})
	if err == nil {
		err = checkType(target)
	}
	if err != nil {
		if isPlain(err) {
			err = fmt.Errorf("%w (if the registry speaks plain HTTP, give its host to --insecure-registry)", err)
		}
		return runtime.Image{}, fmt.Errorf("pull image manifest has been retried %d time(s): %w", tries, err)
	}
	rec, err := s.record(ctx, name)
	if err == nil && rec.Target.Digest == target.Digest && s.runnable(ctx, name) {
		return s.describe(ctx, rec) // the registry has nothing else by now
	}
	if err != nil && !errors.Is(err, runtime.ErrNotFound) {
		return runtime.Image{}, err
	}
	var most atomic.Int64
	fetcher, err := resolver.Fetcher(leased, name)
	if err == nil {
		if img, ok := s.pullLazily(leased, name, target, s.fetching(p, fetcher, &most)); ok {
			return img, nil
		}
		err = s.unpack(leased, target, s.fetching(p, fetcher, &most), p)
	}
	switch {
	case errors.Is(err, errPlatform):
		return runtime.Image{}, fmt.Errorf("pull image manifest has been retried %d time(s): %w", tries, platformError())
	case err != nil:
		return runtime.Image{}, fmt.Errorf("ref pull has been retried %d time(s): %w", max(1, most.Load()), err)
	}
	if rec, err = s.name(leased, name, target, pulled); err != nil {
		return runtime.Image{}, err
	}
	img, err := s.describe(ctx, rec)
	img.PulledIn, img.UnpackedIn = p.times(time.Now())
	t := p.tell()
	s.log.Debug("image pulled", "image", name, "digest", img.Digest, "fetched", t.Done, "layers", t.Layers,
		"pull", img.PulledIn.Round(time.Millisecond), "unpack", img.UnpackedIn.Round(time.Millisecond))
	return img, err
}
