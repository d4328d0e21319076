package e2e

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ecs"
	"github.com/aws/aws-sdk-go-v2/service/ecs/types"
	"github.com/aws/aws-sdk-go-v2/service/s3"

	"github.com/berth/berth/client"
)

// many are n variables of 100 bytes each.
func many(n int) string {
	var out strings.Builder
	for i := range n {
		fmt.Fprintf(&out, "N%d=%s\n", i, strings.Repeat("x", 92))
	}
	return out.String()
}

func envFile(key string) types.EnvironmentFile {
	return types.EnvironmentFile{Type: types.EnvironmentFileTypeS3, Value: aws.String("arn:aws:s3:::settings/" + key)}
}

// seenEnv is the environment that a container's probe tells of.
func (h *host) seenEnv(t *testing.T, task, container string) map[string]string {
	t.Helper()
	for _, line := range h.awaitLine(t, task, container, "seen") {
		if text, ok := strings.CutPrefix(line, "sight "); ok {
			var sight struct{ Env map[string]string }
			if err := json.Unmarshal([]byte(text), &sight); err != nil {
				t.Fatal(err)
			}
			return sight.Env
		}
	}
	t.Fatal("the container tells nothing")
	return nil
}

// Environment files come from S3 when a task is launched. The environment parameter goes
// before them, the first of two files before the second, and an override's files
// take the place of the definition's.
func TestEnvironmentFiles(t *testing.T) {
	t.Parallel()
	h := newHost(t)
	cfg, err := client.Config(t.Context(), h.dir)
	if err != nil {
		t.Fatal(err)
	}
	bucket := s3.NewFromConfig(cfg, func(o *s3.Options) { o.UsePathStyle = true })
	if _, err := bucket.CreateBucket(t.Context(), &s3.CreateBucketInput{Bucket: aws.String("settings")}); err != nil {
		t.Fatal(err)
	}
	for key, text := range map[string]string{
		"a/first.env":  "# a comment\nONE=first\nTWO= \"of $two\" \nTHREE=first\nBLANK=\n",
		"second.env":   "ONE=second\r\nFOUR=a=b\r\n",
		"override.env": "THREE=override\nFIVE=override\n",
		"long.env":     "LONG=" + strings.Repeat("x", 150_000),
		"many.env":     many(30_000),
	} {
		if _, err := bucket.PutObject(t.Context(), &s3.PutObjectInput{Bucket: aws.String("settings"), Key: &key, Body: strings.NewReader(text)}); err != nil {
			t.Fatal(err)
		}
	}
	main := container("main", "see", "print=seen", "wait")
	main.StopTimeout = aws.Int32(2)
	main.EnvironmentFiles = []types.EnvironmentFile{envFile("a/first.env"), envFile("second.env")}
	main.Environment = []types.KeyValuePair{{Name: aws.String("THREE"), Value: aws.String("parameter")}}
	definition := h.register(t, []types.ContainerDefinition{main})
	check := func(task string, want map[string]string) {
		t.Helper()
		got := h.seenEnv(t, task, "main")
		for _, name := range []string{"ONE", "TWO", "THREE", "FOUR", "FIVE", "BLANK"} {
			value, set := got[name]
			if wanted, ok := want[name]; set != ok || value != wanted {
				t.Errorf("%s is %q (%v), want %q (%v)", name, value, set, wanted, ok)
			}
		}
		h.stop(t, task)
	}
	check(*h.run(t, definition).TaskArn, map[string]string{"ONE": "first", "TWO": ` "of $two" `, "THREE": "parameter", "FOUR": "a=b"})
	override := func(keys ...string) func(in *ecs.RunTaskInput) {
		return func(in *ecs.RunTaskInput) {
			o := types.ContainerOverride{Name: aws.String("main")}
			for _, key := range keys {
				o.EnvironmentFiles = append(o.EnvironmentFiles, envFile(key))
			}
			in.Overrides = &types.TaskOverride{ContainerOverrides: []types.ContainerOverride{o}}
		}
	}
	check(*h.run(t, definition, override("override.env")).TaskArn, map[string]string{"THREE": "parameter", "FIVE": "override"})

	// What is more than the kernel takes is said before anything runs.
	for key, want := range map[string]string{
		"long.env": "argument list too long: the environment variable LONG has 150005 bytes, and Linux takes less than 131072",
		"many.env": "argument list too long: the command and the environment take ",
	} {
		task := h.await(t, *h.run(t, definition, override(key)).TaskArn, "STOPPED")
		if reason := aws.ToString(task.StoppedReason); !strings.HasPrefix(reason, "CannotCreateContainerError: ") || !strings.Contains(reason, want) {
			t.Errorf("%s: %q", key, reason)
		}
	}
	gone := h.await(t, *h.run(t, definition, override("missing.env")).TaskArn, "STOPPED")
	want := "ResourceInitializationError: failed to download env files: file download command: non empty error stream: " +
		"arn:aws:s3:::settings/missing.env: NoSuchKey: The specified key does not exist. status code: 404"
	if gone.StopCode != types.TaskStopCodeTaskFailedToStart || aws.ToString(gone.StoppedReason) != want {
		t.Errorf("without the file: %s, %q", gone.StopCode, aws.ToString(gone.StoppedReason))
	}
}
