package main

import (
	"fmt"
	"os"
	"strings"
	"time"
)

// idleFor is how long Berth is watched doing nothing.
const idleFor = 10 * time.Second

// soak: what Berth holds before and after many launches, and the CPU that it
// takes while nothing happens, with no task and with fifty.
func (b *bench) soak() error {
	if err := b.berth.prepare(); err != nil {
		return err
	}
	show := func(when string) error {
		p, err := b.berth.holds()
		if err != nil {
			return err
		}
		fmt.Printf("%-24s%4.0f MiB resident, %d files, %d threads\n", when, p.resident, p.files, p.threads)
		return nil
	}
	if err := show("before"); err != nil {
		return err
	}
	for range 5 {
		if _, _, err := b.burst(b.sustained/2, 8); err != nil {
			return err
		}
	}
	if err := show(fmt.Sprintf("after %d launches", b.sustained/2*5)); err != nil {
		return err
	}
	var tasks []string
	for _, n := range []int{0, 50} {
		for len(tasks) < n {
			task, err := b.berth.runTask("bench")
			if err == nil {
				err = b.berth.await(task, "RUNNING")
			}
			if err != nil {
				return err
			}
			tasks = append(tasks, task)
		}
		before, err := b.berth.cpu()
		if err != nil {
			return err
		}
		<-time.After(idleFor)
		after, err := b.berth.cpu()
		if err != nil {
			return err
		}
		fmt.Printf("idle, %2d tasks          %.1f %% of a CPU\n", n, 100*(after-before).Seconds()/idleFor.Seconds())
	}
	return b.berth.stopAll(tasks)
}

// holding is what a process holds of the host.
type holding struct {
	resident       float64 // MiB
	files, threads int
}

func (b *berth) holds() (holding, error) {
	files, err := os.ReadDir(fmt.Sprintf("/proc/%d/fd", b.pid()))
	if err != nil {
		return holding{}, err
	}
	threads, err := os.ReadDir(fmt.Sprintf("/proc/%d/task", b.pid()))
	if err != nil {
		return holding{}, err
	}
	mem, err := resident(b.pid())
	return holding{mem, len(files), len(threads)}, err
}

// cpu is the CPU time that the process has taken.
func (b *berth) cpu() (time.Duration, error) {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", b.pid()))
	if err != nil {
		return 0, err
	}
	_, rest, _ := strings.Cut(string(stat), ") ")
	var user, system int64
	fields := strings.Fields(rest)
	if _, err := fmt.Sscan(fields[11]+" "+fields[12], &user, &system); err != nil {
		return 0, err
	}
	return time.Duration(user+system) * 10 * time.Millisecond, nil
}
