package ecs

import (
	"slices"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ecs"
	"github.com/aws/aws-sdk-go-v2/service/ecs/types"

	"github.com/berth/berth/state"
)

// instanceInput is a definition for container instances, of one container that
// nothing is wrong with.
func instanceInput(mode types.NetworkMode) *ecs.RegisterTaskDefinitionInput {
	return &ecs.RegisterTaskDefinitionInput{
		Family: aws.String("web"), NetworkMode: mode, RequiresCompatibilities: []types.Compatibility{types.CompatibilityEc2},
		ContainerDefinitions: []types.ContainerDefinition{{Name: aws.String("app"), Image: aws.String("nginx"), Memory: aws.Int32(64)}},
	}
}

// One row a rule of what only container instances have.
func TestInstanceDefinitionRules(t *testing.T) {
	app := func(change func(*types.ContainerDefinition)) func(*ecs.RegisterTaskDefinitionInput) {
		return func(in *ecs.RegisterTaskDefinitionInput) { change(&in.ContainerDefinitions[0]) }
	}
	linux := func(p types.LinuxParameters) func(*ecs.RegisterTaskDefinitionInput) {
		return app(func(c *types.ContainerDefinition) { c.LinuxParameters = &p })
	}
	device := func(d types.Device) func(*ecs.RegisterTaskDefinitionInput) {
		return linux(types.LinuxParameters{Devices: []types.Device{d}})
	}
	security := func(options ...string) func(*ecs.RegisterTaskDefinitionInput) {
		return app(func(c *types.ContainerDefinition) { c.DockerSecurityOptions = options })
	}
	restart := func(p types.ContainerRestartPolicy) func(*ecs.RegisterTaskDefinitionInput) {
		return app(func(c *types.ContainerDefinition) { c.RestartPolicy = &p })
	}
	gpu := func(values ...string) func(*ecs.RegisterTaskDefinitionInput) {
		return app(func(c *types.ContainerDefinition) {
			for _, v := range values {
				c.ResourceRequirements = append(c.ResourceRequirements, types.ResourceRequirement{Type: types.ResourceTypeGpu, Value: &v})
			}
		})
	}
	const bridge, host, none, awsvpc = types.NetworkModeBridge, types.NetworkModeHost, types.NetworkModeNone, types.NetworkModeAwsvpc
	for _, tc := range []struct {
		name   string
		mode   types.NetworkMode
		change func(*ecs.RegisterTaskDefinitionInput)
		want   string // part of the message, "" for none
	}{
		{"nothing wrong", "", func(*ecs.RegisterTaskDefinitionInput) {}, ""},
		{"privileged", bridge, app(func(c *types.ContainerDefinition) { c.Privileged = aws.Bool(true) }), ""},
		{"capability to add", bridge, linux(types.LinuxParameters{Capabilities: &types.KernelCapabilities{Add: []string{"ALL", "SYS_ADMIN"}}}), ""},
		{"no such capability", bridge, linux(types.LinuxParameters{Capabilities: &types.KernelCapabilities{Add: []string{"FLY"}}}), "capabilities.add' setting for container 'app': there is no capability 'FLY'"},
		{"device", bridge, device(types.Device{HostPath: aws.String("/dev/fuse"), Permissions: []types.DeviceCgroupPermission{"read", "mknod"}}), ""},
		{"no device", bridge, device(types.Device{}), "hostPath must be an absolute path, not ''"},
		{"device's place", bridge, device(types.Device{HostPath: aws.String("/dev/fuse"), ContainerPath: aws.String("fuse")}), "containerPath must be an absolute path, not 'fuse'"},
		{"device's permission", bridge, device(types.Device{HostPath: aws.String("/dev/fuse"), Permissions: []types.DeviceCgroupPermission{""}}), "permissions must be of read, write, mknod, not ''"},
		{"sharedMemorySize", bridge, linux(types.LinuxParameters{SharedMemorySize: aws.Int32(128), MaxSwap: aws.Int32(0), Swappiness: aws.Int32(0)}), ""},
		{"no sharedMemorySize", bridge, linux(types.LinuxParameters{SharedMemorySize: aws.Int32(0)}), "Invalid 'sharedMemorySize' setting for container 'app'"},
		{"maxSwap", bridge, linux(types.LinuxParameters{MaxSwap: aws.Int32(-1)}), "Invalid 'maxSwap' setting for container 'app'"},
		{"swappiness below", bridge, linux(types.LinuxParameters{Swappiness: aws.Int32(-1)}), "Invalid 'swappiness' setting for container 'app': it must be between 0 and 100."},
		{"swappiness above", bridge, linux(types.LinuxParameters{Swappiness: aws.Int32(101)}), "Invalid 'swappiness' setting for container 'app'"},
		{"security options", bridge, security("no-new-privileges", "seccomp=unconfined"), ""},
		{"SELinux", bridge, security("label:type:x"), "dockerSecurityOptions 'label:type:x' of container 'app' is not supported"},
		{"no such security option", bridge, security("luck"), "there is no option 'luck'"},
		{"restart policy", bridge, restart(types.ContainerRestartPolicy{Enabled: aws.Bool(true), RestartAttemptPeriod: aws.Int32(60), IgnoredExitCodes: []int32{0}}), ""},
		{"restart policy without enabled", bridge, restart(types.ContainerRestartPolicy{}), "enabled must be specified"},
		{"restart period", bridge, restart(types.ContainerRestartPolicy{Enabled: aws.Bool(true), RestartAttemptPeriod: aws.Int32(59)}), "restartAttemptPeriod must be between 60 and 1800"},
		{"exit codes", bridge, restart(types.ContainerRestartPolicy{Enabled: aws.Bool(true), IgnoredExitCodes: make([]int32, 51)}), "at most 50 ignoredExitCodes"},
		{"GPU", bridge, gpu("2"), ""},
		{"no GPU", bridge, gpu("0"), "must be a number of devices, not '0'"},
		{"GPU twice", bridge, gpu("1", "1"), "GPU is there more than once"},
		{"InferenceAccelerator", bridge, func(in *ecs.RegisterTaskDefinitionInput) {
			in.ContainerDefinitions[0].ResourceRequirements = []types.ResourceRequirement{{Type: types.ResourceTypeInferenceAccelerator, Value: aws.String("d")}}
		}, "is no longer available"},
		{"no such resource", bridge, app(func(c *types.ContainerDefinition) {
			c.ResourceRequirements = []types.ResourceRequirement{{Type: "LUCK"}}
		}), "type must be GPU or InferenceAccelerator"},
		{"pidMode", bridge, func(in *ecs.RegisterTaskDefinitionInput) { in.PidMode = "none" }, "Invalid 'pidMode' setting for task: it must be host or task."},
		{"ipcMode", bridge, func(in *ecs.RegisterTaskDefinitionInput) { in.IpcMode = "mine" }, "Invalid 'ipcMode' setting for task: it must be host, task or none."},
		{"ephemeralStorage", bridge, func(in *ecs.RegisterTaskDefinitionInput) {
			in.EphemeralStorage = &types.EphemeralStorage{SizeInGiB: 20}
		}, "sizeInGiB must be between 21 and 200"},
		{"no ports in mode none", none, app(func(c *types.ContainerDefinition) {
			c.PortMappings = []types.PortMapping{{ContainerPort: aws.Int32(80)}}
		}), "Port mappings are not supported on container 'app' when networkMode=none."},
		{"hostname in mode awsvpc", awsvpc, app(func(c *types.ContainerDefinition) { c.Hostname = aws.String("h") }), "hostname is not supported on container when networkMode=awsvpc."},
		{"hostname in mode bridge", bridge, app(func(c *types.ContainerDefinition) { c.Hostname = aws.String("h") }), ""},
		{"net controls in mode host", host, app(func(c *types.ContainerDefinition) {
			c.SystemControls = []types.SystemControl{{Namespace: aws.String("net.ipv4.ip_forward"), Value: aws.String("1")}}
		}), "Network namespaced system controls are not supported when networkMode=host."},
	} {
		for _, requires := range [][]types.Compatibility{{types.CompatibilityEc2}, {types.CompatibilityExternal}, nil} {
			if tc.mode == awsvpc && slices.Contains(requires, types.CompatibilityExternal) {
				continue
			}
			in := instanceInput(tc.mode)
			in.RequiresCompatibilities = requires
			tc.change(in)
			if _, err := definition(in); (err == nil) != (tc.want == "") || err != nil && !strings.Contains(err.Error(), tc.want) {
				t.Errorf("%s, for %v: got %v, want %q", tc.name, requires, err, tc.want)
			}
		}
	}
}

// Whatever a definition requires that Berth takes, a registered node has.
func TestNodesHaveWhatDefinitionsRequire(t *testing.T) {
	has := map[string]bool{}
	for _, a := range builtIn(&state.Node{Arch: "X86_64", Zones: []string{"us-east-1a"}}) {
		has[*a.Name] = true
	}
	in := instanceInput(types.NetworkModeAwsvpc)
	in.ExecutionRoleArn, in.TaskRoleArn = aws.String("arn:aws:iam::123456789012:role/a"), aws.String("arn:aws:iam::123456789012:role/b")
	c := &in.ContainerDefinitions[0]
	c.Image = aws.String("123456789012.dkr.ecr.us-east-1.amazonaws.com/a")
	c.ReadonlyRootFilesystem, c.Privileged, c.StopTimeout = aws.Bool(true), aws.Bool(true), aws.Int32(5)
	c.HealthCheck = &types.HealthCheck{Command: []string{"CMD", "true"}}
	c.LinuxParameters = &types.LinuxParameters{InitProcessEnabled: aws.Bool(true)}
	drivers := map[types.LogDriver]map[string]string{
		types.LogDriverAwslogs: {"awslogs-group": "g", "awslogs-region": "us-east-1"}, types.LogDriverJsonFile: nil, types.LogDriverSyslog: nil,
		types.LogDriverFluentd: nil, types.LogDriverGelf: {"gelf-address": "udp://127.0.0.1:1"}, types.LogDriverJournald: nil, types.LogDriverAwsfirelens: nil,
	}
	for driver, options := range drivers {
		in.ContainerDefinitions = in.ContainerDefinitions[:1]
		in.ContainerDefinitions[0].LogConfiguration = &types.LogConfiguration{LogDriver: driver, Options: options}
		if driver == types.LogDriverAwsfirelens {
			in.ContainerDefinitions = append(in.ContainerDefinitions, types.ContainerDefinition{Name: aws.String("router"), Image: aws.String("r"), Memory: aws.Int32(64),
				FirelensConfiguration: &types.FirelensConfiguration{Type: types.FirelensConfigurationTypeFluentbit, Options: map[string]string{"config-file-type": "file", "config-file-value": "/a"}}})
		}
		d, err := definition(in)
		if err != nil {
			t.Fatalf("%s: %v", driver, err)
		}
		for _, a := range d.RequiresAttributes {
			if !has[*a.Name] {
				t.Errorf("%s: no node has %s", driver, *a.Name)
			}
		}
	}
}
