package e2e

import (
	"bytes"
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/ecs"
	"github.com/aws/aws-sdk-go-v2/service/ecs/types"

	"github.com/berth/berth/instance"
)

// public are the files of a data directory that everybody may read.
var public = []string{"instance.json", "endpoint.json"}

// Other users of the host read nothing of an installation and don't get to its
// door, whatever mask it was started with; its containers' own users do get
// into their files. Keys and values of tasks are in no log.
func TestDataDirectoryIsPrivate(t *testing.T) {
	t.Parallel()
	for _, umask := range []string{"0000", "0077"} {
		t.Run(umask, func(t *testing.T) {
			t.Parallel()
			dir, err := os.MkdirTemp("", "berth-e2e-")
			if err != nil {
				t.Fatal(err)
			}
			if err := os.Chmod(dir, 0o755); err != nil {
				t.Fatal(err)
			}
			h := &host{dir: dir, umask: umask, flags: []string{"--cpu-overcommit", "64", "--memory-overcommit", "16", "--log-level", "debug"}}
			t.Cleanup(func() {
				if err := h.down(); err != nil {
					t.Errorf("berth down: %v", err)
				}
				os.RemoveAll(dir)
				os.Remove(h.said)
			})
			if err := h.start(); err != nil {
				t.Fatal(err)
			}
			h.prepare(t)
			const secret, line = "a-value-for-nobody-else", "a-line-for-nobody-else"
			c := with(container("main", "id", "ls=."), func(c *types.ContainerDefinition) {
				c.User, c.WorkingDirectory = aws.String("1000:1000"), aws.String("/made/for/it")
				c.MountPoints = []types.MountPoint{{SourceVolume: aws.String("v"), ContainerPath: aws.String("/v")}}
			})
			volume := func(in *ecs.RegisterTaskDefinitionInput) { in.Volumes = []types.Volume{{Name: aws.String("v")}} }
			task := h.await(t, *h.run(t, h.register(t, []types.ContainerDefinition{c}, volume, func(in *ecs.RegisterTaskDefinitionInput) { in.Family = aws.String("user") })).TaskArn, "STOPPED")
			h.awaitLine(t, *task.TaskArn, "main", "uid=1000 gid=1000 cwd=/made/for/it")
			h.awaitLine(t, *task.TaskArn, "main", ".: ")

			c = with(container("main", "print="+line, "wait"), func(c *types.ContainerDefinition) {
				c.Environment = []types.KeyValuePair{{Name: aws.String("SECRET"), Value: aws.String(secret)}}
			})
			task = h.run(t, h.register(t, []types.ContainerDefinition{c}, volume, func(in *ecs.RegisterTaskDefinitionInput) { in.Family = aws.String("secret") }))
			h.await(t, *task.TaskArn, "RUNNING")
			h.awaitLine(t, *task.TaskArn, "main", line)

			berth := filepath.Join(dir, "berth") // where others can run it
			if err := os.Link(built.berth, berth); err != nil {
				t.Fatal(err)
			}
			asNobody := exec.Command(berth, "status", "--data-dir", dir)
			asNobody.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 65534, Gid: 65534}}
			asNobody.Dir = "/"
			if out, err := asNobody.CombinedOutput(); err == nil || !strings.Contains(string(out), "permission denied") {
				t.Errorf("berth status as another user: %v: %s", err, out)
			}
			if err := os.Remove(berth); err != nil {
				t.Fatal(err)
			}
			for _, path := range open(t, dir) {
				t.Errorf("others can get at %s", path)
			}
			checkSockets(t, dir)

			keys, err := instance.ReadKeys(dir)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := h.ecs.ListClusters(t.Context(), &ecs.ListClustersInput{}, func(o *ecs.Options) {
				o.Credentials = credentials.NewStaticCredentialsProvider(keys.AccessKeyID, "not-the-secret-but-a-guess", "a-session-token")
			}); err == nil {
				t.Error("a wrong secret was taken")
			}
			said, err := os.ReadFile(h.said)
			if err != nil {
				t.Fatal(err)
			}
			for what, text := range map[string]string{"the secret key": keys.SecretAccessKey, "an environment's value": secret, "a line of output": line, "a guessed key": "not-the-secret", "a token": "a-session-token"} {
				if bytes.Contains(said, []byte(text)) {
					t.Errorf("%s is in the log", what)
				}
			}
			if !bytes.Contains(said, []byte("level=DEBUG")) {
				t.Error("the log has no debug lines")
			}
		})
	}
}

// open lists what others can open below dir, if they know its name.
func open(t *testing.T, dir string) []string {
	t.Helper()
	var found []string
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			if errors.Is(err, fs.ErrNotExist) {
				return nil
			}
			return err
		}
		info, err := d.Info()
		if err != nil {
			return nil // it went meanwhile
		}
		mode := info.Mode()
		if d.IsDir() {
			if mode.Perm()&0o007 == 0 {
				return filepath.SkipDir
			}
			if path != dir {
				found = append(found, path+" "+mode.String())
			}
			return nil
		}
		rel, err := filepath.Rel(dir, path)
		if err != nil {
			return err
		}
		for _, p := range public {
			if rel == p {
				return nil
			}
		}
		if mode.Perm()&0o007 != 0 {
			found = append(found, path+" "+mode.String())
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return found
}

// checkSockets has all sockets and pipes below dir be the owner's alone.
func checkSockets(t *testing.T, dir string) {
	t.Helper()
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.Name() == "rootfs" {
			return filepath.SkipDir
		}
		if d.Type()&(fs.ModeSocket|fs.ModeNamedPipe) != 0 {
			if info, err := d.Info(); err == nil && info.Mode().Perm()&0o007 != 0 {
				t.Errorf("%s is %v", path, info.Mode())
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}
