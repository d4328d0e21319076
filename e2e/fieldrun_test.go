package e2e

import (
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ecs"

	"github.com/berth/berth/instance"
)

// fieldRequest is a call that a case makes.
type fieldRequest struct {
	op   string
	body any
}

// fieldDefaults are what a case's definition, its containers and its RunTask
// begin with, on a mode: a launch type, and for EC2 a network mode after "/".
func fieldDefaults(mode string) (definition, container, run map[string]any) {
	launch, network, _ := strings.Cut(mode, "/")
	logs := map[string]any{"logDriver": "awslogs", "options": map[string]any{
		"awslogs-group": "e2e", "awslogs-create-group": "true", "awslogs-region": "us-east-1", "awslogs-stream-prefix": "t",
	}}
	definition = map[string]any{"networkMode": "awsvpc", "requiresCompatibilities": []any{launch}}
	// A SIGTERM that comes before the probe has asked for signals is lost on it.
	container = map[string]any{"name": "main", "image": "probe", "command": []any{"see", "wait"}, "stopTimeout": json.Number("2"), "logConfiguration": logs}
	run = map[string]any{"launchType": launch}
	if launch == "FARGATE" {
		definition["cpu"], definition["memory"] = "256", "512"
	} else {
		container["memory"] = json.Number("32")
		definition["networkMode"] = "bridge"
		if network != "" {
			definition["networkMode"] = network
		}
	}
	if definition["networkMode"] == "awsvpc" {
		run["networkConfiguration"] = map[string]any{"awsvpcConfiguration": map[string]any{"subnets": []any{"$subnet"}}}
	}
	return definition, container, run
}

// modes are where a case is run.
func (c *fieldCase) modes() []string {
	if on := c.part("on"); on != "" {
		return strings.Fields(on)
	}
	return []string{"FARGATE"}
}

// has reports whether a case has a line with one of the keys.
func (c *fieldCase) has(keys ...string) bool {
	return slices.ContainsFunc(c.parts, func(p fieldPart) bool { return slices.Contains(keys, p.key) })
}

// value is the JSON of a part, with its variables put in.
func (p fieldPart) value(t *testing.T, vars map[string]string) any {
	t.Helper()
	text := p.text
	names := make([]string, 0, len(vars))
	for name := range vars {
		names = append(names, name)
	}
	slices.SortFunc(names, func(a, b string) int { return len(b) - len(a) })
	for _, name := range names {
		text = strings.ReplaceAll(text, name+`"`, vars[name]+`"`)
	}
	v, err := parsed(text)
	if err != nil {
		t.Fatalf("%s: %v", p.key, err)
	}
	return v
}

// definition is the case's RegisterTaskDefinition, or nil if it makes none.
func (c *fieldCase) definition(t *testing.T, mode, family string, vars map[string]string) map[string]any {
	t.Helper()
	if !c.has("definition", "container", "beside", "run", "sees", "shows", "limits", "ends") {
		return nil
	}
	base, plain, _ := fieldDefaults(mode)
	first, others := any(plain), []any(nil)
	request := any(merged(base, map[string]any{"family": family}))
	for _, p := range c.parts {
		switch p.key {
		case "definition":
			request = merged(request, p.value(t, vars))
		case "container":
			first = merged(plain, p.value(t, vars))
		case "beside":
			others = append(others, merged(plain, p.value(t, vars)))
		}
	}
	return merged(request, map[string]any{"containerDefinitions": append([]any{first}, others...)}).(map[string]any)
}

// launches are the operations that run the case's task.
func (c *fieldCase) launches(mode string) []string {
	var ops []string
	for _, op := range []string{"RunTask", "StartTask"} {
		if slices.ContainsFunc(c.fields, func(f string) bool { return strings.HasPrefix(f, op+".") }) && (op == "RunTask" || mode != "FARGATE") {
			ops = append(ops, op)
		}
	}
	if len(ops) == 0 && c.has("container", "beside", "run", "sees", "shows", "limits", "ends") {
		ops = []string{"RunTask"}
	}
	return ops
}

func (c *fieldCase) launch(t *testing.T, op, mode string, vars map[string]string) any {
	t.Helper()
	_, _, run := fieldDefaults(mode)
	if op == "StartTask" {
		delete(run, "launchType")
		run["containerInstances"] = []any{"$instance"}
	}
	run["taskDefinition"] = "$definition"
	whole := any(run)
	for _, p := range c.parts {
		if p.key == "run" {
			whole = merged(whole, p.value(t, nil))
		}
	}
	b, err := json.Marshal(whole)
	if err != nil {
		t.Fatal(err)
	}
	return fieldPart{key: "run", text: string(b)}.value(t, vars)
}

// requests are all that the case sends.
func (c *fieldCase) requests(t *testing.T) []fieldRequest {
	t.Helper()
	var out []fieldRequest
	for _, mode := range c.modes() {
		if d := c.definition(t, mode, "f", nil); d != nil {
			out = append(out, fieldRequest{"RegisterTaskDefinition", d})
		}
		for _, op := range c.launches(mode) {
			out = append(out, fieldRequest{op, c.launch(t, op, mode, nil)})
		}
	}
	for _, p := range c.parts {
		if p.key == "call" {
			out = append(out, fieldRequest{p.name, p.value(t, nil)})
		}
	}
	return out
}

// fieldHost is the installation that the cases are run on.
type fieldHost struct {
	*host
	caller *caller
	vars   map[string]string
}

func newFieldHost(t *testing.T) *fieldHost {
	t.Helper()
	h := newHost(t)
	out, err := exec.Command(built.berth, "node", "--data-dir", h.dir, "-a", "rack=8").CombinedOutput()
	if err != nil {
		t.Fatalf("berth node: %v: %s", err, out)
	}
	keys, err := instance.ReadKeys(h.dir)
	if err != nil {
		t.Fatal(err)
	}
	return &fieldHost{h, &caller{h.endpoint() + "/", keys, &http.Client{Timeout: time.Minute, Transport: &http.Transport{MaxIdleConnsPerHost: 8}}}, map[string]string{
		"$instance": strings.TrimSpace(string(out)), "$subnet": h.subnets(t)[0], "$group": h.group(t, "--protocol tcp --port 80 --cidr 0.0.0.0/0"),
	}}
}

// call sends a request as it is written. An error answer is "Code: message".
func (h *fieldHost) call(t *testing.T, op string, body any) (answer any, refusal string) {
	t.Helper()
	b, err := json.Marshal(body)
	if err != nil {
		t.Fatal(err)
	}
	status, text := h.caller.send(t, "ecs", map[string]string{"Content-Type": "application/x-amz-json-1.1", "X-Amz-Target": jsonTargets["ecs"] + op}, b)
	answer, err = parsed(text)
	if err != nil {
		t.Fatalf("%s %s: %v", op, b, err)
	}
	if status == http.StatusOK {
		return answer, ""
	}
	m, _ := answer.(map[string]any)
	message := m["message"]
	if message == nil {
		message = m["Message"]
	}
	code := fmt.Sprint(m["__type"])
	return nil, fmt.Sprintf("%s: %v", code[strings.LastIndex(code, "#")+1:], message)
}

// registered registers a definition, and has it described as it was registered.
func (h *fieldHost) registered(t *testing.T, definition map[string]any) (arn, refusal string) {
	t.Helper()
	answer, refusal := h.call(t, "RegisterTaskDefinition", definition)
	if refusal != "" {
		return "", refusal
	}
	arn = fmt.Sprint(answer.(map[string]any)["taskDefinition"].(map[string]any)["taskDefinitionArn"])
	answer, refusal = h.call(t, "DescribeTaskDefinition", map[string]any{"taskDefinition": arn, "include": []any{"TAGS"}})
	if refusal != "" {
		t.Fatal(refusal)
	}
	described := answer.(map[string]any)
	want := map[string]any{}
	for k, v := range definition {
		if k == "tags" {
			if d := lacking("tags", whole(v), described["tags"], nil); d != "" {
				t.Errorf("it was registered, but described are other tags: %s", d)
			}
			continue
		}
		want[k] = whole(v)
	}
	if d := lacking("taskDefinition", want, described["taskDefinition"], nil); d != "" {
		t.Errorf("it was registered, but described is: %s", d)
	}
	return arn, ""
}

// whole says of all lists that there are no other items.
func whole(v any) any {
	switch v := v.(type) {
	case map[string]any:
		out := map[string]any{}
		for k, inner := range v {
			out[k] = whole(inner)
		}
		return out
	case []any:
		out := []any{"="}
		for _, inner := range v {
			out = append(out, whole(inner))
		}
		return out
	}
	return v
}

// seen is what the probe in a container tells.
func (h *fieldHost) seen(t *testing.T, task, container string) any {
	t.Helper()
	lines := h.awaitLine(t, task, container, "sight ")
	for _, l := range lines {
		if text, ok := strings.CutPrefix(strings.TrimSpace(l), "sight "); ok {
			v, err := parsed(text)
			if err != nil {
				t.Fatal(err)
			}
			return v
		}
	}
	t.Fatalf("%s said %.500q", container, lines)
	return nil
}

// shown is a task as DescribeTasks has it.
func (h *fieldHost) shown(t *testing.T, cluster, task string) map[string]any {
	t.Helper()
	answer, refusal := h.call(t, "DescribeTasks", map[string]any{"cluster": cluster, "tasks": []any{task}, "include": []any{"TAGS"}})
	if refusal != "" {
		t.Fatal(refusal)
	}
	tasks := answer.(map[string]any)["tasks"].([]any)
	if len(tasks) != 1 {
		t.Fatalf("DescribeTasks: %s", short(answer))
	}
	return tasks[0].(map[string]any)
}

func (h *fieldHost) reaches(t *testing.T, cluster, task, state string) map[string]any {
	t.Helper()
	var shown map[string]any
	eventually(t, time.Minute, func() error {
		shown = h.shown(t, cluster, task)
		switch s := shown["lastStatus"]; s {
		case state:
			return nil
		case "STOPPED":
			t.Fatalf("the task is STOPPED, not %s: %s", state, short(shown))
		}
		return fmt.Errorf("the task is %v, not %s", shown["lastStatus"], state)
	})
	return shown
}

// limits are the hard limits of the task's cgroup on the host.
func (h *fieldHost) limits(t *testing.T, task string) any {
	t.Helper()
	dir := filepath.Join("berth", h.id(), task[strings.LastIndex(task, "/")+1:])
	read := func(paths ...string) []int64 {
		for _, path := range paths {
			b, err := os.ReadFile(strings.Replace(path, "*", dir, 1))
			if err != nil {
				continue
			}
			var out []int64
			for f := range strings.FieldsSeq(string(b)) {
				n, err := strconv.ParseInt(f, 10, 64)
				if err != nil {
					n = -1 // "max"
				}
				out = append(out, n)
			}
			return out
		}
		t.Fatalf("none of %q is there for %s", paths, dir)
		return nil
	}
	cpu := read("/sys/fs/cgroup/*/cpu.max", "/sys/fs/cgroup/cpu/*/cpu.cfs_quota_us")
	memory := read("/sys/fs/cgroup/*/memory.max", "/sys/fs/cgroup/memory/*/memory.limit_in_bytes")
	v, err := parsed(fmt.Sprintf(`{"cpu": %d, "memory": %d}`, cpu[0]*1024/100_000, memory[0]>>20))
	if err != nil {
		t.Fatal(err)
	}
	return v
}

// play runs a case in a mode.
func (h *fieldHost) play(t *testing.T, c *fieldCase, mode, op string) {
	t.Helper()
	vars := map[string]string{"$family": strings.NewReplacer(".", "-", ":", "-", "/", "-").Replace(strings.Join([]string{c.at(), mode, op}, "-"))}
	for k, v := range h.vars {
		vars[k] = v
	}
	var answer any
	var refusal string
	check := func(i int) { // that the last answer is as the next part says
		t.Helper()
		want, last := "", ""
		if i+1 < len(c.parts) {
			want, last = c.parts[i+1].key, c.parts[i+1].text
		}
		if want != "refused" && refusal != "" {
			t.Fatalf("it was refused: %s", refusal)
		}
		if pattern, ok := strings.CutPrefix(last, "~"); want == "refused" && ok && regexp.MustCompile(pattern).MatchString(refusal) {
			return
		}
		if want == "refused" && refusal != last {
			t.Fatalf("it was answered with %q, want %q", refusal, last)
		}
	}
	// The definition is made of all that there is of it, and checked after the last.
	last := -1
	for i, p := range c.parts {
		if slices.Contains([]string{"definition", "container", "beside"}, p.key) {
			last = i
		}
	}
	if d := c.definition(t, mode, vars["$family"], vars); d != nil {
		vars["$definition"], refusal = h.registered(t, d)
		if check(last); refusal != "" {
			return
		}
	}
	cluster := "default"
	var arns []string
	defer func() {
		for _, arn := range arns {
			if _, err := h.ecs.StopTask(t.Context(), &ecs.StopTaskInput{Task: &arn, Cluster: &cluster}); err != nil {
				t.Error(err)
			}
		}
	}()
	launched := false
	launch := func(i int) {
		t.Helper()
		launched = true
		body := c.launch(t, op, mode, vars)
		if name, ok := body.(map[string]any)["cluster"].(string); ok {
			cluster = name
		}
		answer, refusal = h.call(t, op, body)
		check(i)
		if refusal == "" {
			for _, task := range answer.(map[string]any)["tasks"].([]any) {
				arns = append(arns, task.(map[string]any)["taskArn"].(string))
			}
			if len(arns) > 0 {
				vars["$task"] = arns[0]
			}
		}
	}
	for i, p := range c.parts {
		if i <= last || p.key == "on" {
			continue
		}
		if op != "" && !launched && !c.has("run") {
			launch(i - 1)
		}
		var got any
		switch p.key {
		case "run":
			launch(i)
			continue
		case "call":
			answer, refusal = h.call(t, p.name, p.value(t, vars))
			check(i)
			continue
		case "answers":
			got = answer
		case "ends":
			got = any(h.reaches(t, cluster, vars["$task"], "STOPPED"))
		case "shows":
			got = any(h.reaches(t, cluster, vars["$task"], "RUNNING"))
		case "limits":
			h.reaches(t, cluster, vars["$task"], "RUNNING")
			got = h.limits(t, vars["$task"])
		case "sees":
			name := p.name
			if name == "" {
				name = "main"
			}
			h.reaches(t, cluster, vars["$task"], "RUNNING")
			got = h.seen(t, vars["$task"], name)
		default:
			continue
		}
		if d := lacking(p.key, p.value(t, vars), got, vars); d != "" {
			t.Error(d)
		}
	}
}

// together runs cases that only look around in one container, as the containers
// of one task.
func (h *fieldHost) together(t *testing.T, cases []*fieldCase, mode string) {
	t.Helper()
	definition, plain, _ := fieldDefaults(mode)
	if mode == "FARGATE" {
		definition["cpu"], definition["memory"] = "1024", "2048"
	}
	names := make([]string, len(cases))
	containers := []any{merged(plain, map[string]any{"name": "main", "command": []any{"wait"}})}
	for i, c := range cases {
		names[i] = fmt.Sprintf("case-%d", c.line)
		containers = append(containers, merged(merged(plain, fieldPart{text: c.part("container")}.value(t, h.vars)), map[string]any{"name": names[i], "essential": false}))
	}
	definition["containerDefinitions"], definition["family"] = containers, family(t)
	arn, refusal := h.registered(t, definition)
	if refusal != "" {
		t.Fatal(refusal)
	}
	run := (&fieldCase{}).launch(t, "RunTask", mode, withVar(h.vars, "$definition", arn))
	answer, refusal := h.call(t, "RunTask", run)
	tasks, _ := answer.(map[string]any)["tasks"].([]any)
	if refusal != "" || len(tasks) != 1 {
		t.Fatalf("RunTask: %s%s", refusal, short(answer))
	}
	task := tasks[0].(map[string]any)["taskArn"].(string)
	h.reaches(t, "default", task, "RUNNING")
	for i, c := range cases {
		for _, p := range c.parts {
			if p.key != "sees" {
				continue
			}
			if d := lacking("sees", p.value(t, h.vars), h.seen(t, task, names[i]), nil); d != "" {
				t.Errorf("%s on %s: %s", c.at(), mode, d)
			}
		}
	}
	if _, err := h.ecs.StopTask(t.Context(), &ecs.StopTaskInput{Task: aws.String(task)}); err != nil {
		t.Error(err)
	}
}

// withVar is vars with another one.
func withVar(vars map[string]string, name, value string) map[string]string {
	out := map[string]string{name: value}
	for k, v := range vars {
		out[k] = v
	}
	return out
}

// Every case of testdata/fields.
func TestFields(t *testing.T) {
	t.Parallel()
	h := newFieldHost(t)
	batches := map[string][]*fieldCase{}
	t.Run("cases", func(t *testing.T) {
		for _, c := range fieldCases(t, "fields") {
			if c.has("test") {
				continue
			}
			for _, mode := range c.modes() {
				if !c.alone() {
					batches[mode] = append(batches[mode], c)
					continue
				}
				ops := c.launches(mode)
				if len(ops) == 0 {
					ops = []string{""}
				}
				for _, op := range ops {
					t.Run(strings.TrimSuffix(strings.Join([]string{c.at(), mode, op}, " "), " "), func(t *testing.T) {
						t.Parallel()
						h.play(t, c, mode, op)
					})
				}
			}
		}
		for mode, cases := range batches {
			for some := range slices.Chunk(cases, 9) {
				t.Run(fmt.Sprintf("%s together from %s", mode, some[0].at()), func(t *testing.T) {
					t.Parallel()
					h.together(t, some, mode)
				})
			}
		}
	})
}
