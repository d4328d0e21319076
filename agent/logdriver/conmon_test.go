package logdriver

import (
	"bufio"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// noRuntime is an OCI runtime that needs neither a container nor root: it makes a
// process that prints to conmon's pipes.
const noRuntime = `#!/bin/sh
pidfile=
while [ $# -gt 0 ]; do
	case $1 in --pid-file) pidfile=$2; shift ;; esac
	shift
done
(
	echo one
	printf par; sleep 0.1; echo err >&2; sleep 0.1; printf 'tial\n\n'
	head -c 300000 /dev/zero | tr '\0' x; echo
	i=0; while [ $i -lt 6000 ]; do printf é; i=$((i+1)); done
	sleep 0.1; printf 'no newline' >&2
) &
echo $! >"$pidfile"
`

// TestConmon ships what the real conmon writes.
func TestConmon(t *testing.T) {
	conmon, err := exec.LookPath("conmon")
	if err != nil {
		t.Fatal("conmon is not on PATH: install the package conmon, this test reads what it writes: ", err)
	}
	dir := t.TempDir()
	runtime := filepath.Join(dir, "runtime")
	if err := os.WriteFile(runtime, []byte(noRuntime), 0o700); err != nil {
		t.Fatal(err)
	}
	m := newMemory()
	s := shipper(t, m)
	defer closed(t, s)
	path := filepath.Join(dir, "out")
	if err := s.Follow("c", path, &Target{}); err != nil {
		t.Fatal(err)
	}
	sync, syncW, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(conmon, "--api-version", "1", "--sync", "--full-attach", "--cid", "c", "--cuuid", "c", "--name", "c", "--bundle", dir,
		"--container-pidfile", filepath.Join(dir, "pid"), "--exit-dir", dir, "--log-path", "k8s-file:"+path, "--runtime", runtime)
	cmd.Env = append(os.Environ(), "_OCI_SYNCPIPE=3")
	cmd.ExtraFiles = []*os.File{syncW}
	cmd.Stderr = t.Output()
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	syncW.Close()
	if said, err := bufio.NewReader(sync).ReadString('\n'); err != nil {
		t.Fatalf("conmon said %q, %v", said, err)
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }() // conmon ends with what it watches
	select {
	case err := <-ended:
		if err != nil {
			t.Fatal(err)
		}
	case <-time.After(time.Minute):
		cmd.Process.Kill()
		t.Fatal("conmon does not end")
	}
	finished(t, s, "c")

	got := m.got()
	long := strings.Repeat("x", 300_000)
	want := []string{"one", "err", "partial"}
	if len(got) < 6 || !slices.Equal(got[:3], want) {
		t.Fatalf("the sink has %d lines: %.200q", len(got), got)
	}
	rest := got[3:]
	var joined string
	for len(rest) > 0 && strings.HasPrefix(rest[0], "x") {
		joined += rest[0]
		rest = rest[1:]
	}
	slices.Sort(rest) // both end with the container
	if joined != long || !slices.Equal(rest, []string{"no newline", strings.Repeat("é", 6000)}) {
		t.Fatalf("%d bytes of the long line, then %.200q", len(joined), rest)
	}
}
