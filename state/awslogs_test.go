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
	}{
		{in: options(), want: LogTarget{Scope{"123456789012", "eu-west-1"}, "/ecs/web", "ecs/app/0123abcd", false}},
		{in: options("awslogs-create-group", "true"), want: LogTarget{Scope{"123456789012", "eu-west-1"}, "/ecs/web", "ecs/app/0123abcd", true}},
		{in: options("mode", "non-blocking"), want: LogTarget{Scope{"123456789012", "eu-west-1"}, "/ecs/web", "ecs/app/0123abcd", false}},
		{in: options("mode", "x"), refused: "'mode'"},
		{in: options("awslogs-create-group", "false"), refused: "should only be set to 'true'"},
		{in: options("awslogs-group", ""), refused: "requires options: awslogs-group"},
		{in: options("awslogs-region", "", "awslogs-group", ""), refused: "requires options: awslogs-group, awslogs-region"},
		{in: options("awslogs-stream-prefix", ""), refused: "to include awslogs-stream-prefix"},
		{in: options("max-buffer-size", "1m", "awslogs-stream", "x"), refused: "disallows options: awslogs-stream, max-buffer-size"},
		{in: &types.LogConfiguration{LogDriver: types.LogDriverJsonFile}, refused: "json-file is not a valid log driver"},
		{in: &types.LogConfiguration{LogDriver: types.LogDriverSplunk}, refused: "splunk is not supported yet"},
	} {
		got, err := FromLogConfiguration(c.in, "123456789012", "app", "0123abcd")
		switch {
		case c.refused != "":
			if err == nil || !strings.Contains(err.Error(), c.refused) {
				t.Errorf("%v: error %v, want %q", c.in.Options, err, c.refused)
			}
			if CheckLogConfiguration(c.in) == nil {
				t.Errorf("%v: the check lets it pass", c.in.Options)
			}
		case err != nil:
			t.Errorf("%v: %v", c.in.Options, err)
		case *got != c.want:
			t.Errorf("%v: got %+v, want %+v", c.in.Options, *got, c.want)
		}
	}
	if got, err := FromLogConfiguration(nil, "1", "app", "2"); got != nil || err != nil {
		t.Errorf("no configuration: %v, %v", got, err)
	}
}
