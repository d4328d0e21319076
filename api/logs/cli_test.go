package logs_test

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/berth/berth/api/logs"
	"github.com/berth/berth/state"
	"github.com/berth/berth/wire/wiretest"
)

// awsCLI returns what starts the real AWS CLI against the URL.
func awsCLI(t *testing.T, url string) func(args ...string) *exec.Cmd {
	t.Helper()
	cli, err := exec.LookPath("aws")
	if err != nil {
		t.Fatal("the AWS CLI (aws) is not on PATH: install the package awscli, this test speaks to it: ", err)
	}
	env := append(os.Environ(), "HOME="+t.TempDir(), "AWS_ACCESS_KEY_ID="+wiretest.AccessKeyID, "AWS_SECRET_ACCESS_KEY="+wiretest.SecretKey,
		"AWS_PAGER=", "AWS_ENDPOINT_URL="+url, "AWS_REGION="+wiretest.Region, "AWS_DEFAULT_REGION="+wiretest.Region)
	return func(args ...string) *exec.Cmd {
		cmd := exec.CommandContext(t.Context(), cli, append([]string{"--endpoint-url", url}, args...)...)
		cmd.Env = env
		return cmd
	}
}

// TestCLI has the CLI write, and read it.
func TestCLI(t *testing.T) {
	_, url, _ := serve(t, time.Now)
	cli := awsCLI(t, url)
	run := func(args ...string) map[string]any {
		t.Helper()
		cmd := cli(append([]string{"--output", "json", "logs"}, args...)...)
		var stdout, stderr bytes.Buffer
		cmd.Stdout, cmd.Stderr = &stdout, &stderr
		if err := cmd.Run(); err != nil {
			t.Fatalf("%v: %v: %s", args, err, stderr.Bytes())
		}
		var got map[string]any
		if stdout.Len() > 0 {
			if err := json.Unmarshal(stdout.Bytes(), &got); err != nil {
				t.Fatalf("%v prints %q: %v", args, stdout.Bytes(), err)
			}
		}
		return got
	}
	rows := func(got map[string]any, member string) int {
		list, _ := got[member].([]any)
		return len(list)
	}
	run("create-log-group", "--log-group-name", "/ecs/cli")
	run("create-log-stream", "--log-group-name", "/ecs/cli", "--log-stream-name", "a/b/c")
	run("put-log-events", "--log-group-name", "/ecs/cli", "--log-stream-name", "a/b/c",
		"--log-events", fmt.Sprintf("timestamp=%d,message=hello", time.Now().UnixMilli()), fmt.Sprintf("timestamp=%d,message=ERROR", time.Now().UnixMilli()))
	if got := run("filter-log-events", "--log-group-name", "/ecs/cli", "--filter-pattern", "ERROR"); rows(got, "events") != 1 {
		t.Errorf("filter: %v", got)
	}
	if got := run("get-log-events", "--log-group-name", "/ecs/cli", "--log-stream-name", "a/b/c"); rows(got, "events") != 2 {
		t.Errorf("get: %v", got)
	}
	if got := run("describe-log-streams", "--log-group-name", "/ecs/cli"); rows(got, "logStreams") != 1 {
		t.Errorf("streams: %v", got)
	}
}

// TestCLITail follows a group with `aws logs tail`, which version 2 of the CLI
// has (for version 1 there is TestTailFollow, which polls as the CLI does).
func TestCLITail(t *testing.T) {
	_, url, store := serve(t, time.Now)
	cli := awsCLI(t, url)
	if version, err := cli("--version").CombinedOutput(); err != nil {
		t.Fatalf("aws --version: %v: %s", err, version)
	} else if !strings.Contains(string(version), "aws-cli/2") {
		t.Logf("nothing to test: %s has no logs tail", version)
		return
	}
	sink := logs.NewSink(store)
	n := 0
	print := func(stream string) {
		t.Helper()
		target := state.LogTarget{Scope: state.Scope{Account: wiretest.Account, Region: wiretest.Region}, Group: "/ecs/tail", Stream: stream, CreateGroup: true}
		if err := sink.Open(t.Context(), target); err != nil {
			t.Fatal(err)
		}
		n++
		if err := sink.Put(t.Context(), target, "c", []state.LogEvent{{Time: time.Now(), Message: fmt.Sprintf("line %d", n)}}, int64(n)); err != nil {
			t.Fatal(err)
		}
	}
	print("web/app/1")
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	cmd := cli("logs", "tail", "/ecs/tail", "--follow", "--format", "short")
	cmd.Env = append(cmd.Env, "PYTHONUNBUFFERED=1")
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	stop := context.AfterFunc(ctx, func() { cmd.Process.Kill() })
	defer func() {
		stop()
		cmd.Process.Kill()
		cmd.Wait()
	}()
	seen := 0
	for lines := bufio.NewScanner(out); seen < 6; {
		if !lines.Scan() {
			t.Fatalf("the tail ended after %d lines: %v %s", seen, lines.Err(), stderr.Bytes())
		}
		if seen++; !strings.HasSuffix(lines.Text(), fmt.Sprintf("line %d", seen)) {
			t.Fatalf("line %d is %q", seen, lines.Text())
		}
		if seen == n { // seen all there is: more comes between two polls
			print("web/app/1")
			print("web/app/2")
		}
	}
}
