package e2e

import (
	"fmt"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ecs"
	"github.com/aws/aws-sdk-go-v2/service/ecs/types"
)

// A service of ten tasks is deployed anew in less than ten seconds; a process that
// is killed at any time of a deployment leaves it to the next one; and a service
// that is deleted leaves nothing.
func TestServiceDeployments(t *testing.T) {
	t.Parallel()
	h := newHost(t)
	ctx := t.Context()
	web := container("main", "wait")
	web.StopTimeout = aws.Int32(2)
	definition := func() *string { return aws.String(h.register(t, []types.ContainerDefinition{web})) }
	name := aws.String("web")
	if _, err := h.ecs.CreateService(ctx, &ecs.CreateServiceInput{
		ServiceName: name, TaskDefinition: definition(), DesiredCount: aws.Int32(10), LaunchType: types.LaunchTypeFargate,
		NetworkConfiguration: &types.NetworkConfiguration{AwsvpcConfiguration: &types.AwsVpcConfiguration{Subnets: h.subnets(t)}},
	}); err != nil {
		t.Fatal(err)
	}
	// stable is what AWS's waiter services-stable asks for.
	stable := func() error {
		out, err := h.ecs.DescribeServices(ctx, &ecs.DescribeServicesInput{Services: []string{*name}})
		if err != nil {
			return err
		}
		s := out.Services[0]
		if len(s.Deployments) != 1 || s.RunningCount != s.DesiredCount || s.Deployments[0].RolloutState != types.DeploymentRolloutStateCompleted {
			return fmt.Errorf("%d deployments, %d of %d run: %+v", len(s.Deployments), s.RunningCount, s.DesiredCount, s.Deployments)
		}
		return nil
	}
	eventually(t, 2*time.Minute, stable)
	deploy := func() {
		t.Helper()
		if _, err := h.ecs.UpdateService(ctx, &ecs.UpdateServiceInput{Service: name, TaskDefinition: definition()}); err != nil {
			t.Fatal(err)
		}
	}
	began := time.Now()
	deploy()
	eventually(t, 2*time.Minute, stable)
	t.Logf("a rolling deployment of ten tasks took %v", time.Since(began))
	for _, after := range []time.Duration{50 * time.Millisecond, 700 * time.Millisecond, 2500 * time.Millisecond} {
		deploy()
		time.Sleep(after) // wherever in the deployment that is
		h.kill()
		if err := h.start(); err != nil {
			t.Fatal(err)
		}
		eventually(t, 2*time.Minute, stable)
	}
	if _, err := h.ecs.DeleteService(ctx, &ecs.DeleteServiceInput{Service: name, Force: aws.Bool(true)}); err != nil {
		t.Fatal(err)
	}
	eventually(t, time.Minute, func() error {
		out, err := h.ecs.DescribeServices(ctx, &ecs.DescribeServicesInput{Services: []string{*name}})
		if err == nil && aws.ToString(out.Services[0].Status) != "INACTIVE" {
			err = fmt.Errorf("it is %s with %d tasks", *out.Services[0].Status, out.Services[0].RunningCount)
		}
		return err
	})
}
