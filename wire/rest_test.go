package wire_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatch"
	cwtypes "github.com/aws/aws-sdk-go-v2/service/cloudwatch/types"
	"github.com/aws/aws-sdk-go-v2/service/eks"
	ekstypes "github.com/aws/aws-sdk-go-v2/service/eks/types"

	"github.com/berth/berth/wire"
	"github.com/berth/berth/wire/wiretest"
)

// clusters answers with what it was asked.
type clusters struct{}

func (clusters) ListClusters(_ context.Context, in *eks.ListClustersInput) (*eks.ListClustersOutput, error) {
	return &eks.ListClustersOutput{Clusters: append([]string{fmt.Sprint(aws.ToInt32(in.MaxResults))}, in.Include...), NextToken: in.NextToken}, nil
}

func (clusters) DescribeCluster(_ context.Context, in *eks.DescribeClusterInput) (*eks.DescribeClusterOutput, error) {
	return nil, &ekstypes.ResourceNotFoundException{Message: aws.String("No cluster found for name: " + *in.Name + "."), ClusterName: in.Name}
}

func (clusters) TagResource(_ context.Context, in *eks.TagResourceInput) (*eks.TagResourceOutput, error) {
	if *in.ResourceArn != "arn:aws:eks:eu-central-1:123456789012:cluster/a b" || in.Tags["k"] != "v" {
		return nil, fmt.Errorf("asked for %s %v", *in.ResourceArn, in.Tags)
	}
	return nil, nil
}

func TestRESTJSON(t *testing.T) {
	service, err := wire.NewService(wire.EKS, clusters{})
	if err != nil {
		t.Fatal(err)
	}
	_, cfg := wiretest.Serve(t, service)
	client := eks.NewFromConfig(cfg)
	out, err := client.ListClusters(t.Context(), &eks.ListClustersInput{MaxResults: aws.Int32(7), Include: []string{"a", "b"}, NextToken: aws.String("ü&=/ +")})
	if err != nil || len(out.Clusters) != 3 || out.Clusters[0] != "7" || out.Clusters[2] != "b" || *out.NextToken != "ü&=/ +" {
		t.Errorf("ListClusters: %+v, %v", out, err)
	}
	_, err = client.DescribeCluster(t.Context(), &eks.DescribeClusterInput{Name: aws.String("a%/2F")})
	var missing *ekstypes.ResourceNotFoundException
	if !errors.As(err, &missing) || *missing.ClusterName != "a%/2F" || *missing.Message != "No cluster found for name: a%/2F." {
		t.Errorf("DescribeCluster: %v", err)
	}
	if _, err := client.TagResource(t.Context(), &eks.TagResourceInput{ResourceArn: aws.String("arn:aws:eks:eu-central-1:123456789012:cluster/a b"), Tags: map[string]string{"k": "v"}}); err != nil {
		t.Error(err)
	}
}

type metrics struct{}

func (metrics) PutMetricData(_ context.Context, in *cloudwatch.PutMetricDataInput) (*cloudwatch.PutMetricDataOutput, error) {
	return nil, &cwtypes.InvalidParameterValueException{Message: aws.String(fmt.Sprint(*in.Namespace, *in.MetricData[0].Value, in.MetricData[0].Timestamp.UTC()))}
}

func TestCBOR(t *testing.T) {
	service, err := wire.NewService(wire.CloudWatch, metrics{})
	if err != nil {
		t.Fatal(err)
	}
	_, cfg := wiretest.Serve(t, service)
	client := cloudwatch.NewFromConfig(cfg)
	_, err = client.PutMetricData(t.Context(), &cloudwatch.PutMetricDataInput{Namespace: aws.String("n"), MetricData: []cwtypes.MetricDatum{{MetricName: aws.String("m"), Value: aws.Float64(1.5), Timestamp: aws.Time(time.UnixMilli(1500))}}})
	var invalid *cwtypes.InvalidParameterValueException
	if !errors.As(err, &invalid) || invalid.ErrorMessage() != "n1.5 1970-01-01 00:00:01.5 +0000 UTC" {
		t.Errorf("PutMetricData: %v", err)
	}
}
