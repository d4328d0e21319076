package cli

import (
	"strings"
	"testing"
	"time"

	"github.com/berth/berth/local"
)

func TestStatusOfPulls(t *testing.T) {
	now := time.Unix(5000, 0)
	var out strings.Builder
	err := writeStatus(&out, local.Status{Verified: true, Pulls: []local.PullStatus{
		{Image: "docker.io/library/a:1", Began: now.Add(-7 * time.Second), Done: 100 << 20, Total: 400 << 20, Unpacked: 1, Layers: 3},
		{Image: "docker.io/library/b:1", Began: now},
	}}, now)
	if err != nil {
		t.Fatal(err)
	}
	for _, line := range []string{"IMAGE PULLED UNPACKED FOR", "docker.io/library/a:1 100.0 of 400.0 MiB (25%) 1 of 3 layers 7s", "docker.io/library/b:1 - 0 of 0 layers 0s"} {
		if !strings.Contains(strings.Join(strings.Fields(out.String()), " "), line) {
			t.Errorf("%q is not in\n%s", line, out.String())
		}
	}
	out.Reset()
	if err := writeStatus(&out, local.Status{Verified: true}, now); err != nil || strings.Contains(out.String(), "PULLED") {
		t.Errorf("without pulls: %v\n%s", err, out.String())
	}
}
