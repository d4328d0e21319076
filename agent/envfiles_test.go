package agent

import (
	"context"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"testing/synctest"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ecs/types"

	"github.com/berth/berth/state"
)

// Object gives the objects of the host's only bucket, to their owner.
func (p *process) Object(ctx context.Context, account, bucket, key string, limit int64) (content []byte, err error) {
	err = p.call(ctx, func() error {
		text, ok := p.objects[key]
		switch {
		case account != "123456789012" || bucket != "bucket":
			return errors.New("AccessDenied: Access Denied status code: 403")
		case !ok:
			return errors.New("NoSuchKey: The specified key does not exist. status code: 404")
		case int64(len(text)) > limit:
			return errors.New("too large")
		}
		content = []byte(text)
		return nil
	})
	return content, err
}

func fromFiles(keys ...string) func(*types.ContainerDefinition) {
	return func(d *types.ContainerDefinition) {
		for _, key := range keys {
			d.EnvironmentFiles = append(d.EnvironmentFiles, types.EnvironmentFile{Type: types.EnvironmentFileTypeS3, Value: aws.String("arn:aws:s3:::" + key)})
		}
	}
}

func TestEnvFiles(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		w.host.objects = map[string]string{"x/a.env": "A=a\nB=a\nC=a\n", "b.env": "B=b\nD=b\n"}
		id := w.run(define("a", fromFiles("bucket/x/a.env", "bucket/b.env"), func(d *types.ContainerDefinition) {
			d.Environment = []types.KeyValuePair{{Name: aws.String("C"), Value: aws.String("parameter")}}
		}), define("b"))
		w.wantState(id, state.Running)
		w.host.mu.Lock()
		for _, c := range w.host.containers {
			for _, e := range []string{"A=a", "B=a", "C=parameter", "D=b"} {
				if want := nameOf(c.spec) == "a"; slices.Contains(c.spec.Env, e) != want {
					t.Errorf("%s in container %s: want %v of %q", e, nameOf(c.spec), want, c.spec.Env)
				}
			}
		}
		w.host.mu.Unlock()
		kept := filepath.Join(w.dir, "tasks", id, "environment.json")
		if info, err := os.Stat(kept); err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("what was read is kept: %v, %v", info, err)
		}
		w.stop(id)
		if _, err := os.Stat(kept); !os.IsNotExist(err) {
			t.Errorf("it is there still: %v", err)
		}
		for file, why := range map[string]string{
			"bucket/c.env":  "arn:aws:s3:::bucket/c.env: NoSuchKey: The specified key does not exist. status code: 404",
			"another/a.env": "arn:aws:s3:::another/a.env: AccessDenied: Access Denied status code: 403",
		} {
			w.wantStop(w.run(define("a", fromFiles(file))), notBegun,
				"ResourceInitializationError: failed to download env files: file download command: non empty error stream: "+why)
		}
		w.gone()
	})
}

// What a file was when the task was launched holds, whatever it is when a later
// process goes on with the launch.
func TestEnvFilesAreReadOnce(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		w.close()
		as := assignment("00000000000000000000000000000001", define("a", fromFiles("bucket/a.env")))
		dir := folder(filepath.Join(w.dir, "tasks", as.Task.ID))
		if err := os.MkdirAll(string(dir), 0o700); err != nil {
			t.Fatal(err)
		}
		for path, v := range map[string]any{dir.assignment(): as, dir.fileEnv(): fileEnv{"a": {{"A", "before"}}}} {
			b, err := json.Marshal(v)
			if err == nil {
				err = os.WriteFile(path, b, 0o600)
			}
			if err != nil {
				t.Fatal(err)
			}
		}
		w.host.objects = map[string]string{"a.env": "A=after"}
		w.tasks[as.Task.ID] = as
		w.start(0)
		synctest.Wait()
		w.wantState(as.Task.ID, state.Running)
		w.host.mu.Lock()
		defer w.host.mu.Unlock()
		for _, c := range w.host.containers {
			if !slices.Contains(c.spec.Env, "A=before") {
				t.Errorf("its environment is %q", c.spec.Env)
			}
		}
	})
}
