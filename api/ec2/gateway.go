package ec2

import (
	"context"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ec2/types"

	"github.com/berth/berth/state"
	"github.com/berth/berth/store"
)

var gateways = listing[types.InternetGateway]{
	operation: "DescribeInternetGateways",
	id:        func(g types.InternetGateway) *string { return g.InternetGatewayId },
	tags:      func(g types.InternetGateway) []types.Tag { return g.Tags },
	fields: fields[types.InternetGateway]{
		"attachment.state": func(g types.InternetGateway) []string {
			return each(g.Attachments, func(a types.InternetGatewayAttachment) []string { return word(a.State) })
		},
		"attachment.vpc-id": func(g types.InternetGateway) []string {
			return each(g.Attachments, func(a types.InternetGatewayAttachment) []string { return text(a.VpcId) })
		},
		"internet-gateway-id": func(g types.InternetGateway) []string { return text(g.InternetGatewayId) },
		"owner-id":            func(g types.InternetGateway) []string { return text(g.OwnerId) },
	},
}

// DescribeInternetGateways returns internet gateways.
func (s *Service) DescribeInternetGateways(ctx context.Context, in *DescribeInternetGatewaysInput) (*DescribeInternetGatewaysOutput, error) {
	rows, next, err := gateways.run(ctx, query{in.DryRun, in.Filters, in.MaxResults, in.NextToken, 5, 1000}, func() ([]types.InternetGateway, error) {
		rs, err := records(s.store.View(), store.InternetGateways, scopeOf(ctx), kindGateway, in.InternetGatewayIds)
		return show(rs, showGateway), err
	})
	return &DescribeInternetGatewaysOutput{InternetGateways: rows, NextToken: next}, err
}

func showGateway(g *state.InternetGateway) types.InternetGateway {
	out := types.InternetGateway{
		InternetGatewayId: &g.ID, OwnerId: &g.Account, Attachments: []types.InternetGatewayAttachment{}, Tags: showTagSet(g.Tags),
	}
	if g.VPC != "" {
		// The SDK's enum lacks the state that EC2 gives here.
		out.Attachments = append(out.Attachments, types.InternetGatewayAttachment{VpcId: &g.VPC, State: "available"})
	}
	return out
}

var routeTables = listing[types.RouteTable]{
	operation: "DescribeRouteTables",
	id:        func(r types.RouteTable) *string { return r.RouteTableId },
	tags:      func(r types.RouteTable) []types.Tag { return r.Tags },
	fields: fields[types.RouteTable]{
		"association.gateway-id": never[types.RouteTable],
		"association.route-table-association-id": association(func(a types.RouteTableAssociation) []string {
			return text(a.RouteTableAssociationId)
		}),
		"association.route-table-id":            association(func(a types.RouteTableAssociation) []string { return text(a.RouteTableId) }),
		"association.subnet-id":                 association(func(a types.RouteTableAssociation) []string { return text(a.SubnetId) }),
		"association.main":                      association(func(a types.RouteTableAssociation) []string { return truth(a.Main) }),
		"owner-id":                              func(r types.RouteTable) []string { return text(r.OwnerId) },
		"route-table-id":                        func(r types.RouteTable) []string { return text(r.RouteTableId) },
		"route.destination-cidr-block":          route(func(r types.Route) []string { return text(r.DestinationCidrBlock) }),
		"route.destination-ipv6-cidr-block":     never[types.RouteTable],
		"route.destination-prefix-list-id":      never[types.RouteTable],
		"route.egress-only-internet-gateway-id": never[types.RouteTable],
		"route.gateway-id":                      route(func(r types.Route) []string { return text(r.GatewayId) }),
		"route.instance-id":                     never[types.RouteTable],
		"route.nat-gateway-id":                  never[types.RouteTable],
		"route.transit-gateway-id":              never[types.RouteTable],
		"route.origin":                          route(func(r types.Route) []string { return word(r.Origin) }),
		"route.state":                           route(func(r types.Route) []string { return word(r.State) }),
		"route.vpc-peering-connection-id":       never[types.RouteTable],
		"vpc-id":                                func(r types.RouteTable) []string { return text(r.VpcId) },
	},
}

func association(f func(types.RouteTableAssociation) []string) func(types.RouteTable) []string {
	return func(r types.RouteTable) []string { return each(r.Associations, f) }
}

func route(f func(types.Route) []string) func(types.RouteTable) []string {
	return func(r types.RouteTable) []string { return each(r.Routes, f) }
}

// DescribeRouteTables returns route tables.
func (s *Service) DescribeRouteTables(ctx context.Context, in *DescribeRouteTablesInput) (*DescribeRouteTablesOutput, error) {
	rows, next, err := routeTables.run(ctx, query{in.DryRun, in.Filters, in.MaxResults, in.NextToken, 5, 100}, func() ([]types.RouteTable, error) {
		v := s.store.View()
		rs, err := records(v, store.RouteTables, scopeOf(ctx), kindRoutes, in.RouteTableIds)
		return show(rs, func(r *state.RouteTable) types.RouteTable { return showRouteTable(v, r) }), err
	})
	return &DescribeRouteTablesOutput{RouteTables: rows, NextToken: next}, err
}

func showRouteTable(v store.View, r *state.RouteTable) types.RouteTable {
	out := types.RouteTable{
		RouteTableId: &r.ID, VpcId: &r.VPC, OwnerId: &r.Account, Tags: showTagSet(r.Tags),
		Associations: []types.RouteTableAssociation{}, PropagatingVgws: []types.PropagatingVgw{}, Routes: []types.Route{},
	}
	if r.Main {
		out.Associations = append(out.Associations, types.RouteTableAssociation{
			Main: aws.Bool(true), RouteTableAssociationId: &r.MainAssociation, RouteTableId: &r.ID,
			AssociationState: &types.RouteTableAssociationState{State: types.RouteTableAssociationStateCodeAssociated},
		})
	}
	for _, route := range r.Routes {
		status := types.RouteStateActive
		if route.Target != "local" {
			if g, ok := store.InternetGateways.Get(v, r.Scope.Key(route.Target)); !ok || g.VPC != r.VPC {
				status = types.RouteStateBlackhole
			}
		}
		out.Routes = append(out.Routes, types.Route{
			DestinationCidrBlock: aws.String(route.Prefix.String()), GatewayId: &route.Target, Origin: types.RouteOrigin(route.Origin), State: status,
		})
	}
	return out
}
