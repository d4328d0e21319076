package state

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/ecs/types"
)

// LogTarget is the log stream that a container's output goes to.
type LogTarget struct {
	Scope         // the task's account, the region of awslogs-region
	Group, Stream string
	// CreateGroup makes the group where it is missing (awslogs-create-group).
	CreateGroup bool
}

// LogEvent is one line of a container's output. Its time counts in milliseconds
// once it is stored.
type LogEvent struct {
	Time    time.Time
	Message string
}

// CheckLogConfiguration says what is wrong with a container's log
// configuration, in the words of RegisterTaskDefinition on Fargate, or nil. The
// missing execution role is not its business.
func CheckLogConfiguration(c *types.LogConfiguration) error {
	_, err := FromLogConfiguration(c, "", "", "")
	return err
}

// FromLogConfiguration returns the stream that the output of a container goes
// to: prefix/container/task in the group and region of the options, in the
// task's account. A nil configuration gives a nil target: the output is thrown
// away, as Fargate does.
//
// Errors are for people, in AWS's words where AWS has some (Amazon ECS Developer
// Guide, "Send Amazon ECS logs to CloudWatch").
func FromLogConfiguration(c *types.LogConfiguration, account, container, taskID string) (*LogTarget, error) {
	if c == nil {
		return nil, nil
	}
	if c.LogDriver != types.LogDriverAwslogs {
		if c.LogDriver == types.LogDriverSplunk || c.LogDriver == types.LogDriverAwsfirelens {
			return nil, fmt.Errorf("Log driver %s is not supported yet. Must be one of [awslogs]", c.LogDriver)
		}
		return nil, fmt.Errorf("%s is not a valid log driver. Must be one of [awslogs,splunk,awsfirelens]", c.LogDriver)
	}
	if len(c.SecretOptions) > 0 {
		return nil, fmt.Errorf("Log driver awslogs does not support secretOptions")
	}
	const group, region, prefix, create = "awslogs-group", "awslogs-region", "awslogs-stream-prefix", "awslogs-create-group"
	var missing, unknown []string
	for _, o := range []string{group, region} {
		if c.Options[o] == "" {
			missing = append(missing, o)
		}
	}
	if missing != nil {
		return nil, fmt.Errorf("Log driver awslogs requires options: %s", strings.Join(missing, ", "))
	}
	if c.Options[prefix] == "" {
		return nil, fmt.Errorf("Fargate requires log configuration options to include awslogs-stream-prefix to support log driver awslogs.")
	}
	if v, ok := c.Options[create]; ok && v != "true" {
		return nil, fmt.Errorf("Log driver awslogs option 'awslogs-create-group' should only be set to 'true', else omit option.")
	}
	for _, o := range slices.Sorted(maps.Keys(c.Options)) {
		switch o {
		case group, region, prefix, create:
		case "mode":
			// A file is between the container and the log stream, so the container
			// never waits, whatever the mode, and nothing is ever thrown away.
			if v := c.Options[o]; v != "blocking" && v != "non-blocking" {
				return nil, fmt.Errorf("Log driver option 'mode' must be one of [blocking,non-blocking]")
			}
		default:
			unknown = append(unknown, o)
		}
	}
	if unknown != nil {
		return nil, fmt.Errorf("Log driver awslogs disallows options: %s", strings.Join(unknown, ", "))
	}
	return &LogTarget{
		Scope:       Scope{Account: account, Region: c.Options[region]},
		Group:       c.Options[group],
		Stream:      c.Options[prefix] + "/" + container + "/" + taskID,
		CreateGroup: c.Options[create] == "true",
	}, nil
}
