package event_test

import (
	"encoding/json"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/ecs/types"

	"github.com/berth/berth/state"
	"github.com/berth/berth/state/event"
	"github.com/berth/berth/store"
	"github.com/berth/berth/store/memory"
)

// What is written to a store comes out as AWS's events, in order.
func TestEvents(t *testing.T) {
	s, err := store.Open(t.Context(), memory.New())
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	scope := state.Scope{Account: "123456789012", Region: "us-east-1"}
	at := time.Date(2026, 1, 2, 3, 4, 5, 6e6, time.UTC)
	exit := int32(3)
	err = s.Update(t.Context(), func(tx *store.Tx) error {
		store.Tasks.Put(tx, &state.Task{
			Scope: scope, Cluster: "c", ID: "0123", Family: "f", Revision: 2, Group: "service:s", CPU: 256, Memory: 512, LaunchType: "FARGATE", Arch: "X86_64", ENI: "eni-1", AttachmentID: "a-1",
			Interface: state.Interface{ENI: "eni-1", Subnet: "subnet-1", MAC: "02:00", Address: netip.MustParseAddr("10.0.0.4"), PrivateDNS: "ip"},
			Desired:   state.Stopped, Last: state.Stopped, CreatedAt: at, StoppedAt: at.Add(time.Second), StopCode: types.TaskStopCodeEssentialContainerExited, StoppedReason: "Essential container in task exited",
			Containers: []state.Container{{Name: "web", ID: "u", Image: "i", Last: state.Stopped, ExitCode: &exit, CPU: "0"}},
		})
		store.Instances.Put(tx, &state.ContainerInstance{Scope: scope, Cluster: "c", ID: "4567", Status: "ACTIVE", Connected: true, CPU: 1024, Memory: 2048, TCPPorts: []int32{22}, RegisteredAt: at})
		store.Deployments.Put(tx, &state.Deployment{Scope: scope, Cluster: "c", Service: "s", ID: "ecs-svc/1", Number: "1", Rollout: types.DeploymentRolloutStateFailed, RolloutReason: "why", UpdatedAt: at})
		for i, message := range []string{"(service s) has reached a steady state.", "(service s) has started 1 tasks: (task 1).", "(service s) was unable to place a task because no container instance met all of its requirements. The closest matching (container-instance 1) has insufficient memory available."} {
			store.ServiceEvents.Put(tx, &state.ServiceEvent{Scope: scope, Cluster: "c", Service: "s", Number: int64(i), At: at, Message: message})
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	var events []event.Event
	for set := range store.Changes.All(s.View()) {
		made, err := event.Of(set)
		if err != nil {
			t.Fatal(err)
		}
		again, err := event.Of(set)
		if err != nil || again[0].ID != made[0].ID {
			t.Errorf("made again its ID is %s, not %s: %v", again[0].ID, made[0].ID, err)
		}
		events = append(events, made...)
	}
	const clusterARN = `"clusterArn":"arn:aws:ecs:us-east-1:123456789012:cluster/c"`
	const service = `"resources":["arn:aws:ecs:us-east-1:123456789012:service/c/s"]`
	want := [][]string{
		{
			`"detail-type":"ECS Task State Change","source":"aws.ecs","account":"123456789012"`, `"resources":["arn:aws:ecs:us-east-1:123456789012:task/c/0123"]`, clusterARN,
			`"lastStatus":"STOPPED"`, `"exitCode":3`, `"createdAt":"2026-01-02T03:04:05.006Z"`, `"updatedAt":"2026-01-02T03:04:06.006Z"`, `{"name":"privateIPv4Address","value":"10.0.0.4"}`,
			`"status":"DELETED"`, `"stopCode":"EssentialContainerExited"`, `"taskDefinitionArn":"arn:aws:ecs:us-east-1:123456789012:task-definition/f:2"`, `"cpu":"256"`, `"value":"x86_64"`,
		},
		{`"detail-type":"ECS Container Instance State Change"`, `"agentConnected":true`, `{"name":"CPU","type":"INTEGER","integerValue":1024}`, `{"name":"PORTS","type":"STRINGSET","stringSetValue":["22"]}`, clusterARN},
		{`"detail-type":"ECS Deployment State Change"`, service, `"detail":{"eventType":"ERROR","eventName":"SERVICE_DEPLOYMENT_FAILED","deploymentId":"ecs-svc/1","updatedAt":"2026-01-02T03:04:05.006Z","reason":"why"}`},
		{`"detail-type":"ECS Service Action"`, service, `"eventName":"SERVICE_STEADY_STATE"`, clusterARN},
		{`"eventType":"ERROR","eventName":"SERVICE_TASK_PLACEMENT_FAILURE"`, `"reason":"RESOURCE:MEMORY"`},
	}
	if len(events) != len(want) {
		t.Fatalf("%d events, want %d: %+v", len(events), len(want), events)
	}
	for i, e := range events {
		text, err := json.Marshal(e)
		if err != nil {
			t.Fatal(err)
		}
		for _, part := range want[i] {
			if !strings.Contains(string(text), part) {
				t.Errorf("%s\nlacks %s", text, part)
			}
		}
	}
}
