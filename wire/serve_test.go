package wire_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatchlogs"
	"github.com/aws/aws-sdk-go-v2/service/ecs"
	"github.com/aws/aws-sdk-go-v2/service/ecs/types"
	"github.com/aws/aws-sdk-go-v2/service/sts"
	"github.com/aws/smithy-go"
	smithyhttp "github.com/aws/smithy-go/transport/http"

	"github.com/berth/berth/wire"
	"github.com/berth/berth/wire/wiretest"
)

// ecsService answers a few operations in ways that are awkward to write.
type ecsService struct{}

func (ecsService) RunTask(ctx context.Context, in *ecs.RunTaskInput) (*ecs.RunTaskOutput, error) {
	c := wire.CallerFrom(ctx)
	return &ecs.RunTaskOutput{
		Tasks: []types.Task{{
			TaskArn:           aws.String("arn:" + c.Partition() + ":ecs:" + c.Region + ":" + c.Account + ":task/x"),
			TaskDefinitionArn: in.TaskDefinition, CreatedAt: aws.Time(time.UnixMilli(1700000000123)), StartedBy: in.StartedBy,
			Overrides: in.Overrides, LastStatus: aws.String("PROVISIONING"), LaunchType: in.LaunchType,
			Containers: []types.Container{{Name: aws.String("a\"<&>\u2028\n\x01é"), ExitCode: aws.Int32(0)}},
		}},
		Failures: []types.Failure{},
	}, nil
}

func (ecsService) DescribeClusters(_ context.Context, in *ecs.DescribeClustersInput) (*ecs.DescribeClustersOutput, error) {
	return &ecs.DescribeClustersOutput{Clusters: []types.Cluster{{ClusterName: aws.String("default")}}}, nil
}

func (ecsService) ListTasks(context.Context, *ecs.ListTasksInput) (*ecs.ListTasksOutput, error) {
	return nil, fmt.Errorf("list: %w", &types.ClusterNotFoundException{Message: aws.String("Cluster not found.")})
}

func (ecsService) StopTask(context.Context, *ecs.StopTaskInput) (*ecs.StopTaskOutput, error) {
	panic("a bug")
}

func (ecsService) ListClusters(context.Context, *ecs.ListClustersInput) (*ecs.ListClustersOutput, error) {
	return nil, errors.New("the disk is on fire")
}

func (ecsService) CreateCluster(context.Context, *ecs.CreateClusterInput) (*ecs.CreateClusterOutput, error) {
	return nil, nil
}

func (ecsService) DeleteCluster(context.Context, *ecs.DeleteClusterInput) (*ecs.DeleteClusterOutput, error) {
	return nil, &smithy.GenericAPIError{Code: "Throttled", Message: "later", Fault: smithy.FaultServer}
}

func (ecsService) Check(_ context.Context, op string, in any) error {
	if x, ok := in.(*ecs.CreateClusterInput); ok && x.ServiceConnectDefaults != nil {
		return &types.InvalidParameterException{Message: aws.String(op + ": serviceConnectDefaults is not supported.")}
	}
	return nil
}

// Helper has no operation's name and is left alone.
func (ecsService) Helper(int) {}

type stsService struct{}

func (stsService) GetCallerIdentity(ctx context.Context, _ *sts.GetCallerIdentityInput) (*sts.GetCallerIdentityOutput, error) {
	c := wire.CallerFrom(ctx)
	return &sts.GetCallerIdentityOutput{Account: &c.Account, Arn: aws.String(c.ARN + "<&>"), UserId: &c.UserID}, nil
}

func (stsService) AssumeRole(context.Context, *sts.AssumeRoleInput) (*sts.AssumeRoleOutput, error) {
	return nil, &smithy.GenericAPIError{Code: "AccessDenied", Message: "no <role>", Fault: smithy.FaultClient}
}

type logsService struct{}

func (logsService) CreateLogGroup(context.Context, *cloudwatchlogs.CreateLogGroupInput) (*cloudwatchlogs.CreateLogGroupOutput, error) {
	return &cloudwatchlogs.CreateLogGroupOutput{}, nil
}

func newService(t testing.TB, d wire.Description, impl any) *wire.Service {
	t.Helper()
	s, err := wire.NewService(d, impl)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestECSClient(t *testing.T) {
	_, cfg := wiretest.Serve(t, newService(t, wire.STS, stsService{}), newService(t, wire.ECS, ecsService{}))
	c := ecs.NewFromConfig(cfg)
	out, err := c.RunTask(t.Context(), &ecs.RunTaskInput{
		TaskDefinition: aws.String("web:1"), StartedBy: aws.String("ünï"), LaunchType: types.LaunchTypeFargate,
		Overrides: &types.TaskOverride{ContainerOverrides: []types.ContainerOverride{{Name: aws.String("a"), Command: []string{}, Cpu: aws.Int32(0)}}},
	})
	if err != nil {
		t.Fatal(err)
	}
	task := out.Tasks[0]
	if got, want := *task.TaskArn, "arn:aws:ecs:eu-central-1:123456789012:task/x"; got != want {
		t.Errorf("task ARN %s, want %s", got, want)
	}
	if task.CreatedAt.UnixMilli() != 1700000000123 || *task.StartedBy != "ünï" || *task.Containers[0].Name != "a\"<&>\u2028\n\x01é" || *task.Containers[0].ExitCode != 0 {
		t.Errorf("task came back as %+v", task)
	}
	if o := task.Overrides.ContainerOverrides[0]; *o.Cpu != 0 || o.Command == nil || len(o.Command) != 0 || o.Environment != nil {
		t.Errorf("override came back as %+v", o)
	}
	if out.Failures == nil {
		t.Error("an empty list was left out")
	}
}

func TestErrors(t *testing.T) {
	_, cfg := wiretest.Serve(t, newService(t, wire.ECS, ecsService{}), newService(t, wire.STS, stsService{}), newService(t, wire.Logs, logsService{}))
	c, s, l := ecs.NewFromConfig(cfg), sts.NewFromConfig(cfg), cloudwatchlogs.NewFromConfig(cfg)
	tests := []struct {
		name, code, message string
		status              int
		call                func(context.Context) error
	}{
		{"modeled", "ClusterNotFoundException", "Cluster not found.", 400, func(ctx context.Context) error {
			_, err := c.ListTasks(ctx, &ecs.ListTasksInput{})
			return err
		}},
		{"panic", "ServerException", "unknown error", 500, func(ctx context.Context) error {
			_, err := c.StopTask(ctx, &ecs.StopTaskInput{Task: aws.String("x")})
			return err
		}},
		{"plain", "ServerException", "unknown error", 500, func(ctx context.Context) error {
			_, err := c.ListClusters(ctx, &ecs.ListClustersInput{})
			return err
		}},
		{"generic", "Throttled", "later", 500, func(ctx context.Context) error {
			_, err := c.DeleteCluster(ctx, &ecs.DeleteClusterInput{Cluster: aws.String("x")})
			return err
		}},
		{"checked", "InvalidParameterException", "CreateCluster: serviceConnectDefaults is not supported.", 400, func(ctx context.Context) error {
			_, err := c.CreateCluster(ctx, &ecs.CreateClusterInput{ServiceConnectDefaults: &types.ClusterServiceConnectDefaultsRequest{Namespace: aws.String("x")}})
			return err
		}},
		{"lacking", "NotImplemented", "ecs:ListServices is not implemented by this server.", 501, func(ctx context.Context) error {
			_, err := c.ListServices(ctx, &ecs.ListServicesInput{})
			return err
		}},
		{"lacking in query", "NotImplemented", "sts:GetSessionToken is not implemented by this server.", 501, func(ctx context.Context) error {
			_, err := s.GetSessionToken(ctx, &sts.GetSessionTokenInput{})
			return err
		}},
		{"query", "AccessDenied", "no <role>", 403, func(ctx context.Context) error {
			_, err := s.AssumeRole(ctx, &sts.AssumeRoleInput{RoleArn: aws.String("arn:aws:iam::123456789012:role/x"), RoleSessionName: aws.String("me")})
			return err
		}},
		{"constraint in query", "ValidationError", "1 validation error detected: Value 'x' at 'roleArn' failed to satisfy constraint: Member must have length greater than or equal to 20", 400, func(ctx context.Context) error {
			_, err := s.AssumeRole(ctx, &sts.AssumeRoleInput{RoleArn: aws.String("x"), RoleSessionName: aws.String("me")})
			return err
		}},
		{"constraints", "InvalidParameterException", "2 validation errors detected: Value '' at 'logGroupName' failed to satisfy constraint: Member must have length greater than or equal to 1; " +
			"Value '' at 'logGroupName' failed to satisfy constraint: Member must satisfy regular expression pattern: [\\.\\-_/#A-Za-z0-9]+", 400, func(ctx context.Context) error {
			_, err := l.CreateLogGroup(ctx, &cloudwatchlogs.CreateLogGroupInput{LogGroupName: aws.String("")})
			return err
		}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			err := test.call(t.Context())
			var api smithy.APIError
			var resp *smithyhttp.ResponseError
			if !errors.As(err, &api) || !errors.As(err, &resp) {
				t.Fatalf("no API error: %v", err)
			}
			if api.ErrorCode() != test.code || !strings.Contains(api.ErrorMessage(), test.message) || resp.HTTPStatusCode() != test.status {
				t.Errorf("got %d %s %q", resp.HTTPStatusCode(), api.ErrorCode(), api.ErrorMessage())
			}
			if strings.Contains(api.ErrorMessage(), "fire") || strings.Contains(api.ErrorMessage(), "bug") {
				t.Error("the cause is told to the client")
			}
			if id := resp.Response.Header.Get("x-amzn-RequestId"); len(id) != 36 {
				t.Errorf("request ID %q", id)
			}
		})
	}
	var notFound *types.ClusterNotFoundException
	if _, err := c.ListTasks(t.Context(), &ecs.ListTasksInput{}); !errors.As(err, &notFound) {
		t.Errorf("the client got %v, want its own type", err)
	}
	if _, err := c.CreateCluster(t.Context(), &ecs.CreateClusterInput{}); err != nil {
		t.Errorf("a nil output: %v", err)
	}
}

func TestSTSClient(t *testing.T) {
	_, cfg := wiretest.Serve(t, newService(t, wire.ECS, ecsService{}), newService(t, wire.STS, stsService{}))
	out, err := sts.NewFromConfig(cfg).GetCallerIdentity(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	if *out.Account != wiretest.Account || *out.Arn != "arn:aws:iam::123456789012:root<&>" {
		t.Errorf("got %s %s", *out.Account, *out.Arn)
	}
}

// TestPresigned is how EKS's tokens come: a URL that anyone may GET.
func TestPresigned(t *testing.T) {
	_, cfg := wiretest.Serve(t, newService(t, wire.STS, stsService{}))
	r, err := sts.NewPresignClient(sts.NewFromConfig(cfg)).PresignGetCallerIdentity(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	for url, want := range map[string]int{r.URL: http.StatusOK, r.URL + "0": http.StatusForbidden, strings.Replace(r.URL, "eu-central-1", "eu-central-2", 1): http.StatusForbidden} {
		req, err := http.NewRequestWithContext(t.Context(), r.Method, url, nil)
		if err != nil {
			t.Fatal(err)
		}
		for k, v := range r.SignedHeader {
			req.Header[k] = v
		}
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		body, err := io.ReadAll(resp.Body)
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		if resp.StatusCode != want {
			t.Errorf("%s: %s %s", url, resp.Status, body)
		}
	}
}

// TestConcurrent is for the race detector: types are bound on first use.
func TestConcurrent(t *testing.T) {
	srv := anyServer(newService(t, wire.ECS, ecsService{}), newService(t, wire.STS, stsService{}), newService(t, wire.EC2, ec2Service{}))
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			serve(srv, "POST", "/", map[string]string{"X-Amz-Target": "AmazonEC2ContainerServiceV20141113.RunTask"}, `{"taskDefinition":"a"}`)
			serve(srv, "POST", "/", map[string]string{"X-Amz-Target": "AmazonEC2ContainerServiceV20141113.ListTasks"}, `{}`)
			serve(srv, "GET", "/?Action=DescribeNetworkInterfaces&Version=2016-11-15", nil, "")
			serve(srv, "GET", "/?Action=GetCallerIdentity&Version=2011-06-15", nil, "")
		})
	}
	wg.Wait()
}

// TestZeros: what boto3 and Java read must be there.
func TestZeros(t *testing.T) {
	body := post(t, newService(t, wire.ECS, ecsService{}), "AmazonEC2ContainerServiceV20141113.DescribeClusters", `{}`)
	want := `{"clusters":[{"activeServicesCount":0,"clusterName":"default","pendingTasksCount":0,"registeredContainerInstancesCount":0,"runningTasksCount":0}]}`
	if body != want {
		t.Errorf("got  %s\nwant %s", body, want)
	}
}

type misfit struct{ ecsService }

func (misfit) ListServices(context.Context, *ecs.ListTasksInput) (*ecs.ListServicesOutput, error) {
	return nil, nil
}

func TestMisfitStopsTheStart(t *testing.T) {
	_, err := wire.NewService(wire.ECS, misfit{})
	if err == nil || !strings.Contains(err.Error(), "ecs:ListServices") {
		t.Errorf("got %v", err)
	}
}

type unnamed struct{}

type (
	CopyImageInput  struct{ Name *string }
	CopyImageOutput struct{ ImageId *string }
)

func (unnamed) CopyImage(context.Context, *CopyImageInput) (*CopyImageOutput, error) { return nil, nil }

func TestUnnamedStopsTheStart(t *testing.T) {
	_, err := wire.NewService(wire.EC2, unnamed{})
	if err == nil || !strings.Contains(err.Error(), "ec2:CopyImage: its wire names are unknown") {
		t.Errorf("got %v", err)
	}
}

// TestOperations compares the data files with the methods of the SDK's clients.
func TestOperations(t *testing.T) {
	for _, test := range []struct {
		d      wire.Description
		client any
	}{{wire.ECS, &ecs.Client{}}, {wire.Logs, &cloudwatchlogs.Client{}}, {wire.STS, &sts.Client{}}} {
		names, _ := newService(t, test.d, struct{}{}).Operations()
		if want := operationsOf(test.client); strings.Join(names, " ") != strings.Join(want, " ") {
			t.Errorf("%s: the data file has %v, the client %v", test.d.Name, names, want)
		}
	}
	if names, _ := newService(t, wire.EC2, struct{}{}).Operations(); len(names) < 800 {
		t.Errorf("ec2 has %d operations", len(names))
	}
}

func TestAllow(t *testing.T) {
	var asked []string
	srv := &wire.Server{Services: []*wire.Service{newService(t, wire.ECS, ecsService{}), newService(t, wire.STS, stsService{})},
		Authenticate: wire.AcceptAny("111122223333", "us-west-2"), Log: quiet(),
		Allow: func(_ context.Context, c wire.Caller, action string) error {
			asked = append(asked, c.Account+" "+c.Region+" "+action)
			return errors.New("denied")
		}}
	w := serve(srv, "POST", "/", map[string]string{"X-Amz-Target": "AmazonEC2ContainerServiceV20141113.RunTask"}, "{}")
	if w.Code != http.StatusBadRequest || !strings.Contains(w.Body.String(), `"AccessDeniedException"`) ||
		!strings.Contains(w.Body.String(), "User: arn:aws:iam::111122223333:root is not authorized to perform: ecs:RunTask") {
		t.Errorf("got %d %s", w.Code, w.Body)
	}
	w = serve(srv, "POST", "/", map[string]string{"Content-Type": "application/x-www-form-urlencoded"}, "Action=GetCallerIdentity&Version=2011-06-15")
	if w.Code != http.StatusForbidden || !strings.Contains(w.Body.String(), "<Code>AccessDenied</Code>") {
		t.Errorf("got %d %s", w.Code, w.Body)
	}
	if got := strings.Join(asked, ", "); got != "111122223333 us-west-2 ecs:RunTask, 111122223333 us-west-2 sts:GetCallerIdentity" {
		t.Errorf("asked %s", got)
	}
}
