package crun

import (
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/berth/berth/agent/runtime"
)

func TestCapabilities(t *testing.T) {
	all := &privileges{log: discard(), caps: 1<<len(runtime.CapabilityNames) - 1}
	for _, test := range []struct {
		add, drop []string
		want      int // how many
		has, not  string
	}{
		{nil, nil, 14, "CAP_CHOWN", "CAP_SYS_ADMIN"},
		{[]string{"SYS_ADMIN"}, nil, 15, "CAP_SYS_ADMIN", "CAP_BPF"},
		{nil, []string{"CAP_CHOWN", "mknod"}, 12, "CAP_KILL", "CAP_CHOWN"},
		{nil, []string{"ALL"}, 0, "", "CAP_CHOWN"},
		{[]string{"NET_ADMIN"}, []string{"ALL"}, 1, "CAP_NET_ADMIN", "CAP_CHOWN"},
		{[]string{"ALL"}, nil, 41, "CAP_BPF", ""},
		{[]string{"all"}, []string{"SYS_ADMIN"}, 40, "CAP_BPF", "CAP_SYS_ADMIN"},
		{[]string{"CHOWN"}, []string{"CHOWN"}, 14, "CAP_CHOWN", ""}, // as Docker: what is added is had
	} {
		got := all.capabilities(test.add, test.drop)
		if len(got) != test.want || test.has != "" && !slices.Contains(got, test.has) || slices.Contains(got, test.not) {
			t.Errorf("add %v, drop %v: %d: %v", test.add, test.drop, len(got), got)
		}
	}
	poor := &privileges{log: discard(), caps: 1} // CHOWN
	if got := poor.capabilities([]string{"ALL"}, nil); !slices.Equal(got, []string{"CAP_CHOWN"}) {
		t.Errorf("of a process that has CHOWN alone: %v", got)
	}
}

func TestRlimits(t *testing.T) {
	var own unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &own); err != nil {
		t.Fatal(err)
	}
	want := []runtime.Ulimit{{Name: "nofile", Soft: -1, Hard: -1}}
	poor, rich := &privileges{log: discard()}, &privileges{log: discard(), caps: ^uint64(0)}
	if got, err := poor.rlimits(want); err != nil || got[0].Hard != own.Max || got[0].Soft != own.Max || got[0].Type != "RLIMIT_NOFILE" {
		t.Errorf("without CAP_SYS_RESOURCE %+v, %v", got, err)
	}
	most, err := maxOpenFiles()
	if err != nil {
		t.Fatal(err)
	}
	if got, err := rich.rlimits(want); err != nil || got[0].Hard != most || got[0].Soft != most {
		t.Errorf("with CAP_SYS_RESOURCE %+v, %v", got, err)
	}
	if got, err := rich.rlimits([]runtime.Ulimit{{Name: "core", Soft: -1, Hard: -1}}); err != nil || got[0].Hard != unlimited || got[0].Soft != unlimited {
		t.Errorf("with CAP_SYS_RESOURCE %+v, %v", got, err)
	}
	for _, name := range runtime.UlimitNames {
		if _, ok := rlimits[name]; !ok {
			t.Errorf("no number for ulimit %s", name)
		}
	}
}

func TestReadSync(t *testing.T) {
	for said, want := range map[string]string{
		`{"data": 42}` + "\n": "",
		`{"data": -1, "message": "2026-11-23T03:00:00.123456Z: executable file ` + "`x`" + ` not found\n"}` + "\n": "executable file `x` not found",
		`{"data": -1, "message": "warning\nmount failed: no such file"}` + "\n":                                    "mount failed: no such file",
		`{"data": -1}` + "\n": "the OCI runtime did not say why",
		"":                    "EOF",
		"rubbish\n":           "conmon said",
	} {
		pid, err := readSync(strings.NewReader(said))
		if want == "" && (err != nil || pid != 42) || want != "" && (err == nil || !strings.Contains(err.Error(), want)) {
			t.Errorf("readSync(%q) = %d, %v, want %q", said, pid, err, want)
		}
	}
}
