package agent

import (
	"bytes"
	"log/slog"
	"strings"
	"testing"
	"time"

	gcr "github.com/google/go-containerregistry/pkg/v1/empty"
	v1 "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/berth/berth/agent/runtime"
	"github.com/berth/berth/agent/runtime/fake"
	"github.com/berth/berth/agent/runtime/runtimetest"
	"github.com/berth/berth/state"
)

func TestPullBehavior(t *testing.T) {
	const none, old, new, fails = "", "old", "new", "fails"
	for _, c := range []struct {
		behavior                  PullBehavior
		present, registry, expect string
	}{
		{PullDefault, none, new, new},
		{PullDefault, old, new, new},
		{PullDefault, old, fails, old},
		{PullDefault, none, fails, fails},
		{PullAlways, none, new, new},
		{PullAlways, old, new, new},
		{PullAlways, old, fails, fails},
		{PullOnce, none, new, new},
		{PullOnce, old, new, old},
		{PullOnce, old, fails, old},
		{PullPreferCached, none, new, new},
		{PullPreferCached, old, new, old},
		{PullPreferCached, none, fails, fails},
	} {
		t.Run(string(c.behavior)+" "+c.present+" "+c.registry, func(t *testing.T) {
			rt := fake.New(t.TempDir(), nil)
			publish := func(version string) {
				config := v1.Image{Author: version}
				if version == fails {
					config.Architecture = "none"
				}
				config.Config.Labels = map[string]string{"version": version}
				if _, err := rt.Publish("app", config); err != nil {
					t.Fatal(err)
				}
			}
			if c.present != none {
				publish(c.present)
				if _, err := rt.Pull(t.Context(), "app", true); err != nil {
					t.Fatal(err)
				}
			}
			publish(c.registry)
			a := &Agent{cfg: Config{Runtime: rt, PullBehavior: c.behavior}, log: slog.New(slog.DiscardHandler)}
			img, err := a.image(t.Context(), "app")
			got := img.Config.Labels["version"]
			if err != nil {
				got = fails
			}
			if got != c.expect {
				t.Errorf("got %q (%v), want %q", got, err, c.expect)
			}
		})
	}
}

// An image that a person gave the node is taken though a registry has another.
func TestPullImported(t *testing.T) {
	rt := fake.New(t.TempDir(), nil)
	if _, err := rt.Import(t.Context(), bytes.NewReader(runtimetest.DockerArchive(t, gcr.Image, "app:latest")), ""); err != nil {
		t.Fatal(err)
	}
	if _, err := rt.Publish("app", v1.Image{}); err != nil {
		t.Fatal(err)
	}
	a := &Agent{cfg: Config{Runtime: rt, PullBehavior: PullDefault}, log: slog.New(slog.DiscardHandler)}
	if img, err := a.image(t.Context(), "app"); err != nil || !img.Imported {
		t.Errorf("image %+v, %v", img, err)
	}
	if _, err := New(Config{PullBehavior: "often"}); err == nil || !strings.Contains(err.Error(), `"often"`) {
		t.Errorf("an unknown behavior: %v", err)
	}
}

func TestSplit(t *testing.T) {
	began := time.Unix(1000, 0)
	pull := state.Step{Name: state.StepPull, Container: "web", Began: began, Took: 10 * time.Second}
	if got := split(pull, runtime.Image{}); len(got) != 1 || got[0] != pull {
		t.Errorf("of a present image: %+v", got)
	}
	got := split(pull, runtime.Image{PulledIn: 7 * time.Second, UnpackedIn: 2 * time.Second})
	if len(got) != 2 || got[0].Took != 8*time.Second || got[1].Name != state.StepUnpack || got[1].Took != 2*time.Second ||
		!got[1].Began.Equal(began.Add(8*time.Second)) || got[1].Container != "web" {
		t.Errorf("of a pull: %+v", got)
	}
	if got := split(pull, runtime.Image{Coming: true}); len(got) != 1 || got[0].Name != state.StepLazyPull || got[0].Took != pull.Took {
		t.Errorf("of a pull of an image that is still to come: %+v", got)
	}
}
