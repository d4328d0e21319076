package ecs

import (
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ecs"
	"github.com/aws/aws-sdk-go-v2/service/ecs/types"
	"pgregory.net/rapid"

	"github.com/berth/berth/state"
)

// fargateInput is a definition of two containers that nothing is wrong with.
func fargateInput() *ecs.RegisterTaskDefinitionInput {
	return &ecs.RegisterTaskDefinitionInput{
		Family:                  aws.String("web"),
		NetworkMode:             types.NetworkModeAwsvpc,
		RequiresCompatibilities: []types.Compatibility{types.CompatibilityFargate},
		Cpu:                     aws.String("256"),
		Memory:                  aws.String("512"),
		Volumes:                 []types.Volume{{Name: aws.String("data")}},
		ContainerDefinitions: []types.ContainerDefinition{
			{
				Name: aws.String("app"), Image: aws.String("nginx:1.27"),
				PortMappings: []types.PortMapping{{ContainerPort: aws.Int32(80)}},
				MountPoints:  []types.MountPoint{{SourceVolume: aws.String("data"), ContainerPath: aws.String("/data")}},
				DependsOn:    []types.ContainerDependency{{ContainerName: aws.String("init"), Condition: types.ContainerConditionSuccess}},
			},
			{Name: aws.String("init"), Image: aws.String("busybox"), Essential: aws.Bool(false)},
		},
	}
}

// One row a rule: what makes the definition wrong, and what ECS says.
func TestDefinitionRules(t *testing.T) {
	type input = *ecs.RegisterTaskDefinitionInput
	app := func(change func(*types.ContainerDefinition)) func(input) {
		return func(in input) { change(&in.ContainerDefinitions[0]) }
	}
	port := func(p types.PortMapping) func(input) {
		return app(func(c *types.ContainerDefinition) { c.PortMappings = append(c.PortMappings, p) })
	}
	health := func(h types.HealthCheck) func(input) {
		return app(func(c *types.ContainerDefinition) { c.HealthCheck = &h })
	}
	logs := func(driver types.LogDriver, options ...string) func(input) {
		return app(func(c *types.ContainerDefinition) {
			c.LogConfiguration = &types.LogConfiguration{LogDriver: driver, Options: map[string]string{}}
			for _, o := range options {
				k, v, _ := strings.Cut(o, "=")
				c.LogConfiguration.Options[k] = v
			}
		})
	}
	depend := func(name string, condition types.ContainerCondition) func(input) {
		return app(func(c *types.ContainerDefinition) {
			c.DependsOn = []types.ContainerDependency{{ContainerName: &name, Condition: condition}}
		})
	}
	onEC2 := func(changes ...func(input)) func(input) {
		return func(in input) {
			in.NetworkMode, in.RequiresCompatibilities = types.NetworkModeBridge, []types.Compatibility{types.CompatibilityEc2}
			for _, c := range changes {
				c(in)
			}
		}
	}
	for _, tc := range []struct {
		name   string
		change func(input)
		want   string // part of the message, "" for none
	}{
		{"nothing wrong", func(input) {}, ""},
		{"no family", func(in input) { in.Family = nil }, "Family should not be null or empty."},
		{"family's characters", func(in input) { in.Family = aws.String("a b") }, "Family contains invalid characters"},
		{"family's length", func(in input) { in.Family = aws.String(strings.Repeat("a", 256)) }, "Family contains invalid characters"},
		{"no containers", func(in input) { in.ContainerDefinitions = nil }, "Container list cannot be empty."},
		{"eleven containers", func(in input) {
			for i := range 9 {
				in.ContainerDefinitions = append(in.ContainerDefinitions, types.ContainerDefinition{Name: aws.String(fmt.Sprint("c", i)), Image: aws.String("a")})
			}
		}, "Too many containers."},
		{"no container name", app(func(c *types.ContainerDefinition) { c.Name = nil }), "Container.name should not be null or empty."},
		{"container name's characters", app(func(c *types.ContainerDefinition) { c.Name = aws.String("a.b") }), "Container.name contains invalid characters."},
		{"same name twice", app(func(c *types.ContainerDefinition) { c.Name = aws.String("init"); c.DependsOn = nil }), "Container names must be unique within a task definition"},
		{"no image", app(func(c *types.ContainerDefinition) { c.Image = aws.String("") }), "Container.image should not be null or empty."},
		{"image's characters", app(func(c *types.ContainerDefinition) { c.Image = aws.String("a b") }), "Container.image contains invalid characters."},
		{"digest", app(func(c *types.ContainerDefinition) { c.Image = aws.String("a@sha256:" + strings.Repeat("0", 64)) }), ""},
		{"bad digest", app(func(c *types.ContainerDefinition) { c.Image = aws.String("a@sha256:12") }), "Container.image contains invalid characters."},
		{"version consistency", app(func(c *types.ContainerDefinition) { c.VersionConsistency = "maybe" }), "Invalid 'versionConsistency' setting for container 'app'."},
		{"no essential container", app(func(c *types.ContainerDefinition) { c.Essential = aws.Bool(false) }), "Task definition doesn't have any essential container."},

		{"no cpu", func(in input) { in.Cpu = nil }, "Fargate requires that 'cpu' be defined at the task level."},
		{"no memory", func(in input) { in.Memory = nil }, "Fargate requires that 'memory' be defined at the task level."},
		{"cpu is no number", func(in input) { in.Cpu = aws.String("lots") }, "Invalid 'cpu' setting for task."},
		{"cpu is none", func(in input) { in.Cpu = aws.String("0") }, "Invalid 'cpu' setting for task."},
		{"cpu below 128", func(in input) { in.Cpu = aws.String("64") }, "Invalid 'cpu' setting for task."},
		{"memory is no number", func(in input) { in.Memory = aws.String("1TB") }, "Invalid 'memory' setting for task."},
		{"not in the matrix", func(in input) { in.Cpu, in.Memory = aws.String("4096"), aws.String("4096") }, "No Fargate configuration exists for given values: 4096 CPU, 4096 memory."},
		{"units", func(in input) { in.Cpu, in.Memory = aws.String("0.5 vCPU"), aws.String("1GB") }, ""},
		{"container cpu", app(func(c *types.ContainerDefinition) { c.Cpu = -1 }), "Invalid 'cpu' setting for container 'app'."},
		{"container memory", app(func(c *types.ContainerDefinition) { c.Memory = aws.Int32(3) }), "Invalid 'memory' setting for container 'app'."},
		{"reservation above memory", app(func(c *types.ContainerDefinition) { c.Memory, c.MemoryReservation = aws.Int32(64), aws.Int32(65) }), "'memory' must be greater than or equal to 'memoryReservation'"},
		{"sum of cpu", app(func(c *types.ContainerDefinition) { c.Cpu = 257 }), "The sum of all container 'cpu' values cannot be greater than the value of the task 'cpu'."},
		{"memory above the task's", app(func(c *types.ContainerDefinition) { c.Memory = aws.Int32(513) }), "The 'memory' setting for container 'app' is greater than for the task."},
		{"sum of reservations", func(in input) {
			for i := range in.ContainerDefinitions {
				in.ContainerDefinitions[i].MemoryReservation = aws.Int32(300)
			}
		}, "The sum of all container 'memoryReservation' values cannot be greater than the value of the task 'memory'."},
		{"no memory anywhere", onEC2(func(in input) { in.Memory = nil }), "Invalid setting for container 'app'. At least one of 'memory' or 'memoryReservation' must be specified."},

		{"network mode", func(in input) { in.NetworkMode = types.NetworkModeBridge }, "Fargate only supports network mode ‘awsvpc’."},
		{"no network mode", func(in input) { in.NetworkMode = "" }, "Fargate only supports network mode ‘awsvpc’."},
		{"no such network mode", func(in input) { in.NetworkMode = "ether" }, "Invalid network mode 'ether'"},
		{"no such compatibility", func(in input) { in.RequiresCompatibilities = []types.Compatibility{"MOON"} }, "Invalid compatibility 'MOON'"},
		{"external with awsvpc", func(in input) { in.RequiresCompatibilities = []types.Compatibility{types.CompatibilityExternal} }, "External instances do not support network mode 'awsvpc'."},
		{"managed instances", func(in input) {
			in.RequiresCompatibilities = []types.Compatibility{types.CompatibilityManagedInstances}
		}, "MANAGED_INSTANCES is not supported"},
		{"windows", func(in input) {
			in.RuntimePlatform = &types.RuntimePlatform{OperatingSystemFamily: types.OSFamilyWindowsServer2022Core}
		}, "only LINUX containers"},
		{"no such architecture", func(in input) { in.RuntimePlatform = &types.RuntimePlatform{CpuArchitecture: "VAX"} }, "Invalid CPU architecture 'VAX'"},
		{"arm", func(in input) {
			in.RuntimePlatform = &types.RuntimePlatform{CpuArchitecture: types.CPUArchitectureArm64, OperatingSystemFamily: types.OSFamilyLinux}
		}, ""},
		{"ipcMode", func(in input) { in.IpcMode = types.IpcModeTask }, "Tasks using the Fargate launch type do not support ipcMode."},
		{"pidMode host", func(in input) { in.PidMode = types.PidModeHost }, "Tasks using the Fargate launch type do not support pidMode 'host'."},
		{"constraints", func(in input) { in.PlacementConstraints = []types.TaskDefinitionPlacementConstraint{{}} }, "Fargate compatible task definitions do not support constraints."},

		{"port too high", port(types.PortMapping{ContainerPort: aws.Int32(65536)}), "Invalid 'containerPort' setting for container 'app'."},
		{"no port", port(types.PortMapping{HostPort: aws.Int32(80)}), "Invalid 'containerPort' setting for container 'app'."},
		{"other host port", port(types.PortMapping{ContainerPort: aws.Int32(81), HostPort: aws.Int32(8081)}), "When networkMode=awsvpc, the host ports and container ports in port mappings must match."},
		{"protocol", port(types.PortMapping{ContainerPort: aws.Int32(81), Protocol: "sctp"}), "Invalid 'protocol' setting for container 'app'."},
		{"port twice", port(types.PortMapping{ContainerPort: aws.Int32(80)}), "port 80/tcp is mapped more than once"},
		{"port in both protocols", port(types.PortMapping{ContainerPort: aws.Int32(80), Protocol: types.TransportProtocolUdp}), ""},
		{"port of another container", func(in input) {
			in.ContainerDefinitions[1].PortMappings = []types.PortMapping{{ContainerPort: aws.Int32(80)}}
		}, "port 80/tcp is mapped more than once"},
		{"port name twice", func(in input) {
			in.ContainerDefinitions[0].PortMappings[0].Name = aws.String("http")
			in.ContainerDefinitions[1].PortMappings = []types.PortMapping{{ContainerPort: aws.Int32(81), Name: aws.String("http")}}
		}, "port mapping name is already used"},
		{"port and range", port(types.PortMapping{ContainerPort: aws.Int32(81), ContainerPortRange: aws.String("81-90")}), "cannot specify both single port and port range"},
		{"appProtocol", port(types.PortMapping{ContainerPort: aws.Int32(81), AppProtocol: "gopher"}), "Invalid 'appProtocol' setting"},
		{"appProtocol without name", port(types.PortMapping{ContainerPort: aws.Int32(81), AppProtocol: types.ApplicationProtocolHttp}), "must have a 'name'"},

		{"environment", app(func(c *types.ContainerDefinition) {
			c.Environment = []types.KeyValuePair{{Name: aws.String("A"), Value: aws.String("")}, {Value: aws.String("b")}}
		}), "environment[1] must have a name"},
		{"environment name with =", app(func(c *types.ContainerDefinition) { c.Environment = []types.KeyValuePair{{Name: aws.String("A=B")}} }), "environment[0] must have a name"},
		{"unknown volume", app(func(c *types.ContainerDefinition) { c.MountPoints[0].SourceVolume = aws.String("date") }), "Unknown volume 'date'."},
		{"relative path", app(func(c *types.ContainerDefinition) { c.MountPoints[0].ContainerPath = aws.String("data") }), "must be an absolute path, not 'data'"},
		{"same path twice", app(func(c *types.ContainerDefinition) { c.MountPoints = append(c.MountPoints, c.MountPoints[0]) }), "'/data' has more than one mount point"},
		{"volume name", func(in input) { in.Volumes = append(in.Volumes, types.Volume{Name: aws.String("a/b")}) }, "Volume.name contains invalid characters."},
		{"no volume name", func(in input) { in.Volumes = append(in.Volumes, types.Volume{}) }, "Volume.name should not be null or empty."},
		{"volume twice", func(in input) { in.Volumes = append(in.Volumes, in.Volumes[0]) }, "Volume names must be unique"},
		{"host path", func(in input) { in.Volumes[0].Host = &types.HostVolumeProperties{SourcePath: aws.String("/etc")} }, "Fargate compatible task definitions do not support sourcePath."},
		{"docker volume", func(in input) { in.Volumes[0].DockerVolumeConfiguration = &types.DockerVolumeConfiguration{} }, "do not support dockerVolumeConfiguration"},

		{"unknown dependency", depend("other", types.ContainerConditionStart), "Cannot depend on container 'other' because it does not exist."},
		{"itself", depend("app", types.ContainerConditionStart), "Container dependencies should not have a cycle: app -> app."},
		{"cycle", func(in input) {
			in.ContainerDefinitions[1].DependsOn = []types.ContainerDependency{{ContainerName: aws.String("app"), Condition: types.ContainerConditionStart}}
		}, "Container dependencies should not have a cycle: app -> init -> app."},
		{"no condition", depend("init", ""), "Invalid dependency condition ''"},
		{"healthy without a check", depend("init", types.ContainerConditionHealthy), "A dependency container with HEALTHY condition must have health check configured."},
		{"end of an essential container", func(in input) { in.ContainerDefinitions[1].Essential = nil }, "A dependency container with SUCCESS or COMPLETE condition cannot be an essential container."},

		{"health check", health(types.HealthCheck{Command: []string{"CMD-SHELL", "true"}}), ""},
		{"no health command", health(types.HealthCheck{}), "healthCheck.command should not be null or empty"},
		{"health command's form", health(types.HealthCheck{Command: []string{"true"}}), "must begin with CMD or CMD-SHELL"},
		{"only CMD", health(types.HealthCheck{Command: []string{"CMD"}}), "has no command after CMD"},
		{"interval", health(types.HealthCheck{Command: []string{"CMD", "a"}, Interval: aws.Int32(4)}), "healthCheck.interval must be between 5 and 300"},
		{"timeout", health(types.HealthCheck{Command: []string{"CMD", "a"}, Timeout: aws.Int32(61)}), "healthCheck.timeout must be between 2 and 60"},
		{"retries", health(types.HealthCheck{Command: []string{"CMD", "a"}, Retries: aws.Int32(0)}), "healthCheck.retries must be between 1 and 10"},
		{"startPeriod", health(types.HealthCheck{Command: []string{"CMD", "a"}, StartPeriod: aws.Int32(301)}), "healthCheck.startPeriod must be between 0 and 300"},

		{"startTimeout", app(func(c *types.ContainerDefinition) { c.StartTimeout = aws.Int32(1) }), "Invalid 'startTimeout' setting for container 'app': on Fargate it must be between 2 and 120."},
		{"stopTimeout", app(func(c *types.ContainerDefinition) { c.StopTimeout = aws.Int32(121) }), "Invalid 'stopTimeout' setting for container 'app': on Fargate it must be between 2 and 120."},

		{"awslogs", logs(types.LogDriverAwslogs, "awslogs-group=g", "awslogs-region=us-east-1", "awslogs-stream-prefix=p"), ""},
		{"awslogs without region", logs(types.LogDriverAwslogs, "awslogs-group=g", "awslogs-stream-prefix=p"), "Log driver awslogs requires options: awslogs-region"},
		{"awslogs without prefix", logs(types.LogDriverAwslogs, "awslogs-group=g", "awslogs-region=us-east-1"), "Fargate requires log configuration options to include awslogs-stream-prefix"},
		{"json-file", logs(types.LogDriverJsonFile), "json-file is not a valid log driver."},
		{"no such driver", logs("stone"), "Invalid 'logDriver' setting for container 'app'."},

		{"hostname", app(func(c *types.ContainerDefinition) { c.Hostname = aws.String("h") }), "hostname is not supported on container when networkMode=awsvpc."},
		{"extraHosts", app(func(c *types.ContainerDefinition) { c.ExtraHosts = []types.HostEntry{{}} }), "Extra hosts are not supported on container when networkMode=awsvpc."},
		{"disableNetworking", app(func(c *types.ContainerDefinition) { c.DisableNetworking = aws.Bool(true) }), "Disable Networking is not supported on container when networkMode=awsvpc."},
		{"links", app(func(c *types.ContainerDefinition) { c.Links = []string{"init"} }), "Links are not supported when networkMode=awsvpc."},
		{"dnsServers", app(func(c *types.ContainerDefinition) { c.DnsServers = []string{"1.1.1.1"} }), "DNS servers are not supported on container when networkMode=awsvpc."},
		{"privileged", app(func(c *types.ContainerDefinition) { c.Privileged = aws.Bool(true) }), "Fargate requires that the 'privileged' setting be 'false'."},
		{"dockerSecurityOptions", app(func(c *types.ContainerDefinition) { c.DockerSecurityOptions = []string{"no-new-privileges"} }), "do not support dockerSecurityOptions"},
		{"gpu", app(func(c *types.ContainerDefinition) {
			c.ResourceRequirements = []types.ResourceRequirement{{Type: types.ResourceTypeGpu, Value: aws.String("1")}}
		}), "do not support GPU resource requirements"},
		{"devices", app(func(c *types.ContainerDefinition) {
			c.LinuxParameters = &types.LinuxParameters{Devices: []types.Device{{HostPath: aws.String("/dev/fuse")}}}
		}), "do not support devices."},
		{"sharedMemorySize", app(func(c *types.ContainerDefinition) {
			c.LinuxParameters = &types.LinuxParameters{SharedMemorySize: aws.Int32(1)}
		}), "do not support sharedMemorySize."},
		{"maxSwap", app(func(c *types.ContainerDefinition) { c.LinuxParameters = &types.LinuxParameters{MaxSwap: aws.Int32(0)} }), "do not support maxSwap."},
		{"swappiness", app(func(c *types.ContainerDefinition) {
			c.LinuxParameters = &types.LinuxParameters{Swappiness: aws.Int32(0)}
		}), "do not support swappiness."},
		{"capabilities", app(func(c *types.ContainerDefinition) {
			c.LinuxParameters = &types.LinuxParameters{Capabilities: &types.KernelCapabilities{Add: []string{"SYS_PTRACE"}, Drop: []string{"ALL", "NET_RAW"}}}
		}), ""},
		{"capability to add", app(func(c *types.ContainerDefinition) {
			c.LinuxParameters = &types.LinuxParameters{Capabilities: &types.KernelCapabilities{Add: []string{"SYS_ADMIN"}}}
		}), "SYS_ADMIN is not allowed on Fargate."},
		{"capability to drop", app(func(c *types.ContainerDefinition) {
			c.LinuxParameters = &types.LinuxParameters{Capabilities: &types.KernelCapabilities{Drop: []string{"FLY"}}}
		}), "there is no capability 'FLY'"},

		{"EC2 in its own way", onEC2(logs(types.LogDriverJsonFile), app(func(c *types.ContainerDefinition) {
			c.Privileged = aws.Bool(true)
			c.PortMappings[0].HostPort = aws.Int32(8080)
			c.StopTimeout = aws.Int32(600)
		})), ""},
		{"host mode's ports", onEC2(func(in input) {
			in.NetworkMode = types.NetworkModeHost
			in.ContainerDefinitions[0].PortMappings[0].HostPort = aws.Int32(8080)
		}), "When networkMode=host"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			in := fargateInput()
			tc.change(in)
			_, err := definition(in)
			if (err == nil) != (tc.want == "") || err != nil && !strings.Contains(err.Error(), tc.want) {
				t.Errorf("got %v, want %q", err, tc.want)
			}
			if err != nil && !strings.HasPrefix(err.Error(), "ClientException: ") {
				t.Errorf("not a ClientException: %v", err)
			}
		})
	}
}

func TestDefinitionFillsIn(t *testing.T) {
	in := fargateInput()
	in.Cpu, in.Memory = aws.String(".5 vcpu"), aws.String("1 GB")
	in.ExecutionRoleArn = aws.String("arn:aws:iam::123456789012:role/r")
	in.ContainerDefinitions[0].HealthCheck = &types.HealthCheck{Command: []string{"CMD", "true"}, Retries: aws.Int32(7)}
	in.ContainerDefinitions[0].LogConfiguration = &types.LogConfiguration{LogDriver: types.LogDriverAwslogs,
		Options: map[string]string{"awslogs-group": "g", "awslogs-region": "r", "awslogs-stream-prefix": "p"}}
	d, err := definition(in)
	if err != nil {
		t.Fatal(err)
	}
	c := d.ContainerDefinitions[0]
	if *d.Cpu != "512" || *d.Memory != "1024" {
		t.Error(*d.Cpu, *d.Memory)
	}
	if !*c.Essential || *c.PortMappings[0].HostPort != 80 || c.PortMappings[0].Protocol != "tcp" {
		t.Errorf("%+v", c)
	}
	if *c.HealthCheck.Interval != 30 || *c.HealthCheck.Timeout != 5 || *c.HealthCheck.Retries != 7 || c.HealthCheck.StartPeriod != nil {
		t.Errorf("%+v", c.HealthCheck)
	}
	if c.Environment == nil || c.VolumesFrom == nil || d.PlacementConstraints == nil {
		t.Error("a list is nil")
	}
	if !slices.Equal(d.Compatibilities, []types.Compatibility{"EC2", "FARGATE"}) {
		t.Error(d.Compatibilities)
	}
	var names []string
	for _, a := range d.RequiresAttributes {
		names = append(names, *a.Name)
	}
	for _, want := range []string{"com.amazonaws.ecs.capability.logging-driver.awslogs", "ecs.capability.execution-role-awslogs", "ecs.capability.task-eni", "ecs.capability.container-ordering"} {
		if !slices.Contains(names, want) {
			t.Errorf("no %s in %v", want, names)
		}
	}
	if in.ContainerDefinitions[0].Essential != nil || in.ContainerDefinitions[0].PortMappings[0].HostPort != nil {
		t.Error("the request was changed")
	}
}

func TestCompatibilities(t *testing.T) {
	for _, tc := range []struct {
		name   string
		change func(*ecs.RegisterTaskDefinitionInput)
		want   []types.Compatibility
	}{
		{"awsvpc without saying so", func(in *ecs.RegisterTaskDefinitionInput) {}, []types.Compatibility{"EC2", "FARGATE"}},
		{"awsvpc without size", func(in *ecs.RegisterTaskDefinitionInput) { in.Cpu = nil }, []types.Compatibility{"EC2"}},
		{"bridge", func(in *ecs.RegisterTaskDefinitionInput) { in.NetworkMode = types.NetworkModeBridge }, []types.Compatibility{"EXTERNAL", "EC2"}},
	} {
		in := fargateInput()
		in.RequiresCompatibilities = nil
		tc.change(in)
		if d, err := definition(in); err != nil || !slices.Equal(d.Compatibilities, tc.want) {
			t.Errorf("%s: %v %v, want %v", tc.name, d, err, tc.want)
		}
	}
}

// The matrix, said another way than the code does: the memory of each CPU in GiB.
func TestFargateSize(t *testing.T) {
	valid := map[[2]int32]bool{{256, 512}: true}
	add := func(cpu int32, from, to, step int32) {
		for g := from; g <= to; g += step {
			valid[[2]int32{cpu, g * 1024}] = true
		}
	}
	add(256, 1, 2, 1)
	add(512, 1, 4, 1)
	add(1024, 2, 8, 1)
	add(2048, 4, 16, 1)
	add(4096, 8, 30, 1)
	add(8192, 16, 60, 4)
	add(16384, 32, 120, 8)
	for pair := range valid {
		if _, err := fargateSize(fmt.Sprint(pair[0]), fmt.Sprint(pair[1])); err != nil {
			t.Errorf("%v: %v", pair, err)
		}
	}
	rapid.Check(t, func(t *rapid.T) {
		cpu := rapid.SampledFrom([]int32{128, 256, 512, 768, 1024, 2048, 4096, 8192, 16384, 32768}).Draw(t, "cpu")
		memory := rapid.OneOf(rapid.Int32Range(1, 130_000), rapid.Map(rapid.Int32Range(1, 130), func(g int32) int32 { return g * 1024 })).Draw(t, "memory")
		got, err := fargateSize(fmt.Sprint(cpu), fmt.Sprint(memory))
		if (err == nil) != valid[[2]int32{cpu, memory}] {
			t.Fatalf("%d, %d: %v", cpu, memory, err)
		}
		if err == nil && (got.CPU != cpu || got.Memory != memory) {
			t.Fatalf("%d, %d became %+v", cpu, memory, got)
		}
	})
}

func TestUnits(t *testing.T) {
	for in, want := range map[string]int32{"": 0, "256": 256, " 256 ": 256, "1 vCPU": 1024, "1vcpu": 1024, ".25 vCPU": 256, "16 VCPU": 16384} {
		if got, err := cpuUnits(in); err != nil || got != want {
			t.Errorf("%q: %d, %v", in, got, err)
		}
	}
	for _, in := range []string{"-1", "0", "1.5", "vCPU", "1e99 vCPU", "NaN vCPU", "0x1p0 vCPU", "+1 vCPU", "0.0001 vCPU", "1 GB", "99999999999"} {
		if got, err := cpuUnits(in); err == nil {
			t.Errorf("%q: %d", in, got)
		}
	}
	if got, err := mebibytes("0.5 GB"); err != nil || got != 512 {
		t.Error(got, err)
	}
}

// A cycle is found where there is one, and what is found is one.
func TestDependencyCycle(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		n := rapid.IntRange(1, 10).Draw(t, "containers")
		containers := make([]types.ContainerDefinition, n)
		edges := map[[2]int]bool{}
		for i := range containers {
			containers[i].Name = aws.String(fmt.Sprint(i))
			for _, j := range rapid.SliceOfN(rapid.IntRange(0, n-1), 0, 3).Draw(t, "needs") {
				edges[[2]int{i, j}] = true
				containers[i].DependsOn = append(containers[i].DependsOn, types.ContainerDependency{ContainerName: aws.String(fmt.Sprint(j))})
			}
		}
		// There is an order without cycles if containers that need nothing left
		// can be taken away until none is left.
		left := map[int]bool{}
		for i := range n {
			left[i] = true
		}
		for again := true; again; {
			again = false
			for i := range left {
				free := true
				for j := range left {
					free = free && !edges[[2]int{i, j}]
				}
				if free {
					delete(left, i)
					again = true
				}
			}
		}
		cycle := dependencyCycle(containers)
		if (cycle != nil) != (len(left) > 0) {
			t.Fatalf("%v, left %v", cycle, left)
		}
		for k := range max(0, len(cycle)-1) {
			var a, b int
			fmt.Sscan(cycle[k], &a)
			fmt.Sscan(cycle[k+1], &b)
			if !edges[[2]int{a, b}] {
				t.Fatalf("%v: %d does not need %d", cycle, a, b)
			}
		}
	})
}

// What is kept is what was answered: nothing is lost or added on the way
// through the store, empty lists included.
func TestDefinitionIsKeptWhole(t *testing.T) {
	in := fargateInput()
	in.ContainerDefinitions[0].LinuxParameters = &types.LinuxParameters{InitProcessEnabled: aws.Bool(true),
		Capabilities: &types.KernelCapabilities{Drop: []string{"ALL"}}}
	in.ContainerDefinitions[0].Command = []string{}
	in.ContainerDefinitions[0].ReadonlyRootFilesystem = aws.Bool(false)
	d, err := definition(in)
	if err != nil {
		t.Fatal(err)
	}
	d.RegisteredAt = New(Config{Now: time.Now}).stamp()
	kept := state.Spec[types.TaskDefinition, *types.TaskDefinition]{V: *d}
	b, err := kept.MarshalJSON()
	if err != nil {
		t.Fatal(err)
	}
	var got state.Spec[types.TaskDefinition, *types.TaskDefinition]
	if err := got.UnmarshalJSON(b); err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(got.V, *d) {
		t.Errorf("%+v\nwant %+v\nby way of %s", got.V, *d, b)
	}
}
