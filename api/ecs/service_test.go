package ecs

import (
	"strings"
	"testing"

	"github.com/berth/berth/state"
	"github.com/berth/berth/wire"
)

func TestParseTaskDefinition(t *testing.T) {
	c := wire.Caller{Account: "123456789012", Region: "eu-central-1"}
	for _, tc := range []struct {
		ref      string
		family   string
		revision int32
		err      string
	}{
		{"web", "web", 0, ""},
		{"web:7", "web", 7, ""},
		{"arn:aws:ecs:eu-central-1:123456789012:task-definition/web:7", "web", 7, ""},
		{"arn:aws:ecs:eu-central-1:123456789012:task-definition/web", "web", 0, ""},
		{"", "", 0, "ClientException: TaskDefinition can not be blank."},
		{"web:", "", 0, "InvalidParameterException: Invalid revision number. Number: "},
		{"web:0", "", 0, "Invalid revision number. Number: 0"},
		{"web:99999999999", "", 0, "Invalid revision number."},
		{"arn:aws:ecs:eu-central-1:123456789012:cluster/web", "", 0, "Unexpected resource type. Expected: task-definition. Provided: cluster"},
		{"arn:aws:ecs:eu-west-1:123456789012:task-definition/web:7", "", 0, "Identifier is for eu-west-1. Your region is eu-central-1"},
		{"arn:aws:ecs:eu-central-1:123456789012:task-definition/", "", 0, "Invalid identifier"},
	} {
		family, revision, err := parseTaskDefinition(c, tc.ref)
		if family != tc.family || revision != tc.revision || !strings.Contains(errorText(err), tc.err) || (err == nil) != (tc.err == "") {
			t.Errorf("%q: %q, %d, %v", tc.ref, family, revision, err)
		}
	}
}

// Whatever a user calls a definition, it is an error or names what its own ARN
// names.
func FuzzParseTaskDefinition(f *testing.F) {
	for _, s := range []string{"web", "web:1", "arn:aws:ecs:r:1:task-definition/web:1", "::", "arn:", "a:b:c"} {
		f.Add(s)
	}
	c := wire.Caller{Account: "123456789012", Region: "eu-central-1"}
	f.Fuzz(func(t *testing.T, ref string) {
		family, revision, err := parseTaskDefinition(c, ref)
		if err != nil || revision == 0 || !nameRule.MatchString(family) {
			return
		}
		d := state.TaskDefinition{Scope: scopeOf(c), Family: family, Revision: revision}
		if a, b, err := parseTaskDefinition(c, d.ARN()); a != family || b != revision || err != nil {
			t.Errorf("%q names %s:%d, whose ARN names %s:%d, %v", ref, family, revision, a, b, err)
		}
	})
}

// A size is an error or a number of units that it can be written as.
func FuzzQuantity(f *testing.F) {
	for _, s := range []string{"", "256", "1 vCPU", ".5vcpu", "-1", "1e400 vcpu", "NaN vCPU", "Inf vcpu", "0x10"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		n, err := cpuUnits(s)
		if err == nil && (n < 0 || n == 0 && strings.TrimSpace(s) != "") {
			t.Errorf("%q is %d units", s, n)
		}
	})
}
