package ec2

import (
	"context"
	"slices"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ec2/types"

	"github.com/berth/berth/internal/arn"
	"github.com/berth/berth/state"
)

var zones = listing[types.AvailabilityZone]{
	operation: "DescribeAvailabilityZones",
	id:        func(z types.AvailabilityZone) *string { return z.ZoneName },
	fields: fields[types.AvailabilityZone]{
		"group-long-name":  never[types.AvailabilityZone],
		"group-name":       func(z types.AvailabilityZone) []string { return text(z.GroupName) },
		"message":          never[types.AvailabilityZone],
		"opt-in-status":    func(z types.AvailabilityZone) []string { return word(z.OptInStatus) },
		"parent-zone-id":   never[types.AvailabilityZone],
		"parent-zone-name": never[types.AvailabilityZone],
		"region-name":      func(z types.AvailabilityZone) []string { return text(z.RegionName) },
		"state":            func(z types.AvailabilityZone) []string { return word(z.State) },
		"zone-id":          func(z types.AvailabilityZone) []string { return text(z.ZoneId) },
		"zone-name":        func(z types.AvailabilityZone) []string { return text(z.ZoneName) },
		"zone-type":        func(z types.AvailabilityZone) []string { return text(z.ZoneType) },
	},
}

// DescribeAvailabilityZones returns the zones of the caller's region. All are
// always on, so AllAvailabilityZones adds none.
func (s *Service) DescribeAvailabilityZones(ctx context.Context, in *DescribeAvailabilityZonesInput) (*DescribeAvailabilityZonesOutput, error) {
	rows, _, err := zones.run(ctx, query{dryRun: in.DryRun, filters: in.Filters}, func() ([]types.AvailabilityZone, error) {
		region := scopeOf(ctx).Region
		all := state.Zones(region)
		for _, name := range in.ZoneNames {
			if !slices.ContainsFunc(all, func(z state.Zone) bool { return z.Name == name }) {
				return nil, invalidValue("Invalid availability zone: [%s]", name)
			}
		}
		for _, id := range in.ZoneIds {
			if !slices.ContainsFunc(all, func(z state.Zone) bool { return z.ID == id }) {
				return nil, invalidValue("Invalid availability zone-id: [%s]", id)
			}
		}
		var out []types.AvailabilityZone
		for _, z := range all {
			if (len(in.ZoneNames) == 0 || slices.Contains(in.ZoneNames, z.Name)) && (len(in.ZoneIds) == 0 || slices.Contains(in.ZoneIds, z.ID)) {
				out = append(out, types.AvailabilityZone{
					ZoneName: &z.Name, ZoneId: &z.ID, RegionName: &region, GroupName: aws.String(region + "-zg-1"), NetworkBorderGroup: &region,
					State: types.AvailabilityZoneStateAvailable, OptInStatus: types.AvailabilityZoneOptInStatusOptInNotRequired,
					ZoneType: aws.String("availability-zone"), Messages: []types.AvailabilityZoneMessage{},
				})
			}
		}
		return out, nil
	})
	return &DescribeAvailabilityZonesOutput{AvailabilityZones: rows}, err
}

// regionNames are the regions that are on in every account of a partition
// (AWS Account Management Reference Guide, "Enable or disable AWS Regions").
// Berth answers in whatever region it is asked in.
var regionNames = map[string]string{
	"aws": "ap-northeast-1 ap-northeast-2 ap-northeast-3 ap-south-1 ap-southeast-1 ap-southeast-2 ca-central-1 eu-central-1 " +
		"eu-north-1 eu-west-1 eu-west-2 eu-west-3 sa-east-1 us-east-1 us-east-2 us-west-1 us-west-2",
	"aws-cn":     "cn-north-1 cn-northwest-1",
	"aws-us-gov": "us-gov-east-1 us-gov-west-1",
}

var regions = listing[types.Region]{
	operation: "DescribeRegions",
	id:        func(r types.Region) *string { return r.RegionName },
	fields: fields[types.Region]{
		"endpoint":      func(r types.Region) []string { return text(r.Endpoint) },
		"opt-in-status": func(r types.Region) []string { return text(r.OptInStatus) },
		"region-name":   func(r types.Region) []string { return text(r.RegionName) },
	},
}

// DescribeRegions returns the regions of the caller's partition that are on in
// every account, and the caller's own.
func (s *Service) DescribeRegions(ctx context.Context, in *DescribeRegionsInput) (*DescribeRegionsOutput, error) {
	rows, _, err := regions.run(ctx, query{dryRun: in.DryRun, filters: in.Filters}, func() ([]types.Region, error) {
		here := scopeOf(ctx).Region
		partition := arn.Partition(here)
		domain := "amazonaws.com"
		if partition == "aws-cn" {
			domain += ".cn"
		}
		always := strings.Fields(regionNames[partition])
		all := always
		if !slices.Contains(all, here) {
			all = append([]string{here}, all...)
		}
		for _, name := range in.RegionNames {
			if !slices.Contains(all, name) {
				return nil, invalidValue("Invalid region provided: %s", name)
			}
		}
		var out []types.Region
		for _, name := range all {
			if len(in.RegionNames) > 0 && !slices.Contains(in.RegionNames, name) {
				continue
			}
			opt := "opt-in-not-required"
			if !slices.Contains(always, name) {
				opt = "opted-in"
			}
			out = append(out, types.Region{RegionName: &name, Endpoint: aws.String("ec2." + name + "." + domain), OptInStatus: &opt})
		}
		return out, nil
	})
	return &DescribeRegionsOutput{Regions: rows}, err
}

// DescribeAccountAttributes returns the attributes that were asked for, or all.
func (s *Service) DescribeAccountAttributes(ctx context.Context, in *DescribeAccountAttributesInput) (*DescribeAccountAttributesOutput, error) {
	vpc := "none"
	if d := defaultVPC(s.store.View(), scopeOf(ctx)); d != nil {
		vpc = d.ID
	}
	// No instance and no elastic address can exist here; five groups are what a
	// task's interface may have.
	all := [][2]string{
		{"supported-platforms", "VPC"}, {"default-vpc", vpc}, {"vpc-max-security-groups-per-interface", "5"},
		{"max-instances", "0"}, {"max-elastic-ips", "0"}, {"vpc-max-elastic-ips", "0"},
	}
	for _, name := range in.AttributeNames {
		if !slices.ContainsFunc(all, func(a [2]string) bool { return a[0] == string(name) }) {
			return nil, invalidValue("Value (%s) for parameter attribute is invalid. Unknown attribute.", name)
		}
	}
	out := &DescribeAccountAttributesOutput{AccountAttributes: []types.AccountAttribute{}}
	for _, a := range all {
		if len(in.AttributeNames) == 0 || slices.Contains(in.AttributeNames, types.AccountAttributeName(a[0])) {
			out.AccountAttributes = append(out.AccountAttributes, types.AccountAttribute{
				AttributeName: &a[0], AttributeValues: []types.AccountAttributeValue{{AttributeValue: &a[1]}},
			})
		}
	}
	return out, dryRun(in.DryRun)
}
