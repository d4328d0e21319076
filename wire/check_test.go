package wire

import (
	"errors"
	"reflect"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatchlogs"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatchlogs/types"
	"github.com/aws/aws-sdk-go-v2/service/sts"
	ststypes "github.com/aws/aws-sdk-go-v2/service/sts/types"
)

func rulesOf(t *testing.T, d Description) *rules {
	t.Helper()
	m, err := loadModel(d.Name)
	if err != nil {
		t.Fatal(err)
	}
	r, err := newRules(m, d.Constraints)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func TestConstraints(t *testing.T) {
	logs, secure := rulesOf(t, Logs), rulesOf(t, STS)
	group := aws.String("g")
	tests := []struct {
		name  string
		rules *rules
		in    any
		want  []string // what each violation says, after "Value "
	}{
		{"good", logs, &cloudwatchlogs.GetLogEventsInput{LogGroupName: group, LogStreamName: aws.String("s"), Limit: aws.Int32(10000)}, nil},
		{"missing", logs, &cloudwatchlogs.CreateLogStreamInput{}, []string{
			"null at 'logGroupName' failed to satisfy constraint: Member must not be null",
			"null at 'logStreamName' failed to satisfy constraint: Member must not be null"}},
		{"range", logs, &cloudwatchlogs.FilterLogEventsInput{LogGroupName: group, Limit: aws.Int32(10001)}, []string{
			"'10001' at 'limit' failed to satisfy constraint: Member must have value less than or equal to 10000"}},
		{"enum", logs, &cloudwatchlogs.DescribeLogStreamsInput{LogGroupName: group, OrderBy: "Color"}, []string{
			"'Color' at 'orderBy' failed to satisfy constraint: Member must satisfy enum value set: [LogStreamName, LastEventTime]"}},
		{"pattern", logs, &cloudwatchlogs.CreateLogStreamInput{LogGroupName: group, LogStreamName: aws.String("a:b")}, []string{
			"'a:b' at 'logStreamName' failed to satisfy constraint: Member must satisfy regular expression pattern: [^:*]*"}},
		{"empty list", logs, &cloudwatchlogs.PutLogEventsInput{LogGroupName: group, LogStreamName: aws.String("s"), LogEvents: []types.InputLogEvent{}}, []string{
			"'[]' at 'logEvents' failed to satisfy constraint: Member must have length greater than or equal to 1"}},
		{"in a list", logs, &cloudwatchlogs.PutLogEventsInput{LogGroupName: group, LogStreamName: aws.String("s"), LogEvents: []types.InputLogEvent{
			{Message: aws.String("x"), Timestamp: aws.Int64(1)}, {Timestamp: aws.Int64(-1)}}}, []string{
			"null at 'logEvents.2.member.message' failed to satisfy constraint: Member must not be null",
			"'-1' at 'logEvents.2.member.timestamp' failed to satisfy constraint: Member must have value greater than or equal to 0"}},
		{"in a map", logs, &cloudwatchlogs.CreateLogGroupInput{LogGroupName: group, Tags: map[string]string{"a": strings.Repeat("x", 257)}}, []string{
			"'" + strings.Repeat("x", 257) + "' at 'tags.a.member' failed to satisfy constraint: Member must have length less than or equal to 256"}},
		{"query names", secure, &sts.AssumeRoleInput{RoleSessionName: aws.String("me"), RoleArn: aws.String("arn:aws:iam::123456789012:role/x"),
			PolicyArns: []ststypes.PolicyDescriptorType{{Arn: aws.String("short")}}}, []string{
			"'short' at 'policyArns.1.member.arn' failed to satisfy constraint: Member must have length greater than or equal to 20"}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			v := reflect.ValueOf(test.in).Elem()
			err := test.rules.check(strings.TrimSuffix(v.Type().Name(), "Input"), v)
			if test.want == nil {
				if err != nil {
					t.Error(err)
				}
				return
			}
			var a *answer
			if !errors.As(err, &a) {
				t.Fatalf("got %v", err)
			}
			_, list, _ := strings.Cut(a.message, " detected: Value ")
			if got := strings.Split(list, "; Value "); !reflect.DeepEqual(got, test.want) {
				t.Errorf("got  %q\nwant %q", got, test.want)
			}
			if n := len(test.want); (n == 1) != strings.HasPrefix(a.message, "1 validation error detected") {
				t.Errorf("%d violations begin as %q", n, a.message)
			}
			if a.status != 400 || a.code != test.rules.code {
				t.Errorf("%d %s", a.status, a.code)
			}
		})
	}
}
