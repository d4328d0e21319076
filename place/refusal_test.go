package place

import (
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"

	"github.com/berth/berth/state"
)

func TestRefusalInWords(t *testing.T) {
	x := index([]*state.ContainerInstance{instance("a", 1000, 1000), instance("b", 1000, 100), instance("c", 50, 1000)})
	_, no := x.PickInstance(cluster, &Demand{CPU: 100, Memory: 2000, Group: "service:s"})
	if got, want := no.String(), "1 of 3 with fewer than 100 CPU units free; 2 of 3 with less than 2000 MiB of memory free"; got != want {
		t.Errorf("%s, want %s", got, want)
	}
	// Both lack memory; a has the most.
	want := "(service s) was unable to place a task because no container instance met all of its requirements. The closest matching (container-instance a) has insufficient memory available." +
		" For more information, see the Troubleshooting section of the Amazon ECS Developer Guide."
	if got := no.Event("s"); got != want {
		t.Errorf("%s, want %s", got, want)
	}
	failures := no.Failures()
	if len(failures) != 3 || aws.ToString(failures[0].Reason) != "RESOURCE:MEMORY" || aws.ToString(failures[2].Reason) != "RESOURCE:CPU" ||
		aws.ToString(failures[2].Detail) != "the instance is one of those with fewer than 100 CPU units free" {
		t.Errorf("%+v", failures)
	}
	_, no = x.PickInstance(cluster, &Demand{Provider: "p"})
	if f := no.Failures(); len(f) != 1 || *f[0].Reason != "EMPTY CAPACITY PROVIDER" || *f[0].Detail != "no container instance is of the capacity provider p" {
		t.Errorf("%+v", f)
	}
	_, no = x.PickNode(Request{CPU: 5000, Zone: "us-east-1a"})
	if f := no.Failures(); len(f) != 1 || *f[0].Detail != "RESOURCE:CPU: 3 of 3 with fewer than 5000 CPU units free" {
		t.Errorf("%+v", f)
	}
	want = "(service s) was unable to place a task. Reason: Capacity is unavailable at this time. Please try again later or in a different availability zone." +
		" For more information, see the Troubleshooting section of the Amazon ECS Developer Guide."
	if got := no.Event("s"); got != want {
		t.Errorf("%s, want %s", got, want)
	}
}
