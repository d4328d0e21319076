package network

import (
	"fmt"
	"net/netip"
	"slices"
	"testing"
	"time"

	"github.com/google/nftables"

	"github.com/berth/berth/state"
)

// report gives the median and the 99th percentile of what was timed.
func report(b *testing.B, took []time.Duration) {
	slices.Sort(took)
	b.ReportMetric(float64(took[len(took)/2].Microseconds()), "µs-median")
	b.ReportMetric(float64(took[len(took)*99/100].Microseconds()), "µs-p99")
}

// address is the i-th of 10.0.0.0/16.
func address(i int) string { return fmt.Sprintf("10.0.%d.%d", i/200, 10+i%200) }

// BenchmarkAttach attaches one interface after the other, as many as there are.
func BenchmarkAttach(b *testing.B) {
	l := newLab(b)
	n := l.open()
	took := make([]time.Duration, 0, b.N)
	for i := 0; b.Loop(); i++ {
		e := newENI(vpcA, address(i), "sg-1")
		start := time.Now()
		_, err := n.Attach(bg, "task-1", e.Interface)
		took = append(took, time.Since(start))
		must(b, err)
	}
	report(b, took)
}

func BenchmarkAttachInParallel(b *testing.B) {
	l := newLab(b)
	n := l.open()
	_, err := n.Attach(bg, "task-1", newENI(vpcA, "10.0.255.250", "sg-1").Interface)
	must(b, err)
	next := make(chan int, b.N)
	for i := range b.N {
		next <- i
	}
	close(next)
	b.SetParallelism(4)
	b.ResetTimer()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			if _, err := n.Attach(bg, "task-1", newENI(vpcA, address(<-next), "sg-1").Interface); err != nil {
				b.Error(err)
			}
		}
	})
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "attached/s")
}

// BenchmarkDetach is what the caller waits for.
func BenchmarkDetach(b *testing.B) {
	l := newLab(b)
	n := l.open()
	var enis []*eni
	for i := range b.N {
		e := newENI(vpcA, address(i), "sg-1")
		_, err := n.Attach(bg, "task-1", e.Interface)
		must(b, err)
		enis = append(enis, e)
	}
	b.ResetTimer()
	took := make([]time.Duration, 0, b.N)
	for _, e := range enis {
		start := time.Now()
		must(b, n.Detach(bg, e.ENI))
		took = append(took, time.Since(start))
	}
	report(b, took)
	n.behind.Wait()
	b.ReportMetric(float64(b.Elapsed().Microseconds())/float64(b.N), "µs-until-gone")
}

// BenchmarkConfigureOneMore adds one interface to the plan of a VPC that has
// thousands, on this node and on others.
func BenchmarkConfigureOneMore(b *testing.B) {
	for _, size := range []int{10, 1000, 5000} {
		b.Run(fmt.Sprint(size), func(b *testing.B) {
			l := newLab(b)
			n := l.open()
			groups := []state.GroupPlan{{ID: "sg-1", Ingress: []state.RulePlan{tcpFrom(80, "sg-1")}, Egress: []state.RulePlan{all(anywhere)}}}
			var enis []*eni
			for i := range size {
				enis = append(enis, newENI(vpcA, address(i), "sg-1"))
			}
			p := plan(vpcA, groups, enis...)
			must(b, n.Configure(bg, []state.VPCPlan{p}))
			one := newENI(vpcA, "10.0.250.1", "sg-1")
			took := make([]time.Duration, 0, b.N)
			kernel := make([]time.Duration, 0, b.N)
			for i := 0; b.Loop(); i++ {
				x := one.plan
				x.Address = netip.AddrFrom4([4]byte{10, 0, 250, byte(i)})
				q := p
				q.Interfaces = append(slices.Clone(p.Interfaces), x)
				start := time.Now()
				must(b, n.Configure(bg, []state.VPCPlan{q}))
				took = append(took, time.Since(start))
			}
			report(b, took)
			// Of that, the kernel's part: one element more or less.
			g := n.vpc(vpcA).gates
			for i := range 200 {
				a := netip.AddrFrom4([4]byte{10, 1, byte(i), 1})
				start := time.Now()
				must(b, g.transact(func() error { return g.addElements(g.members("sg-1"), []nftables.SetElement{{Key: a.AsSlice()}}) }))
				kernel = append(kernel, time.Since(start))
			}
			slices.Sort(kernel)
			b.ReportMetric(float64(kernel[len(kernel)/2].Microseconds()), "µs-element")
		})
	}
}
