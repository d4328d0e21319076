// Package corpus reads AWS's own wire corpus: the request and response snapshots that
// the AWS SDK's modules ship, one for every operation with all members filled in.
package corpus

import (
	"bytes"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

// Snapshot is a request, or a response, as AWS's SDK writes or reads it.
type Snapshot struct {
	Name   string // the operation's name, or the error's
	Method string // of a request
	Path   string
	Status int // of a response
	Header http.Header
	Body   []byte
}

// Requests returns the requests of an SDK module, such as "ecs", by name of operation.
func Requests(t testing.TB, module string) []Snapshot {
	return read(t, module, "request_snapshot", ".request.snap")
}

// Responses returns the successful responses of an SDK module. Those without
// schemas have none.
func Responses(t testing.TB, module string) []Snapshot {
	return read(t, module, "response_snapshot", ".response.snap")
}

// Errors returns the errors of an SDK module.
func Errors(t testing.TB, module string) []Snapshot {
	return read(t, module, "response_snapshot", ".error.snap")
}

func read(t testing.TB, module, folder, suffix string) []Snapshot {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(ModuleDir(t, module), folder, "*"+suffix))
	if err != nil || len(files) == 0 {
		t.Fatalf("the SDK's module %s has no %s/*%s: %v", module, folder, suffix, err)
	}
	var all []Snapshot
	for _, f := range files {
		b, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		s, ok := parse(b)
		if !ok {
			t.Fatalf("%s has not the form of a snapshot", f)
		}
		s.Name = strings.TrimSuffix(filepath.Base(f), suffix)
		all = append(all, s)
	}
	return all
}

// parse reads "POST /" or "200", headers, an empty line and the body. Requests
// have an empty line after the first too.
func parse(b []byte) (Snapshot, bool) {
	s := Snapshot{Header: http.Header{}}
	line, rest, ok := bytes.Cut(b, []byte("\n"))
	if !ok {
		return s, false
	}
	if status, err := strconv.Atoi(strings.TrimSpace(string(line))); err == nil {
		s.Status = status
	} else if s.Method, s.Path, ok = strings.Cut(strings.TrimSpace(string(line)), " "); !ok {
		return s, false
	} else {
		rest = bytes.TrimPrefix(rest, []byte("\n"))
	}
	for {
		line, rest, ok = bytes.Cut(rest, []byte("\n"))
		if len(line) == 0 || !ok {
			s.Body = rest
			return s, true
		}
		k, v, ok := strings.Cut(string(line), ": ")
		if !ok {
			return s, false
		}
		s.Header.Add(k, v)
	}
}

// ModuleDir is the directory of an SDK module.
func ModuleDir(t testing.TB, module string) string {
	t.Helper()
	b, err := exec.Command("go", "list", "-m", "-f", "{{.Dir}}", "github.com/aws/aws-sdk-go-v2/service/"+module).Output()
	if err != nil {
		t.Fatalf("find the SDK's module %s: %v", module, err)
	}
	return strings.TrimSpace(string(b))
}
