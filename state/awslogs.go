package state

import (
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/ecs/types"
)

// LogTarget is where a container's output goes: a log stream or, with Other set,
// another log driver's destination.
type LogTarget struct {
	Scope         // the task's account, the region of awslogs-region
	Group, Stream string
	// CreateGroup makes the group where it is missing (awslogs-create-group).
	CreateGroup bool
	// Begin is a regular expression for the lines that begin an event, to which
	// those that follow belong. Empty: each line is one.
	Begin string
	Other *LogDriver
}

// LogDriver is a log driver that isn't awslogs, with its options as they were
// given, and whose output it takes.
type LogDriver struct {
	Name    types.LogDriver
	Options map[string]string
	Source  LogSource
}

// LogSource is a container as its log lines are labelled.
type LogSource struct {
	Account     string
	Cluster     string // ARN
	Task        string // ID
	Definition  string // family:revision
	Container   string // name in the definition
	ContainerID string // on the host
	Image       string
	// Labels are the container's Docker labels and Env its environment, for the
	// options of the same name.
	Labels, Env map[string]string
	// EC2 is set for tasks on container instances, which have more drivers.
	EC2 bool
	// Router: the definition has a FireLens container, so awsfirelens is there.
	Router bool
}

// LogEvent is one line of a container's output, or several where they belong
// together. Its time counts in milliseconds once it is stored.
type LogEvent struct {
	Time    time.Time
	Message string
	Stderr  bool
}

// CheckLogConfiguration says what is wrong with a container's log
// configuration, in the words of RegisterTaskDefinition, or nil. ec2 is whether
// it is for container instances; Fargate has fewer drivers. router is whether the
// definition has a FireLens container. The missing execution role is not its
// business.
func CheckLogConfiguration(c *types.LogConfiguration, ec2, router bool) error {
	_, err := FromLogConfiguration(c, LogSource{EC2: ec2, Router: router})
	return err
}

// ec2Drivers are those that container instances have. splunk is not built.
var ec2Drivers = []types.LogDriver{
	types.LogDriverAwslogs, types.LogDriverFluentd, types.LogDriverGelf, types.LogDriverJournald, types.LogDriverJsonFile, types.LogDriverSyslog,
}

// FromLogConfiguration returns where the output of a container goes. With
// awslogs that is the stream prefix/container/task, in the group and region of
// the options and the task's account; without a prefix, which Fargate asks for,
// the stream has the container's ID. A nil configuration gives a nil target: the
// output is thrown away, as Fargate does.
//
// Errors are for people, in AWS's words where AWS has some (Amazon ECS Developer
// Guide, "Send Amazon ECS logs to CloudWatch").
func FromLogConfiguration(c *types.LogConfiguration, from LogSource) (*LogTarget, error) {
	if c == nil {
		return nil, nil
	}
	valid := "[awslogs,splunk,awsfirelens]"
	if from.EC2 {
		valid = "[awslogs,fluentd,gelf,journald,json-file,splunk,syslog,awsfirelens]"
	}
	switch {
	case c.LogDriver == types.LogDriverSplunk:
		return nil, fmt.Errorf("Log driver %s is not supported yet. Must be one of %s", c.LogDriver, strings.ReplaceAll(valid, ",splunk", ""))
	case c.LogDriver == types.LogDriverAwsfirelens:
		if !from.Router {
			return nil, fmt.Errorf("Log driver awsfirelens requires a container with a firelensConfiguration in the task definition")
		}
		return &LogTarget{Other: &LogDriver{Name: c.LogDriver, Options: c.Options, Source: from}}, nil
	case from.EC2 && !slices.Contains(ec2Drivers, c.LogDriver), !from.EC2 && c.LogDriver != types.LogDriverAwslogs:
		return nil, fmt.Errorf("%s is not a valid log driver. Must be one of %s", c.LogDriver, valid)
	case len(c.SecretOptions) > 0:
		return nil, fmt.Errorf("Log driver %s does not support secretOptions", c.LogDriver)
	}
	if v, ok := c.Options["mode"]; ok && v != "blocking" && v != "non-blocking" {
		return nil, fmt.Errorf("Log driver option 'mode' must be one of [blocking,non-blocking]")
	}
	// A file is between the container and where its lines go, so the container
	// never waits, whatever the mode, and nothing is thrown away for want of room.
	if v, ok := c.Options["max-buffer-size"]; ok && (c.Options["mode"] != "non-blocking" || !bufferSize.MatchString(v)) {
		return nil, fmt.Errorf("Log driver option 'max-buffer-size' must be a size such as 25m, and set with the mode non-blocking")
	}
	if c.LogDriver != types.LogDriverAwslogs {
		if err := checkOptions(c); err != nil {
			return nil, err
		}
		return &LogTarget{Other: &LogDriver{Name: c.LogDriver, Options: c.Options, Source: from}}, nil
	}
	return fromAwslogs(c, from)
}

var bufferSize = regexp.MustCompile(`^[0-9]+[kmg]?b?$`)

// The options of awslogs.
const (
	optGroup, optRegion, optPrefix, optCreate = "awslogs-group", "awslogs-region", "awslogs-stream-prefix", "awslogs-create-group"
	optDatetime, optMultiline                 = "awslogs-datetime-format", "awslogs-multiline-pattern"
)

func fromAwslogs(c *types.LogConfiguration, from LogSource) (*LogTarget, error) {
	var missing []string
	for _, o := range []string{optGroup, optRegion} {
		if c.Options[o] == "" {
			missing = append(missing, o)
		}
	}
	if missing != nil {
		return nil, fmt.Errorf("Log driver awslogs requires options: %s", strings.Join(missing, ", "))
	}
	if c.Options[optPrefix] == "" && !from.EC2 {
		return nil, fmt.Errorf("Fargate requires log configuration options to include awslogs-stream-prefix to support log driver awslogs.")
	}
	if v, ok := c.Options[optCreate]; ok && v != "true" {
		return nil, fmt.Errorf("Log driver awslogs option 'awslogs-create-group' should only be set to 'true', else omit option.")
	}
	if err := onlyOptions(c, optGroup, optRegion, optPrefix, optCreate, optDatetime, optMultiline); err != nil {
		return nil, err
	}
	begin := c.Options[optMultiline]
	if format := c.Options[optDatetime]; format != "" {
		if begin != "" {
			return nil, fmt.Errorf("Log driver awslogs options 'awslogs-datetime-format' and 'awslogs-multiline-pattern' can't both be set")
		}
		begin = datetimePattern(format)
	}
	if _, err := regexp.Compile(begin); err != nil {
		return nil, fmt.Errorf("Log driver awslogs option 'awslogs-multiline-pattern' is no regular expression: %v", err)
	}
	stream := from.ContainerID
	if prefix := c.Options[optPrefix]; prefix != "" {
		stream = prefix + "/" + from.Container + "/" + from.Task
	}
	return &LogTarget{
		Scope: Scope{Account: from.Account, Region: c.Options[optRegion]}, Group: c.Options[optGroup], Stream: stream,
		CreateGroup: c.Options[optCreate] == "true", Begin: begin,
	}, nil
}

// onlyOptions refuses options that a driver doesn't have.
func onlyOptions(c *types.LogConfiguration, names ...string) error {
	var unknown []string
	for _, o := range slices.Sorted(maps.Keys(c.Options)) {
		if o != "mode" && o != "max-buffer-size" && !slices.Contains(names, o) {
			unknown = append(unknown, o)
		}
	}
	if unknown != nil {
		return fmt.Errorf("Log driver %s disallows options: %s", c.LogDriver, strings.Join(unknown, ", "))
	}
	return nil
}

// checkOptions checks the options of the drivers that are Docker's (Docker
// documentation, "Configure logging drivers").
func checkOptions(c *types.LogConfiguration) error {
	labelling := []string{"tag", "labels", "labels-regex", "env", "env-regex"}
	own := map[types.LogDriver][]string{
		types.LogDriverJsonFile: {"max-size", "max-file", "compress"},
		types.LogDriverJournald: {},
		types.LogDriverSyslog:   {"syslog-address", "syslog-facility", "syslog-format", "syslog-tls-ca-cert", "syslog-tls-cert", "syslog-tls-key", "syslog-tls-skip-verify"},
		types.LogDriverGelf:     {"gelf-address", "gelf-compression-type", "gelf-compression-level", "gelf-tcp-max-reconnect", "gelf-tcp-reconnect-delay"},
		types.LogDriverFluentd: {"fluentd-address", "fluentd-async", "fluentd-async-reconnect-interval", "fluentd-buffer-limit", "fluentd-max-retries",
			"fluentd-request-ack", "fluentd-retry-wait", "fluentd-sub-second-precision", "fluentd-write-timeout"},
	}
	if err := onlyOptions(c, append(labelling, own[c.LogDriver]...)...); err != nil {
		return err
	}
	if c.LogDriver == types.LogDriverGelf && c.Options["gelf-address"] == "" {
		return fmt.Errorf("Log driver gelf requires options: gelf-address")
	}
	for _, o := range []string{"labels-regex", "env-regex"} {
		if _, err := regexp.Compile(c.Options[o]); err != nil {
			return fmt.Errorf("Log driver option '%s' is no regular expression: %v", o, err)
		}
	}
	return nil
}

// datetimes are the patterns of awslogs-datetime-format (Docker documentation,
// "Amazon CloudWatch Logs logging driver"; strftime's letters).
var datetimes = map[byte]string{
	'A': `(?:Mon|Tues|Wednes|Thurs|Fri|Satur|Sun)day`, 'a': `(?:Mon|Tue|Wed|Thu|Fri|Sat|Sun)`, 'w': `[0-6]`, 'd': `\d{2}`,
	'B': `(?:January|February|March|April|May|June|July|August|September|October|November|December)`,
	'b': `(?:Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Oct|Nov|Dec)`, 'm': `\d{2}`, 'Y': `\d{4}`, 'y': `\d{2}`,
	'H': `\d{2}`, 'I': `\d{2}`, 'p': `[AP]M`, 'M': `\d{2}`, 'S': `\d{2}`, 'L': `\.\d{3}`, 'f': `\d{6}`,
	'z': `[+-]\d{4}`, 'Z': `[A-Z]{1,4}`, 'j': `\d{3}`, '%': `%`,
}

// datetimePattern makes a regular expression of a strftime format. A letter that
// is none stands for itself.
func datetimePattern(format string) string {
	var b strings.Builder
	for i := 0; i < len(format); i++ {
		if format[i] == '%' && i+1 < len(format) {
			if p, ok := datetimes[format[i+1]]; ok {
				b.WriteString(p)
				i++
				continue
			}
		}
		b.WriteString(regexp.QuoteMeta(format[i : i+1]))
	}
	return b.String()
}
