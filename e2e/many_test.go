package e2e

import (
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/ecs"
	"github.com/aws/aws-sdk-go-v2/service/ecs/types"
)

// Thirty tasks, launched at the same time, run, and stop at the same time.
func TestManyTasksAtOnce(t *testing.T) {
	t.Parallel()
	h := sharedHost(t)
	definition := h.register(t, []types.ContainerDefinition{container("main", "begin", "wait")})
	const many = 30
	subnets := h.subnets(t)
	tasks, errs := make([]string, many), make([]error, many)
	all := func(f func(i int) error) {
		t.Helper()
		var wg sync.WaitGroup
		for i := range many {
			wg.Go(func() { errs[i] = f(i) })
		}
		wg.Wait()
		if err := errors.Join(errs...); err != nil {
			t.Fatal(err)
		}
	}
	began := time.Now()
	all(func(i int) error {
		out, err := h.tryRun(t.Context(), definition, func(in *ecs.RunTaskInput) {
			in.NetworkConfiguration.AwsvpcConfiguration.Subnets = []string{subnets[i%len(subnets)]}
		})
		if err == nil && len(out.Tasks) != 1 {
			err = fmt.Errorf("not placed: %v", out.Failures)
		}
		if err == nil {
			tasks[i] = *out.Tasks[0].TaskArn
		}
		return err
	})
	addresses := map[string]bool{}
	for _, arn := range tasks {
		addresses[detail(t, h.await(t, arn, "RUNNING"), "privateIPv4Address")] = true
	}
	t.Logf("%d tasks run after %v", many, time.Since(began).Round(time.Millisecond))
	if len(addresses) != many {
		t.Errorf("%d tasks have %d addresses", many, len(addresses))
	}
	began = time.Now()
	all(func(i int) error {
		_, err := h.ecs.StopTask(t.Context(), &ecs.StopTaskInput{Task: &tasks[i]})
		return err
	})
	for _, arn := range tasks {
		h.await(t, arn, "STOPPED")
	}
	t.Logf("%d tasks stopped after %v", many, time.Since(began).Round(time.Millisecond))
}
