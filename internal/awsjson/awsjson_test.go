package awsjson

import (
	"reflect"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ecs/types"
)

func TestRoundTrip(t *testing.T) {
	in := &types.TaskDefinition{
		Family: aws.String("web"), Revision: 3, RequiresCompatibilities: []types.Compatibility{types.CompatibilityFargate},
		ContainerDefinitions: []types.ContainerDefinition{{
			Name: aws.String("a"), Cpu: 0, Essential: aws.Bool(false), Environment: []types.KeyValuePair{{Name: aws.String("A"), Value: aws.String(`"<&>`)}},
		}},
	}
	b, err := Marshal(in)
	if err != nil {
		t.Fatal(err)
	}
	out := &types.TaskDefinition{}
	if err := Unmarshal(b, out); err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(in, out) {
		t.Errorf("read back %+v from %s, want %+v", out, b, in)
	}
}
