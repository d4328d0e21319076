package e2e

import (
	"bytes"
	"io"
	"math/rand/v2"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// `aws s3`, with a file that goes in one request and one that goes in parts.
func TestAWSS3(t *testing.T) {
	t.Parallel()
	h := sharedHost(t)
	dir := t.TempDir()
	small, big, back := filepath.Join(dir, "small.txt"), filepath.Join(dir, "big"), filepath.Join(dir, "back")
	content := make([]byte, 20<<20+5)
	rand.NewChaCha8([32]byte{1}).Read(content)
	for path, b := range map[string][]byte{small: []byte("hello\n"), big: content} {
		if err := os.WriteFile(path, b, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	h.aws(t, "s3", "mb", "s3://wire-box")
	h.aws(t, "s3", "cp", small, "s3://wire-box/dir/small ü+.txt", "--metadata", "color=blue")
	h.aws(t, "s3", "cp", big, "s3://wire-box/big")
	if out := h.aws(t, "s3", "ls"); !strings.Contains(out, " wire-box\n") {
		t.Errorf("ls: %s", out)
	}
	if out := h.aws(t, "s3", "ls", "s3://wire-box"); !strings.Contains(out, "PRE dir/") || !strings.Contains(out, "20971525 big") {
		t.Errorf("ls of the bucket: %s", out)
	}
	if out := h.aws(t, "s3", "ls", "s3://wire-box", "--recursive"); !strings.Contains(out, " 6 dir/small ü+.txt") {
		t.Errorf("ls of all: %s", out)
	}
	h.aws(t, "s3", "cp", "s3://wire-box/big", back)
	if b, err := os.ReadFile(back); err != nil || !bytes.Equal(b, content) {
		t.Errorf("%d bytes came back, %v", len(b), err)
	}
	if out := h.aws(t, "s3api", "head-object", "--bucket", "wire-box", "--key", "dir/small ü+.txt", "--query", "[ContentType,Metadata.color,ContentLength]", "--output", "text"); strings.TrimSpace(out) != "text/plain\tblue\t6" {
		t.Errorf("head-object: %s", out)
	}
	h.aws(t, "s3", "cp", "s3://wire-box/dir/small ü+.txt", "s3://wire-box/copy.txt")
	// The CLI of version 1 signs by Version 2 else, as it does for AWS's oldest buckets.
	config := filepath.Join(t.TempDir(), "config")
	if err := os.WriteFile(config, []byte("[default]\ns3 =\n  signature_version = s3v4\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	presign := exec.Command("aws", "--endpoint-url", h.endpoint(), "s3", "presign", "s3://wire-box/copy.txt")
	presign.Env = append(slices.Clone(h.env), "AWS_CONFIG_FILE="+config)
	signed, err := presign.Output()
	if err != nil {
		t.Fatal(err)
	}
	url := strings.TrimSpace(string(signed))
	resp, err := http.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if b, err := io.ReadAll(resp.Body); err != nil || resp.StatusCode != 200 || string(b) != "hello\n" {
		t.Errorf("the presigned URL gives %d %q, %v", resp.StatusCode, b, err)
	}
	if _, err := h.awsTry("s3", "cp", "s3://wire-box/none", back); err == nil || !strings.Contains(err.Error(), "404") {
		t.Errorf("cp of none: %v", err)
	}
	if _, err := h.awsTry("s3api", "get-object", "--bucket", "wire-box", "--key", "none", back); err == nil || !strings.Contains(err.Error(), "NoSuchKey") {
		t.Errorf("get-object of none: %v", err)
	}
	if _, err := h.awsTry("s3api", "put-bucket-versioning", "--bucket", "wire-box", "--versioning-configuration", "Status=Enabled"); err == nil || !strings.Contains(err.Error(), "NotImplemented") {
		t.Errorf("put-bucket-versioning: %v", err)
	}
	if _, err := h.awsTry("s3", "rb", "s3://wire-box"); err == nil || !strings.Contains(err.Error(), "BucketNotEmpty") {
		t.Errorf("rb of a full bucket: %v", err)
	}
	h.aws(t, "s3", "sync", dir, "s3://wire-box/sync")
	h.aws(t, "s3", "rm", "s3://wire-box/sync", "--recursive")
	if out := h.aws(t, "s3", "ls", "s3://wire-box/", "--recursive"); strings.Count(out, "\n") != 3 {
		t.Errorf("after rm: %s", out)
	}
	h.aws(t, "s3", "rb", "s3://wire-box", "--force")
}

// What S3 and CloudWatch acknowledged is there after kill -9.
func TestKilledStores(t *testing.T) {
	t.Parallel()
	h := newHost(t)
	path := filepath.Join(t.TempDir(), "f")
	if err := os.WriteFile(path, []byte("kept"), 0o600); err != nil {
		t.Fatal(err)
	}
	h.aws(t, "s3", "mb", "s3://kept")
	h.aws(t, "s3", "cp", path, "s3://kept/f")
	h.aws(t, "cloudwatch", "put-metric-data", "--namespace", "kept", "--metric-name", "m", "--value", "3")
	h.kill()
	if err := h.start(); err != nil {
		t.Fatal(err)
	}
	if out := h.aws(t, "s3", "cp", "s3://kept/f", "-"); out != "kept" {
		t.Errorf("the object has %q", out)
	}
	if out := h.aws(t, "cloudwatch", "list-metrics", "--namespace", "kept", "--query", "Metrics[0].MetricName", "--output", "text"); strings.TrimSpace(out) != "m" {
		t.Errorf("the metrics are %s", out)
	}
}

// `aws cloudwatch` and `aws eks`.
func TestAWSCloudWatchAndEKS(t *testing.T) {
	t.Parallel()
	h := sharedHost(t)
	now := time.Now().UTC()
	h.aws(t, "cloudwatch", "put-metric-data", "--namespace", "e2e", "--metric-name", "load", "--value", "2", "--dimensions", "Host=a", "--unit", "Percent")
	h.aws(t, "cloudwatch", "put-metric-data", "--namespace", "e2e", "--metric-data", `[{"MetricName":"load","Unit":"Percent","Values":[4,6],"Counts":[1,1],"Dimensions":[{"Name":"Host","Value":"a"}]}]`)
	out := h.aws(t, "cloudwatch", "get-metric-statistics", "--namespace", "e2e", "--metric-name", "load", "--dimensions", "Name=Host,Value=a", "--statistics", "Sum", "SampleCount",
		"--period", "3600", "--start-time", now.Add(-30*time.Minute).Format(time.RFC3339), "--end-time", now.Add(25*time.Minute).Format(time.RFC3339),
		"--query", "Datapoints[0].[Sum,SampleCount,Unit]", "--output", "text")
	if strings.TrimSpace(out) != "12.0\t3.0\tPercent" {
		t.Errorf("get-metric-statistics: %s", out)
	}
	if _, err := h.awsTry("cloudwatch", "put-metric-data", "--namespace", "AWS/x", "--metric-name", "m", "--value", "1"); err == nil || !strings.Contains(err.Error(), "InvalidParameterValue") {
		t.Errorf("AWS's namespace: %v", err)
	}
	if out := h.aws(t, "eks", "list-clusters", "--query", "clusters", "--output", "json"); strings.TrimSpace(out) != "[]" {
		t.Errorf("list-clusters: %s", out)
	}
	if _, err := h.awsTry("eks", "describe-cluster", "--name", "prod"); err == nil || !strings.Contains(err.Error(), "(ResourceNotFoundException) when calling the DescribeCluster operation: No cluster found for name: prod.") {
		t.Errorf("describe-cluster: %v", err)
	}
	if _, err := h.awsTry("eks", "create-cluster", "--name", "prod", "--role-arn", "arn:aws:iam::123456789012:role/r", "--resources-vpc-config", "subnetIds=subnet-1"); err == nil || !strings.Contains(err.Error(), "NotImplemented") {
		t.Errorf("create-cluster: %v", err)
	}
}
