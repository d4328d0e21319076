package agent

import (
	"context"
	"fmt"
	"path/filepath"
	"slices"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ecs/types"

	"github.com/berth/berth/internal/arn"
	"github.com/berth/berth/internal/envfile"
	"github.com/berth/berth/internal/wholefile"
	"github.com/berth/berth/state"
)

// maxEnvFile bounds an environment file in bytes. Its variables come to less by
// far: the kernel starts no program with more than some megabytes of them.
const maxEnvFile = 8 << 20

// envFiles are the ARNs of a container's environment files: an override's stand
// in place of the definition's (SDK, types.ContainerOverride.EnvironmentFiles).
func envFiles(as *state.Assignment, d *types.ContainerDefinition) []string {
	files := d.EnvironmentFiles
	for _, o := range as.Task.Overrides.V.ContainerOverrides {
		if aws.ToString(o.Name) == aws.ToString(d.Name) && len(o.EnvironmentFiles) > 0 {
			files = o.EnvironmentFiles
		}
	}
	var out []string
	for _, f := range files {
		out = append(out, aws.ToString(f.Value))
	}
	return out
}

// fileEnv is what the environment files of a task set, by container.
type fileEnv map[string][][2]string

func (f folder) fileEnv() string { return filepath.Join(string(f), "environment.json") }

// readEnvFiles reads the task's environment files, once: a later process finds
// what they were when the task was launched.
func (t *task) readEnvFiles() {
	if t.plan.filesRead {
		return
	}
	t.op(t.launching, "environment", func(ctx context.Context) func() {
		read, err := t.fetchEnv(ctx)
		if err == nil && len(read) > 0 {
			err = wholefile.WriteJSON(t.dir.fileEnv(), read)
		}
		return func() {
			if err != nil {
				t.failed(ctx, "ResourceInitializationError", fmt.Errorf("failed to download env files: file download command: non empty error stream: %w", err))
				return
			}
			t.plan.setFileEnv(read)
		}
	})
}

// keptEnv takes up what an earlier process read.
func (t *task) keptEnv() {
	var read fileEnv
	if found, err := wholefile.ReadJSON(t.dir.fileEnv(), &read); err == nil && found {
		t.plan.setFileEnv(read)
	}
}

func (t *task) fetchEnv(ctx context.Context) (fileEnv, error) {
	out := fileEnv{}
	for _, c := range t.plan.containers {
		for _, file := range c.envFiles {
			name, err := arn.Parse(file)
			if err != nil {
				return nil, err
			}
			bucket, key, _ := strings.Cut(name.Resource, "/")
			content, err := t.a.cfg.Objects.Object(ctx, t.as.Task.Account, bucket, key, maxEnvFile)
			if err != nil {
				return nil, fmt.Errorf("%s: %w", file, err)
			}
			variables, err := envfile.Parse(content)
			if err != nil {
				return nil, fmt.Errorf("%s: %w", file, err)
			}
			for _, v := range variables {
				out[c.name] = unlessSet(out[c.name], v.Name, v.Value)
			}
		}
	}
	return out, nil
}

// unlessSet adds a variable that isn't there. So of two files the first wins, as
// with AWS's agent.
func unlessSet(env [][2]string, name, value string) [][2]string {
	if slices.ContainsFunc(env, func(e [2]string) bool { return e[0] == name }) {
		return env
	}
	return append(env, [2]string{name, value})
}

// setFileEnv gives containers what their files set. Log drivers with the option
// env see it too.
func (p *plan) setFileEnv(read fileEnv) {
	p.filesRead = true
	for _, c := range p.containers {
		c.fileEnv = read[c.name]
		if c.logs == nil || c.logs.Other == nil {
			continue
		}
		for _, e := range c.fileEnv {
			if _, ok := c.logs.Other.Source.Env[e[0]]; !ok {
				c.logs.Other.Source.Env[e[0]] = e[1]
			}
		}
	}
}
