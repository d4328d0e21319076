package ecs

import (
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ecs"
	"github.com/aws/aws-sdk-go-v2/service/ecs/types"
)

func TestAccountSettings(t *testing.T) {
	client, _ := newClient(t)
	ctx := t.Context()
	if got := must(client.ListAccountSettings(ctx, &ecs.ListAccountSettingsInput{}))(t).Settings; len(got) != 0 {
		t.Errorf("%+v", got)
	}
	first := must(client.ListAccountSettings(ctx, &ecs.ListAccountSettingsInput{EffectiveSettings: true}))(t)
	second := must(client.ListAccountSettings(ctx, &ecs.ListAccountSettingsInput{EffectiveSettings: true, NextToken: first.NextToken}))(t)
	if len(first.Settings) != 10 || len(first.Settings)+len(second.Settings) != len(settings) || second.NextToken != nil {
		t.Errorf("%d and %d settings", len(first.Settings), len(second.Settings))
	}
	for _, name := range types.SettingName("").Values() {
		if _, err := findSetting(name); err != nil {
			t.Error(err)
		}
	}
	put := must(client.PutAccountSettingDefault(ctx, &ecs.PutAccountSettingDefaultInput{Name: "containerInsights", Value: aws.String("enhanced")}))(t).Setting
	if *put.Value != "enhanced" || *put.PrincipalArn != "arn:aws:iam::"+scope.Account+":root" || put.Type != "user" {
		t.Errorf("%+v", put)
	}
	cluster := must(client.CreateCluster(ctx, &ecs.CreateClusterInput{ClusterName: aws.String("new")}))(t).Cluster
	if *cluster.Settings[0].Value != "enhanced" {
		t.Errorf("a new cluster has %+v", cluster.Settings)
	}
	user := "arn:aws:iam::" + scope.Account + ":user/u"
	must(client.PutAccountSetting(ctx, &ecs.PutAccountSettingInput{Name: "containerInsights", Value: aws.String("enabled"), PrincipalArn: &user}))(t)
	of := func(principal *string) string {
		got := must(client.ListAccountSettings(ctx, &ecs.ListAccountSettingsInput{Name: "containerInsights", EffectiveSettings: true, PrincipalArn: principal}))(t).Settings
		return *got[0].Value
	}
	if of(&user) != "enabled" || of(nil) != "enhanced" {
		t.Errorf("%s for the user, %s for root", of(&user), of(nil))
	}
	if back := must(client.DeleteAccountSetting(ctx, &ecs.DeleteAccountSettingInput{Name: "containerInsights", PrincipalArn: &user}))(t).Setting; *back.Value != "enhanced" {
		t.Errorf("%+v", back)
	}
	if got := must(client.ListAccountSettings(ctx, &ecs.ListAccountSettingsInput{Name: "containerInsights", Value: aws.String("enabled")}))(t).Settings; len(got) != 0 {
		t.Errorf("%+v", got)
	}
	for _, c := range []struct {
		in   ecs.PutAccountSettingInput
		want string
	}{
		{ecs.PutAccountSettingInput{Name: "luck", Value: aws.String("enabled")}, "luck should be one of [awsvpcTrunking,containerInsights,"},
		{ecs.PutAccountSettingInput{Name: "taskLongArnFormat", Value: aws.String("on")}, "it should be one of [enabled,disabled]"},
		{ecs.PutAccountSettingInput{Name: "guardDutyActivate", Value: aws.String("on")}, "managed by AWS"},
		{ecs.PutAccountSettingInput{Name: "fargateTaskRetirementWaitPeriod", Value: aws.String("7"), PrincipalArn: &user}, "only be set for the root user"},
		{ecs.PutAccountSettingInput{Name: "taskLongArnFormat", Value: aws.String("enabled"), PrincipalArn: aws.String("arn:aws:iam::999999999999:root")}, "Invalid principalArn"},
	} {
		_, err := client.PutAccountSetting(ctx, &c.in)
		refused(t, err, "InvalidParameterException", c.want)
	}
	_, err := client.ListAccountSettings(ctx, &ecs.ListAccountSettingsInput{Value: aws.String("enabled")})
	refused(t, err, "InvalidParameterException", "A name must be specified")
}
