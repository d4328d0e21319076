package arn

import (
	"testing"

	"pgregory.net/rapid"
)

func TestParse(t *testing.T) {
	for s, want := range map[string]ARN{
		"arn:aws:ecs:us-east-1:123456789012:task/default/0123": {"aws", "ecs", "us-east-1", "123456789012", "task/default/0123"},
		"arn:aws:s3:::box/a:b":                                 {"aws", "s3", "", "", "box/a:b"},
		"arn:aws-cn:logs:cn-north-1:1:log-group:g:*":           {"aws-cn", "logs", "cn-north-1", "1", "log-group:g:*"},
	} {
		if got, err := Parse(s); err != nil || got != want {
			t.Errorf("%s: %+v, %v", s, got, err)
		}
	}
	for _, s := range []string{"", "arn", "arn:aws:ecs", "arn:aws:ecs:r:a:", "arn::ecs:r:a:x", "arn:aws::r:a:x", "urn:aws:ecs:r:a:x"} {
		if got, err := Parse(s); err == nil {
			t.Errorf("%q is %+v", s, got)
		}
	}
}

// What is written is read the same.
func TestRoundTrip(t *testing.T) {
	part := rapid.StringMatching(`[a-z0-9-]{1,12}`)
	rapid.Check(t, func(t *rapid.T) {
		a := ARN{part.Draw(t, "partition"), part.Draw(t, "service"), part.Draw(t, "region"), part.Draw(t, "account"), rapid.StringMatching(`[a-z:/*]{1,20}`).Draw(t, "resource")}
		if got, err := Parse(a.String()); err != nil || got != a || !Is(a.String()) {
			t.Fatalf("%s: %+v, %v", a, got, err)
		}
	})
}

func TestPartition(t *testing.T) {
	for region, want := range map[string]string{"us-east-1": "aws", "cn-north-1": "aws-cn", "us-gov-west-1": "aws-us-gov", "": "aws"} {
		if got := Partition(region); got != want {
			t.Errorf("%s is in %s", region, got)
		}
	}
	if got := ECS("cn-north-1", "1", "cluster/c"); got != "arn:aws-cn:ecs:cn-north-1:1:cluster/c" {
		t.Error(got)
	}
}
