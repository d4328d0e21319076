package ecs

import (
	"slices"
	"strconv"
	"strings"

	"github.com/berth/berth/launch"
)

// fargateRow is one CPU value of Fargate and the memory it goes with, in MiB.
type fargateRow struct {
	cpu            int32
	min, max, step int32
}

// fargateRows is Fargate's matrix (SDK, RegisterTaskDefinitionInput.Cpu). 256
// CPU units are a row of three values instead of steps: 512, 1024, 2048.
var fargateRows = []fargateRow{
	{256, 512, 2048, 0},
	{512, 1024, 4096, 1024},
	{1024, 2048, 8192, 1024},
	{2048, 4096, 16384, 1024},
	{4096, 8192, 30720, 1024},
	{8192, 16384, 61440, 4096},
	{16384, 32768, 122880, 8192},
}

// allows says whether memory goes with the row's CPU.
func (r fargateRow) allows(memory int32) bool {
	if memory < r.min || memory > r.max {
		return false
	}
	if r.step == 0 {
		return memory&(memory-1) == 0
	}
	return (memory-r.min)%r.step == 0
}

// fargateSize reads a task's cpu and memory and checks them against Fargate's matrix.
func fargateSize(cpu, memory string) (launch.Size, error) {
	c, err := cpuUnits(cpu)
	if err != nil {
		return launch.Size{}, err
	}
	m, err := mebibytes(memory)
	if err != nil {
		return launch.Size{}, err
	}
	switch {
	case c == 0:
		return launch.Size{}, clientError("Fargate requires that 'cpu' be defined at the task level.")
	case m == 0:
		return launch.Size{}, clientError("Fargate requires that 'memory' be defined at the task level.")
	}
	if !slices.ContainsFunc(fargateRows, func(r fargateRow) bool { return r.cpu == c && r.allows(m) }) {
		return launch.Size{}, clientError("No Fargate configuration exists for given values: %d CPU, %d memory.", c, m)
	}
	return launch.Size{CPU: c, Memory: m}, nil
}

// cpuUnits reads a task's cpu, "1024" or "1 vCPU", in CPU units; 0 for empty.
func cpuUnits(s string) (int32, error) {
	return quantity("cpu", s, "vcpu", 1024)
}

// mebibytes reads a task's memory, "1024" or "1 GB", in MiB; 0 for empty.
func mebibytes(s string) (int32, error) {
	return quantity("memory", s, "gb", 1024)
}

// quantity reads "n" or "n.m unit", where a unit is scale of the plain ones.
func quantity(field, s, unit string, scale float64) (int32, error) {
	bad := clientError("Invalid '%s' setting for task.", field)
	t := strings.ToLower(strings.TrimSpace(s))
	if t == "" {
		return 0, nil
	}
	if number, ok := strings.CutSuffix(t, unit); ok {
		number = strings.TrimSpace(number)
		f, err := strconv.ParseFloat(number, 64)
		if err != nil || strings.Trim(number, ".0123456789") != "" || !(f > 0 && f < 1<<20) || f*scale != float64(int32(f*scale)) {
			return 0, bad
		}
		return int32(f * scale), nil
	}
	n, err := strconv.ParseInt(t, 10, 32)
	if err != nil || n < 1 {
		return 0, bad
	}
	return int32(n), nil
}
