package agent

import "testing"

func TestPinned(t *testing.T) {
	const digest = "sha256:0123"
	for _, c := range [][3]string{
		{"app", digest, "app@" + digest},
		{"app:1", digest, "app@" + digest},
		{"host:5000/app", digest, "host:5000/app@" + digest},
		{"host:5000/app:1", digest, "host:5000/app@" + digest},
		{"app@sha256:9", digest, "app@sha256:9"},
		{"app:1", "", "app:1"},
	} {
		if got := pinned(c[0], c[1]); got != c[2] {
			t.Errorf("%s with %q: %s, want %s", c[0], c[1], got, c[2])
		}
	}
}
