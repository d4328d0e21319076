package e2e

import (
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ecs/types"
	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/registry"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
)

// An image comes from a registry, by tag and by digest; what a registry doesn't
// have is said in ECS's words.
func TestPullFromRegistry(t *testing.T) {
	t.Parallel()
	h := sharedHost(t)
	server := httptest.NewServer(registry.New())
	defer server.Close()
	address := strings.TrimPrefix(server.URL, "http://")
	image, err := tarball.ImageFromPath(built.image, nil)
	if err != nil {
		t.Fatal(err)
	}
	tag, err := name.NewTag(address + "/team/probe:v1")
	if err != nil {
		t.Fatal(err)
	}
	if err := remote.Write(tag, image); err != nil {
		t.Fatal(err)
	}
	digest, err := image.Digest()
	if err != nil {
		t.Fatal(err)
	}
	run := func(ref string) types.Task {
		c := container("main", "print=pulled", "exit=0")
		c.Image = &ref
		return h.await(t, *h.run(t, h.register(t, []types.ContainerDefinition{c})).TaskArn, "STOPPED")
	}
	for _, ref := range []string{tag.String(), address + "/team/probe@" + digest.String()} {
		task := run(ref)
		if c := task.Containers[0]; aws.ToInt32(c.ExitCode) != 0 || c.ExitCode == nil || aws.ToString(c.ImageDigest) != digest.String() {
			t.Errorf("%s: %s: %s, digest %s, want %s", ref, aws.ToString(task.StoppedReason), reasons(task), aws.ToString(c.ImageDigest), digest)
		}
		h.awaitLine(t, *task.TaskArn, "main", "pulled")
	}
	missing := run(address + "/team/probe:v2")
	if missing.StopCode != types.TaskStopCodeTaskFailedToStart || !strings.Contains(aws.ToString(missing.StoppedReason), "CannotPull") || !strings.Contains(aws.ToString(missing.StoppedReason), "probe:v2") {
		t.Errorf("a tag that isn't there: %s: %s", missing.StopCode, aws.ToString(missing.StoppedReason))
	}
}
