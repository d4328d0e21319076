// Package probe is what the conformance suite's containers run, as far as it
// needs no kernel: the in-memory runtime calls it as a function, the real one
// runs it as a program (see ../program).
//
// Each argument is a step; the exit code is the last step's:
//
//	exit=N       exit with code N
//	print=TEXT   print a line to stdout; err=TEXT to stderr
//	part=TEXT    print without a newline
//	long=N       print a line of N times x
//	lines=N      print N numbered lines
//	args         print the arguments, one a line
//	env=NAME     print an environment variable, or "unset"
//	input        print all of stdin
//	who          print user and group ID, working directory and host name
//	wait         wait for SIGTERM, say so, go on
//	stay         stay for ever, whatever signal comes but SIGKILL
package probe

import (
	"context"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// Process is what a program finds.
type Process struct {
	Args, Env      []string
	UID, GID       int
	Cwd, Hostname  string
	Stdin          io.Reader
	Stdout, Stderr io.Writer
	Signals        <-chan os.Signal
}

// Run does the steps and returns the exit code. more does the steps that this
// package does not know, and may be nil. The end of ctx is a SIGKILL.
func Run(ctx context.Context, p Process, more func(verb, value string) error) int {
	for _, arg := range p.Args[1:] {
		verb, value, _ := strings.Cut(arg, "=")
		if verb == "exit" {
			code, err := strconv.Atoi(value)
			if err != nil {
				code = 255
			}
			return code
		}
		if err := p.step(ctx, verb, value, more); err != nil {
			fmt.Fprintf(p.Stderr, "%s: %v\n", arg, err)
			return 1
		}
		if ctx.Err() != nil {
			return 137
		}
	}
	return 0
}

func (p Process) step(ctx context.Context, verb, value string, more func(verb, value string) error) error {
	switch verb {
	case "print":
		fmt.Fprintln(p.Stdout, value)
	case "err":
		fmt.Fprintln(p.Stderr, value)
	case "part":
		fmt.Fprint(p.Stdout, value)
	case "long", "lines":
		n, err := strconv.Atoi(value)
		if err != nil {
			return err
		}
		if verb == "long" {
			fmt.Fprintln(p.Stdout, strings.Repeat("x", n))
			return nil
		}
		for i := range n {
			fmt.Fprintln(p.Stdout, "line", i)
		}
	case "args":
		fmt.Fprintln(p.Stdout, strings.Join(p.Args, "\n"))
	case "env":
		for _, kv := range p.Env {
			if name, v, _ := strings.Cut(kv, "="); name == value {
				fmt.Fprintln(p.Stdout, v)
				return nil
			}
		}
		fmt.Fprintln(p.Stdout, "unset")
	case "input":
		_, err := io.Copy(p.Stdout, p.Stdin)
		return err
	case "who":
		fmt.Fprintln(p.Stdout, p.UID, p.GID, p.Cwd, p.Hostname)
	case "wait", "stay":
		for {
			select {
			case sig := <-p.Signals:
				fmt.Fprintln(p.Stdout, "got", sig)
				if verb == "wait" && sig == unix.SIGTERM {
					return nil
				}
			case <-ctx.Done():
				return nil
			}
		}
	default:
		if more == nil {
			return fmt.Errorf("no such step")
		}
		return more(verb, value)
	}
	return nil
}
