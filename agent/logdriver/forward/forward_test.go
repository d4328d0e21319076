package forward

import (
	"bufio"
	"compress/gzip"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/Graylog2/go-gelf/gelf"
	"github.com/aws/aws-sdk-go-v2/service/ecs/types"
	"github.com/tinylib/msgp/msgp"

	"github.com/berth/berth/agent/logdriver"
	"github.com/berth/berth/state"
)

var at = time.Date(2026, 11, 23, 4, 5, 6, 789_000_000, time.UTC)

// lines are what the containers of the tests print.
var lines = []state.LogEvent{{Time: at, Message: "first"}, {Time: at.Add(time.Second), Message: "wörse", Stderr: true}}

const id = "0123456789abcdef0123456789abcdef-0000000007"

func target(driver types.LogDriver, options ...string) logdriver.Target {
	d := &state.LogDriver{Name: driver, Options: map[string]string{}, Source: state.LogSource{
		Task: "0123456789abcdef0123456789abcdef", Definition: "web:3", Container: "app", ContainerID: id, Image: "nginx:1",
		Labels: map[string]string{"team": "blue", "cost": "7"}, Env: map[string]string{"STAGE": "beta", "SECRET": "x"},
	}}
	for i := 0; i < len(options); i += 2 {
		d.Options[options[i]] = options[i+1]
	}
	return logdriver.Target{Other: d}
}

func newSink(t *testing.T, dir string) *Sink {
	t.Helper()
	s, err := New(nil, dir, slog.New(slog.NewTextHandler(t.Output(), nil)))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

// send opens the target and puts the lines.
func send(t *testing.T, s *Sink, to logdriver.Target) {
	t.Helper()
	if err := s.Open(t.Context(), to); err != nil {
		t.Fatal(err)
	}
	if err := s.Put(t.Context(), to, id, lines, 42); err != nil {
		t.Fatal(err)
	}
}

func TestJSONFile(t *testing.T) {
	dir := t.TempDir()
	s := newSink(t, dir)
	send(t, s, target(types.LogDriverJsonFile, "labels", "team,none", "env-regex", "^STA"))
	path := filepath.Join(dir, "json", id, id+"-json.log")
	got, err := os.ReadFile(path)
	want := `{"log":"first\n","stream":"stdout","attrs":{"STAGE":"beta","team":"blue"},"time":"2026-11-23T04:05:06.789Z"}` + "\n" +
		`{"log":"wörse\n","stream":"stderr","attrs":{"STAGE":"beta","team":"blue"},"time":"2026-11-23T04:05:07.789Z"}` + "\n"
	if err != nil || string(got) != want {
		t.Errorf("got  %s%v\nwant %s", got, err, want)
	}
	// The next process goes on where this one was.
	s.Close()
	s = newSink(t, dir)
	if at, err := s.Cursor(t.Context(), target(types.LogDriverJsonFile), id); err != nil || at != 42 {
		t.Errorf("the cursor is %d, %v, want 42", at, err)
	}
	// After its end the log stays for a while.
	s.Forget(id)
	s.tidy(time.Now())
	if !exists(path) {
		t.Error("the log is gone at once")
	}
	s.tidy(time.Now().Add(keep + time.Minute))
	if exists(path) || exists(filepath.Join(dir, "cursors", id)) {
		t.Error("the log is still there when its time is over")
	}
}

func TestRotation(t *testing.T) {
	dir := t.TempDir()
	s := newSink(t, dir)
	to := target(types.LogDriverJsonFile, "max-size", "1k", "max-file", "3", "compress", "true")
	for i := range 60 {
		if err := s.Put(t.Context(), to, id, []state.LogEvent{{Time: at, Message: fmt.Sprint("line ", i)}}, int64(i)); err != nil {
			t.Fatal(err)
		}
	}
	files, err := filepath.Glob(filepath.Join(dir, "json", id, "*"))
	if err != nil || len(files) != 3 {
		t.Fatalf("the files are %v, %v, want 3", files, err)
	}
	slices.SortFunc(files, func(a, b string) int { return -strings.Compare(a, b) }) // oldest first: .2.gz, .1.gz, the current
	next := 0
	for n, file := range files {
		f, err := os.Open(file)
		if err != nil {
			t.Fatal(err)
		}
		var r io.Reader = f
		if strings.HasSuffix(file, ".gz") {
			if r, err = gzip.NewReader(f); err != nil {
				t.Fatal(err)
			}
		}
		for scan := bufio.NewScanner(r); scan.Scan(); next++ {
			var l jsonLine
			if err := json.Unmarshal(scan.Bytes(), &l); err != nil {
				t.Fatal(err)
			}
			if n == 0 && next == 0 {
				fmt.Sscanf(l.Log, "line %d", &next)
			}
			if want := fmt.Sprintf("line %d\n", next); l.Log != want {
				t.Fatalf("%s has %q, want %q", file, l.Log, want)
			}
		}
		f.Close()
	}
	if next != 60 {
		t.Errorf("the last line is %d, want 59", next-1)
	}
}

func TestSyslog(t *testing.T) {
	host, err := os.Hostname()
	if err != nil {
		t.Fatal(err)
	}
	pid := os.Getpid()
	for _, c := range []struct {
		options []string
		want    string // of the second line
	}{
		{[]string{"syslog-format", "rfc5424", "syslog-facility", "local3", "tag", "{{.Name}}/{{.ImageName}}"},
			fmt.Sprintf("<155>1 2026-11-23T04:05:07Z %s ecs-web-3-app-0123456789ab/nginx:1 %d ecs-web-3-app-0123456789ab/nginx:1 - wörse", host, pid)},
		{[]string{"syslog-format", "rfc5424micro"}, fmt.Sprintf("<27>1 2026-11-23T04:05:07.789000Z %s 0123456789ab %d 0123456789ab - wörse", host, pid)},
		{[]string{"syslog-format", "rfc3164"}, fmt.Sprintf("<27>Nov 23 04:05:07 %s 0123456789ab[%d]: wörse", host, pid)},
		{nil, fmt.Sprintf("<27>Nov 23 04:05:07 0123456789ab[%d]: wörse", pid)},
	} {
		t.Run(fmt.Sprint("udp ", c.options), func(t *testing.T) {
			l, err := net.ListenPacket("udp", "127.0.0.1:0")
			if err != nil {
				t.Fatal(err)
			}
			defer l.Close()
			send(t, newSink(t, t.TempDir()), target(types.LogDriverSyslog, append(c.options, "syslog-address", "udp://"+l.LocalAddr().String())...))
			buf := make([]byte, 1000)
			var got string
			for range lines {
				l.SetReadDeadline(time.Now().Add(10 * time.Second))
				n, _, err := l.ReadFrom(buf)
				if err != nil {
					t.Fatal(err)
				}
				got = strings.TrimSuffix(string(buf[:n]), "\n")
			}
			if got != c.want {
				t.Errorf("got  %s\nwant %s", got, c.want)
			}
		})
	}
	// A listener that was away for a while gets what came meanwhile by another try.
	t.Run("tcp", func(t *testing.T) {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		s, to := newSink(t, t.TempDir()), target(types.LogDriverSyslog, "syslog-address", "tcp://"+l.Addr().String())
		send(t, s, to)
		conn, err := l.Accept()
		if err != nil {
			t.Fatal(err)
		}
		scan := bufio.NewScanner(conn)
		for _, want := range lines {
			if !scan.Scan() || !strings.HasSuffix(scan.Text(), ": "+want.Message) {
				t.Errorf("got %q, want %q", scan.Text(), want.Message)
			}
		}
		conn.Close()
		l.Close()
		if err := s.Open(t.Context(), target(types.LogDriverSyslog, "syslog-address", "tcp://"+l.Addr().String(), "tag", "x")); err != nil {
			t.Errorf("a container that is connected: %v", err)
		}
		fresh := newSink(t, t.TempDir())
		if err := fresh.Open(t.Context(), to); err == nil || !strings.Contains(err.Error(), "failed to initialize logging driver: dial tcp") {
			t.Errorf("nobody listens: %v", err)
		}
	})
}

func TestFluentd(t *testing.T) {
	path := filepath.Join(t.TempDir(), "fluent.sock")
	l, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	got := make(chan []any)
	go func() {
		conn, err := l.Accept()
		if err != nil {
			return
		}
		for r := msgp.NewReader(conn); ; {
			message, err := r.ReadIntf()
			if err != nil {
				close(got)
				return
			}
			got <- message.([]any)
		}
	}()
	s := newSink(t, t.TempDir())
	go func() {
		send(t, s, target(types.LogDriverFluentd, "fluentd-address", "unix://"+path, "tag", "docker.{{.ID}}", "labels", "team"))
		s.Forget(id)
	}()
	for _, want := range lines {
		message := <-got
		fields, _ := message[2].(map[string]any)
		if message[0] != "docker.0123456789ab" || message[1] != want.Time.Unix() || fields["log"] != want.Message || fields["source"] != stream(want) ||
			fields["container_id"] != id || fields["container_name"] != "/ecs-web-3-app-0123456789ab" || fields["team"] != "blue" {
			t.Errorf("got %v", message)
		}
	}
	if more, ok := <-got; ok {
		t.Errorf("got %v too", more)
	}
}

func TestGelf(t *testing.T) {
	r, err := gelf.NewReader("127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	for _, kind := range []string{"gzip", "zlib"} { // the library's reader takes no others
		send(t, newSink(t, t.TempDir()), target(types.LogDriverGelf, "gelf-address", "udp://"+r.Addr(), "gelf-compression-type", kind, "env", "STAGE"))
		for _, want := range lines {
			got, err := r.ReadMessage()
			if err != nil {
				t.Fatal(err)
			}
			level := int32(gelf.LOG_INFO)
			if want.Stderr {
				level = gelf.LOG_ERR
			}
			if got.Short != want.Message || got.Level != level || got.TimeUnix != float64(want.Time.UnixMilli())/1000 || got.Extra["_container_id"] != id || got.Extra["_STAGE"] != "beta" {
				t.Errorf("%s: got %+v", kind, got)
			}
		}
	}
}

func TestRefused(t *testing.T) {
	for _, c := range []struct {
		to   logdriver.Target
		want string
	}{
		{target(types.LogDriverJsonFile, "max-file", "3"), "only with max-size"},
		{target(types.LogDriverJsonFile, "max-size", "much"), "must be such as 10m"},
		{target(types.LogDriverJsonFile, "tag", "{{.Nonsense"), "log option tag"},
		{target(types.LogDriverSyslog, "syslog-facility", "none"), "no such facility"},
		{target(types.LogDriverSyslog, "syslog-format", "x"), "must be rfc3164"},
		{target(types.LogDriverSyslog, "syslog-address", "http://x"), "must begin with one of tcp://"},
		{target(types.LogDriverSyslog, "syslog-address", "tcp+tls://127.0.0.1:1", "syslog-tls-ca-cert", "/nosuch"), "syslog-tls-ca-cert"},
		{target(types.LogDriverFluentd, "fluentd-address", "127.0.0.1:1"), "failed to initialize logging driver"},
		{target(types.LogDriverFluentd, "fluentd-request-ack", "perhaps"), "must be true or false"},
		{target(types.LogDriverGelf, "gelf-address", "udp://127.0.0.1:1", "gelf-compression-type", "x"), "must be gzip"},
	} {
		if err := newSink(t, t.TempDir()).Open(t.Context(), c.to); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s %v: %v, want %q", c.to.Other.Name, c.to.Other.Options, err, c.want)
		}
	}
}

func TestJournalFields(t *testing.T) {
	if got := journalField("_my.Label-7"); got != "MY_LABEL_7" {
		t.Errorf("got %s", got)
	}
}

// other is the sink of log streams.
type other struct{ logdriver.Sink }

func (other) Open(context.Context, logdriver.Target) error { return fmt.Errorf("asked") }

func TestNext(t *testing.T) {
	s, err := New(other{}, t.TempDir(), slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Open(t.Context(), logdriver.Target{Group: "g"}); err == nil || err.Error() != "asked" {
		t.Errorf("a log stream's target: %v", err)
	}
}
