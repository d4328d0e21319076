// Run shows Berth at work on a task definition: it runs one task, prints each
// state as it comes, its addresses, what it answers over HTTP and what it
// logs. It talks to Berth as any AWS client does; the environment says where.
//
//	eval "$(berth env)"
//	go run ./examples/hello/run -definition examples/hello/task-definition.json
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"os"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatchlogs"
	"github.com/aws/aws-sdk-go-v2/service/ecs"
	"github.com/aws/aws-sdk-go-v2/service/ecs/types"

	"github.com/berth/berth/internal/awsjson"
)

func main() {
	log.SetFlags(0)
	definition := flag.String("definition", "examples/hello/task-definition.json", "the task definition to run")
	flag.Parse()
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	defer cancel()
	if err := run(ctx, *definition); err != nil {
		log.Fatal(err)
	}
}

func run(ctx context.Context, path string) error {
	cfg, err := config.LoadDefaultConfig(ctx)
	if err != nil {
		return err
	}
	client := ecs.NewFromConfig(cfg)
	b, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	var def types.TaskDefinition
	if err := awsjson.Unmarshal(b, &def); err != nil {
		return err
	}
	if _, err := client.CreateCluster(ctx, &ecs.CreateClusterInput{}); err != nil {
		return err
	}
	registered, err := client.RegisterTaskDefinition(ctx, &ecs.RegisterTaskDefinitionInput{
		Family: def.Family, NetworkMode: def.NetworkMode, RequiresCompatibilities: def.RequiresCompatibilities,
		Cpu: def.Cpu, Memory: def.Memory, ContainerDefinitions: def.ContainerDefinitions,
	})
	if err != nil {
		return err
	}
	subnet, group, err := network(ctx, cfg)
	if err != nil {
		return err
	}
	began := time.Now()
	ran, err := client.RunTask(ctx, &ecs.RunTaskInput{
		TaskDefinition: registered.TaskDefinition.TaskDefinitionArn,
		LaunchType:     types.LaunchTypeFargate,
		NetworkConfiguration: &types.NetworkConfiguration{AwsvpcConfiguration: &types.AwsVpcConfiguration{
			Subnets: []string{subnet}, SecurityGroups: []string{group}, AssignPublicIp: types.AssignPublicIpEnabled,
		}},
	})
	if err != nil {
		return err
	}
	if len(ran.Failures) > 0 {
		return fmt.Errorf("the task could not be placed: %s (%s)", aws.ToString(ran.Failures[0].Reason), aws.ToString(ran.Failures[0].Detail))
	}
	task := ran.Tasks[0]
	fmt.Printf("task %s\n", *task.TaskArn)
	if task, err = follow(ctx, client, task, began); err != nil {
		return err
	}
	address := detail(task, "privateIPv4Address")
	fmt.Printf("private address  %s\n", address)
	answer, err := get(ctx, "http://"+address+"/")
	if err != nil {
		return err
	}
	fmt.Printf("HTTP answer      %s", answer)
	options := def.ContainerDefinitions[0].LogConfiguration.Options
	return logs(ctx, cfg, options["awslogs-group"], options["awslogs-stream-prefix"]+"/"+*def.ContainerDefinitions[0].Name+"/"+last(*task.TaskArn))
}

// follow prints the task's states until it runs.
func follow(ctx context.Context, client *ecs.Client, task types.Task, began time.Time) (types.Task, error) {
	state := ""
	for tick := time.NewTicker(5 * time.Millisecond); ; <-tick.C {
		if s := aws.ToString(task.LastStatus); s != state {
			fmt.Printf("%8.3f s  %s\n", time.Since(began).Seconds(), s)
			state = s
		}
		switch state {
		case "RUNNING":
			return task, nil
		case "STOPPED":
			return task, fmt.Errorf("the task stopped: %s: %s", task.StopCode, aws.ToString(task.StoppedReason))
		}
		out, err := client.DescribeTasks(ctx, &ecs.DescribeTasksInput{Tasks: []string{*task.TaskArn}})
		if err != nil {
			return task, err
		}
		if len(out.Tasks) == 0 {
			return task, errors.New("the task is gone")
		}
		task = out.Tasks[0]
	}
}

// logs prints the stream's lines once there are any.
func logs(ctx context.Context, cfg aws.Config, group, stream string) error {
	client := cloudwatchlogs.NewFromConfig(cfg)
	for tick := time.NewTicker(50 * time.Millisecond); ; {
		out, err := client.GetLogEvents(ctx, &cloudwatchlogs.GetLogEventsInput{LogGroupName: &group, LogStreamName: &stream, StartFromHead: aws.Bool(true)})
		if err != nil {
			return err
		}
		if len(out.Events) >= 2 {
			fmt.Printf("log stream       %s %s\n", group, stream)
			for _, e := range out.Events {
				fmt.Printf("  %s  %s\n", time.UnixMilli(*e.Timestamp).UTC().Format(time.TimeOnly), *e.Message)
			}
			return nil
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return fmt.Errorf("wait for log lines in %s: %w", group, ctx.Err())
		}
	}
}

func get(ctx context.Context, url string) (string, error) {
	client := &http.Client{Transport: &http.Transport{DialContext: retry}}
	req, err := http.NewRequestWithContext(ctx, "GET", url, nil)
	if err != nil {
		return "", err
	}
	resp, err := client.Do(req)
	if err != nil {
		return "", err
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	return string(b), err
}

// retry dials until the program inside has got to listening: a task runs as
// soon as its processes do.
func retry(ctx context.Context, network, address string) (net.Conn, error) {
	for tick := time.NewTicker(20 * time.Millisecond); ; {
		d := net.Dialer{Timeout: time.Second}
		conn, err := d.DialContext(ctx, network, address)
		if err == nil {
			return conn, nil
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return nil, err
		}
	}
}

func detail(t types.Task, name string) string {
	for _, a := range t.Attachments {
		for _, d := range a.Details {
			if aws.ToString(d.Name) == name {
				return aws.ToString(d.Value)
			}
		}
	}
	return ""
}

func last(arn string) string {
	for i := len(arn) - 1; i >= 0; i-- {
		if arn[i] == '/' {
			return arn[i+1:]
		}
	}
	return arn
}
