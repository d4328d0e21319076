package ecs

import (
	"fmt"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ecs"

	"github.com/berth/berth/state"
)

func TestTaskProtection(t *testing.T) {
	client, st := newClient(t)
	ctx := t.Context()
	must(client.CreateCluster(ctx, &ecs.CreateClusterInput{}))(t)
	id := func(n int) string { return fmt.Sprintf("%032x", n) }
	putTask(t, st, &state.Task{Scope: scope, Cluster: "default", ID: id(1), Last: state.Running, Desired: state.Running, Service: "web"})
	putTask(t, st, &state.Task{Scope: scope, Cluster: "default", ID: id(2), Last: state.Running, Desired: state.Running})
	cluster := aws.String("default")

	before := time.Now()
	got := must(client.UpdateTaskProtection(ctx, &ecs.UpdateTaskProtectionInput{Cluster: cluster, Tasks: []string{id(1), arnOf("task/default/" + id(2)), id(3)}, ProtectionEnabled: true}))(t)
	if len(got.ProtectedTasks) != 1 || *got.ProtectedTasks[0].TaskArn != arnOf("task/default/"+id(1)) || !got.ProtectedTasks[0].ProtectionEnabled {
		t.Errorf("%+v", got)
	} else if left := got.ProtectedTasks[0].ExpirationDate.Sub(before); left < 119*time.Minute || left > 121*time.Minute {
		t.Errorf("protected for %v", left)
	}
	if len(got.Failures) != 2 || *got.Failures[0].Reason != "TASK_NOT_VALID" || *got.Failures[1].Reason != "MISSING" {
		t.Errorf("%+v", got.Failures)
	}
	asked := must(client.GetTaskProtection(ctx, &ecs.GetTaskProtectionInput{Cluster: cluster, Tasks: []string{id(1), id(2)}}))(t)
	if len(asked.ProtectedTasks) != 1 || !asked.ProtectedTasks[0].ExpirationDate.Equal(*got.ProtectedTasks[0].ExpirationDate) || len(asked.Failures) != 1 {
		t.Errorf("%+v", asked)
	}
	ended := must(client.UpdateTaskProtection(ctx, &ecs.UpdateTaskProtectionInput{Cluster: cluster, Tasks: []string{id(1)}}))(t)
	if len(ended.ProtectedTasks) != 1 || ended.ProtectedTasks[0].ProtectionEnabled || ended.ProtectedTasks[0].ExpirationDate != nil {
		t.Errorf("%+v", ended)
	}
	for _, c := range []struct {
		in   ecs.UpdateTaskProtectionInput
		want string
	}{
		{ecs.UpdateTaskProtectionInput{Cluster: cluster, Tasks: []string{id(1)}, ExpiresInMinutes: aws.Int32(0)}, "expiresInMinutes"},
		{ecs.UpdateTaskProtectionInput{Cluster: cluster, Tasks: []string{id(1)}, ExpiresInMinutes: aws.Int32(2881)}, "expiresInMinutes"},
		{ecs.UpdateTaskProtectionInput{Cluster: cluster, Tasks: []string{}}, "Tasks can not be empty."},
		{ecs.UpdateTaskProtectionInput{Cluster: cluster, Tasks: make([]string, 11)}, "at most 10"},
		{ecs.UpdateTaskProtectionInput{Cluster: aws.String(""), Tasks: []string{id(1)}}, "Cluster can not be blank."},
	} {
		_, err := client.UpdateTaskProtection(ctx, &c.in)
		refused(t, err, "InvalidParameterException", c.want)
	}
	_, err := client.GetTaskProtection(ctx, &ecs.GetTaskProtectionInput{Cluster: aws.String("none"), Tasks: []string{id(1)}})
	refused(t, err, "ClusterNotFoundException", "")
}
