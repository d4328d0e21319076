package e2e

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/cloudwatchlogs"
	"github.com/aws/aws-sdk-go-v2/service/ecs"

	"github.com/berth/berth/client"
	"github.com/berth/berth/instance"
	"github.com/berth/berth/local"
)

// The binary and the image under test, made once by TestMain.
var built struct{ berth, image string }

func TestMain(m *testing.M) {
	os.Exit(func() int {
		if os.Getuid() != 0 {
			fmt.Fprintln(os.Stderr, "the end-to-end tests run containers: run them as root")
			return 1
		}
		dir, err := os.MkdirTemp("", "berth-e2e-bin-")
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
		defer os.RemoveAll(dir)
		built.berth, built.image = filepath.Join(dir, "berth"), filepath.Join(dir, "probe.tar")
		for _, args := range [][]string{
			{"build", "-o", built.berth, "../cmd/berth"},
			{"build", "-ldflags", "-s -w", "-o", filepath.Join(dir, "probe"), "./probe"},
			{"run", "../examples/hello/image", "-program", filepath.Join(dir, "probe"), "-name", "probe:latest", "-o", built.image},
		} {
			cmd := exec.Command("go", args...)
			cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
			if out, err := cmd.CombinedOutput(); err != nil {
				fmt.Fprintf(os.Stderr, "go %s: %v\n%s", strings.Join(args, " "), err, out)
				return 1
			}
		}
		// They wait more than they compute.
		flag.Parse()
		if err := flag.Set("test.parallel", strconv.Itoa(3*runtime.GOMAXPROCS(0))); err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
		code := m.Run()
		if shared.h != nil {
			if err := shared.h.down(); err != nil {
				fmt.Fprintf(os.Stderr, "berth down of the shared installation: %v\n", err)
				code = 1
			}
			os.RemoveAll(shared.h.dir)
			os.Remove(shared.h.said)
		}
		return code
	}())
}

// host is one Berth installation and the process that runs on it.
type host struct {
	dir    string
	flags  []string
	cmd    *exec.Cmd
	exited chan struct{}
	out    *os.File
	said   string // file of all that it has printed
	ecs    *ecs.Client
	logs   *cloudwatchlogs.Client
	env    []string
	listen string // where it listens: any free port, if empty
	umask  string // as the shell takes it; empty: the test's own
}

// shared is the installation that the tests which harm nobody share.
var shared struct {
	sync.Once
	h *host
}

// sharedHost returns it, started, with the probe image, a cluster named
// "default" and a log group.
func sharedHost(t *testing.T) *host {
	t.Helper()
	shared.Do(func() {
		dir, err := os.MkdirTemp("", "berth-e2e-")
		if err != nil {
			t.Fatal(err)
		}
		h := &host{dir: dir, flags: []string{"--cpu-overcommit", "64", "--memory-overcommit", "16"}}
		if err := h.start(); err != nil {
			t.Fatal(err)
		}
		h.prepare(t)
		shared.h = h
	})
	if shared.h == nil {
		t.Fatal("the shared installation did not start")
	}
	return shared.h
}

// newHost returns an installation of the test's own, which is taken down when
// the test ends and must leave nothing on the host.
func newHost(t *testing.T, flags ...string) *host {
	t.Helper()
	dir, err := os.MkdirTemp("", "berth-e2e-")
	if err != nil {
		t.Fatal(err)
	}
	return newHostIn(t, dir, flags...)
}

// newHostIn is newHost with a data directory of the test's choice, which is
// removed with it.
func newHostIn(t *testing.T, dir string, flags ...string) *host {
	t.Helper()
	h := &host{dir: dir, flags: append([]string{"--cpu-overcommit", "64", "--memory-overcommit", "16"}, flags...)}
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("output of berth:\n%s", h.output())
		}
		if err := h.down(); err != nil {
			t.Errorf("berth down: %v", err)
		}
		os.RemoveAll(dir)
		os.Remove(h.said)
	})
	if err := h.start(); err != nil {
		t.Fatal(err)
	}
	h.prepare(t)
	return h
}

// prepare imports the image and makes what the tests take for granted.
func (h *host) prepare(t *testing.T) {
	t.Helper()
	h.importProbe(t)
	if _, err := h.ecs.CreateCluster(t.Context(), &ecs.CreateClusterInput{CapacityProviders: []string{"FARGATE", "FARGATE_SPOT"}}); err != nil {
		t.Fatal(err)
	}
}

// importProbe imports the image of the probe.
func (h *host) importProbe(t *testing.T) {
	t.Helper()
	f, err := os.Open(built.image)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if _, err := local.Dial(h.dir).ImportImage(t.Context(), f, ""); err != nil {
		t.Fatal(err)
	}
}

// start runs `berth up` and waits until it is ready.
func (h *host) start() error {
	if err := h.spawn(); err != nil {
		return err
	}
	if err := h.ready(); err != nil {
		return err
	}
	return h.connect()
}

// spawn runs `berth up`.
func (h *host) spawn() error {
	var err error
	if h.said == "" {
		h.said = filepath.Join(os.TempDir(), "berth-e2e-output-"+filepath.Base(filepath.Dir(h.dir))+"-"+filepath.Base(h.dir))
	}
	if h.out, err = os.OpenFile(h.said, os.O_CREATE|os.O_APPEND|os.O_RDWR, 0o600); err != nil {
		return err
	}
	listen := h.listen
	if listen == "" {
		listen = "127.0.0.1:0"
	}
	h.cmd = exec.Command(built.berth, append([]string{"up", "--data-dir", h.dir, "--listen", listen}, h.flags...)...)
	if h.umask != "" {
		h.cmd = exec.Command("/bin/sh", append([]string{"-c", "umask " + h.umask + ` && exec "$0" "$@"`}, h.cmd.Args...)...)
	}
	h.cmd.Stdout, h.cmd.Stderr = h.out, h.out
	h.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := h.cmd.Start(); err != nil {
		return err
	}
	h.exited = make(chan struct{})
	go func(cmd *exec.Cmd, exited chan struct{}) {
		cmd.Wait()
		close(exited)
	}(h.cmd, h.exited)
	return nil
}

// ready waits until the spawned process answers.
func (h *host) ready() error {
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	for {
		s, err := local.Dial(h.dir).Status(ctx)
		if err == nil && s.PID == h.cmd.Process.Pid {
			return nil
		}
		select {
		case <-h.exited:
			return fmt.Errorf("berth up ended: %v\n%s", h.cmd.ProcessState, h.output())
		case <-ctx.Done():
			return fmt.Errorf("berth isn't ready: %v\n%s", err, h.output())
		case <-time.After(5 * time.Millisecond):
		}
	}
}

// connect makes clients with the installation's keys.
func (h *host) connect() error {
	keys, err := instance.ReadKeys(h.dir)
	if err != nil {
		return err
	}
	endpoint, err := instance.ReadEndpoint(h.dir)
	if err != nil {
		return err
	}
	cfg, err := client.Config(context.Background(), h.dir)
	if err != nil {
		return err
	}
	h.ecs, h.logs = ecs.NewFromConfig(cfg), cloudwatchlogs.NewFromConfig(cfg)
	h.env = append(os.Environ(), "AWS_ENDPOINT_URL="+endpoint.URL, "AWS_ACCESS_KEY_ID="+keys.AccessKeyID, "AWS_SECRET_ACCESS_KEY="+keys.SecretAccessKey,
		"AWS_REGION="+endpoint.Region, "AWS_DEFAULT_REGION="+endpoint.Region, "AWS_EC2_METADATA_DISABLED=true", "AWS_DISABLE_HOST_PREFIX_INJECTION=true", "AWS_PAGER=", "BERTH_ENDPOINT="+endpoint.URL)
	return nil
}

// kill ends Berth as a power cut would, and waits for its end.
func (h *host) kill() {
	h.cmd.Process.Kill()
	<-h.exited
	h.out.Close()
}

// terminate ends Berth as an init system would.
func (h *host) terminate() error {
	h.cmd.Process.Signal(syscall.SIGTERM)
	select {
	case <-h.exited:
	case <-time.After(20 * time.Second):
		h.kill()
		return errors.New("berth did not end within 20 s of SIGTERM")
	}
	h.out.Close()
	if !h.cmd.ProcessState.Success() {
		return fmt.Errorf("berth ended with %v after SIGTERM", h.cmd.ProcessState)
	}
	return nil
}

// down runs `berth down` and checks that nothing is left on the host.
func (h *host) down() error {
	id := h.id()
	out, err := exec.Command(built.berth, "down", "--data-dir", h.dir).CombinedOutput()
	if err != nil {
		return fmt.Errorf("%w: %s\n%s", err, out, h.output())
	}
	if h.exited != nil {
		select {
		case <-h.exited:
		case <-time.After(20 * time.Second):
			h.kill()
			return errors.New("berth did not end within 20 s of berth down")
		}
		h.out.Close()
	}
	if left := leftovers(id, h.dir); len(left) > 0 {
		return fmt.Errorf("left on the host:\n%s", strings.Join(left, "\n"))
	}
	return nil
}

func (h *host) id() string {
	var identity instance.Identity
	b, err := os.ReadFile(filepath.Join(h.dir, "instance.json"))
	if err == nil {
		err = json.Unmarshal(b, &identity)
	}
	if err != nil {
		return "unreadable identity: " + err.Error()
	}
	return identity.ID
}

func (h *host) output() string {
	b, err := os.ReadFile(h.said)
	if err != nil {
		return err.Error()
	}
	if len(b) > 20_000 {
		b = b[len(b)-20_000:]
	}
	return string(b)
}

// aws runs the AWS CLI and returns what it prints.
func (h *host) aws(t *testing.T, args ...string) string {
	t.Helper()
	out, err := h.awsTry(args...)
	if err != nil {
		t.Fatalf("aws %s: %v", strings.Join(args, " "), err)
	}
	return out
}

func (h *host) awsTry(args ...string) (string, error) {
	var out, errs bytes.Buffer
	cmd := exec.Command("aws", append([]string{"--endpoint-url", h.endpoint(), "--output", "json"}, args...)...)
	cmd.Env, cmd.Stdout, cmd.Stderr = h.env, &out, &errs
	if err := cmd.Run(); err != nil {
		return out.String(), fmt.Errorf("%w: %s", err, errs.String())
	}
	return out.String(), nil
}

func (h *host) endpoint() string {
	for _, e := range h.env {
		if url, ok := strings.CutPrefix(e, "BERTH_ENDPOINT="); ok {
			return url
		}
	}
	return ""
}

// fetch asks over HTTP and returns the body.
func fetch(ctx context.Context, url string) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, 3*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, "GET", url, nil)
	if err != nil {
		return "", err
	}
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	resp, err := client.Do(req)
	if err != nil {
		return "", err
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err == nil && resp.StatusCode != http.StatusOK {
		err = fmt.Errorf("%s: %s", resp.Status, b)
	}
	return string(b), err
}

// eventually tries until check returns nil, for what only shows itself by
// being asked for.
func eventually(t *testing.T, within time.Duration, check func() error) {
	t.Helper()
	deadline, ask := time.After(within), time.NewTicker(20*time.Millisecond)
	defer ask.Stop()
	for {
		err := check()
		if err == nil {
			return
		}
		select {
		case <-ask.C:
		case <-deadline:
			t.Fatalf("still after %v: %v", within, err)
		}
	}
}

func ptr[T any](v T) *T { return &v }
