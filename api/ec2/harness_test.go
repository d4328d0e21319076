package ec2

import (
	"context"
	"errors"
	"log/slog"
	"net/netip"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ec2/types"
	"github.com/aws/smithy-go"

	"github.com/berth/berth/internal/id"
	"github.com/berth/berth/state"
	"github.com/berth/berth/store"
	"github.com/berth/berth/store/memory"
	"github.com/berth/berth/wire"
)

var testScope = state.Scope{Account: "123456789012", Region: "us-east-1"}

// fixture is a service over a store in memory with a default VPC.
type fixture struct {
	*Service
	ctx   context.Context
	t     testing.TB
	vpc   *state.VPC
	group *state.SecurityGroup // the VPC's default group
}

func newFixture(t testing.TB) *fixture {
	t.Helper()
	st, err := store.Open(t.Context(), memory.New())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { st.Close() })
	f := &fixture{
		Service: New(Config{Store: st, Now: func() time.Time { return time.Unix(1_700_000_000, 0).UTC() }, Log: slog.New(slog.DiscardHandler), DefaultPrefix: state.DefaultPrefix}),
		ctx:     wire.WithCaller(t.Context(), wire.Caller{Account: testScope.Account, Region: testScope.Region}),
		t:       t,
	}
	if err := f.EnsureDefaultVPC(t.Context(), testScope); err != nil {
		t.Fatal(err)
	}
	f.vpc = defaultVPC(st.View(), testScope)
	if f.group, err = groupNamed(st.View(), testScope, "default"); err != nil {
		t.Fatal(err)
	}
	return f
}

// secondVPC adds a VPC that is not the default one, with its default group.
func (f *fixture) secondVPC() (*state.VPC, *state.SecurityGroup) {
	f.t.Helper()
	d, err := state.Seed(testScope, netip.MustParsePrefix("10.0.0.0/16"), f.now(), id.Resource)
	if err != nil {
		f.t.Fatal(err)
	}
	d.VPC.Default = false
	err = f.store.Update(f.ctx, func(tx *store.Tx) error {
		store.VPCs.Put(tx, d.VPC)
		store.SecurityGroups.Put(tx, d.SecurityGroup)
		return nil
	})
	if err != nil {
		f.t.Fatal(err)
	}
	return d.VPC, d.SecurityGroup
}

// eni adds a task's interface as RunTask makes it.
func (f *fixture) eni(public string, groups ...string) *state.ENI {
	f.t.Helper()
	var subnet *state.Subnet
	for n := range store.Subnets.List(f.store.View(), testScope, "") {
		if n.VPC == f.vpc.ID && n.Zone == "us-east-1a" {
			subnet = n
		}
	}
	e := &state.ENI{
		Scope: testScope, ID: id.Resource("eni"), VPC: subnet.VPC, Subnet: subnet.ID, Zone: subnet.Zone, Groups: groups,
		Description: "arn:aws:ecs:us-east-1:123456789012:attachment/0d27c8b4-6a9a-4f3f-a0c8-2b7c1f1f6a11",
		Address:     netip.MustParseAddr("172.31.5.6"), AttachmentID: id.Resource("eni-attach"), CreatedAt: f.now(), AttachedAt: f.now(),
		Tags: []state.Tag{{Key: "aws:ecs:clusterName", Value: "default"}},
	}
	e.MAC = state.MAC(e.ID)
	if public != "" {
		e.Public = netip.MustParseAddr(public)
	}
	err := f.store.Update(f.ctx, func(tx *store.Tx) error {
		store.ENIs.Put(tx, e)
		return nil
	})
	if err != nil {
		f.t.Fatal(err)
	}
	return e
}

// newGroup makes a group in the default VPC, and returns its ID.
func (f *fixture) newGroup(name string) string {
	f.t.Helper()
	out, err := f.CreateSecurityGroup(f.ctx, &CreateSecurityGroupInput{GroupName: &name, Description: aws.String("for a test")})
	if err != nil {
		f.t.Fatal(err)
	}
	return *out.GroupId
}

// shown is a group as DescribeSecurityGroups shows it.
func (f *fixture) shown(groupID string) types.SecurityGroup {
	f.t.Helper()
	out, err := f.DescribeSecurityGroups(f.ctx, &DescribeSecurityGroupsInput{GroupIds: []string{groupID}})
	if err != nil {
		f.t.Fatal(err)
	}
	return out.SecurityGroups[0]
}

// wantError checks an error's code, and its message where one is given.
func wantError(t interface {
	Helper()
	Errorf(format string, args ...any)
}, err error, code, message string) {
	t.Helper()
	var e smithy.APIError
	switch {
	case !errors.As(err, &e):
		t.Errorf("got error %v, want %s", err, code)
	case e.ErrorCode() != code || message != "" && e.ErrorMessage() != message:
		t.Errorf("got %s: %s\nwant %s: %s", e.ErrorCode(), e.ErrorMessage(), code, message)
	case e.ErrorFault() != smithy.FaultClient:
		t.Errorf("%s is the fault of %v", code, e.ErrorFault())
	}
}

func tcp(port int32, cidrs ...string) types.IpPermission {
	p := types.IpPermission{IpProtocol: aws.String("tcp"), FromPort: &port, ToPort: &port}
	for _, c := range cidrs {
		p.IpRanges = append(p.IpRanges, types.IpRange{CidrIp: &c})
	}
	return p
}

func filter(name string, values ...string) []types.Filter {
	return []types.Filter{{Name: &name, Values: values}}
}
