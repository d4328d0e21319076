package cli

import (
	"encoding/json"
	"fmt"
	"io"
	"text/tabwriter"
	"time"

	"github.com/berth/berth/local"
)

// Status shows health, capacity and what runs.
type Status struct {
	JSON bool `help:"Print JSON."`
}

// Run asks the running Berth and prints.
func (c Status) Run(g *Globals) error {
	s, err := local.Dial(g.DataDir).Status(g.Context)
	if err != nil {
		return err
	}
	if c.JSON {
		e := json.NewEncoder(g.Out)
		e.SetIndent("", "  ")
		return e.Encode(s)
	}
	return writeStatus(g.Out, s, time.Now())
}

func writeStatus(out io.Writer, s local.Status, now time.Time) error {
	health := "healthy"
	for _, l := range s.Loops {
		if l.Failing > 0 {
			health = "degraded"
		}
	}
	fmt.Fprintf(out, "Berth %s is %s: process %d, up %s, %s, region %s, account %s\n", s.Instance, health, s.PID, now.Sub(s.Started).Round(time.Second), s.Endpoint, s.Region, s.Account)
	if !s.Verified {
		fmt.Fprintln(out, "WARNING: requests are not verified (--credentials=any): anyone who can connect can do anything")
	}
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "\nNODE\tNAME\tSTATUS\tTASKS\tCPU\tMEMORY MiB\tHOST")
	for _, n := range s.Nodes {
		fmt.Fprintf(w, "%.8s\t%s\t%s\t%d\t%d of %d\t%d of %d\t%d CPU units, %d MiB\n", n.ID, n.Name, n.Status, n.Tasks, n.CPUReserved, n.CPU, n.MemoryReserved, n.Memory, n.HostCPU, n.HostMemory)
	}
	fmt.Fprintln(w, "\nTASK\tCLUSTER\tDEFINITION\tSTATUS\tADDRESS\tPUBLIC\tZONE\tAGE\tDOING")
	for _, t := range s.Tasks {
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\n", t.ID, t.Cluster, t.Definition, t.State, t.Address, dash(t.Public), t.Zone, now.Sub(t.Created).Round(time.Second), dash(t.Doing))
	}
	if len(s.Pulls) > 0 {
		fmt.Fprintln(w, "\nIMAGE\tPULLED\tUNPACKED\tFOR")
	}
	for _, p := range s.Pulls {
		fmt.Fprintf(w, "%s\t%s\t%d of %d layers\t%s\n", p.Image, pulled(p), p.Unpacked, p.Layers, now.Sub(p.Began).Round(time.Second))
	}
	if err := w.Flush(); err != nil {
		return err
	}
	for _, l := range s.Loops {
		if l.Failing > 0 {
			fmt.Fprintf(out, "\nLoop %s fails on %d of %d: %s\n", l.Name, l.Failing, l.Keys, l.LastError)
		}
	}
	for _, n := range s.Notes {
		fmt.Fprintf(out, "\nNote: %s\n", n)
	}
	return nil
}

// pulled is how far a pull is, in words.
func pulled(p local.PullStatus) string {
	if p.Total == 0 {
		return "-"
	}
	const mib = 1 << 20
	return fmt.Sprintf("%.1f of %.1f MiB (%d%%)", float64(p.Done)/mib, float64(p.Total)/mib, 100*p.Done/p.Total)
}

func dash(s string) string {
	if s == "" {
		return "-"
	}
	return s
}
