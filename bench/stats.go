package main

import (
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"
)

// sample is a set of measured times.
type sample []time.Duration

// at returns the q-quantile, 0 to 1, by the nearest rank.
func (s sample) at(q float64) time.Duration {
	if len(s) == 0 {
		return 0
	}
	sorted := slices.Sorted(slices.Values(s))
	return sorted[min(len(sorted)-1, int(q*float64(len(sorted))))]
}

func (s sample) String() string {
	return fmt.Sprintf("median %6.1f ms  p99 %6.1f ms  (n=%d)", ms(s.at(0.5)), ms(s.at(0.99)), len(s))
}

func ms(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }

// timed runs f n times, one by one.
func timed(n int, f func(i int) error) (sample, error) {
	var s sample
	for i := range n {
		began := time.Now()
		if err := f(i); err != nil {
			return s, err
		}
		s = append(s, time.Since(began))
	}
	return s, nil
}

// many runs f n times, width at once, and also returns how long all took.
func many(n, width int, f func(i int) error) (sample, time.Duration, error) {
	type result struct {
		took time.Duration
		err  error
	}
	todo, done := make(chan int), make(chan result)
	began := time.Now()
	for range width {
		go func() {
			for i := range todo {
				at := time.Now()
				err := f(i)
				done <- result{time.Since(at), err}
			}
		}()
	}
	go func() {
		for i := range n {
			todo <- i
		}
		close(todo)
	}()
	var s sample
	var failed error
	for range n {
		r := <-done
		if r.err != nil {
			failed = r.err
		}
		s = append(s, r.took)
	}
	return s, time.Since(began), failed
}

// busy is the CPU time that the whole host has spent since it booted, so that
// what a peer's daemons do counts too.
func busy() (time.Duration, error) {
	b, err := os.ReadFile("/proc/stat")
	if err != nil {
		return 0, err
	}
	first, _, _ := strings.Cut(string(b), "\n")
	fields := strings.Fields(first)[1:]
	var ticks int64
	for i, f := range fields {
		if i == 3 || i == 4 || i >= 8 { // idle, iowait; guest is in user already
			continue
		}
		n, err := strconv.ParseInt(f, 10, 64)
		if err != nil {
			return 0, err
		}
		ticks += n
	}
	return time.Duration(ticks) * 10 * time.Millisecond, nil
}

// resident is a process's memory without what it maps from files, in MiB.
func resident(pid int) (float64, error) {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return 0, err
	}
	for line := range strings.Lines(string(b)) {
		if f := strings.Fields(line); len(f) > 1 && f[0] == "VmRSS:" {
			kb, err := strconv.ParseFloat(f[1], 64)
			return kb / 1024, err
		}
	}
	return 0, fmt.Errorf("process %d has no VmRSS", pid)
}
