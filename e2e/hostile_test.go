package e2e

import (
	"archive/tar"
	"crypto/sha256"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatchlogs"
	"github.com/aws/aws-sdk-go-v2/service/ecs"
	"github.com/aws/aws-sdk-go-v2/service/ecs/types"
	v1 "github.com/google/go-containerregistry/pkg/v1"
)

// neighbour is a task that is asked whether it is unharmed.
type neighbour struct {
	arn, address string
}

func (h *host) neighbour(t *testing.T) neighbour {
	t.Helper()
	task := h.run(t, h.register(t, []types.ContainerDefinition{container("web", "serve=8080")}, func(in *ecs.RegisterTaskDefinitionInput) {
		in.Family = aws.String("neighbour")
	}), withGroups(h.group(t, "--protocol tcp --port 8080 --cidr 0.0.0.0/0")))
	task = h.await(t, *task.TaskArn, "RUNNING")
	n := neighbour{*task.TaskArn, detail(t, task, "privateIPv4Address")}
	n.unharmed(t, h)
	return n
}

// unharmed fails unless the neighbour answers and Berth does.
func (n neighbour) unharmed(t *testing.T, h *host) {
	t.Helper()
	eventually(t, 20*time.Second, func() error {
		_, err := fetch(t.Context(), "http://"+n.address+":8080/")
		return err
	})
	task, err := h.described(t.Context(), n.arn)
	if err != nil || *task.LastStatus != "RUNNING" {
		t.Errorf("the neighbour is %+v, %v", task, err)
	}
}

// with changes a container definition.
func with(c types.ContainerDefinition, edit func(*types.ContainerDefinition)) types.ContainerDefinition {
	edit(&c)
	return c
}

// memoryPeak is the most memory that Berth has held, in MiB.
func (h *host) memoryPeak(t *testing.T) int {
	t.Helper()
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", h.cmd.Process.Pid))
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(b)) {
		if value, ok := strings.CutPrefix(line, "VmHWM:"); ok {
			kib, err := strconv.Atoi(strings.Fields(value)[0])
			if err != nil {
				t.Fatal(err)
			}
			return kib >> 10
		}
	}
	t.Fatal("the kernel doesn't say how much memory Berth held")
	return 0
}

// Programs that take what they can get. Neighbours, Berth and the host stay
// unharmed, and the tasks can be stopped.
func TestHostileHunger(t *testing.T) {
	t.Parallel()
	h := newHost(t)
	n := h.neighbour(t)
	t.Run("processes", func(t *testing.T) {
		task := h.run(t, h.register(t, []types.ContainerDefinition{with(container("bomb", "bomb"), func(c *types.ContainerDefinition) {
			c.StopTimeout = aws.Int32(2)
		})}))
		// It grows until the task's memory or its number of processes ends it.
		eventually(t, time.Minute, func() error {
			s, err := h.described(t.Context(), *task.TaskArn)
			if err != nil || *s.LastStatus == "STOPPED" {
				return err
			}
			lines, err := h.lines(t.Context(), *task.TaskArn, "bomb")
			if err == nil && !strings.Contains(strings.Join(lines, "\n"), "no more processes") && h.processes(t, *task.TaskArn) < 50 {
				err = fmt.Errorf("the bomb has %d processes and said %q", h.processes(t, *task.TaskArn), lines)
			}
			return err
		})
		n.unharmed(t, h)
		began := time.Now()
		stopped := h.stop(t, *task.TaskArn)
		t.Logf("stopped within %v: %s; %s", time.Since(began).Round(time.Millisecond), aws.ToString(stopped.StoppedReason), reasons(stopped))
		if left := h.processes(t, *task.TaskArn); left > 0 {
			t.Errorf("%d processes are left of the bomb", left)
		}
		n.unharmed(t, h)
	})
	t.Run("memory", func(t *testing.T) {
		task := h.await(t, *h.run(t, h.register(t, []types.ContainerDefinition{container("hog", "eat=2000")})).TaskArn, "STOPPED")
		c := task.Containers[0]
		if aws.ToInt32(c.ExitCode) != 137 || aws.ToString(c.Reason) != "OutOfMemoryError: Container killed due to memory usage" {
			t.Errorf("a memory hog: %s %s", aws.ToString(task.StoppedReason), reasons(task))
		}
		n.unharmed(t, h)
	})
	t.Run("lines", func(t *testing.T) {
		task := h.await(t, *h.run(t, h.register(t, []types.ContainerDefinition{container("main", "lines=10000")})).TaskArn, "STOPPED")
		h.awaitLine(t, *task.TaskArn, "main", "line 9999")
		lines, err := h.lines(t.Context(), *task.TaskArn, "main")
		if err != nil || len(lines) != 10000 || lines[0] != "line 0" || lines[9999] != "line 9999" {
			t.Errorf("%d lines of 10,000 are there, %v", len(lines), err)
		}
	})
	t.Run("a line of 256 MiB", func(t *testing.T) {
		before := h.memoryPeak(t)
		task := h.run(t, h.register(t, []types.ContainerDefinition{container("main", "flood=256")}))
		eventually(t, 2*time.Minute, func() error {
			s, err := h.described(t.Context(), *task.TaskArn)
			if err == nil && *s.LastStatus != "STOPPED" {
				err = fmt.Errorf("the task is %s", *s.LastStatus)
			}
			return err
		})
		if grown := h.memoryPeak(t) - before; grown > 192 {
			t.Errorf("Berth's memory grew by %d MiB over a line of 256", grown)
		} else {
			t.Logf("Berth's memory grew by %d MiB, to %d", grown, before+grown)
		}
		if got, last := h.logged(t, *task.TaskArn, "main"); got != 256<<20+len("end") || !strings.HasSuffix(last, "end") {
			t.Errorf("%d bytes of the line are there, want %d", got, 256<<20+len("end"))
		}
	})
}

// processes counts the processes of a task.
func (h *host) processes(t *testing.T, arn string) int {
	t.Helper()
	id := arn[strings.LastIndex(arn, "/")+1:]
	seen := map[string]bool{}
	for _, pattern := range []string{"/sys/fs/cgroup/memory/berth/*/" + id + "/*", "/sys/fs/cgroup/berth/*/" + id + "/*"} {
		files, err := filepath.Glob(pattern + "/cgroup.procs")
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range files {
			b, err := os.ReadFile(f)
			if err != nil {
				continue // it ended meanwhile
			}
			for pid := range strings.FieldsSeq(string(b)) {
				seen[pid] = true
			}
		}
	}
	return len(seen)
}

// logged is how many bytes a container has logged, and its last event.
func (h *host) logged(t *testing.T, taskARN, container string) (total int, last string) {
	t.Helper()
	in := &cloudwatchlogs.GetLogEventsInput{LogGroupName: aws.String("e2e"), StartFromHead: aws.Bool(true),
		LogStreamName: aws.String("t/" + container + "/" + taskARN[strings.LastIndex(taskARN, "/")+1:])}
	for {
		out, err := h.logs.GetLogEvents(t.Context(), in)
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range out.Events {
			total += len(*e.Message)
			last = *e.Message
		}
		if in.NextToken != nil && *in.NextToken == *out.NextForwardToken {
			return total, last
		}
		in.NextToken = out.NextForwardToken
	}
}

// A container that fills the disk that everything is on: what runs goes on, Berth
// too, and it can be taken down.
func TestHostileDisk(t *testing.T) {
	t.Parallel()
	h, disk := smallHost(t, "size=640m,mode=711")
	n := h.neighbour(t)
	task := h.run(t, h.register(t, []types.ContainerDefinition{container("hog", "fill=/big:4000", "wait")}))
	eventually(t, time.Minute, func() error {
		s, err := h.described(t.Context(), *task.TaskArn)
		if err == nil && *s.LastStatus != "STOPPED" && room(t, disk) > 8<<20 {
			err = fmt.Errorf("the task is %s and %d MiB are free", *s.LastStatus, room(t, disk)>>20)
		}
		return err
	})
	n.unharmed(t, h)
	// What can't be kept is refused, what only reads is not. Taking Berth down is
	// the way out, and gives the room back.
	if _, err := h.ecs.ListTasks(t.Context(), &ecs.ListTasksInput{}); err != nil {
		t.Errorf("a read on a full disk: %v", err)
	}
	if err := h.down(); err != nil {
		t.Fatalf("berth down on a full disk: %v", err)
	}
	if free := room(t, disk); free < 256<<20 {
		t.Errorf("%d MiB are free", free>>20)
	}
	if err := h.start(); err != nil {
		t.Fatal(err)
	}
	stopped := h.await(t, *task.TaskArn, "STOPPED")
	t.Logf("%s: %s; %s", stopped.StopCode, aws.ToString(stopped.StoppedReason), reasons(stopped))
	after := h.await(t, *h.run(t, h.register(t, []types.ContainerDefinition{container("main", "exit=3")})).TaskArn, "STOPPED")
	if aws.ToInt32(after.Containers[0].ExitCode) != 3 {
		t.Errorf("a task after it: %s %s", aws.ToString(after.StoppedReason), reasons(after))
	}
}

// What a container may not do, tried from inside.
func TestHostileCalls(t *testing.T) {
	t.Parallel()
	h := newHost(t)
	n := h.neighbour(t)
	run := func(t *testing.T, containers ...types.ContainerDefinition) (types.Task, map[string]string) {
		t.Helper()
		task := h.await(t, *h.run(t, h.register(t, containers)).TaskArn, "STOPPED")
		said := map[string]string{}
		for _, c := range containers {
			lines, err := h.lines(t.Context(), *task.TaskArn, *c.Name)
			if err != nil {
				t.Fatal(err)
			}
			said[*c.Name] = strings.Join(lines, "\n")
		}
		return task, said
	}
	t.Run("attacks", func(t *testing.T) {
		task, said := run(t, container("main", "attack"))
		lines := strings.Split(said["main"], "\n")
		if len(lines) < 40 || lines[len(lines)-1] != "attacks over" {
			t.Fatalf("%s; said\n%s", reasons(task), said["main"])
		}
		for _, l := range lines {
			if strings.HasSuffix(l, ": done") && l != "raw socket: done" {
				t.Error(l)
			}
		}
		t.Log(said["main"])
		n.unharmed(t, h)
	})
	t.Run("kill all", func(t *testing.T) {
		task, said := run(t, container("main", "sleep=300ms", "kill-all", "print=alone", "exit=4"), with(container("other", "wait"), func(c *types.ContainerDefinition) { c.Essential = aws.Bool(false) }))
		if !strings.Contains(said["main"], "alone") || !strings.Contains(said["other"], "got terminated") || aws.ToInt32(named(t, task, "main").ExitCode) != 4 {
			t.Errorf("%s; said %v", reasons(task), said)
		}
		n.unharmed(t, h)
	})
	t.Run("core dump", func(t *testing.T) {
		before, err := filepath.Glob("/core*")
		if err != nil {
			t.Fatal(err)
		}
		_, said := run(t, container("main", "abort"))
		after, err := filepath.Glob("/core*")
		if err != nil || !slices.Equal(before, after) {
			t.Errorf("core files of the host: %v, before %v, %v", after, before, err)
		}
		if !strings.Contains(said["main"], "ended by signal: aborted") {
			t.Errorf("said %s", said["main"])
		}
	})
	t.Run("the runtime", func(t *testing.T) {
		sum := func() string {
			var all string
			for _, name := range []string{"crun", "conmon"} {
				path, err := exec.LookPath(name)
				if err != nil {
					t.Fatal(err)
				}
				b, err := os.ReadFile(path)
				if err != nil {
					t.Fatal(err)
				}
				all += fmt.Sprintf("%x ", sha256.Sum256(b))
			}
			return all
		}
		before := sum()
		h.importImage(t, "evil:1", nil, entry{tar.Header{Name: "evil", Mode: 0o755, Typeflag: tar.TypeReg}, "#!/proc/self/exe\n"}, link("self", "/proc/self/exe"))
		evil := with(container("main", "overwrite", "exit=0"), func(c *types.ContainerDefinition) {
			c.Image = aws.String("evil:1")
			c.HealthCheck = &types.HealthCheck{Command: []string{"CMD", "/evil"}, Interval: aws.Int32(5), Retries: aws.Int32(10)}
		})
		_, said := run(t, evil)
		t.Log(said["main"])
		if !strings.Contains(said["main"], "overwrite: over") || strings.Contains(said["main"], "done") {
			t.Errorf("said %s", said["main"])
		}
		for _, entry := range []string{"/evil", "/self", "/proc/self/exe"} {
			task, said := run(t, with(container("main", "--version"), func(c *types.ContainerDefinition) {
				c.Image, c.EntryPoint = aws.String("evil:1"), []string{entry}
			}))
			t.Logf("%s: %s: %s: %.200s", entry, aws.ToString(task.StoppedReason), reasons(task), said["main"])
		}
		if after := sum(); after != before {
			t.Error("the host's programs have changed")
		}
		n.unharmed(t, h)
	})
}

// What a container may not reach, and whom it may not pretend to be.
func TestHostilePackets(t *testing.T) {
	t.Parallel()
	h := newHost(t)
	victim := h.neighbour(t)
	group := h.group(t, "--protocol udp --port 9999 --cidr 172.31.0.0/16")
	listener := h.run(t, h.register(t, []types.ContainerDefinition{container("main", "udp=9999")}), withGroups(group))
	address := detail(t, h.await(t, *listener.TaskArn, "RUNNING"), "privateIPv4Address")
	h.awaitLine(t, *listener.TaskArn, "main", "listening")

	// Something of the host's own, on its loopback.
	loop, err := net.ListenPacket("udp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer loop.Close()
	got := make(chan string, 10)
	go func() {
		b := make([]byte, 100)
		for {
			n, from, err := loop.ReadFrom(b)
			if err != nil {
				return
			}
			got <- fmt.Sprintf("%s from %s", b[:n], from)
		}
	}()
	_, api, err := net.SplitHostPort(strings.TrimPrefix(h.endpoint(), "http://"))
	if err != nil {
		t.Fatal(err)
	}
	_, port, err := net.SplitHostPort(loop.LocalAddr().String())
	if err != nil {
		t.Fatal(err)
	}
	steps := []string{"spoof=" + victim.address + ":" + address + ":9999", "local=" + port, "reach=169.254.169.254:80", "reach=169.254.0.1:" + api, "reach=127.0.0.1:" + api}
	addrs, err := net.InterfaceAddrs()
	if err != nil {
		t.Fatal(err)
	}
	for _, a := range addrs {
		if ip, _, err := net.ParseCIDR(a.String()); err == nil && ip.To4() != nil && !ip.IsLoopback() && len(steps) < 12 {
			steps = append(steps, "reach="+net.JoinHostPort(ip.String(), api))
		}
	}
	task := h.await(t, *h.run(t, h.register(t, []types.ContainerDefinition{container("main", append(steps, "exit=0")...)}), withGroups(group)).TaskArn, "STOPPED")
	lines, err := h.lines(t.Context(), *task.TaskArn, "main")
	if err != nil || aws.ToInt32(task.Containers[0].ExitCode) != 0 {
		t.Fatalf("%s: %v; said %q", reasons(task), err, lines)
	}
	t.Logf("%q", lines)
	for _, l := range lines {
		if strings.HasPrefix(l, "reach") && strings.HasSuffix(l, "<nil>") {
			t.Errorf("reached what no task may: %s", l)
		}
	}
	heard := strings.Join(h.awaitLine(t, *listener.TaskArn, "main", "honest again"), "\n")
	if strings.Contains(heard, "forged") {
		t.Errorf("a task spoke with another's address:\n%s", heard)
	}
	select {
	case packet := <-got:
		t.Errorf("the host's loopback got %s", packet)
	default:
	}
	victim.unharmed(t, h)
}

// Images and definitions that lead elsewhere: paths stay inside of the
// container, and what can't be is said.
func TestHostilePaths(t *testing.T) {
	t.Parallel()
	h := newHost(t)
	n := h.neighbour(t)
	mark := fmt.Sprintf("berth-e2e-mark-%d", os.Getpid())
	links := []entry{
		link("etclink", "/etc"), link("up", "../../../../../../../../../../tmp"), link("proclink", "/proc/self/root"), link("loop", "loop"),
		link("var", "/"), link("dangling", "/nowhere/at/all"), link("fdlink", "/proc/self/fd"), file("plain", "x"),
	}
	h.importImage(t, "links:1", nil, links...)
	outside := func(t *testing.T) {
		t.Helper()
		for _, dir := range []string{"/", "/etc", "/tmp", "/proc", "/run", "/nowhere", "/nowhere/at/all"} {
			if _, err := os.Lstat(filepath.Join(dir, mark)); err == nil {
				t.Errorf("%s was made on the host", filepath.Join(dir, mark))
			}
		}
	}
	definition := func(edit func(*types.ContainerDefinition), steps ...string) types.ContainerDefinition {
		return with(container("main", steps...), func(c *types.ContainerDefinition) {
			c.Image = aws.String("links:1")
			edit(c)
		})
	}
	// try runs a task and returns what became of it.
	try := func(t *testing.T, c types.ContainerDefinition) (types.Task, string) {
		t.Helper()
		out, err := h.ecs.RegisterTaskDefinition(t.Context(), &ecs.RegisterTaskDefinitionInput{
			Family: aws.String("paths"), NetworkMode: types.NetworkModeAwsvpc, RequiresCompatibilities: []types.Compatibility{types.CompatibilityFargate},
			Cpu: aws.String("256"), Memory: aws.String("512"), ContainerDefinitions: []types.ContainerDefinition{c}, Volumes: []types.Volume{{Name: aws.String("v")}},
		})
		if err != nil {
			t.Logf("refused: %v", err)
			return types.Task{}, ""
		}
		task := h.await(t, *h.run(t, *out.TaskDefinition.TaskDefinitionArn).TaskArn, "STOPPED")
		lines, err := h.lines(t.Context(), *task.TaskArn, "main")
		said := strings.Join(lines, "\n")
		if err != nil {
			said = err.Error()
		}
		t.Logf("%s; %s; said %.300s", aws.ToString(task.StoppedReason), strings.TrimSpace(reasons(task)), said)
		if code := task.StopCode; code == types.TaskStopCodeTaskFailedToStart && len(aws.ToString(task.StoppedReason)) < 30 {
			t.Errorf("the reason says little: %s", aws.ToString(task.StoppedReason))
		}
		return task, said
	}
	for _, path := range []string{
		"/etclink/" + mark, "/up/" + mark, "/proclink/etc/" + mark, "/loop/" + mark, "/dangling/" + mark, "/../../../../" + mark, "/proc/" + mark, "/proc/self/root/" + mark,
		"/proc/1/root/tmp/" + mark, "/", "/proc", "/sys", "/dev", "/etc", "/probe", "/plain/" + mark, "/etc/hosts", "/" + strings.Repeat("x", 300), "/" + strings.Repeat("y/", 2500),
		"/a\nb", "/a,b:ro", "/run/../../../tmp/" + mark, "/var/tmp/" + mark, "/fdlink/7/" + mark,
	} {
		t.Run("mount "+fmt.Sprintf("%.40q", path), func(t *testing.T) {
			t.Parallel()
			try(t, definition(func(c *types.ContainerDefinition) {
				c.MountPoints = []types.MountPoint{{SourceVolume: aws.String("v"), ContainerPath: &path}}
			}, "write="+path+"/"+mark+":x", "exit=0"))
			outside(t)
		})
	}
	for _, dir := range []string{"/etclink/" + mark, "/up/" + mark, "/proclink/tmp/" + mark, "/loop", "/dangling", "/plain", "relative", "../..", "/" + strings.Repeat("x", 300), "/a\nb", "/fdlink/7", "/proc/self/fd/7/../..", "/proc/self/cwd"} {
		t.Run("directory "+fmt.Sprintf("%.40q", dir), func(t *testing.T) {
			t.Parallel()
			try(t, definition(func(c *types.ContainerDefinition) { c.WorkingDirectory = &dir }, "write="+mark+":x", "id"))
			outside(t)
		})
	}
	// A descriptor of the runtime's that leads to the host, as CVE-2024-21626 did.
	hostname, err := os.ReadFile("/etc/hostname")
	if err != nil && !os.IsNotExist(err) {
		t.Fatal(err)
	}
	for fd := 3; fd < 14; fd++ {
		t.Run(fmt.Sprintf("descriptor %d", fd), func(t *testing.T) {
			t.Parallel()
			_, said := try(t, definition(func(c *types.ContainerDefinition) {
				c.WorkingDirectory = aws.String(fmt.Sprintf("/proc/self/fd/%d", fd))
			},
				"id", "ls=.", "cat=../../../../../../../../etc/hostname"))
			if name := strings.TrimSpace(string(hostname)); name != "" && slices.Contains(strings.Split(said, "\n"), name) {
				t.Errorf("the container reads the host's files: %s", said)
			}
		})
	}
	for _, volume := range []string{"../../../../tmp/" + mark, "/etc", "a/b", "..", ".", "", strings.Repeat("v", 256), "v\x00", "v v"} {
		_, err := h.ecs.RegisterTaskDefinition(t.Context(), &ecs.RegisterTaskDefinitionInput{
			Family: aws.String("volumes"), NetworkMode: types.NetworkModeAwsvpc, RequiresCompatibilities: []types.Compatibility{types.CompatibilityFargate},
			Cpu: aws.String("256"), Memory: aws.String("512"), ContainerDefinitions: []types.ContainerDefinition{container("main")}, Volumes: []types.Volume{{Name: &volume}},
		})
		if err == nil || !strings.Contains(err.Error(), "ClientException") {
			t.Errorf("a volume named %.40q: %v", volume, err)
		}
	}
	passwd := map[string]struct {
		user    string
		entries []entry
	}{
		"a pipe":               {"root", []entry{{tar.Header{Name: "etc/passwd", Mode: 0o644, Typeflag: tar.TypeFifo}, ""}}},
		"a device":             {"root", []entry{{tar.Header{Name: "etc/passwd", Mode: 0o644, Typeflag: tar.TypeChar, Devmajor: 1, Devminor: 5}, ""}}},
		"a directory":          {"app", []entry{{tar.Header{Name: "etc/passwd/", Mode: 0o755, Typeflag: tar.TypeDir}, ""}}},
		"a link outside":       {"root", []entry{link("etc/passwd", "../../../../../../../../etc/shadow")}},
		"a link to itself":     {"root", []entry{link("etc/passwd", "passwd")}},
		"a link to /proc":      {"root", []entry{link("etc/passwd", "/proc/self/environ")}},
		"one long line":        {"app", []entry{file("etc/passwd", strings.Repeat("a", 2<<20))}},
		"many lines":           {"app", []entry{file("etc/passwd", strings.Repeat("app:x:1:1::/:/\n", 1<<20)), file("etc/group", strings.Repeat("g:x:7:app\n", 1<<20))}},
		"odd numbers":          {"app", []entry{file("etc/passwd", "app:x:4294967296:4294967296:app:/:/\n")}},
		"nothing of use":       {"app", []entry{file("etc/passwd", "\x00\xff::::\n:::\nap\n")}},
		"a name like a number": {"0", []entry{file("etc/passwd", "0:x:1234:1234::/:/\n")}},
	}
	for name, p := range passwd {
		t.Run("passwd is "+name, func(t *testing.T) {
			t.Parallel()
			ref := "passwd-" + strings.NewReplacer(" ", "-", "/", "").Replace(name) + ":1"
			h.importImage(t, ref, nil, p.entries...)
			_, said := try(t, with(container("main", "id"), func(c *types.ContainerDefinition) { c.Image, c.User = &ref, &p.user }))
			if p.user == "app" && strings.Contains(said, "uid=0") {
				t.Errorf("a user that isn't there became root: %s", said)
			}
		})
	}
	for _, user := range []string{":", "0:0:0", "-1", "4294967295", "4294967296", "99999999999", "nobody-there", "root:nobody-there", "a b", "root:", ":root", "$(id)", "root\n", "../..", "0x0", "1e3", "+5", strings.Repeat("u", 5000)} {
		t.Run("user "+fmt.Sprintf("%.20q", user), func(t *testing.T) {
			t.Parallel()
			ref := fmt.Sprintf("user-%x:1", sha256.Sum256([]byte(user)))
			h.importImage(t, ref, func(c *v1.Config) { c.User = user })
			try(t, with(container("main", "id"), func(c *types.ContainerDefinition) { c.Image = &ref }))
		})
	}
	for name, env := range map[string][]string{
		"nothing": {""}, "no name": {"=x"}, "no value": {"NOVALUE"}, "a line's end": {"A=1\nB=2", "C\nD=3"}, "not UTF-8": {"\xff\xfe=\xff"}, "twice": {"A=1", "A=2"},
		"huge": {"HUGE=" + strings.Repeat("x", 200_000)}, "many": slices.Repeat([]string{"A=" + strings.Repeat("x", 100)}, 50_000), "PATH": {"PATH="}, "LD_PRELOAD": {"LD_PRELOAD=/evil.so", "GODEBUG=x"},
	} {
		t.Run("environment with "+name, func(t *testing.T) {
			t.Parallel()
			ref := "env-" + strings.NewReplacer(" ", "-", "'", "").Replace(strings.ToLower(name)) + ":1"
			h.importImage(t, ref, func(c *v1.Config) { c.Env = env })
			try(t, with(container("main", "env"), func(c *types.ContainerDefinition) { c.Image = &ref }))
		})
	}
	for _, name := range []string{"", "=", "A=B", "A\x00B"} {
		_, err := h.ecs.RegisterTaskDefinition(t.Context(), &ecs.RegisterTaskDefinitionInput{
			Family: aws.String("environment"), NetworkMode: types.NetworkModeAwsvpc, RequiresCompatibilities: []types.Compatibility{types.CompatibilityFargate},
			Cpu: aws.String("256"), Memory: aws.String("512"), ContainerDefinitions: []types.ContainerDefinition{with(container("main"), func(c *types.ContainerDefinition) {
				c.Environment = []types.KeyValuePair{{Name: &name, Value: aws.String("x")}}
			})},
		})
		if err == nil || !strings.Contains(err.Error(), "ClientException") || !strings.Contains(err.Error(), "environment[0]") {
			t.Errorf("a variable named %q: %v", name, err)
		}
	}
	t.Run("neighbour", func(t *testing.T) { // the last of those at once, or near it
		t.Parallel()
		n.unharmed(t, h)
	})
}
