package state

import (
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/service/ecs/types"
)

func TestFromLogConfiguration(t *testing.T) {
	options := func(kv ...string) *types.LogConfiguration {
		c := &types.LogConfiguration{LogDriver: types.LogDriverAwslogs, Options: map[string]string{
			"awslogs-group": "/ecs/web", "awslogs-region": "eu-west-1", "awslogs-stream-prefix": "ecs",
		}}
		for i := 0; i < len(kv); i += 2 {
			if kv[i+1] == "" {
				delete(c.Options, kv[i])
			} else {
				c.Options[kv[i]] = kv[i+1]
			}
		}
		return c
	}
	for _, c := range []struct {
		in      *types.LogConfiguration
		want    LogTarget
		refused string
		ec2     bool
	}{
		{in: options(), want: LogTarget{Scope: Scope{"123456789012", "eu-west-1"}, Group: "/ecs/web", Stream: "ecs/app/0123abcd", CreateGroup: false}},
		{in: options("awslogs-create-group", "true"), want: LogTarget{Scope: Scope{"123456789012", "eu-west-1"}, Group: "/ecs/web", Stream: "ecs/app/0123abcd", CreateGroup: true}},
		{in: options("mode", "non-blocking"), want: LogTarget{Scope: Scope{"123456789012", "eu-west-1"}, Group: "/ecs/web", Stream: "ecs/app/0123abcd", CreateGroup: false}},
		{in: options("mode", "x"), refused: "'mode'"},
		{in: options("awslogs-create-group", "false"), refused: "should only be set to 'true'"},
		{in: options("awslogs-group", ""), refused: "requires options: awslogs-group"},
		{in: options("awslogs-region", "", "awslogs-group", ""), refused: "requires options: awslogs-group, awslogs-region"},
		{in: options("awslogs-stream-prefix", ""), refused: "to include awslogs-stream-prefix"},
		{in: options("mode", "non-blocking", "max-buffer-size", "1m", "awslogs-stream", "x"), refused: "disallows options: awslogs-stream"},
		{in: options("max-buffer-size", "1m"), refused: "'max-buffer-size'"},
		{in: options("mode", "non-blocking", "max-buffer-size", "much"), refused: "'max-buffer-size'"},
		{in: options("awslogs-multiline-pattern", "^[A-Z"), refused: "no regular expression"},
		{in: options("awslogs-multiline-pattern", "^x", "awslogs-datetime-format", "%Y"), refused: "can't both be set"},
		{in: options("awslogs-multiline-pattern", "^x"), want: LogTarget{Scope: Scope{"123456789012", "eu-west-1"}, Group: "/ecs/web", Stream: "ecs/app/0123abcd", Begin: "^x"}},
		{in: options("awslogs-datetime-format", "[%Y-%m-%d %%q%"), want: LogTarget{Scope: Scope{"123456789012", "eu-west-1"}, Group: "/ecs/web", Stream: "ecs/app/0123abcd", Begin: `\[\d{4}-\d{2}-\d{2} %q%`}},
		{in: options("awslogs-stream-prefix", ""), ec2: true, want: LogTarget{Scope: Scope{"123456789012", "eu-west-1"}, Group: "/ecs/web", Stream: "0123abcd-7"}},
		{in: &types.LogConfiguration{LogDriver: types.LogDriverGelf}, ec2: true, refused: "requires options: gelf-address"},
		{in: &types.LogConfiguration{LogDriver: types.LogDriverSyslog, Options: map[string]string{"x": "y"}}, ec2: true, refused: "disallows options: x"},
		{in: &types.LogConfiguration{LogDriver: types.LogDriverSplunk}, ec2: true, refused: "splunk is not supported yet"},
		{in: &types.LogConfiguration{LogDriver: "smoke"}, ec2: true, refused: "smoke is not a valid log driver"},
		{in: &types.LogConfiguration{LogDriver: types.LogDriverJsonFile}, refused: "json-file is not a valid log driver"},
		{in: &types.LogConfiguration{LogDriver: types.LogDriverSplunk}, refused: "splunk is not supported yet"},
	} {
		got, err := FromLogConfiguration(c.in, LogSource{Account: "123456789012", Container: "app", Task: "0123abcd", ContainerID: "0123abcd-7", EC2: c.ec2})
		switch {
		case c.refused != "":
			if err == nil || !strings.Contains(err.Error(), c.refused) {
				t.Errorf("%v: error %v, want %q", c.in.Options, err, c.refused)
			}
			if CheckLogConfiguration(c.in, c.ec2, false) == nil {
				t.Errorf("%v: the check lets it pass", c.in.Options)
			}
		case err != nil:
			t.Errorf("%v: %v", c.in.Options, err)
		case *got != c.want:
			t.Errorf("%v: got %+v, want %+v", c.in.Options, *got, c.want)
		}
	}
	if got, err := FromLogConfiguration(nil, LogSource{}); got != nil || err != nil {
		t.Errorf("no configuration: %v, %v", got, err)
	}
}
