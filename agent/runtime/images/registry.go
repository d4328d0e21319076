package images

import (
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/http"
	"os"
	"slices"

	"github.com/containerd/containerd/v2/core/remotes"
	"github.com/containerd/containerd/v2/core/remotes/docker"
	"github.com/docker/cli/cli/config/configfile"
)

// Registries says how registries are spoken to.
type Registries struct {
	// ConfigFiles are where credentials may be, in the form of Docker's
	// config.json (auths, credHelpers, credsStore). The first that is there counts,
	// as it is at the time of each pull.
	ConfigFiles []string
	// Insecure are registries, "host" or "host:port" as images name them, that
	// speak plain HTTP. Those on loopback addresses always do.
	Insecure []string
}

// hubKey is what Docker's config.json calls Docker Hub, and hub what answers.
const (
	hubKey = "https://index.docker.io/v1/"
	hub    = "registry-1.docker.io"
)

// resolver speaks to registries for one pull, with the credentials that the
// operator's file has now.
func (r Registries) resolver() (remotes.Resolver, error) {
	hosts, err := r.hosts()
	if err != nil {
		return nil, err
	}
	return docker.NewResolver(docker.ResolverOptions{Headers: http.Header{"User-Agent": {"berth"}}, Hosts: hosts}), nil
}

// hosts says how each registry is spoken to.
func (r Registries) hosts() (docker.RegistryHosts, error) {
	file, err := r.config()
	if err != nil {
		return nil, err
	}
	// One connection pool for the pull; the asking for tokens is bounded by itself.
	base := docker.DefaultHTTPTransport(nil)
	auth := docker.NewDockerAuthorizer(
		docker.WithAuthClient(&http.Client{Transport: transport{base, maxToken}}),
		docker.WithAuthCreds(func(host string) (string, string, error) { return credentials(file, host) }),
	)
	return docker.ConfigureDefaultRegistries(
		docker.WithClient(&http.Client{Transport: transport{base, 0}}),
		docker.WithPlainHTTP(r.plain),
		docker.WithAuthorizer(auth),
	), nil
}

// plain tells whether a registry speaks plain HTTP.
func (r Registries) plain(host string) (bool, error) {
	name, _, err := net.SplitHostPort(host)
	if err == nil && slices.Contains(r.Insecure, name) || slices.Contains(r.Insecure, host) {
		return true, nil
	}
	return docker.MatchLocalhost(host)
}

// config reads the operator's file. Without one there are no credentials.
func (r Registries) config() (*configfile.ConfigFile, error) {
	for _, path := range r.ConfigFiles {
		f, err := os.Open(path)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("read the registries' credentials: %w", err)
		}
		defer f.Close()
		file := configfile.New(path)
		if err := file.LoadFromReader(f); err != nil {
			return nil, fmt.Errorf("read the registries' credentials in %s, which must be like Docker's config.json: %w", path, err)
		}
		return file, nil
	}
	return configfile.New(""), nil
}

// Check reads the operator's file, so that what is wrong with it is told at the
// start.
func (r Registries) Check() error {
	_, err := r.config()
	return err
}

// credentials are a registry's user and password. Without a user the password is
// a token that others are had for. A host that the file doesn't name gets none.
func credentials(file *configfile.ConfigFile, host string) (user, secret string, err error) {
	key := host
	if host == hub {
		key = hubKey
	}
	auth, err := file.GetAuthConfig(key)
	if err != nil {
		return "", "", fmt.Errorf("ask for the credentials of %s: %w", host, err)
	}
	if auth.IdentityToken != "" {
		return "", auth.IdentityToken, nil
	}
	return auth.Username, auth.Password, nil
}
