package forward

import (
	"fmt"
	"maps"
	"net"
	"net/url"
	"os"
	"regexp"
	"strconv"
	"strings"
	"text/template"
	"time"

	"github.com/berth/berth/state"
)

// message is what all lines of a container have in common.
type message struct {
	*state.LogDriver
	host  string
	tag   string
	extra map[string]string // of the options labels and env
}

// newMessage reads the options that most drivers have.
func newMessage(d *state.LogDriver) (*message, error) {
	m := &message{LogDriver: d}
	var err error
	if m.host, err = os.Hostname(); err != nil {
		return nil, err
	}
	if m.tag, err = m.expand(); err != nil {
		return nil, err
	}
	m.extra = maps.Clone(named(d.Options["labels"], d.Options["labels-regex"], d.Source.Labels))
	maps.Copy(m.extra, named(d.Options["env"], d.Options["env-regex"], d.Source.Env))
	return m, nil
}

// expand is the tag, a template (Docker documentation, "Customize log driver
// output"). By default it is the beginning of the container's ID.
func (m *message) expand() (string, error) {
	s := m.Source
	t, err := template.New("tag").Parse(m.option("tag", "{{.ID}}"))
	if err != nil {
		return "", fmt.Errorf("log option tag: %w", err)
	}
	var b strings.Builder
	err = t.Execute(&b, map[string]string{
		"ID": short(s.ContainerID), "FullID": s.ContainerID, "Name": m.name(), "ImageName": s.Image, "ImageID": s.Image, "ImageFullID": s.Image, "DaemonName": "berth",
	})
	if err != nil {
		return "", fmt.Errorf("log option tag: %w", err)
	}
	return b.String(), nil
}

// name is the container's, as the ECS agent gives Docker one.
func (m *message) name() string {
	s := m.Source
	return "ecs-" + strings.Replace(s.Definition, ":", "-", 1) + "-" + s.Container + "-" + short(s.Task)
}

func short(id string) string { return id[:min(12, len(id))] }

// named are the values whose keys a comma-separated list or a regular expression
// names.
func named(list, pattern string, values map[string]string) map[string]string {
	out := map[string]string{}
	for _, key := range strings.Split(list, ",") {
		if v, ok := values[key]; ok {
			out[key] = v
		}
	}
	if pattern == "" {
		return out
	}
	re, err := regexp.Compile(pattern)
	if err != nil {
		return out // it was checked when the definition was registered
	}
	for k, v := range values {
		if re.MatchString(k) {
			out[k] = v
		}
	}
	return out
}

func (m *message) option(name, otherwise string) string {
	if v := m.Options[name]; v != "" {
		return v
	}
	return otherwise
}

func (m *message) number(name string, otherwise int) (int, error) {
	v := m.option(name, strconv.Itoa(otherwise))
	n, err := strconv.Atoi(v)
	if err != nil || n < 0 {
		return 0, fmt.Errorf("log option %s=%s: must be a number", name, v)
	}
	return n, nil
}

func (m *message) yes(name string) (bool, error) {
	v := m.option(name, "false")
	b, err := strconv.ParseBool(v)
	if err != nil {
		return false, fmt.Errorf("log option %s=%s: must be true or false", name, v)
	}
	return b, nil
}

func (m *message) duration(name string, otherwise time.Duration) (time.Duration, error) {
	v := m.option(name, otherwise.String())
	d, err := time.ParseDuration(v)
	if err != nil || d < 0 {
		return 0, fmt.Errorf("log option %s=%s: must be a duration such as 3s", name, v)
	}
	return d, nil
}

// size reads 10m, 512k, 1g or bytes.
func size(text string) (int64, error) {
	digits := strings.TrimRight(strings.ToLower(text), "kmgb")
	n, err := strconv.ParseInt(digits, 10, 64)
	shift := map[string]int{"": 0, "b": 0, "k": 10, "kb": 10, "m": 20, "mb": 20, "g": 30, "gb": 30}
	by, ok := shift[strings.ToLower(text)[len(digits):]]
	if err != nil || !ok || n <= 0 {
		return 0, fmt.Errorf("size %q: must be such as 10m", text)
	}
	return n << by, nil
}

// address takes protocol://host:port apart; unix:///path has only a path.
func address(option, text, defaultPort string, protocols ...string) (protocol, target string, err error) {
	u, err := url.Parse(text)
	if err != nil {
		return "", "", fmt.Errorf("log option %s=%s: %w", option, text, err)
	}
	known := false
	for _, p := range protocols {
		known = known || p == u.Scheme
	}
	if !known {
		return "", "", fmt.Errorf("log option %s=%s: must begin with one of %s://", option, text, strings.Join(protocols, "://, "))
	}
	if strings.HasPrefix(u.Scheme, "unix") {
		return u.Scheme, u.Path, nil
	}
	if u.Port() == "" {
		return u.Scheme, net.JoinHostPort(u.Hostname(), defaultPort), nil
	}
	return u.Scheme, u.Host, nil
}
