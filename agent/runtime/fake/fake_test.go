package fake_test

import (
	"bytes"
	"context"
	"encoding/json"
	"testing"

	"github.com/google/go-containerregistry/pkg/v1"
	oci "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/berth/berth/agent/runtime"
	"github.com/berth/berth/agent/runtime/fake"
	"github.com/berth/berth/agent/runtime/runtimetest"
	"github.com/berth/berth/agent/runtime/runtimetest/probe"
)

func TestConformance(t *testing.T) {
	r := fake.New(t.TempDir(), map[string]fake.Program{"/probe": func(ctx context.Context, p fake.Process) int {
		return probe.Run(ctx, probe.Process{
			Args: p.Args, Env: p.Env, UID: p.UID, GID: p.GID, Cwd: p.Cwd, Hostname: p.Spec.Hostname,
			Stdin: p.Stdin, Stdout: p.Stdout, Stderr: p.Stderr, Signals: p.Signals,
		}, nil)
	}})
	runtimetest.Run(t, &runtimetest.Subject{
		Runtime: r,
		// What the host in memory runs has no other home: the same runtime stands
		// for a new process.
		Reopen: func(*testing.T) runtime.Runtime { return r },
		Publish: func(t *testing.T, name string, img v1.Image) string {
			data, err := img.RawConfigFile()
			if err != nil {
				t.Fatal(err)
			}
			var config oci.Image
			if err := json.NewDecoder(bytes.NewReader(data)).Decode(&config); err != nil {
				t.Fatal(err)
			}
			ref := "registry.test/" + name
			if _, err := r.Publish(ref, config); err != nil {
				t.Fatal(err)
			}
			return ref
		},
	})
}
