package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"time"
)

// execute: from the command `berth exec -t` to the first character in its
// terminal, which is a prompt's time; the whole of a command that says a word; and
// how fast output comes.
func (b *bench) execute() error {
	if err := b.berth.prepare(); err != nil {
		return err
	}
	out, err := exec.Command(b.berth.binary, "run", "--data-dir", b.berth.dir, "probe", "--", "wait").Output()
	if err != nil {
		return err
	}
	task := strings.TrimSpace(string(out))
	prompts, err := timedFrom(b.launches, func(int) (time.Duration, error) { return b.prompt(task) })
	if err != nil {
		return err
	}
	fmt.Printf("exec -t prompt  %v  target < 300 ms\n", prompts)
	words, err := timed(b.launches, func(int) error {
		out, err := exec.Command(b.berth.binary, "exec", "--data-dir", b.berth.dir, task, "--", "/probe", "print=word").Output()
		if err == nil && string(out) != "word\n" {
			err = fmt.Errorf("berth exec printed %q", out)
		}
		return err
	})
	if err != nil {
		return err
	}
	fmt.Printf("exec whole      %v\n", words)
	args := []string{"exec", "--data-dir", b.berth.dir, task, "--", "/probe"}
	for range 10 {
		args = append(args, "cat=/probe") // some megabytes
	}
	began := time.Now()
	if out, err = exec.Command(b.berth.binary, args...).Output(); err != nil {
		return err
	}
	fmt.Printf("exec output     %.1f MB a second\n", float64(len(out))/1e6/time.Since(began).Seconds())
	return b.berth.stopAll([]string{task})
}

// prompt is how long a command takes to show itself in a terminal, which
// script(1) makes.
func (b *bench) prompt(task string) (time.Duration, error) {
	cmd := exec.Command("script", "-qec", strings.Join([]string{b.berth.binary, "exec", "--data-dir", b.berth.dir, "-t", task, "--", "/probe", "print=prompt", "sleep=20ms"}, " "), "/dev/null")
	cmd.Stdin, cmd.Stderr = nil, os.Stderr
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		return 0, err
	}
	began := time.Now()
	if err := cmd.Start(); err != nil {
		return 0, err
	}
	seen := make([]byte, len("prompt"))
	_, err = io.ReadFull(stdout, seen)
	took := time.Since(began)
	io.Copy(io.Discard, stdout)
	if err := errors.Join(err, cmd.Wait()); err != nil {
		return 0, fmt.Errorf("berth exec -t showed %q: %w", seen, err)
	}
	return took, nil
}

// timedFrom gathers what f itself measures, n times.
func timedFrom(n int, f func(i int) (time.Duration, error)) (sample, error) {
	var s sample
	for i := range n {
		d, err := f(i)
		if err != nil {
			return s, err
		}
		s = append(s, d)
	}
	return s, nil
}
