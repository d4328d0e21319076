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

// TestCLIFiltersAndQueries has the CLI filter over many pages, query, and keep
// filters.
func TestCLIFiltersAndQueries(t *testing.T) {
	from := time.Now().Add(-time.Hour).Truncate(time.Second)
	_, url, store := serve(t, time.Now)
	fill(t, store, []string{"/ecs/a", "/ecs/b"}, 2500, from)
	cli := awsCLI(t, url)
	run := func(into any, args ...string) {
		t.Helper()
		cmd := cli(append([]string{"--output", "json", "logs"}, args...)...)
		var stdout, stderr bytes.Buffer
		cmd.Stdout, cmd.Stderr = &stdout, &stderr
		if err := cmd.Run(); err != nil {
			t.Fatalf("%v: %v: %s", args, err, stderr.Bytes())
		}
		if into == nil {
			return
		}
		if err := json.Unmarshal(stdout.Bytes(), into); err != nil {
			t.Fatalf("%v prints %q: %v", args, stdout.Bytes(), err)
		}
	}
	var filtered struct{ Events []struct{ Message string } }
	run(&filtered, "filter-log-events", "--log-group-name", "/ecs/a", "--filter-pattern", `{ $.level = "ERROR" && $.n >= 500 }`, "--page-size", "100")
	if len(filtered.Events) != 1000 || !strings.Contains(filtered.Events[0].Message, `"n": 501,`) {
		t.Errorf("%d events, the first is %v", len(filtered.Events), filtered.Events[:1])
	}
	var tested struct {
		Matches []struct{ ExtractedValues map[string]string }
	}
	run(&tested, "test-metric-filter", "--filter-pattern", "[ip, ..., code = 5*]", "--log-event-messages", `1.2.3.4 x 503`, `1.2.3.4 y 200`)
	if len(tested.Matches) != 1 || tested.Matches[0].ExtractedValues["$code"] != "503" {
		t.Errorf("matches %+v", tested)
	}
	run(nil, "put-metric-filter", "--log-group-name", "/ecs/a", "--filter-name", "errors", "--filter-pattern", "{ $.level = ERROR }",
		"--metric-transformations", "metricName=errors,metricNamespace=app,metricValue=1,defaultValue=0")
	var kept struct {
		MetricFilters []struct{ FilterPattern string }
	}
	run(&kept, "describe-metric-filters", "--log-group-name", "/ecs/a")
	if len(kept.MetricFilters) != 1 || kept.MetricFilters[0].FilterPattern != "{ $.level = ERROR }" {
		t.Errorf("filters %+v", kept)
	}
	var started struct{ QueryID string }
	run(&started, "start-query", "--log-group-names", "/ecs/a", "/ecs/b", "--start-time", fmt.Sprint(from.Unix()), "--end-time", fmt.Sprint(from.Unix()+2500),
		"--query-string", "filter level = 'ERROR' | stats count(*) as n by req.path | sort req.path")
	var got struct {
		Status  string
		Results [][]struct{ Field, Value string }
	}
	for deadline := time.Now().Add(time.Minute); got.Status != "Complete" && time.Now().Before(deadline); {
		run(&got, "get-query-results", "--query-id", started.QueryID)
	}
	if want := "[[{req.path //ecs/a} {n 1250}] [{req.path //ecs/b} {n 1250}]]"; fmt.Sprint(got.Results) != want {
		t.Errorf("%s: %v", got.Status, got.Results)
	}
	if out, err := cli("logs", "start-query", "--log-group-name", "/ecs/a", "--start-time", "0", "--end-time", "1", "--query-string", "fields |").CombinedOutput(); err == nil ||
		!strings.Contains(string(out), "(MalformedQueryException) when calling the StartQuery operation: unexpected symbol found | at line 1 and position 7") {
		t.Errorf("%v: %s", err, out)
	}
}
