package ecs

import (
	"context"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ecs"
	"github.com/aws/aws-sdk-go-v2/service/ecs/types"
)

// Every operation and every field of ECS has its decision, and the methods are
// those that the ledger says are there.
func TestLedgerIsComplete(t *testing.T) {
	inputs := Inputs()
	if len(inputs) < 88 {
		t.Errorf("%d operations, ECS has at least 88", len(inputs))
	}
	for _, problem := range append(Ledger().Audit(inputs), Ledger().AuditMethods(inputs, (*Service)(nil))...) {
		t.Error(problem)
	}
}

func TestCheckRefusesByName(t *testing.T) {
	s := New(Config{})
	web := func(change func(*types.ContainerDefinition)) *ecs.RegisterTaskDefinitionInput {
		in := fargateInput()
		change(&in.ContainerDefinitions[0])
		return in
	}
	for _, tc := range []struct {
		name string
		op   string
		in   any
		want string // "" for no error
	}{
		{"nothing", "RegisterTaskDefinition", fargateInput(), ""},
		{"what is as good as absent", "RegisterTaskDefinition", web(func(c *types.ContainerDefinition) {
			c.Privileged, c.Interactive, c.Links, c.Secrets = aws.Bool(false), aws.Bool(false), []string{}, []types.Secret{}
		}), ""},
		{"without effect", "RegisterTaskDefinition", web(func(c *types.ContainerDefinition) { c.DockerLabels = map[string]string{"a": "b"} }), ""},
		{"secrets", "RegisterTaskDefinition", web(func(c *types.ContainerDefinition) {
			c.Secrets = []types.Secret{{Name: aws.String("A"), ValueFrom: aws.String("arn:…")}}
		}), "ClientException: containerDefinitions[0].secrets[0] is not supported: secrets are not built yet."},
		{"AWS refuses first", "RegisterTaskDefinition", web(func(c *types.ContainerDefinition) {
			c.Hostname, c.CredentialSpecs = aws.String("h"), []string{"s"}
		}),
			"ClientException: hostname is not supported on container when networkMode=awsvpc."},
		{"RunTask", "RunTask", &ecs.RunTaskInput{TaskDefinition: aws.String("a"), EnableExecuteCommand: true}, ""},
		{"the log of ECS Exec", "CreateCluster", &ecs.CreateClusterInput{Configuration: &types.ClusterConfiguration{
			ExecuteCommandConfiguration: &types.ExecuteCommandConfiguration{KmsKeyId: aws.String("k")},
		}}, "InvalidParameterException: configuration.executeCommandConfiguration.kmsKeyId is not supported: sessions are not encrypted with KMS keys."},
		{"empty volume", "RegisterTaskDefinition", func() any {
			in := fargateInput()
			in.Volumes = append(in.Volumes, types.Volume{Name: aws.String("v"), Host: &types.HostVolumeProperties{}})
			return in
		}(), ""},
		{"an EFS access point", "RegisterTaskDefinition", func() any {
			in := fargateInput()
			in.Volumes = append(in.Volumes, types.Volume{Name: aws.String("v"), EfsVolumeConfiguration: &types.EFSVolumeConfiguration{
				FileSystemId: aws.String("fs-0123"), TransitEncryption: types.EFSTransitEncryptionEnabled, AuthorizationConfig: &types.EFSAuthorizationConfig{AccessPointId: aws.String("fsap-1")},
			}})
			return in
		}(), "ClientException: volumes[1].efsVolumeConfiguration.authorizationConfig.accessPointId is not supported: EFS access points are not built."},
	} {
		err := s.Check(context.Background(), tc.op, tc.in)
		if got := errorText(err); got != tc.want {
			t.Errorf("%s: %q, want %q", tc.name, got, tc.want)
		}
	}
}

// errorText is "Code: message" as users see it.
func errorText(err error) string {
	if err == nil {
		return ""
	}
	return strings.TrimPrefix(err.Error(), "operation error ECS: ")
}
