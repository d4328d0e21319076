package eks

import (
	"errors"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/eks"
	"github.com/aws/aws-sdk-go-v2/service/eks/types"
	"github.com/aws/smithy-go"

	"github.com/berth/berth/wire"
	"github.com/berth/berth/wire/wiretest"
)

// Every operation and every field has its decision, and the methods are those
// that the ledger says are there.
func TestLedgerIsComplete(t *testing.T) {
	for _, problem := range append(Ledger().Audit(Inputs()), Ledger().AuditMethods(Inputs(), (*Service)(nil))...) {
		t.Error(problem)
	}
}

func client(t *testing.T) *eks.Client {
	service, err := wire.NewService(wire.EKS, New())
	if err != nil {
		t.Fatal(err)
	}
	_, cfg := wiretest.Serve(t, service)
	return eks.NewFromConfig(cfg)
}

func TestNoClusters(t *testing.T) {
	c := client(t)
	out, err := c.ListClusters(t.Context(), &eks.ListClustersInput{MaxResults: aws.Int32(100)})
	if err != nil || out.Clusters == nil || len(out.Clusters) != 0 || out.NextToken != nil {
		t.Errorf("ListClusters: %+v, %v", out, err)
	}
	var invalid *types.InvalidParameterException
	if _, err := c.ListClusters(t.Context(), &eks.ListClustersInput{MaxResults: aws.Int32(101)}); !errors.As(err, &invalid) {
		t.Errorf("101 results: %v", err)
	}
	if _, err := c.ListClusters(t.Context(), &eks.ListClustersInput{NextToken: aws.String("x")}); !errors.As(err, &invalid) {
		t.Errorf("a token: %v", err)
	}
	var missing *types.ResourceNotFoundException
	if _, err := c.DescribeCluster(t.Context(), &eks.DescribeClusterInput{Name: aws.String("prod")}); !errors.As(err, &missing) || missing.ErrorMessage() != "No cluster found for name: prod." {
		t.Errorf("DescribeCluster: %v", err)
	}
	if _, err := c.DescribeCluster(t.Context(), &eks.DescribeClusterInput{Name: aws.String("a/b")}); !errors.As(err, &invalid) {
		t.Errorf("DescribeCluster a/b: %v", err)
	}
	if _, err := c.DeleteCluster(t.Context(), &eks.DeleteClusterInput{Name: aws.String("prod")}); !errors.As(err, &missing) {
		t.Errorf("DeleteCluster: %v", err)
	}
}

func TestNotBuilt(t *testing.T) {
	_, err := client(t).CreateCluster(t.Context(), &eks.CreateClusterInput{Name: aws.String("prod"),
		RoleArn: aws.String("arn:aws:iam::123456789012:role/r"), ResourcesVpcConfig: &types.VpcConfigRequest{}})
	var api smithy.APIError
	if !errors.As(err, &api) || api.ErrorCode() != "NotImplemented" {
		t.Errorf("CreateCluster: %v", err)
	}
}

func TestCorpus(t *testing.T) {
	service, err := wire.NewService(wire.EKS, New())
	if err != nil {
		t.Fatal(err)
	}
	wiretest.Corpus(t, service, "eks")
}
