package e2e

import (
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ecs"
	"github.com/aws/aws-sdk-go-v2/service/ecs/types"

	"github.com/berth/berth/local"
)

// Kills Berth while it goes down, and the command that cleans up after it. The
// next `berth down` does the rest.
func TestKillDuringDown(t *testing.T) {
	t.Parallel()
	seed := crashSeed(t)
	rng := rand.New(rand.NewPCG(seed, 0))
	h := newHost(t)
	var definitions []string
	for _, kind := range []string{"dripper", "chain", "stubborn"} {
		definitions = append(definitions, h.register(t, crashKinds[kind](), func(in *ecs.RegisterTaskDefinitionInput) { in.Family = aws.String("down-" + kind) }))
	}
	const rounds = 4
	for round := range rounds {
		var tasks []string
		for i := range 6 {
			tasks = append(tasks, *h.run(t, definitions[i%len(definitions)]).TaskArn)
		}
		for _, task := range tasks {
			h.await(t, task, "RUNNING")
		}
		down := h.command("down")
		if err := down.Start(); err != nil {
			t.Fatal(err)
		}
		<-time.After(time.Duration(rng.IntN(3000)) * time.Millisecond)
		h.kill()
		down.Wait() // it fails, or was faster
		for range round {
			down := h.command("down")
			if err := down.Start(); err != nil {
				t.Fatal(err)
			}
			<-time.After(time.Duration(rng.IntN(1000)) * time.Millisecond)
			down.Process.Kill()
			down.Wait()
		}
		if err := h.down(); err != nil {
			t.Fatalf("round %d: berth down again: %v", round, err)
		}
		if err := h.start(); err != nil {
			t.Fatal(err)
		}
		out, err := h.ecs.DescribeTasks(t.Context(), &ecs.DescribeTasksInput{Tasks: tasks})
		if err != nil || len(out.Failures) > 0 {
			t.Fatalf("describe the tasks: %v, %v", err, out)
		}
		for _, task := range out.Tasks {
			if *task.LastStatus != "STOPPED" || task.StopCode == "" || aws.ToString(task.StoppedReason) == "" {
				t.Errorf("round %d: after berth down a task is %s: %q %q", round, *task.LastStatus, task.StopCode, aws.ToString(task.StoppedReason))
			}
		}
	}
}

// Kills Berth while it starts for the first time. berth down leaves nothing.
func TestKillDuringFirstStart(t *testing.T) {
	t.Parallel()
	rng := rand.New(rand.NewPCG(crashSeed(t), 0))
	for range 8 {
		h := &host{dir: t.TempDir()}
		if err := h.spawn(); err != nil {
			t.Fatal(err)
		}
		<-time.After(time.Duration(rng.IntN(500)) * time.Millisecond)
		h.kill()
		os.Remove(h.said)
		if _, err := os.Stat(filepath.Join(h.dir, "instance.json")); errors.Is(err, fs.ErrNotExist) {
			continue // nothing was made yet
		}
		if err := h.down(); err != nil {
			t.Error(err)
		}
		os.Remove(h.said)
	}
}

// Kills Berth while it imports an image. The image is there or it isn't; what
// was cut off leaves nothing.
func TestKillDuringImport(t *testing.T) {
	t.Parallel()
	rng := rand.New(rand.NewPCG(crashSeed(t), 0))
	h := newHost(t)
	// A container's base is a snapshot of its own.
	h.await(t, *h.run(t, h.register(t, []types.ContainerDefinition{container("main", "exit=0")})).TaskArn, "STOPPED")
	blobs, ingests, snapshots := h.imageFiles(t)
	began := time.Now()
	h.importProbe(t)
	takes := time.Since(began)
	known := 1
	for range 12 {
		if known > 0 {
			if out, err := h.berth("image", "rm", "probe"); err != nil {
				t.Fatalf("berth image rm: %v: %s", err, out)
			}
		}
		importing := h.command("image", "import", built.image)
		if err := importing.Start(); err != nil {
			t.Fatal(err)
		}
		<-time.After(time.Duration(rng.Int64N(int64(3 * takes / 2))))
		h.kill()
		acknowledged := importing.Wait() == nil
		if err := h.start(); err != nil {
			t.Fatal(err)
		}
		images, err := local.Dial(h.dir).ListImages(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if known = len(images); known == 0 && acknowledged {
			t.Error("an image whose import was acknowledged is gone")
		}
		if known > 0 { // what is there works
			h.await(t, *h.run(t, h.register(t, []types.ContainerDefinition{container("main", "exit=0")})).TaskArn, "STOPPED")
		}
	}
	h.importProbe(t)
	task := h.await(t, *h.run(t, h.register(t, []types.ContainerDefinition{container("main", "exit=7")})).TaskArn, "STOPPED")
	if c := task.Containers[0]; aws.ToInt32(c.ExitCode) != 7 {
		t.Errorf("a task of the image: %s %s", aws.ToString(task.StoppedReason), reasons(task))
	}
	// What nothing needs is removed in the background.
	eventually(t, 10*time.Second, func() error {
		if b, i, s := h.imageFiles(t); b > blobs || i > ingests || s > snapshots {
			return fmt.Errorf("the image store holds %d blobs, %d begun ones and %d snapshots; after one import it held %d, %d and %d", b, i, s, blobs, ingests, snapshots)
		}
		return nil
	})
}

// imageFiles counts what the image store has on the disk.
func (h *host) imageFiles(t *testing.T) (blobs, ingests, snapshots int) {
	t.Helper()
	count := func(of string) int {
		entries, err := os.ReadDir(filepath.Join(h.dir, "runtime", "images", of))
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			t.Fatal(err)
		}
		return len(entries)
	}
	return count("content/blobs/sha256"), count("content/ingest"), count("overlayfs/snapshots")
}

// command is one of berth's on the installation.
func (h *host) command(args ...string) *exec.Cmd {
	return exec.Command(built.berth, append(args, "--data-dir", h.dir)...)
}

// berth runs a command of berth's on the installation.
func (h *host) berth(args ...string) (string, error) {
	out, err := h.command(args...).CombinedOutput()
	return strings.TrimSpace(string(out)), err
}
