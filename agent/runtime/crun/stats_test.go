package crun

import (
	"os"
	"path/filepath"
	"reflect"
	"testing"

	"github.com/berth/berth/agent/runtime"
)

// files writes a made-up cgroup.
func files(t *testing.T, dir string, all map[string]string) {
	t.Helper()
	for name, text := range all {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

func TestStatsOfCgroup2(t *testing.T) {
	dir := t.TempDir()
	files(t, dir, map[string]string{
		"memory.max":          "1048576\n", // the task's
		"c/cpu.stat":          "usage_usec 5\nuser_usec 3\nsystem_usec 2\nnr_periods 7\nnr_throttled 1\nthrottled_usec 4\n",
		"c/memory.current":    "4096\n",
		"c/memory.peak":       "8192\n",
		"c/memory.max":        "max\n",
		"c/memory.stat":       "anon 1\nfile 2\n",
		"c/pids.current":      "3\n",
		"c/pids.max":          "max\n",
		"c/io.stat":           "8:0 rbytes=10 wbytes=20 rios=1 wios=2 dbytes=0 dios=0\n8:16 cost.vrate=100.00\n",
		"c/memory.oom.unused": "",
	})
	var s runtime.Stats
	if err := readStatsV2(filepath.Join(dir, "c"), &s); err != nil {
		t.Fatal(err)
	}
	want := runtime.Stats{
		CPU: 5000, CPUUser: 3000, CPUSystem: 2000, Periods: 7, Throttled: 1, ThrottledTime: 4000,
		Memory: 4096, MemoryMax: 8192, MemoryLimit: 1 << 20, MemoryDetail: map[string]uint64{"anon": 1, "file": 2}, PIDs: 3,
		IO: []runtime.IO{{Major: 8, Op: "Read", Bytes: 10, Ops: 1}, {Major: 8, Op: "Write", Bytes: 20, Ops: 2}, {Major: 8, Minor: 16, Op: "Read"}, {Major: 8, Minor: 16, Op: "Write"}},
	}
	if !reflect.DeepEqual(s, want) {
		t.Errorf("read %+v, want %+v", s, want)
	}
	if err := parseIOStat("nonsense\n", &s); err == nil {
		t.Error("took nonsense")
	}
}

func TestStatsOfCgroup1(t *testing.T) {
	dir := t.TempDir()
	files(t, dir, map[string]string{
		"cpu/c/cpuacct.usage": "50\n", "cpu/c/cpuacct.stat": "user 1\nsystem 2\n", "cpu/c/cpuacct.usage_percpu": "20 30\n",
		"cpu/c/cpu.stat":                 "nr_periods 7\nnr_throttled 1\nthrottled_time 4\n",
		"memory/c/memory.stat":           "cache 1\nhierarchical_memory_limit 9223372036854771712\n",
		"memory/c/memory.usage_in_bytes": "10\n", "memory/c/memory.max_usage_in_bytes": "11\n",
		"pids/c/pids.current": "3\n", "pids/c/pids.max": "100\n",
		"blkio/c/blkio.throttle.io_service_bytes_recursive": "8:0 Read 10\n8:0 Total 10\nTotal 10\n",
		"blkio/c/blkio.throttle.io_serviced_recursive":      "8:0 Read 2\n8:0 Total 2\nTotal 2\n",
	})
	c := &cgroups{v1: map[string]string{"cpu": dir + "/cpu", "cpuacct": dir + "/cpu", "memory": dir + "/memory", "pids": dir + "/pids", "blkio": dir + "/blkio"}}
	var s runtime.Stats
	if err := c.readStatsV1("c", &s); err != nil {
		t.Fatal(err)
	}
	want := runtime.Stats{
		CPU: 50, CPUUser: 10_000_000, CPUSystem: 20_000_000, PerCPU: []uint64{20, 30}, Periods: 7, Throttled: 1, ThrottledTime: 4,
		Memory: 10, MemoryMax: 11, MemoryDetail: map[string]uint64{"cache": 1, "hierarchical_memory_limit": 9223372036854771712}, PIDs: 3, PIDsLimit: 100,
		IO: []runtime.IO{{Major: 8, Op: "Read", Bytes: 10, Ops: 2}, {Major: 8, Op: "Total", Bytes: 10, Ops: 2}},
	}
	if !reflect.DeepEqual(s, want) {
		t.Errorf("read %+v, want %+v", s, want)
	}
}
