package e2e

import (
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ecs"
	"github.com/aws/aws-sdk-go-v2/service/ecs/types"
)

// On container instances output goes where Docker's log drivers take it.
func TestLogDrivers(t *testing.T) {
	t.Parallel()
	h := newHost(t)
	if out, err := exec.Command(built.berth, "node", "--data-dir", h.dir).CombinedOutput(); err != nil {
		t.Fatalf("berth node: %v: %s", err, out)
	}
	listener, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	logged := func(name string, driver types.LogDriver, options map[string]string) types.ContainerDefinition {
		c := container(name, "print=hello "+name, "wait")
		c.Memory = aws.Int32(64)
		c.LogConfiguration = &types.LogConfiguration{LogDriver: driver, Options: options}
		return c
	}
	def := h.register(t, []types.ContainerDefinition{
		logged("file", types.LogDriverJsonFile, map[string]string{"max-size": "1m", "max-file": "2"}),
		logged("sys", types.LogDriverSyslog, map[string]string{"syslog-address": "udp://" + listener.LocalAddr().String(), "syslog-format": "rfc5424", "tag": "{{.Name}}"}),
	}, onInstances(types.NetworkModeHost))
	out, err := h.ecs.RunTask(t.Context(), &ecs.RunTaskInput{TaskDefinition: &def, LaunchType: types.LaunchTypeEc2})
	if err != nil || len(out.Tasks) != 1 {
		t.Fatalf("%v: %+v", err, out)
	}
	h.await(t, *out.Tasks[0].TaskArn, "RUNNING")
	buf := make([]byte, 2000)
	listener.SetReadDeadline(time.Now().Add(20 * time.Second))
	n, _, err := listener.ReadFrom(buf)
	if err != nil || !strings.Contains(string(buf[:n]), "ecs-TestLogDrivers-1-sys-") || !strings.HasSuffix(strings.TrimSpace(string(buf[:n])), "- hello sys") {
		t.Errorf("syslog got %q, %v", buf[:n], err)
	}
	h.stop(t, *out.Tasks[0].TaskArn)
	files, err := filepath.Glob(filepath.Join(h.dir, "node/logs/json/*/*-json.log"))
	if err != nil || len(files) != 1 {
		t.Fatalf("the json-file logs are %v, %v", files, err)
	}
	got, err := os.ReadFile(files[0])
	if err != nil || !strings.HasPrefix(string(got), `{"log":"hello file\n","stream":"stdout","time":"`) || !strings.Contains(string(got), `"log":"got terminated\n"`) {
		t.Errorf("json-file has %q, %v", got, err)
	}
	// A driver whose destination isn't there is a reason not to start.
	def = h.register(t, []types.ContainerDefinition{logged("f", types.LogDriverFluentd, map[string]string{"fluentd-address": "127.0.0.1:1"})}, onInstances(types.NetworkModeHost))
	if out, err = h.ecs.RunTask(t.Context(), &ecs.RunTaskInput{TaskDefinition: &def, LaunchType: types.LaunchTypeEc2}); err != nil || len(out.Tasks) != 1 {
		t.Fatalf("%v: %+v", err, out)
	}
	end := h.await(t, *out.Tasks[0].TaskArn, "STOPPED")
	if r := aws.ToString(end.Containers[0].Reason); !strings.Contains(r, "failed to initialize logging driver") || !strings.Contains(r, "127.0.0.1:1") {
		t.Errorf("the reason is %q", r)
	}
}
