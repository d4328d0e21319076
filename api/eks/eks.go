package eks

import (
	"context"
	_ "embed"
	"reflect"
	"regexp"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/eks"
	"github.com/aws/aws-sdk-go-v2/service/eks/types"

	"github.com/berth/berth/internal/fidelity"
)

// Service is the EKS API.
type Service struct{}

// New returns the EKS API.
func New() *Service { return &Service{} }

//go:embed fidelity.txt
var ledgerText []byte

// Ledger is what Berth does with each field of each EKS operation.
func Ledger() *fidelity.Ledger { return fidelity.MustParse("eks", ledgerText) }

// Inputs are the input structs of all EKS operations, by name.
func Inputs() map[string]reflect.Type { return fidelity.Inputs((*eks.Client)(nil)) }

// ListClusters answers that there are no clusters. The bounds of maxResults are those
// of the API reference.
func (*Service) ListClusters(_ context.Context, in *eks.ListClustersInput) (*eks.ListClustersOutput, error) {
	if n := in.MaxResults; n != nil && (*n < 1 || *n > 100) {
		return nil, &types.InvalidParameterException{Message: aws.String("maxResults must be between 1 and 100")}
	}
	if aws.ToString(in.NextToken) != "" {
		return nil, &types.InvalidParameterException{Message: aws.String("Invalid nextToken")}
	}
	return &eks.ListClustersOutput{Clusters: []string{}}, nil
}

// clusterName is the pattern of the API reference.
var clusterName = regexp.MustCompile(`^[0-9A-Za-z][A-Za-z0-9_-]{0,99}$`)

// DescribeCluster answers that there is no such cluster.
func (*Service) DescribeCluster(_ context.Context, in *eks.DescribeClusterInput) (*eks.DescribeClusterOutput, error) {
	return nil, missing(*in.Name) // a label of the path, which is never empty
}

// DeleteCluster answers that there is no such cluster.
func (*Service) DeleteCluster(_ context.Context, in *eks.DeleteClusterInput) (*eks.DeleteClusterOutput, error) {
	return nil, missing(*in.Name)
}

func missing(name string) error {
	if !clusterName.MatchString(name) {
		return &types.InvalidParameterException{Message: aws.String("The cluster name must match ^[0-9A-Za-z][A-Za-z0-9_-]{0,99}$"), ClusterName: &name}
	}
	return &types.ResourceNotFoundException{Message: aws.String("No cluster found for name: " + name + ".")}
}
