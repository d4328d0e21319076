package runtimetest

import (
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/berth/berth/agent/runtime"
)

func (r *suite) output(t *testing.T) {
	id := r.start(t, r.spec("print=one", "err=two", "print=", "print=ünïcode", "lines=500"))
	if _, err := r.Wait(bounded(t), id); err != nil {
		t.Fatal(err)
	}
	var out, errs []string
	lines := r.lines(t, id)
	for i, l := range lines {
		if !l.full {
			t.Errorf("line %d is cut: %+v", i, l)
		}
		if l.stream == "stdout" {
			out = append(out, l.text)
		} else {
			errs = append(errs, l.text)
		}
	}
	if len(out) != 503 || out[0] != "one" || out[1] != "" || out[2] != "ünïcode" || out[502] != "line 499" {
		t.Errorf("stdout has %d lines: %q …", len(out), out[:min(4, len(out))])
	}
	if len(errs) != 1 || errs[0] != "two" {
		t.Errorf("stderr has %q", errs)
	}

	// A line that is longer than the pieces it is written in.
	id = r.start(t, r.spec("long=40000", "print=next"))
	if _, err := r.Wait(bounded(t), id); err != nil {
		t.Fatal(err)
	}
	if got, want := r.text(t, id), strings.Repeat("x", 40000)+"\nnext\n"; got != want {
		t.Errorf("output of %d bytes, want %d", len(got), len(want))
	}
	cut := false
	for _, l := range r.lines(t, id) {
		cut = cut || !l.full
	}
	if !cut {
		t.Error("a line of 40,000 bytes is in one piece")
	}
	// What has no newline at its end is there all the same.
	_, text := r.run(t, r.spec("part=no end"))
	if strings.TrimSuffix(text, "\n") != "no end" {
		t.Errorf("output %q", text)
	}
}

func (r *suite) exec(t *testing.T) {
	ctx := bounded(t)
	spec := r.spec("print=up", "wait", "exit=0")
	spec.Env, spec.WorkingDir, spec.User, spec.Hostname = []string{"A=1", "B=2"}, "/w", "7:8", "h"
	id := r.create(t, spec)
	if _, err := r.Exec(ctx, id, runtime.Exec{Args: []string{program}}); err == nil {
		t.Error("Exec before Start: no error")
	}
	if err := r.Start(ctx, id); err != nil {
		t.Fatal(err)
	}
	r.says(t, id, "up")
	for _, test := range []struct {
		e    runtime.Exec
		code int
		out  string
	}{
		{runtime.Exec{Args: []string{program, "print=out", "err=err", "exit=0"}}, 0, "out\nerr\n"},
		{runtime.Exec{Args: []string{program, "exit=3"}}, 3, ""},
		{runtime.Exec{Args: []string{program, "env=A", "env=B", "env=C"}, Env: []string{"B=3", "C=4"}}, 0, "1\n3\n4\n"},
		{runtime.Exec{Args: []string{program, "who"}}, 0, "7 8 /w h\n"},
		{runtime.Exec{Args: []string{program, "who"}, User: "9:10", Cwd: "/tmp"}, 0, "9 10 /tmp h\n"},
		{runtime.Exec{Args: []string{program, "long=10000"}}, 0, strings.Repeat("x", 4096)},
	} {
		got, err := r.Exec(ctx, id, test.e)
		if err != nil || got.ExitCode != test.code || got.Output != test.out {
			t.Errorf("Exec %v = %+v, %v", test.e, got, err)
		}
	}
	if got, err := r.Exec(ctx, id, runtime.Exec{Args: []string{"/no/such/program"}}); err == nil && got.ExitCode == 0 {
		t.Errorf("Exec of no program = %+v", got)
	}
	if _, err := r.Exec(ctx, id, runtime.Exec{}); err == nil {
		t.Error("Exec of nothing: no error")
	}
	short, cancel := context.WithTimeout(ctx, shortTime)
	defer cancel()
	if got, err := r.Exec(short, id, runtime.Exec{Args: []string{program, "print=begun", "stay"}}); !errors.Is(err, context.DeadlineExceeded) || got.Output != "begun\n" {
		t.Errorf("Exec that takes too long = %+v, %v", got, err)
	}
	if s := r.status(t, id); s.State != runtime.Running {
		t.Errorf("after all that: %+v", s)
	}
	if err := r.Signal(ctx, id, "TERM"); err != nil {
		t.Error(err)
	}
	if _, err := r.Wait(ctx, id); err != nil {
		t.Error(err)
	}
	if out := r.text(t, id); out != "up\ngot terminated\n" {
		t.Errorf("the container's output %q", out)
	}
	if _, err := r.Exec(ctx, id, runtime.Exec{Args: []string{program}}); err == nil {
		t.Error("Exec after the end: no error")
	}
}
