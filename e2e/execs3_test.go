package e2e

import (
	"bytes"
	"fmt"
	"os/exec"
	"strings"
	"testing"
	"time"
)

// What sessions print goes to the bucket that the cluster names: when they have
// ended, and what there was of one that a kill cut off.
func TestExecLogsToS3(t *testing.T) {
	t.Parallel()
	h := newHost(t)
	h.aws(t, "s3api", "create-bucket", "--bucket", "sessions")
	configure := func(log string) error {
		_, err := h.awsTry("ecs", "update-cluster", "--cluster", "default", "--configuration", "executeCommandConfiguration={logging=OVERRIDE,logConfiguration={"+log+"}}")
		return err
	}
	if err := configure("s3BucketName=sessions,s3KeyPrefix=who/did"); err != nil {
		t.Fatal(err)
	}
	task := h.execTask(t, "exec-s3")
	command := func(args ...string) *exec.Cmd {
		cmd := exec.Command(built.berth, append([]string{"exec", "--data-dir", h.dir, task, "-c", "app", "--", "/probe"}, args...)...)
		cmd.Env = h.env
		return cmd
	}
	if out, err := command("print=first").CombinedOutput(); err != nil || string(out) != "first\n" {
		t.Fatalf("berth exec: %v: %s", err, out)
	}
	// logged waits for so many objects, and returns them one after another.
	logged := func(n int) string {
		t.Helper()
		var keys []string
		eventually(t, 20*time.Second, func() error {
			keys = strings.Fields(h.aws(t, "s3api", "list-objects-v2", "--bucket", "sessions", "--query", "Contents[].Key", "--output", "text"))
			if len(keys) < n || keys[0] == "None" {
				return fmt.Errorf("the bucket has %v", keys)
			}
			return nil
		})
		all := ""
		for _, key := range keys {
			if !strings.HasPrefix(key, "who/did/ecs-execute-command-") || !strings.HasSuffix(key, ".log") {
				t.Errorf("the bucket has %s", key)
			}
			all += h.aws(t, "s3", "cp", "s3://sessions/"+key, "-")
		}
		return all
	}
	if text := logged(1); !strings.Contains(text, "\nfirst\n") || !strings.Contains(text, "ended after") || !strings.Contains(text, "exit code 0") {
		t.Errorf("the transcript is %q", text)
	}
	var said bytes.Buffer
	cut := command("print=second", "wait")
	in, err := cut.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	defer in.Close()
	out, err := cut.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cut.Start(); err != nil {
		t.Fatal(err)
	}
	defer cut.Wait()
	defer cut.Process.Kill()
	for b := make([]byte, 64); !strings.Contains(said.String(), "second\n"); {
		n, err := out.Read(b)
		said.Write(b[:n])
		if err != nil {
			t.Fatalf("the command said %q: %v", said.String(), err)
		}
	}
	h.kill()
	if err := h.start(); err != nil {
		t.Fatal(err)
	}
	if text := logged(2); !strings.Contains(text, "\nsecond\n") {
		t.Errorf("after kill -9 the transcripts are %q", text)
	}
	// Without its bucket no session begins; keys of KMS are refused.
	if err := configure("s3BucketName=none"); err != nil {
		t.Fatal(err)
	}
	if out, err := command("print=third").CombinedOutput(); err == nil || !strings.Contains(string(out), "TargetNotConnectedException") {
		t.Errorf("without the bucket: %v: %s", err, out)
	}
	if err := configure("s3BucketName=sessions,s3EncryptionEnabled=true"); err == nil || !strings.Contains(err.Error(), "s3EncryptionEnabled") {
		t.Errorf("with encryption: %v", err)
	}
}
