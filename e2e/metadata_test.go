package e2e

import (
	"encoding/json"
	"fmt"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ecs"
	"github.com/aws/aws-sdk-go-v2/service/ecs/types"
)

// What changes of a task while it runs, its containers read as it is: tags, those of
// its container instance, and what its health check said.
func TestMetadataFollows(t *testing.T) {
	t.Parallel()
	h := newHost(t, "--container-metadata")
	out, err := exec.Command(built.berth, "node", "--data-dir", h.dir).CombinedOutput()
	if err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	instance := strings.TrimSpace(string(out))
	port := freePort(t)
	web := container("web", "serve=80")
	web.Memory = aws.Int32(64)
	web.PortMappings = []types.PortMapping{{ContainerPort: aws.Int32(80), HostPort: &port}}
	web.HealthCheck = &types.HealthCheck{Command: []string{"CMD", "/probe", "print=is well"}, Interval: aws.Int32(5), Retries: aws.Int32(1)}
	task := *h.run(t, h.register(t, []types.ContainerDefinition{web}, onInstances(types.NetworkModeBridge)), func(in *ecs.RunTaskInput) {
		in.LaunchType, in.NetworkConfiguration = types.LaunchTypeEc2, nil
	}).TaskArn
	h.await(t, task, "RUNNING")
	for arn, tag := range map[string]string{task: "team", instance: "rack"} {
		if _, err := h.ecs.TagResource(t.Context(), &ecs.TagResourceInput{ResourceArn: aws.String(arn), Tags: []types.Tag{{Key: aws.String(tag), Value: aws.String("x")}}}); err != nil {
			t.Fatal(err)
		}
	}
	base := fmt.Sprintf("http://127.0.0.1:%d", port)
	h.answers(t, base)
	var doc struct {
		TaskTags, ContainerInstanceTags map[string]string
		LaunchType, AvailabilityZoneID  string
		Containers                      []struct {
			Health struct{ Status, Output string }
		}
	}
	eventually(t, 20*time.Second, func() error {
		text, err := fetch(t.Context(), base+"/metadata?path=/taskWithTags")
		if err == nil {
			err = json.Unmarshal([]byte(text), &doc)
		}
		if err == nil && (len(doc.Containers) != 1 || doc.Containers[0].Health.Status != "HEALTHY") {
			err = fmt.Errorf("%s", text)
		}
		return err
	})
	if doc.TaskTags["team"] != "x" || doc.ContainerInstanceTags["rack"] != "x" || doc.AvailabilityZoneID == "" || doc.Containers[0].Health.Output != "is well\n" {
		t.Errorf("%+v", doc)
	}
	var file struct{ MetadataFileStatus, ContainerInstanceARN string }
	text, err := fetch(t.Context(), base+"/file?env=ECS_CONTAINER_METADATA_FILE")
	if err == nil {
		err = json.Unmarshal([]byte(text), &file)
	}
	if err != nil || file.MetadataFileStatus != "READY" || file.ContainerInstanceARN != instance {
		t.Errorf("metadata file: %s, %v", text, err)
	}
	h.stop(t, task)
}
