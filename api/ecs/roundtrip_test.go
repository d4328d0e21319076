package ecs

import (
	"encoding/json"
	"fmt"
	"reflect"
	"strconv"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ecs"
	"github.com/aws/aws-sdk-go-v2/service/ecs/types"
	"pgregory.net/rapid"

	"github.com/berth/berth/internal/awsjson"
)

// maybe draws a value, or none.
func maybe[T any](t *rapid.T, name string, g *rapid.Generator[T]) *T {
	if !rapid.Bool().Draw(t, name+" is set") {
		return nil
	}
	v := g.Draw(t, name)
	return &v
}

// some draws up to three values, or none, or an empty list.
func some[T any](t *rapid.T, name string, g *rapid.Generator[T]) []T {
	if !rapid.Bool().Draw(t, name+" is set") {
		return nil
	}
	return rapid.SliceOfN(g, 0, 3).Draw(t, name)
}

func valuesOf[T any](values []T) *rapid.Generator[T] { return rapid.SampledFrom(values) }

var (
	anyText = rapid.SampledFrom([]string{"a", "a b", "ü$\\\"\n", "0", "x=y", "/p"})
	anyPath = rapid.SampledFrom([]string{"/", "/a", "/a/b c"})
	anyFlag = rapid.Bool()
	small   = rapid.Int32Range(0, 64)
)

// anyRequest draws a definition that ECS takes: for Fargate, or for container
// instances in any network mode.
func anyRequest(t *rapid.T) *ecs.RegisterTaskDefinitionInput {
	in := &ecs.RegisterTaskDefinitionInput{
		Family: aws.String("f"), ExecutionRoleArn: maybe(t, "executionRoleArn", anyText), TaskRoleArn: maybe(t, "taskRoleArn", anyText),
		NetworkMode: valuesOf(types.NetworkMode("").Values()).Draw(t, "networkMode"), RequiresCompatibilities: []types.Compatibility{types.CompatibilityEc2},
	}
	fargate := in.NetworkMode == types.NetworkModeAwsvpc && anyFlag.Draw(t, "Fargate")
	if fargate || anyFlag.Draw(t, "sized") {
		in.Cpu, in.Memory = aws.String("1024"), aws.String("4096")
	}
	if fargate {
		in.RequiresCompatibilities = []types.Compatibility{types.CompatibilityFargate, types.CompatibilityEc2}
	}
	if anyFlag.Draw(t, "runtimePlatform") {
		in.RuntimePlatform = &types.RuntimePlatform{CpuArchitecture: valuesOf(types.CPUArchitecture("").Values()).Draw(t, "architecture"), OperatingSystemFamily: "LINUX"}
	}
	for i := range rapid.IntRange(0, 2).Draw(t, "volumes") {
		v := types.Volume{Name: aws.String(fmt.Sprint("v", i))}
		if anyFlag.Draw(t, "host") {
			v.Host = &types.HostVolumeProperties{}
		}
		in.Volumes = append(in.Volumes, v)
	}
	for i := range rapid.IntRange(1, 4).Draw(t, "containers") {
		in.ContainerDefinitions = append(in.ContainerDefinitions, anyContainer(t, in, i, fargate))
	}
	return in
}

// anyContainer draws the i-th container.
func anyContainer(t *rapid.T, in *ecs.RegisterTaskDefinitionInput, i int, fargate bool) types.ContainerDefinition {
	c := types.ContainerDefinition{
		Name: aws.String(fmt.Sprint("c", i)), Image: aws.String("image:1"), Cpu: small.Draw(t, "cpu"), Memory: aws.Int32(64), MemoryReservation: maybe(t, "memoryReservation", rapid.Int32Range(4, 64)),
		Command: some(t, "command", anyText), EntryPoint: some(t, "entryPoint", anyText), WorkingDirectory: maybe(t, "workingDirectory", anyPath), User: maybe(t, "user", rapid.SampledFrom([]string{"0", "app", "1:2"})),
		ReadonlyRootFilesystem: maybe(t, "readonlyRootFilesystem", anyFlag), StartTimeout: maybe(t, "startTimeout", rapid.Int32Range(2, 120)), StopTimeout: maybe(t, "stopTimeout", rapid.Int32Range(2, 120)),
		Interactive: maybe(t, "interactive", anyFlag), PseudoTerminal: maybe(t, "pseudoTerminal", anyFlag),
	}
	if i > 0 {
		c.Essential = maybe(t, "essential", anyFlag)
		if anyFlag.Draw(t, "dependsOn") {
			c.DependsOn = []types.ContainerDependency{{ContainerName: aws.String("c0"), Condition: types.ContainerConditionStart}}
		}
		if anyFlag.Draw(t, "volumesFrom") {
			c.VolumesFrom = []types.VolumeFrom{{SourceContainer: aws.String("c0"), ReadOnly: maybe(t, "readOnly", anyFlag)}}
		}
		if in.NetworkMode == types.NetworkModeBridge && anyFlag.Draw(t, "links") {
			c.Links = []string{"c0:alias"}
		}
	}
	c.Environment = some(t, "environment", rapid.Custom(func(t *rapid.T) types.KeyValuePair {
		return types.KeyValuePair{Name: aws.String(rapid.SampledFrom([]string{"A", "B", "a.b"}).Draw(t, "name")), Value: maybe(t, "value", anyText)}
	}))
	if anyFlag.Draw(t, "dockerLabels") {
		c.DockerLabels = map[string]string{"l": anyText.Draw(t, "label"), "empty": ""}
	}
	for _, v := range in.Volumes {
		if anyFlag.Draw(t, "mount") {
			c.MountPoints = append(c.MountPoints, types.MountPoint{SourceVolume: v.Name, ContainerPath: aws.String("/" + *v.Name), ReadOnly: maybe(t, "readOnly", anyFlag)})
		}
	}
	if anyFlag.Draw(t, "healthCheck") {
		c.HealthCheck = &types.HealthCheck{Command: []string{"CMD-SHELL", "true"}, Interval: maybe(t, "interval", rapid.Int32Range(5, 300)), Timeout: maybe(t, "timeout", rapid.Int32Range(2, 60)),
			Retries: maybe(t, "retries", rapid.Int32Range(1, 10)), StartPeriod: maybe(t, "startPeriod", rapid.Int32Range(0, 300))}
	}
	for _, name := range rapid.SliceOfNDistinct(valuesOf(types.UlimitName("").Values()), 0, 3, rapid.ID).Draw(t, "ulimits") {
		c.Ulimits = append(c.Ulimits, types.Ulimit{Name: name, SoftLimit: small.Draw(t, "softLimit"), HardLimit: rapid.Int32Range(64, 1000).Draw(t, "hardLimit")})
	}
	if in.NetworkMode != types.NetworkModeHost {
		c.SystemControls = some(t, "systemControls", rapid.Just(types.SystemControl{Namespace: aws.String("net.core.somaxconn"), Value: aws.String("1")}))
	}
	if in.NetworkMode != types.NetworkModeNone {
		for k := range rapid.IntRange(0, 2).Draw(t, "ports") {
			port := int32(1000*i + k + 1)
			p := types.PortMapping{ContainerPort: &port, Protocol: rapid.SampledFrom([]types.TransportProtocol{"", "tcp", "udp"}).Draw(t, "protocol")}
			if anyFlag.Draw(t, "hostPort") {
				p.HostPort = &port
			}
			if anyFlag.Draw(t, "named") {
				p.Name, p.AppProtocol = aws.String(fmt.Sprintf("p%d-%d", i, k)), rapid.SampledFrom([]types.ApplicationProtocol{"", "http", "grpc"}).Draw(t, "appProtocol")
			}
			c.PortMappings = append(c.PortMappings, p)
		}
	}
	if anyFlag.Draw(t, "logConfiguration") {
		c.LogConfiguration = &types.LogConfiguration{LogDriver: types.LogDriverAwslogs, Options: map[string]string{"awslogs-group": "g", "awslogs-region": "r", "awslogs-stream-prefix": "p"}}
	}
	if anyFlag.Draw(t, "restartPolicy") {
		c.RestartPolicy = &types.ContainerRestartPolicy{Enabled: aws.Bool(anyFlag.Draw(t, "enabled")), RestartAttemptPeriod: maybe(t, "period", rapid.Int32Range(60, 1800)), IgnoredExitCodes: some(t, "codes", small)}
	}
	if anyFlag.Draw(t, "linuxParameters") {
		c.LinuxParameters = &types.LinuxParameters{InitProcessEnabled: maybe(t, "init", anyFlag), Capabilities: &types.KernelCapabilities{Drop: some(t, "drop", valuesOf(capabilities))}}
		c.LinuxParameters.Tmpfs = some(t, "tmpfs", rapid.Just(types.Tmpfs{ContainerPath: aws.String("/t"), Size: 3, MountOptions: []string{"ro"}}))
	}
	if fargate {
		return c
	}
	c.Privileged = maybe(t, "privileged", anyFlag)
	c.DockerSecurityOptions = some(t, "dockerSecurityOptions", rapid.SampledFrom([]string{"no-new-privileges", "seccomp:unconfined"}))
	if l := c.LinuxParameters; l != nil {
		l.Capabilities.Add = some(t, "add", valuesOf(capabilities))
		l.SharedMemorySize, l.MaxSwap, l.Swappiness = maybe(t, "shm", rapid.Int32Range(1, 9)), maybe(t, "maxSwap", small), maybe(t, "swappiness", small)
		l.Devices = some(t, "devices", rapid.Custom(func(t *rapid.T) types.Device {
			return types.Device{HostPath: aws.String("/dev/null"), ContainerPath: maybe(t, "containerPath", anyPath), Permissions: some(t, "permissions", valuesOf(types.DeviceCgroupPermission("").Values()))}
		}))
	}
	return c
}

// filledIn is what ECS shows of a request: with its defaults (Amazon ECS API
// Reference, RegisterTaskDefinition), said another way than the code does.
func filledIn(in *ecs.RegisterTaskDefinitionInput) *types.TaskDefinition {
	d := &types.TaskDefinition{
		Family: in.Family, ExecutionRoleArn: in.ExecutionRoleArn, TaskRoleArn: in.TaskRoleArn, NetworkMode: in.NetworkMode, RequiresCompatibilities: in.RequiresCompatibilities,
		Cpu: in.Cpu, Memory: in.Memory, RuntimePlatform: in.RuntimePlatform, Volumes: in.Volumes,
	}
	for _, c := range in.ContainerDefinitions {
		c.Essential = aws.Bool(c.Essential == nil || *c.Essential)
		var ports []types.PortMapping
		for _, p := range c.PortMappings {
			if p.Protocol == "" {
				p.Protocol = "tcp"
			}
			if p.HostPort == nil {
				p.HostPort = map[types.NetworkMode]*int32{types.NetworkModeBridge: aws.Int32(0), types.NetworkModeHost: p.ContainerPort, types.NetworkModeAwsvpc: p.ContainerPort}[in.NetworkMode]
			}
			ports = append(ports, p)
		}
		c.PortMappings = ports
		if c.HealthCheck != nil {
			h := types.HealthCheck{Interval: aws.Int32(30), Timeout: aws.Int32(5), Retries: aws.Int32(3)}
			for to, from := range map[**int32]*int32{&h.Interval: c.HealthCheck.Interval, &h.Timeout: c.HealthCheck.Timeout, &h.Retries: c.HealthCheck.Retries} {
				if from != nil {
					*to = from
				}
			}
			h.Command, h.StartPeriod = c.HealthCheck.Command, c.HealthCheck.StartPeriod
			c.HealthCheck = &h
		}
		d.ContainerDefinitions = append(d.ContainerDefinitions, c)
	}
	return d
}

// plain is a definition as AWS's JSON, without its empty lists.
func plain(t *rapid.T, d *types.TaskDefinition) any {
	b, err := awsjson.Marshal(d)
	if err != nil {
		t.Fatal(err)
	}
	var v any
	if err := json.Unmarshal(b, &v); err != nil {
		t.Fatal(err)
	}
	var clean func(v any) any
	clean = func(v any) any {
		object, ok := v.(map[string]any)
		if list, isList := v.([]any); isList {
			for i := range list {
				list[i] = clean(list[i])
			}
		}
		for k, inner := range object {
			if list, ok := inner.([]any); ok && len(list) == 0 {
				delete(object, k)
			} else {
				object[k] = clean(inner)
			}
		}
		if ok {
			return object
		}
		return v
	}
	return clean(v)
}

// Whatever is registered is described as it was, with what AWS fills in and
// nothing else, and comes out of the store as it was answered.
func TestDefinitionsAreDescribedAsRegistered(t *testing.T) {
	client, _ := newClient(t)
	ctx := t.Context()
	rapid.Check(t, func(t *rapid.T) {
		in := anyRequest(t)
		registered, err := client.RegisterTaskDefinition(ctx, in)
		if err != nil {
			t.Fatalf("%v", err)
		}
		described, err := client.DescribeTaskDefinition(ctx, &ecs.DescribeTaskDefinitionInput{TaskDefinition: aws.String("f:" + strconv.Itoa(int(registered.TaskDefinition.Revision)))})
		if err != nil {
			t.Fatal(err)
		}
		got := described.TaskDefinition
		if a, b := registered.TaskDefinition, got; !reflect.DeepEqual(a, b) {
			t.Fatalf("registered %+v\ndescribed %+v", a, b)
		}
		for _, c := range got.ContainerDefinitions {
			if c.Environment == nil || c.MountPoints == nil || c.VolumesFrom == nil || c.SystemControls == nil || c.PortMappings == nil {
				t.Fatalf("of %s a list isn't shown that AWS shows though it is empty", *c.Name)
			}
		}
		if got.Volumes == nil || got.PlacementConstraints == nil || got.RequiresAttributes == nil || got.RegisteredAt == nil || got.RegisteredBy == nil || got.Status != "ACTIVE" {
			t.Fatalf("%+v", got)
		}
		want := filledIn(in)
		want.Compatibilities, want.RequiresAttributes = got.Compatibilities, got.RequiresAttributes
		want.Revision, want.Status, want.TaskDefinitionArn, want.RegisteredAt, want.RegisteredBy = got.Revision, got.Status, got.TaskDefinitionArn, got.RegisteredAt, got.RegisteredBy
		if a, b := plain(t, want), plain(t, got); !reflect.DeepEqual(a, b) {
			t.Fatalf("described %v\nwant      %v", b, a)
		}
	})
}
