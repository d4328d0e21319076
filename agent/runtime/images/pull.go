package images

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"time"

	"github.com/containerd/containerd/v2/core/images"
	"github.com/containerd/containerd/v2/core/remotes"
	"github.com/containerd/containerd/v2/core/remotes/docker"
	remoteerrors "github.com/containerd/containerd/v2/core/remotes/errors"
	"github.com/containerd/errdefs"
	v1 "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/berth/berth/agent/runtime"
)

// cannotPull is ECS's code for an image that could not be had. Its texts are
// listed in the ECS developer guide, "CannotPullContainer task errors".
const cannotPull = "CannotPullContainerError"

// retryAfter are the waits between tries of what may pass: a registry that does
// not answer, or answers with a 5xx or 429.
var retryAfter = [...]time.Duration{500 * time.Millisecond, 2 * time.Second}

// Pull makes an image present and unpacked. It asks the registry only if the
// image is absent or always is set. Registries on loopback addresses speak
// plain HTTP, all others HTTPS.
func (s *Store) Pull(ctx context.Context, ref string, always bool) (runtime.Image, error) {
	name, err := normalize(ref)
	if err != nil {
		return runtime.Image{}, &runtime.PullError{Code: cannotPull, Err: err}
	}
	unlock, err := s.refs.Lock(ctx, name)
	if err != nil {
		return runtime.Image{}, &runtime.PullError{Code: cannotPull, Err: err}
	}
	defer unlock()
	if !always {
		img, err := s.Image(ctx, name)
		if err == nil || !errors.Is(err, runtime.ErrNotFound) {
			return img, err
		}
	}
	img, err := s.pull(ctx, name)
	if err != nil {
		return runtime.Image{}, &runtime.PullError{Code: cannotPull, Err: err}
	}
	return img, nil
}

func (s *Store) pull(ctx context.Context, name string) (_ runtime.Image, err error) {
	leased, done, err := s.lease(ctx)
	if err != nil {
		return runtime.Image{}, err
	}
	defer s.collectAfter(&err)
	defer done()

	resolver := docker.NewResolver(docker.ResolverOptions{
		Hosts: docker.ConfigureDefaultRegistries(
			docker.WithPlainHTTP(docker.MatchLocalhost),
			docker.WithAuthorizer(docker.NewDockerAuthorizer()),
		),
	})
	var target v1.Descriptor
	tries, err := retry(leased, func() (err error) {
		if _, target, err = resolver.Resolve(leased, name); err != nil {
			return fmt.Errorf("failed to resolve ref %s: %w", name, err)
		}
		return nil
	})
	if err != nil {
		return runtime.Image{}, fmt.Errorf("pull image manifest has been retried %d time(s): %w", tries, err)
	}
	tries, err = retry(leased, func() error {
		fetcher, err := resolver.Fetcher(leased, name)
		if err != nil {
			return err
		}
		return s.unpack(leased, target, images.HandlerFunc(remotes.FetchHandler(s.db.ContentStore(), fetcher)))
	})
	switch {
	case errors.Is(err, errPlatform):
		return runtime.Image{}, fmt.Errorf("pull image manifest has been retried %d time(s): %w", tries, platformError())
	case err != nil:
		return runtime.Image{}, fmt.Errorf("ref pull has been retried %d time(s): %w", tries, err)
	}
	rec, err := s.name(leased, name, target)
	if err != nil {
		return runtime.Image{}, err
	}
	return s.describe(ctx, rec)
}

// retry tries what may pass again, and returns how often it tried.
func retry(ctx context.Context, try func() error) (tries int, err error) {
	for {
		err = try()
		tries++
		if err == nil || tries > len(retryAfter) || !passing(err) {
			return tries, err
		}
		select {
		case <-time.After(retryAfter[tries-1]):
		case <-ctx.Done():
			return tries, err
		}
	}
}

// passing tells whether another try may go better.
func passing(err error) bool {
	var status remoteerrors.ErrUnexpectedStatus
	if errors.As(err, &status) {
		return status.StatusCode >= 500 || status.StatusCode == http.StatusTooManyRequests
	}
	var dns *net.DNSError
	if errors.As(err, &dns) {
		return !dns.IsNotFound
	}
	var op net.Error
	return errors.As(err, &op) || errdefs.IsUnavailable(err)
}
