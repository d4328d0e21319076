package ec2

import (
	"fmt"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ec2/types"
)

// TestOnlyOneWins has many callers want the same name, and the same rule, at once.
func TestOnlyOneWins(t *testing.T) {
	f := newFixture(t)
	web := f.newGroup("web")
	var groups, rules atomic.Int32
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for i := range 10 {
				_, err := f.CreateSecurityGroup(f.ctx, &CreateSecurityGroupInput{GroupName: aws.String(fmt.Sprint("g", i)), Description: aws.String("x")})
				if err == nil {
					groups.Add(1)
				} else {
					wantError(t, err, "InvalidGroup.Duplicate", "")
				}
				_, err = f.AuthorizeSecurityGroupIngress(f.ctx, &AuthorizeSecurityGroupIngressInput{GroupId: &web, IpPermissions: []types.IpPermission{tcp(int32(i), "0.0.0.0/0")}})
				if err == nil {
					rules.Add(1)
				} else {
					wantError(t, err, "InvalidPermission.Duplicate", "")
				}
			}
		})
	}
	wg.Wait()
	if groups.Load() != 10 || rules.Load() != 10 || len(f.shown(web).IpPermissions) != 10 {
		t.Errorf("%d groups and %d rules were made, want 10 of each", groups.Load(), rules.Load())
	}
}

// BenchmarkDescribeNetworkInterfaces finds one of 2000 interfaces, by a filter.
func BenchmarkDescribeNetworkInterfaces(b *testing.B) {
	f := newFixture(b)
	var last string
	for range 2000 {
		last = f.eni("", f.group.ID).ID
	}
	for b.Loop() {
		if ids, err := f.found("enis", filter("network-interface-id", last)); err != nil || len(ids) != 1 {
			b.Fatal(ids, err)
		}
	}
}
