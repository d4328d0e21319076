package wire

import (
	"context"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ecs"
	"github.com/aws/aws-sdk-go-v2/service/ecs/types"
	"github.com/aws/aws-sdk-go-v2/service/elasticloadbalancingv2"

	"github.com/berth/berth/wire/wiretest/corpus"
)

const runTaskBody = `{"cluster":"default","taskDefinition":"web:12","count":3,"launchType":"FARGATE","startedBy":"deploy-42","propagateTags":"TASK_DEFINITION",` +
	`"enableECSManagedTags":true,"networkConfiguration":{"awsvpcConfiguration":{"subnets":["subnet-0a1b2c3d4e5f67890","subnet-0a1b2c3d4e5f67891"],` +
	`"securityGroups":["sg-0a1b2c3d4e5f67890"],"assignPublicIp":"ENABLED"}},"overrides":{"cpu":"256","memory":"512","containerOverrides":[{"name":"app",` +
	`"command":["serve","--port","8080"],"environment":[{"name":"A","value":"1"},{"name":"B","value":"2"}],"cpu":128}]},"tags":[{"key":"team","value":"x"}]}`

func runTaskOutput() *ecs.RunTaskOutput {
	now := time.UnixMilli(1700000000123)
	return &ecs.RunTaskOutput{Failures: []types.Failure{}, Tasks: []types.Task{{
		TaskArn: aws.String("arn:aws:ecs:eu-central-1:123456789012:task/default/0123456789abcdef0123456789abcdef"), ClusterArn: aws.String("arn:aws:ecs:eu-central-1:123456789012:cluster/default"),
		TaskDefinitionArn: aws.String("arn:aws:ecs:eu-central-1:123456789012:task-definition/web:12"), LastStatus: aws.String("PROVISIONING"), DesiredStatus: aws.String("RUNNING"),
		Cpu: aws.String("256"), Memory: aws.String("512"), CreatedAt: &now, LaunchType: types.LaunchTypeFargate, Group: aws.String("family:web"), StartedBy: aws.String("deploy-42"), Version: 1,
		Attachments: []types.Attachment{{Id: aws.String("0c1d"), Type: aws.String("ElasticNetworkInterface"), Status: aws.String("PRECREATED"),
			Details: []types.KeyValuePair{{Name: aws.String("subnetId"), Value: aws.String("subnet-0a1b2c3d4e5f67890")}}}},
		Containers: []types.Container{{Name: aws.String("app"), LastStatus: aws.String("PENDING"), Image: aws.String("docker.io/library/busybox:latest"), NetworkInterfaces: []types.NetworkInterface{}}},
		Tags:       []types.Tag{{Key: aws.String("team"), Value: aws.String("x")}},
	}}}
}

func BenchmarkDecodeRunTask(b *testing.B) {
	bind := newBinder(nil, nil)
	b.ReportAllocs()
	for b.Loop() {
		in := reflect.ValueOf(&ecs.RunTaskInput{}).Elem()
		d := newJSONReader([]byte(runTaskBody))
		if err := bind.decode(d, bind.schemaOf(in.Type()), in); err != nil || d.close() != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkEncodeRunTask(b *testing.B) {
	bind := newBinder(nil, nil)
	out := reflect.ValueOf(runTaskOutput()).Elem()
	b.ReportAllocs()
	for b.Loop() {
		w := &jsonWriter{}
		if err := bind.encode(w, bind.schemaOf(out.Type()), out); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkDecodeForm(b *testing.B) {
	var body string
	for _, s := range corpus.Requests(b, "elasticloadbalancingv2") {
		if s.Name == "CreateLoadBalancer" {
			body = string(s.Body)
		}
	}
	bind := newBinder(nil, nil)
	b.ReportAllocs()
	for b.Loop() {
		form, err := parseForm(body)
		if err != nil {
			b.Fatal(err)
		}
		in := reflect.ValueOf(&elasticloadbalancingv2.CreateLoadBalancerInput{}).Elem()
		if err := bind.decode(newFormReader(&form, false), bind.schemaOf(in.Type()), in); err != nil {
			b.Fatal(err)
		}
	}
}

type benchService struct{}

func (benchService) RunTask(context.Context, *ecs.RunTaskInput) (*ecs.RunTaskOutput, error) {
	return runTaskOutput(), nil
}

// BenchmarkServeRunTask is a whole request but for TCP, with its signature.
func BenchmarkServeRunTask(b *testing.B) {
	s, err := NewService(ECS, benchService{})
	if err != nil {
		b.Fatal(err)
	}
	keys := oneKey{Credential: Credential{Secret: "secret"}}
	srv := &Server{Services: []*Service{s}, Authenticate: Verify(keys, func() time.Time { return signTime }), Log: slog.New(slog.DiscardHandler)}
	r := signed(b, "POST", "http://ecs.eu-west-1.amazonaws.com/", runTaskBody, func(r *http.Request) {
		r.Header.Set("X-Amz-Target", ECS.Target+".RunTask")
	})
	b.ReportAllocs()
	for b.Loop() {
		x := r.Clone(b.Context())
		x.Body = io.NopCloser(strings.NewReader(runTaskBody))
		w := httptest.NewRecorder()
		if srv.ServeHTTP(w, x); w.Code != 200 {
			b.Fatal(w.Code, w.Body)
		}
	}
}
