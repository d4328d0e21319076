package runtimetest

import (
	"bytes"
	"context"
	"errors"
	"slices"
	"strings"
	"sync"
	"testing"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/mutate"

	"github.com/berth/berth/agent/runtime"
)

func (r *suite) images(t *testing.T) {
	ctx := bounded(t)
	img := NewImage(t, r.file, "import")
	archives := map[string][]byte{
		"docker-archive":               DockerArchive(t, img, "one:1"),
		"gzipped docker-archive":       Gzip(t, DockerArchive(t, img, "one:1")),
		"OCI layout":                   OCILayout(t, img),
		"gzipped OCI layout":           Gzip(t, OCILayout(t, img)),
		"OCI layout of more platforms": OCILayout(t, foreign(t, img), img),
	}
	for name, data := range archives {
		t.Run(name, func(t *testing.T) {
			got, err := r.Import(ctx, bytes.NewReader(data), "one:1")
			if err != nil {
				t.Fatal(err)
			}
			if len(got) != 1 || got[0].Ref != "docker.io/library/one:1" {
				t.Fatalf("imported %+v, want one:1", got)
			}
			i := got[0]
			if !strings.HasPrefix(i.Digest, "sha256:") || i.Size <= 0 || i.CreatedAt.IsZero() || !i.Imported {
				t.Errorf("image %+v lacks digest, size, time or origin", i)
			}
			c := i.Config
			if !slices.Equal(c.Entrypoint, []string{program}) || !slices.Equal(c.Cmd, []string{"print=default"}) ||
				!slices.Equal(c.Env, []string{"FROM=image"}) || c.User != "app" || c.WorkingDir != "/work" ||
				c.StopSignal != "SIGUSR1" || c.Labels["a"] != "b" {
				t.Errorf("config %+v", c)
			}
			// All its names are the same image.
			for _, ref := range []string{"one:1", "library/one:1", "docker.io/one:1", "docker.io/library/one:1", "index.docker.io/library/one:1"} {
				same, err := r.Image(ctx, ref)
				if err != nil || same.Ref != i.Ref || same.Digest != i.Digest {
					t.Errorf("Image(%s) = %+v, %v", ref, same, err)
				}
			}
			if err := r.RemoveImage(ctx, "docker.io/library/one:1"); err != nil {
				t.Errorf("RemoveImage: %v", err)
			}
			if _, err := r.Image(ctx, "one:1"); !errors.Is(err, runtime.ErrNotFound) {
				t.Errorf("Image after RemoveImage: error %v, want ErrNotFound", err)
			}
			if err := r.RemoveImage(ctx, "one:1"); !errors.Is(err, runtime.ErrNotFound) {
				t.Errorf("RemoveImage again: error %v, want ErrNotFound", err)
			}
		})
	}
	t.Run("without a name", func(t *testing.T) {
		if got, err := r.Import(ctx, bytes.NewReader(OCILayout(t, img)), ""); err == nil {
			t.Errorf("imported %+v without a name", got)
		}
	})
	t.Run("of another platform", func(t *testing.T) {
		_, err := r.Import(ctx, bytes.NewReader(DockerArchive(t, foreign(t, img), "one:1")), "")
		if err == nil || !strings.Contains(err.Error(), "does not contain descriptor matching platform") {
			t.Errorf("error %v", err)
		}
	})
	t.Run("cut off", func(t *testing.T) {
		data := DockerArchive(t, img, "cut:1")
		if got, err := r.Import(ctx, bytes.NewReader(data[:len(data)/2]), ""); err == nil {
			t.Errorf("imported %+v", got)
		}
		if _, err := r.Import(ctx, strings.NewReader("no archive"), "cut:1"); err == nil {
			t.Error("imported what is no archive")
		}
		if _, err := r.Image(ctx, "cut:1"); !errors.Is(err, runtime.ErrNotFound) {
			t.Errorf("Image: error %v, want ErrNotFound", err)
		}
	})
	t.Run("the same name for another image", func(t *testing.T) {
		for _, extra := range []string{"a", "b"} {
			if _, err := r.Import(ctx, bytes.NewReader(DockerArchive(t, NewImage(t, r.file, extra), "two")), ""); err != nil {
				t.Fatal(err)
			}
		}
		list, err := r.ListImages(ctx)
		if err != nil {
			t.Fatal(err)
		}
		var refs []string
		for _, i := range list {
			refs = append(refs, i.Ref)
		}
		if want := []string{"docker.io/library/probe:latest", "docker.io/library/two:latest"}; !slices.Equal(refs, want) {
			t.Errorf("images %v, want %v", refs, want)
		}
		if err := r.RemoveImage(ctx, "two"); err != nil {
			t.Error(err)
		}
	})
	t.Run("references that are none", func(t *testing.T) {
		for _, ref := range []string{"", "UPPER", "a b", "x@sha256:1"} {
			if _, err := r.Image(ctx, ref); err == nil || errors.Is(err, runtime.ErrNotFound) {
				t.Errorf("Image(%q): error %v", ref, err)
			}
			var pull *runtime.PullError
			if _, err := r.Pull(ctx, ref, false); !errors.As(err, &pull) || pull.Code != "CannotPullContainerError" {
				t.Errorf("Pull(%q): error %v", ref, err)
			}
		}
	})
	t.Run("removed in use", func(t *testing.T) {
		if _, err := r.Import(ctx, bytes.NewReader(DockerArchive(t, NewImage(t, r.file, "used"), "used")), ""); err != nil {
			t.Fatal(err)
		}
		running, created := r.spec("print=up", "wait", "print=still here"), r.spec("print=here too")
		running.Image, created.Image = "used", "used"
		id := r.start(t, running)
		r.says(t, id, "up") // before that it doesn't wait for signals
		r.create(t, created)
		if err := r.RemoveImage(ctx, "used"); err != nil {
			t.Fatal(err)
		}
		r.Signal(ctx, id, "TERM")
		r.Wait(ctx, id)
		if out := r.text(t, id); !strings.Contains(out, "still here") {
			t.Errorf("output %q", out)
		}
		if err := r.Start(ctx, created.ID); err != nil {
			t.Errorf("Start after RemoveImage: %v", err)
		}
		if status, err := r.Wait(ctx, created.ID); err != nil || status.ExitCode != 0 {
			t.Errorf("status %+v, %v", status, err)
		}
	})
}

// foreign is an image of a platform that no host of ours has.
func foreign(t *testing.T, img v1.Image) v1.Image {
	t.Helper()
	config, err := img.ConfigFile()
	if err != nil {
		t.Fatal(err)
	}
	config = config.DeepCopy()
	config.Architecture = "s390x"
	img, err = mutate.ConfigFile(img, config)
	if err != nil {
		t.Fatal(err)
	}
	return img
}

func (r *suite) pull(t *testing.T) {
	ctx := bounded(t)
	img := NewImage(t, r.file, "pull")
	ref := r.Publish(t, "team/app:1", img)

	var all sync.WaitGroup
	for range 4 { // at once: one pull
		all.Go(func() {
			got, err := r.Pull(ctx, ref, false)
			if err != nil || !strings.HasSuffix(got.Ref, "team/app:1") || got.Config.User != "app" || got.Imported {
				t.Errorf("Pull = %+v, %v", got, err)
			}
		})
	}
	all.Wait()
	first, err := r.Image(ctx, ref)
	if err != nil {
		t.Fatal(err)
	}
	r.Publish(t, "team/app:1", NewImage(t, r.file, "pull again"))
	if got, err := r.Pull(ctx, ref, false); err != nil || got.Digest != first.Digest {
		t.Errorf("Pull of what is present = %s, %v, want %s", got.Digest, err, first.Digest)
	}
	if got, err := r.Pull(ctx, ref, true); err != nil || got.Digest == first.Digest {
		t.Errorf("Pull of the new = %s, %v", got.Digest, err)
	}
	spec := r.spec("print=pulled")
	spec.Image = ref
	r.want(t, spec, "pulled\n")

	byDigest := strings.TrimSuffix(ref, ":1") + "@" + first.Digest
	if got, err := r.Pull(ctx, byDigest, false); err != nil || got.Digest != first.Digest || got.Ref != byDigest {
		t.Errorf("Pull by digest = %+v, %v", got, err)
	}
	for _, name := range []string{ref, byDigest} {
		if err := r.RemoveImage(ctx, name); err != nil {
			t.Error(err)
		}
	}

	var failed *runtime.PullError
	_, err = r.Pull(ctx, strings.TrimSuffix(ref, "app:1")+"absent:9", false)
	if !errors.As(err, &failed) || failed.Code != "CannotPullContainerError" ||
		!strings.HasPrefix(err.Error(), "CannotPullContainerError: pull image manifest has been retried 1 time(s): failed to resolve ref ") ||
		!strings.HasSuffix(err.Error(), "team/absent:9: not found") {
		t.Errorf("Pull of what is nowhere: %v", err)
	}
	other := r.Publish(t, "team/other:1", foreign(t, img))
	if _, err := r.Pull(ctx, other, false); !errors.As(err, &failed) ||
		!strings.HasPrefix(err.Error(), "CannotPullContainerError: pull image manifest has been retried 1 time(s): image Manifest does not contain descriptor matching platform 'linux/") {
		t.Errorf("Pull of another platform's image: %v", err)
	}
	cancelled, cancel := context.WithCancel(ctx)
	cancel()
	if _, err := r.Pull(cancelled, r.Publish(t, "team/late:1", img), false); !errors.As(err, &failed) {
		t.Errorf("Pull without time: %v", err)
	}
}
