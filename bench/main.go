package main

import (
	"flag"
	"fmt"
	"log"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"time"
)

func main() {
	log.SetFlags(0)
	launches := flag.Int("launches", 40, "launches one by one, of Berth and of each peer")
	sustained := flag.Int("sustained", 200, "launches of the sustained run")
	calls := flag.Int("calls", 5000, "API calls")
	lines := flag.Int("lines", 200_000, "log lines")
	only := flag.String("only", "", "comma-separated parts: start,api,launch,containers,sustained,stop,exec,images,logs,soak (all)")
	binary := flag.String("berth", "bin/berth", "the binary to measure")
	flag.Parse()
	b := &bench{launches: *launches, sustained: *sustained, calls: *calls, lines: *lines}
	if err := b.run(*binary, *only); err != nil {
		log.Fatal(err)
	}
}

// bench is one run.
type bench struct {
	launches, sustained, calls, lines int

	berth *berth
	peers []peer
}

func (b *bench) run(binary, only string) error {
	dir, err := os.MkdirTemp("", "berth-bench-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	program, image := filepath.Join(dir, "probe"), filepath.Join(dir, "probe.tar")
	// A static program: the image has no C library.
	if err := command("env", "CGO_ENABLED=0", "go", "build", "-ldflags", "-s -w", "-o", program, "./e2e/probe"); err != nil {
		return err
	}
	if err := command("go", "run", "./examples/hello/image", "-program", program, "-name", "probe:latest", "-o", image); err != nil {
		return err
	}
	b.berth = &berth{binary: binary, dir: filepath.Join(dir, "data"), image: image}
	defer func() {
		if err := b.berth.down(); err != nil {
			log.Printf("berth down: %v", err)
		}
	}()
	b.peers = peers(dir, image, program)
	defer func() {
		for _, p := range b.peers {
			p.close()
		}
	}()
	fmt.Printf("%d CPUs, %s\n", runtime.NumCPU(), time.Now().UTC().Format(time.DateOnly))
	parts := []struct {
		name string
		run  func() error
	}{
		{"start", b.start}, {"api", b.api}, {"launch", b.launch}, {"containers", b.containers}, {"sustained", b.sustain}, {"stop", b.stop}, {"exec", b.execute}, {"images", b.images}, {"logs", b.logs}, {"soak", b.soak},
	}
	if err := b.berth.start(); err != nil {
		return err
	}
	for _, p := range parts {
		if only != "" && !strings.Contains(","+only+",", ","+p.name+",") {
			continue
		}
		fmt.Printf("\n== %s\n", p.name)
		if err := p.run(); err != nil {
			return fmt.Errorf("%s: %w", p.name, err)
		}
	}
	return nil
}

// start: from exec to ready on a directory that has been used, and what an idle
// Berth holds.
func (b *bench) start() error {
	var s sample
	for range 5 {
		if err := b.berth.terminate(); err != nil {
			return err
		}
		began := time.Now()
		if err := b.berth.start(); err != nil {
			return err
		}
		s = append(s, time.Since(began))
	}
	fmt.Printf("ready           %v  target < 1000 ms\n", s)
	mem, err := resident(b.berth.pid())
	if err != nil {
		return err
	}
	fmt.Printf("idle            %.0f MiB resident  target < 100\n", mem)
	return nil
}

// api: reads and durable writes a second, and a RunTask call.
func (b *bench) api() error {
	if err := b.berth.prepare(); err != nil {
		return err
	}
	reads, took, err := many(b.calls, 16, func(int) error { return b.berth.describeCluster() })
	if err != nil {
		return err
	}
	fmt.Printf("reads           %6.0f a second  %v  target 5000\n", float64(len(reads))/took.Seconds(), reads)
	writes, took, err := many(b.calls, 16, b.berth.tagCluster)
	if err != nil {
		return err
	}
	fmt.Printf("durable writes  %6.0f a second  %v  target 1000\n", float64(len(writes))/took.Seconds(), writes)
	return nil
}

// rounds are how often Berth and its peers take turns: what else happens on the
// machine meets them alike.
const rounds = 5

// launch: from the call until the process runs, beside the peers.
func (b *bench) launch() error {
	if err := b.berth.prepare(); err != nil {
		return err
	}
	others := make([]sample, len(b.peers))
	var one, calls sample
	var tasks []string
	for round := range rounds {
		n := (b.launches + rounds - 1) / rounds
		for i, p := range b.peers {
			name := func(k int) string { return fmt.Sprintf("bench-%d-%d", round, k) }
			s, err := timed(n, func(k int) error { return p.launch(name(k)) })
			others[i] = append(others[i], s...)
			for k := range s {
				if err := p.remove(name(k)); err != nil {
					return err
				}
			}
			if err != nil {
				return err
			}
		}
		s, err := timed(n, func(int) error {
			began := time.Now()
			task, err := b.berth.runTask("bench")
			if err != nil {
				return err
			}
			calls = append(calls, time.Since(began))
			tasks = append(tasks, task)
			return b.berth.await(task, "RUNNING")
		})
		if err != nil {
			return err
		}
		one = append(one, s...)
	}
	fmt.Printf("RunTask call    %v\n", calls)
	fmt.Printf("RunTask→RUNNING %v\n", one)
	for i, p := range b.peers {
		fmt.Printf("%-16s%v; Berth takes %.2fx of it (median)\n", p.name, others[i], float64(one.at(0.5))/float64(others[i].at(0.5)))
	}
	if err := b.berth.stopAll(tasks); err != nil {
		return err
	}
	width, _, err := b.burst(16*3, 16)
	if err != nil {
		return err
	}
	fmt.Printf("16 at once      %v\n", width)
	return nil
}

// containers: the launch of tasks with several containers, and its CPU.
func (b *bench) containers() error {
	if err := b.berth.prepare(); err != nil {
		return err
	}
	for _, n := range []int{1, 3, 10} {
		family := fmt.Sprintf("bench-%d", n)
		// With a quarter of a CPU, ten programs' own starts would take a second.
		if err := b.berth.register(family, n, "4096", "8192"); err != nil {
			return err
		}
		before, err := busy()
		if err != nil {
			return err
		}
		var tasks []string
		s, err := timed(max(b.launches/2, 1), func(int) error {
			task, err := b.berth.runTask(family)
			if err != nil {
				return err
			}
			tasks = append(tasks, task)
			return b.berth.await(task, "RUNNING")
		})
		if err != nil {
			return err
		}
		after, err := busy()
		if err != nil {
			return err
		}
		fmt.Printf("%2d containers   %v  %d CPU-ms a launch\n", n, s, (after-before).Milliseconds()/int64(len(s)))
		if err := b.berth.stopAll(tasks); err != nil {
			return err
		}
	}
	return nil
}

// burst launches n tasks, width at once, and stops them all.
func (b *bench) burst(n, width int) (sample, time.Duration, error) {
	tasks := make([]string, n)
	s, took, err := many(n, width, func(i int) (err error) {
		if tasks[i], err = b.berth.runTask("bench"); err != nil {
			return err
		}
		return b.berth.await(tasks[i], "RUNNING")
	})
	if err != nil {
		return s, took, err
	}
	return s, took, b.berth.stopAll(tasks)
}

// sustain: many launches, 8 at once, and their CPU.
func (b *bench) sustain() error {
	if err := b.berth.prepare(); err != nil {
		return err
	}
	before, err := busy()
	if err != nil {
		return err
	}
	tasks := make([]string, b.sustained)
	_, took, err := many(b.sustained, 8, func(i int) (err error) {
		if tasks[i], err = b.berth.runTask("bench"); err != nil {
			return err
		}
		return b.berth.await(tasks[i], "RUNNING")
	})
	if err != nil {
		return err
	}
	after, err := busy()
	if err != nil {
		return err
	}
	mine := (after - before) / time.Duration(b.sustained)
	fmt.Printf("Berth           %5.1f launches a second, %3d CPU-ms each  target 20 a second\n", float64(b.sustained)/took.Seconds(), mine.Milliseconds())
	if err := b.berth.stopAll(tasks); err != nil {
		return err
	}
	for _, p := range b.peers {
		n := min(b.sustained, 40)
		before, err := busy()
		if err != nil {
			return err
		}
		_, took, err := many(n, 8, func(i int) error { return p.launch(fmt.Sprintf("bench-%d", i)) })
		if err != nil {
			return err
		}
		after, err := busy()
		if err != nil {
			return err
		}
		each := (after - before) / time.Duration(n)
		fmt.Printf("%-16s%5.1f launches a second, %3d CPU-ms each; Berth has %.2fx its CPU a launch\n", p.name, float64(n)/took.Seconds(), each.Milliseconds(), float64(mine)/float64(each))
		if _, _, err := many(n, 4, func(i int) error { return p.remove(fmt.Sprintf("bench-%d", i)) }); err != nil {
			return err
		}
	}
	return nil
}

// stop: from StopTask until STOPPED, of a task that ends on SIGTERM.
func (b *bench) stop() error {
	if err := b.berth.prepare(); err != nil {
		return err
	}
	// All run before the first is stopped: a program that gets SIGTERM before it
	// has asked for it never hears of it, since it is the container's first process.
	var tasks []string
	for range b.launches {
		task, err := b.berth.runTask("bench")
		if err == nil {
			err = b.berth.await(task, "RUNNING")
		}
		if err != nil {
			return err
		}
		tasks = append(tasks, task)
	}
	s, err := timed(len(tasks), func(i int) error { return b.berth.stopAll(tasks[i : i+1]) })
	if err != nil {
		return err
	}
	fmt.Printf("StopTask→STOPPED %v\n", s)
	return nil
}

// ingest: a container that writes as fast as it can, until its last line can
// be read from its log stream.
func (b *bench) ingest() error {
	if err := b.berth.prepare(); err != nil {
		return err
	}
	took, err := b.berth.logLines(b.lines)
	if err != nil {
		return err
	}
	fmt.Printf("awslogs         %6.0f lines a second (%d lines from RunTask to the last one readable)\n", float64(b.lines)/took.Seconds(), b.lines)
	return nil
}
