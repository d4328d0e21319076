package s3

import (
	"context"
	"errors"
	"net/netip"
	"regexp"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"

	"github.com/berth/berth/blobstore"
	"github.com/berth/berth/wire"
)

// bucketName is "General purpose bucket naming rules" in the Amazon S3 User Guide.
var bucketName = regexp.MustCompile(`^[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]$`)

func validBucket(name string) bool {
	_, err := netip.ParseAddr(name)
	return bucketName.MatchString(name) && err != nil && !strings.Contains(name, "..") && !strings.HasPrefix(name, "xn--") && !strings.HasSuffix(name, "-s3alias")
}

// CreateBucket makes a bucket in the caller's region.
func (s *Service) CreateBucket(ctx context.Context, in *s3.CreateBucketInput) (*s3.CreateBucketOutput, error) {
	c := wire.CallerFrom(ctx)
	if !validBucket(*in.Bucket) {
		return nil, fail("InvalidBucketName", "The specified bucket is not valid.")
	}
	want := ""
	if in.CreateBucketConfiguration != nil {
		want = string(in.CreateBucketConfiguration.LocationConstraint)
	}
	switch {
	case want == "" && c.Region != "us-east-1":
		return nil, fail("IllegalLocationConstraintException", "The unspecified location constraint is incompatible for the region specific endpoint this request was sent to.")
	case want != "" && c.Region == "us-east-1" && want == c.Region:
		return nil, fail("InvalidLocationConstraint", "The specified location-constraint is not valid")
	case want != "" && want != c.Region:
		return nil, fail("IllegalLocationConstraintException", "The "+want+" location constraint is incompatible for the region specific endpoint this request was sent to.")
	}
	old, err := s.store.CreateBucket(blobstore.Bucket{Name: *in.Bucket, Account: c.Account, Region: c.Region})
	switch {
	case errors.Is(err, blobstore.ErrBucketExists) && old.Account != c.Account:
		return nil, &types.BucketAlreadyExists{Message: aws.String("The requested bucket name is not available. The bucket namespace is shared by all users of the system. Please select a different name and try again.")}
	case errors.Is(err, blobstore.ErrBucketExists) && c.Region != "us-east-1": // there S3 answers as if it were new
		return nil, &types.BucketAlreadyOwnedByYou{Message: aws.String("Your previous request to create the named bucket succeeded and you already own it.")}
	case err != nil && !errors.Is(err, blobstore.ErrBucketExists):
		return nil, err
	}
	return &s3.CreateBucketOutput{Location: aws.String("/" + *in.Bucket), BucketArn: aws.String("arn:" + c.Partition() + ":s3:::" + *in.Bucket)}, nil
}

// HeadBucket says that a bucket is there, and in which region.
func (s *Service) HeadBucket(_ context.Context, in *s3.HeadBucketInput) (*s3.HeadBucketOutput, error) {
	b, err := s.store.Bucket(*in.Bucket)
	if err != nil {
		return nil, translate(err)
	}
	return &s3.HeadBucketOutput{BucketRegion: &b.Region, AccessPointAlias: aws.Bool(false)}, nil
}

// GetBucketLocation says in which region a bucket is: us-east-1 by saying nothing.
func (s *Service) GetBucketLocation(_ context.Context, in *s3.GetBucketLocationInput) (*s3.GetBucketLocationOutput, error) {
	b, err := s.store.Bucket(*in.Bucket)
	if err != nil {
		return nil, translate(err)
	}
	out := &s3.GetBucketLocationOutput{}
	if b.Region != "us-east-1" {
		out.LocationConstraint = types.BucketLocationConstraint(b.Region)
	}
	return out, nil
}

// ListBuckets lists the caller's buckets.
func (s *Service) ListBuckets(ctx context.Context, in *s3.ListBucketsInput) (*s3.ListBucketsOutput, error) {
	c := wire.CallerFrom(ctx)
	limit := int(aws.ToInt32(in.MaxBuckets))
	if in.MaxBuckets != nil && (limit < 1 || limit > 10000) {
		return nil, fail("InvalidArgument", "Argument maxBuckets must be an integer between 1 and 10000")
	}
	all, err := s.store.Buckets(c.Account)
	if err != nil {
		return nil, err
	}
	start, err := openToken(aws.ToString(in.ContinuationToken))
	if err != nil {
		return nil, err
	}
	out := &s3.ListBucketsOutput{Buckets: []types.Bucket{}, Owner: &types.Owner{ID: &c.Account}, Prefix: in.Prefix}
	for _, b := range all {
		if b.Name <= start || !strings.HasPrefix(b.Name, aws.ToString(in.Prefix)) || in.BucketRegion != nil && b.Region != *in.BucketRegion {
			continue
		}
		if limit > 0 && len(out.Buckets) == limit {
			out.ContinuationToken = sealToken(*out.Buckets[limit-1].Name)
			break
		}
		out.Buckets = append(out.Buckets, types.Bucket{Name: &b.Name, CreationDate: &b.Created, BucketRegion: &b.Region})
	}
	return out, nil
}

// DeleteBucket deletes a bucket that is empty.
func (s *Service) DeleteBucket(_ context.Context, in *s3.DeleteBucketInput) (*s3.DeleteBucketOutput, error) {
	return nil, translate(s.store.DeleteBucket(*in.Bucket))
}
