package exec

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"

	oci "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/berth/berth/agent/runtime"
	"github.com/berth/berth/agent/runtime/fake"
	"github.com/berth/berth/state"
)

func TestWords(t *testing.T) {
	for _, test := range []struct {
		command string
		want    []string // nil: an error
	}{
		{"/bin/sh", []string{"/bin/sh"}},
		{"  ls\t-l \n /tmp ", []string{"ls", "-l", "/tmp"}},
		{`/bin/sh -c 'echo $HOME "x"'`, []string{"/bin/sh", "-c", `echo $HOME "x"`}},
		{`sh -c "echo 'a' \"b\" \$c \d"`, []string{"sh", "-c", `echo 'a' "b" $c \d`}},
		{`a'b'"c"d`, []string{"abcd"}},
		{`a '' ""`, []string{"a", "", ""}},
		{`a\ b \'`, []string{"a b", "'"}},
		{"a\\\nb", []string{"ab"}},
		{"ü 'ß'", []string{"ü", "ß"}},
		{"", nil},
		{"   ", nil},
		{"'a", nil},
		{`"a`, nil},
		{`a\`, nil},
	} {
		got, err := words(test.command)
		if !slices.Equal(got, test.want) || (err != nil) != (test.want == nil) {
			t.Errorf("words(%q) = %q, %v, want %q", test.command, got, err, test.want)
		}
	}
}

// Whatever the words, quoting them gives a command that has them.
func FuzzWords(f *testing.F) {
	f.Add("a b", "'")
	f.Add(`\`, "\n\"$")
	f.Fuzz(func(t *testing.T, a, b string) {
		quote := func(s string) string { return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'" }
		got, err := words(quote(a) + " " + quote(b))
		if err != nil || !slices.Equal(got, []string{a, b}) {
			t.Errorf("words of %q and %q: %q, %v", a, b, got, err)
		}
		words(a + b) // doesn't panic
	})
}

func TestExec(t *testing.T) {
	ctx := t.Context()
	host := fake.New(t.TempDir(), map[string]fake.Program{
		"main": func(ctx context.Context, _ fake.Process) int { <-ctx.Done(); return 0 },
		"cat": func(_ context.Context, p fake.Process) int {
			io.Copy(p.Stdout, p.Stdin)
			fmt.Fprint(p.Stderr, p.UID, slices.Contains(p.Env, "TERM=xterm-256color"))
			return 4
		},
	})
	if _, err := host.Publish("registry.test/a", oci.Image{}); err != nil {
		t.Fatal(err)
	}
	img, err := host.Pull(ctx, "registry.test/a", false)
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(host.CreateSandbox(ctx, runtime.Sandbox{ID: "task"}),
		host.Create(ctx, runtime.Spec{ID: "c", Sandbox: "task", Image: img.Ref, Args: []string{"main"}, User: "7"}), host.Start(ctx, "c")); err != nil {
		t.Fatal(err)
	}
	defer host.Remove(ctx, "c")
	n := New(host)
	for _, test := range []struct {
		r         state.ExecRequest
		code      int
		out, errs string
		err       string
	}{
		{r: state.ExecRequest{TaskID: "task", RuntimeID: "c", Command: "cat"}, code: 4, out: "in", errs: "0 false"},
		{r: state.ExecRequest{TaskID: "task", RuntimeID: "c", Command: "cat", Terminal: true}, code: 4, out: "in0 true"},
		{r: state.ExecRequest{TaskID: "other", RuntimeID: "c", Command: "cat"}, code: -1, err: "not of task"},
		{r: state.ExecRequest{TaskID: "task", RuntimeID: "d", Command: "cat"}, code: -1, err: "not found"},
		{r: state.ExecRequest{TaskID: "task", RuntimeID: "c", Command: "'"}, code: -1, err: "not closed"},
	} {
		var out, errs bytes.Buffer
		code, err := n.Exec(ctx, test.r, strings.NewReader("in"), &out, &errs, make(chan state.WindowSize))
		if code != test.code || out.String() != test.out || errs.String() != test.errs || (err == nil) != (test.err == "") || err != nil && !strings.Contains(err.Error(), test.err) {
			t.Errorf("Exec(%+v) = %d, %v, %q, %q", test.r, code, err, &out, &errs)
		}
	}
}
