package ec2

import (
	"context"

	"github.com/aws/aws-sdk-go-v2/service/ec2/types"
)

// Of some kinds there cannot be any here, and clients ask all the same: to see
// what a VPC has, or what is in the way of a deletion. The answer is an empty
// list, and for an ID the error that it isn't there. Filters find nothing by any
// name.

// absent checks a call about a kind that there is none of.
func absent(k kind, ids []string, q query) error {
	for _, id := range ids {
		if err := k.check(id); err != nil {
			return err
		}
	}
	if q.max != nil && (*q.max < q.least || *q.max > q.most) {
		return badMaxResults(*q.max, q.least, q.most)
	}
	if q.next != nil && *q.next != "" {
		return badToken(*q.next)
	}
	if len(ids) > 0 {
		return k.notFound(ids[0])
	}
	return dryRun(q.dryRun)
}

// DescribeAddresses returns no elastic addresses.
func (s *Service) DescribeAddresses(ctx context.Context, in *DescribeAddressesInput) (*DescribeAddressesOutput, error) {
	if err := absent(kindEIP, in.AllocationIds, query{dryRun: in.DryRun, filters: in.Filters}); err != nil {
		return nil, err
	}
	if len(in.PublicIps) > 0 {
		return nil, fail("InvalidAddress.NotFound", "Address '%s' not found.", in.PublicIps[0])
	}
	return &DescribeAddressesOutput{Addresses: []types.Address{}}, nil
}

// DescribeNatGateways returns no NAT gateways.
func (s *Service) DescribeNatGateways(ctx context.Context, in *DescribeNatGatewaysInput) (*DescribeNatGatewaysOutput, error) {
	if err := absent(kindNAT, in.NatGatewayIds, query{in.DryRun, in.Filter, in.MaxResults, in.NextToken, 5, 1000}); err != nil {
		return nil, err
	}
	return &DescribeNatGatewaysOutput{NatGateways: []types.NatGateway{}}, nil
}

// DescribeVpcEndpoints returns no VPC endpoints.
func (s *Service) DescribeVpcEndpoints(ctx context.Context, in *DescribeVpcEndpointsInput) (*DescribeVpcEndpointsOutput, error) {
	if err := absent(kindEndpoint, in.VpcEndpointIds, query{in.DryRun, in.Filters, in.MaxResults, in.NextToken, 1, 1000}); err != nil {
		return nil, err
	}
	return &DescribeVpcEndpointsOutput{VpcEndpoints: []types.VpcEndpoint{}}, nil
}

// DescribeVpcPeeringConnections returns no peerings.
func (s *Service) DescribeVpcPeeringConnections(ctx context.Context, in *DescribeVpcPeeringConnectionsInput) (*DescribeVpcPeeringConnectionsOutput, error) {
	if err := absent(kindPeering, in.VpcPeeringConnectionIds, query{in.DryRun, in.Filters, in.MaxResults, in.NextToken, 5, 1000}); err != nil {
		return nil, err
	}
	return &DescribeVpcPeeringConnectionsOutput{VpcPeeringConnections: []types.VpcPeeringConnection{}}, nil
}

// DescribeInstances returns no instances.
func (s *Service) DescribeInstances(ctx context.Context, in *DescribeInstancesInput) (*DescribeInstancesOutput, error) {
	if len(in.InstanceIds) > 0 && in.MaxResults != nil {
		return nil, invalidCombination("The parameter instancesSet cannot be used with the parameter maxResults")
	}
	if err := absent(kindInstance, in.InstanceIds, query{in.DryRun, in.Filters, in.MaxResults, in.NextToken, 5, 1000}); err != nil {
		return nil, err
	}
	return &DescribeInstancesOutput{Reservations: []types.Reservation{}}, nil
}

// DescribePrefixLists returns no prefix lists: those of AWS are of its gateway
// endpoints.
func (s *Service) DescribePrefixLists(ctx context.Context, in *DescribePrefixListsInput) (*DescribePrefixListsOutput, error) {
	if err := absent(kindPrefixes, in.PrefixListIds, query{in.DryRun, in.Filters, in.MaxResults, in.NextToken, 1, 1000}); err != nil {
		return nil, err
	}
	return &DescribePrefixListsOutput{PrefixLists: []types.PrefixList{}}, nil
}

// DescribeManagedPrefixLists returns no prefix lists.
func (s *Service) DescribeManagedPrefixLists(ctx context.Context, in *DescribeManagedPrefixListsInput) (*DescribeManagedPrefixListsOutput, error) {
	if err := absent(kindPrefixes, in.PrefixListIds, query{in.DryRun, in.Filters, in.MaxResults, in.NextToken, 1, 100}); err != nil {
		return nil, err
	}
	return &DescribeManagedPrefixListsOutput{PrefixLists: []types.ManagedPrefixList{}}, nil
}
