package crun

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/berth/berth/agent/runtime"
	"github.com/berth/berth/agent/runtime/runtimetest"
	"github.com/berth/berth/internal/wholefile"
)

// A start that is cut off when the pipe is opened and nothing written leaves the
// container's process asking for a byte over and over. It is released all the same.
func TestCutOffRelease(t *testing.T) {
	config := testConfig(t)
	r := open(t, config)
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	img := runtimetest.NewImage(t, config.InitPath, "cut")
	if _, err := r.Import(ctx, bytes.NewReader(runtimetest.DockerArchive(t, img, "probe")), ""); err != nil {
		t.Fatal(err)
	}
	if err := r.CreateSandbox(ctx, runtime.Sandbox{ID: "t"}); err != nil {
		t.Fatal(err)
	}
	for i := range 20 {
		id := fmt.Sprintf("cut%d", i)
		if err := r.Create(ctx, runtime.Spec{ID: id, Sandbox: "t", Image: "probe", Args: []string{"/probe", "exit=5"}}); err != nil {
			t.Fatal(err)
		}
		c, err := r.container(id)
		if err != nil {
			t.Fatal(err)
		}
		oci, err := r.config(c.record, joined{})
		if err == nil {
			err = wholefile.WriteJSON(r.file(id, configFile), oci)
		}
		if err != nil {
			t.Fatal(err)
		}
		_, conmon, err := r.supervise(ctx, c.Spec)
		if err != nil {
			t.Fatal(err)
		}
		f, err := os.OpenFile(filepath.Join(r.root, stateDir, id, "exec.fifo"), os.O_WRONLY, 0)
		if err != nil {
			t.Fatal(err)
		}
		f.Close()
		if err := errors.Join(os.WriteFile(r.file(id, startingFile), nil, 0o600), r.finishStart(ctx, runtime.Spec{ID: id}), conmon.Wait()); err != nil {
			t.Fatal(err)
		}
		conmon.Close()
		if code, err := os.ReadFile(r.exitPath(id)); err != nil || strings.TrimSpace(string(code)) != "5" {
			t.Errorf("round %d: exit code %s, %v, want 5", i, code, err)
		}
	}
}

// TestCutOff leaves a container as a crash after each step would, and opens the
// runtime again.
func TestCutOff(t *testing.T) {
	config := testConfig(t)
	r := open(t, config)
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	img := runtimetest.NewImage(t, config.InitPath, "cut")
	if _, err := r.Import(ctx, bytes.NewReader(runtimetest.DockerArchive(t, img, "probe")), ""); err != nil {
		t.Fatal(err)
	}
	if err := r.CreateSandbox(ctx, runtime.Sandbox{ID: "t"}); err != nil {
		t.Fatal(err)
	}
	spec := runtime.Spec{ID: "cut", Sandbox: "t", Image: "probe", Args: []string{"/probe", "print=ran", "exit=5"}}
	remove := func(name string) error { return os.Remove(r.file("cut", name)) }
	create := func() error { return r.Create(ctx, spec) }
	supervise := func() error {
		c, err := r.container("cut")
		if err != nil {
			return err
		}
		oci, err := r.config(c.record, joined{})
		if err != nil {
			return err
		}
		if err := wholefile.WriteJSON(r.file("cut", configFile), oci); err != nil {
			return err
		}
		_, conmon, err := r.supervise(ctx, runtime.Spec{ID: "cut", Sandbox: "t"})
		if err == nil {
			conmon.Close()
		}
		return err
	}
	starting := func() error { return os.WriteFile(r.file("cut", startingFile), nil, 0o600) }
	touch := func() error {
		f, err := os.OpenFile(filepath.Join(r.root, stateDir, "cut", "exec.fifo"), os.O_WRONLY, 0)
		if err != nil {
			return err
		}
		return f.Close()
	}
	start := func() error { return r.Start(ctx, "cut") }
	wait := func() error { _, err := r.Wait(ctx, "cut"); return err }
	for _, test := range []struct {
		name  string
		steps []func() error
		want  runtime.State // "" for none; Exited may have taken its time
	}{
		{"directory", []func() error{func() error { return os.MkdirAll(r.file("cut", rootfsDir), 0o711) }}, ""},
		{"directory and layer", []func() error{func() error {
			return errors.Join(os.MkdirAll(r.file("cut", rootfsDir), 0o711), os.MkdirAll(filepath.Join(r.layer("t", "cut"), upperDir), 0o755))
		}}, ""},
		{"all but the record", []func() error{create, func() error { return remove(recordFile) }}, ""},
		{"record cut off", []func() error{create, func() error { return os.Truncate(r.file("cut", recordFile), 20) }}, ""},
		{"created", []func() error{create}, runtime.Created},
		{"created, mount lost", []func() error{create, func() error { return unmount(r.file("cut", rootfsDir)) }}, runtime.Created},
		{"made, not released", []func() error{create, supervise}, runtime.Created},
		{"about to be released", []func() error{create, supervise, starting}, runtime.Exited},
		{"about to be released, pipe opened", []func() error{create, supervise, starting, touch}, runtime.Exited},
		{"just released", []func() error{create, supervise, starting, func() error { return r.releaseOnce(ctx, runtime.Spec{ID: "cut"}) }}, runtime.Exited},
		{"about to be released, never made", []func() error{create, starting}, runtime.Created},
		{"ended, unseen", []func() error{create, start, wait, func() error { return remove(exitFile) }}, runtime.Exited},
		{"removal, just begun", []func() error{create, start, wait, func() error { return remove(recordFile) }}, ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			for i, step := range test.steps {
				if err := step(); err != nil {
					t.Fatalf("step %d: %v", i, err)
				}
			}
			if err := r.Close(); err != nil {
				t.Fatal(err)
			}
			r = reopen(t, config)
			status, err := r.Status(ctx, "cut")
			switch {
			case test.want == "" && !errors.Is(err, runtime.ErrNotFound):
				t.Errorf("%+v, %v, want none", status, err)
			case test.want == runtime.Created && (err != nil || status.State != runtime.Created):
				t.Errorf("%+v, %v, want created", status, err)
			}
			// Wherever it was cut off, going on from there runs it once.
			if err := errors.Join(create(), start()); err != nil {
				t.Fatal(err)
			}
			if status, err := r.Wait(ctx, "cut"); err != nil || status.ExitCode != 5 {
				t.Errorf("%+v, %v, want exit code 5", status, err)
			}
			out, err := os.ReadFile(r.LogPath("cut"))
			runs := strings.Count(string(out), "F ran\n")
			if want := 1 + strings.Count(test.name, "removal"); err != nil || runs != want {
				t.Errorf("it ran %d times, want %d: %q, %v", runs, want, out, err)
			}
			if err := r.Remove(ctx, "cut"); err != nil {
				t.Fatal(err)
			}
			os.Remove(r.LogPath("cut"))
			if left, err := filepath.Glob(r.layer("*", "*")); err != nil || len(left) > 0 {
				t.Errorf("writable layers left: %v, %v", left, err)
			}
			if left, err := r.cgroups.find("cut"); err != nil || len(left) > 0 {
				t.Errorf("cgroups left: %v, %v", left, err)
			}
		})
	}
	r.Close()
}

// restlessEnv makes this test binary a process that creates, starts and removes
// containers until it is killed.
const restlessEnv = "BERTH_TEST_CRUN_RESTLESS"

func restless(encoded string) {
	ctx := context.Background()
	var config Config
	must(json.Unmarshal([]byte(encoded), &config))
	config.Log = discard()
	r, err := Open(ctx, config)
	must(err)
	var all sync.WaitGroup
	for worker := range 4 {
		all.Go(func() {
			for n := 0; ; n++ {
				id, sandbox := fmt.Sprintf("w%d", worker), fmt.Sprintf("s%d", worker)
				must(r.CreateSandbox(ctx, runtime.Sandbox{ID: sandbox, Memory: 64}))
				must(r.Create(ctx, runtime.Spec{ID: id, Sandbox: sandbox, Image: "probe", Args: []string{"/probe", "exit=7"}}))
				must(r.Start(ctx, id))
				if n%2 == 0 {
					status, err := r.Wait(ctx, id)
					must(err)
					if status.ExitCode != 7 {
						must(fmt.Errorf("%+v", status))
					}
				}
				must(r.Remove(ctx, id))
				must(r.RemoveSandbox(ctx, sandbox))
			}
		})
	}
	all.Wait()
}

// TestKillAnywhere kills a busy process at any moment, over and over. The next
// one on the same root must be able to go on, and nothing may be left.
func TestKillAnywhere(t *testing.T) {
	rounds := 12
	if testing.Short() {
		rounds = 3
	}
	config := testConfig(t)
	r := open(t, config)
	img := runtimetest.NewImage(t, config.InitPath, "restless")
	if _, err := r.Import(t.Context(), bytes.NewReader(runtimetest.DockerArchive(t, img, "probe")), ""); err != nil {
		t.Fatal(err)
	}
	if err := r.Close(); err != nil {
		t.Fatal(err)
	}
	log := config.Log
	config.Log = nil
	encoded, err := json.Marshal(config)
	if err != nil {
		t.Fatal(err)
	}
	config.Log = log
	for range rounds {
		cmd := exec.Command(os.Args[0])
		cmd.Env = append(os.Environ(), restlessEnv+"="+string(encoded))
		var said bytes.Buffer
		cmd.Stderr = &said
		cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: unix.SIGKILL}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		after := 100*time.Millisecond + rand.N(400*time.Millisecond)
		timer := time.AfterFunc(after, func() { cmd.Process.Kill() })
		err := cmd.Wait()
		if timer.Stop() || said.Len() > 0 {
			t.Fatalf("the process ended before it was killed: %v, %s", err, said.String())
		}
	}
	// Take up what is left, and end it.
	r = reopen(t, config)
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	list, err := r.ListContainers(ctx)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range list {
		if err := r.Start(ctx, c.ID); err != nil {
			t.Errorf("Start %s: %v", c.ID, err)
			continue
		}
		if status, err := r.Wait(ctx, c.ID); err != nil || status.ExitCode != 7 && status.ExitCode != 137 {
			t.Errorf("%+v, %v", status, err)
		}
		if err := r.Remove(ctx, c.ID); err != nil {
			t.Error(err)
		}
	}
	if left, err := filepath.Glob(r.layer("*", "*")); err != nil || len(left) > 0 {
		t.Errorf("writable layers left: %v, %v", left, err)
	}
	if err := r.Close(); err != nil {
		t.Error(err)
	}
}

// TestCopies runs a container where the host cannot mount an overlay: on a
// directory that is itself one.
func TestCopies(t *testing.T) {
	needRoot(t)
	base := t.TempDir()
	options := fmt.Sprintf("lowerdir=%s,upperdir=%s,workdir=%s", mkdir(t, base, "lower"), mkdir(t, base, "upper"), mkdir(t, base, "work"))
	overlay := mkdir(t, base, "overlay")
	if err := unix.Mount("overlay", overlay, "overlay", 0, options); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := unmount(overlay); err != nil {
			t.Error(err)
		}
	})
	config := testConfigIn(t, overlay)
	r := open(t, config)
	defer r.Close()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	img := runtimetest.NewImage(t, config.InitPath, "copies")
	if _, err := r.Import(ctx, bytes.NewReader(runtimetest.DockerArchive(t, img, "probe")), ""); err != nil {
		t.Fatal(err)
	}
	if err := r.CreateSandbox(ctx, runtime.Sandbox{ID: "t"}); err != nil {
		t.Fatal(err)
	}
	for _, id := range []string{"a", "b"} {
		spec := runtime.Spec{ID: id, Sandbox: "t", Image: "probe", Args: []string{"/probe", "cat=/extra", "cat=/written", "write=/extra:mine"}}
		if err := errors.Join(r.Create(ctx, spec), os.WriteFile(r.file(id, rootfsDir+"/written"), []byte(" and "+id+"\n"), 0o644), r.Start(ctx, id)); err != nil {
			t.Fatal(err)
		}
		status, err := r.Wait(ctx, id)
		out, _ := os.ReadFile(r.LogPath(id))
		if err != nil || status.ExitCode != 0 || !strings.Contains(string(out), " copies") || !strings.Contains(string(out), " and "+id) {
			t.Errorf("%+v, %v, output %q", status, err, out)
		}
	}
}

func mkdir(t *testing.T, dir, name string) string {
	t.Helper()
	path := filepath.Join(dir, name)
	if err := os.Mkdir(path, 0o755); err != nil {
		t.Fatal(err)
	}
	return path
}
