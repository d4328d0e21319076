package runtime

import "time"

// Stats is what a container has used, from its cgroups. What the kernel doesn't
// count is zero.
type Stats struct {
	Read time.Time
	// PID is of its first process, while it runs.
	PID int
	// CPU times in nanoseconds; PerCPU only with cgroup v1.
	CPU, CPUUser, CPUSystem uint64
	PerCPU                  []uint64
	// Periods of the CPU quota, those in which it was throttled, and for how long.
	Periods, Throttled, ThrottledTime uint64
	// Memory in bytes, with page cache; MemoryLimit is 0 where there is none.
	Memory, MemoryMax, MemoryLimit uint64
	// MemoryDetail is memory.stat as the kernel has it.
	MemoryDetail map[string]uint64
	// PIDs are processes and threads; PIDsLimit is 0 where there is none.
	PIDs, PIDsLimit uint64
	IO              []IO
}

// IO is what was done to a block device.
type IO struct {
	Major, Minor uint64
	Op           string // Read, Write, …
	Bytes, Ops   uint64
}
