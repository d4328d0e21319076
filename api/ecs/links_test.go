package ecs

import (
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ecs/types"
)

func TestLinks(t *testing.T) {
	for _, c := range []struct {
		mode types.NetworkMode
		link string
		says string
	}{
		{types.NetworkModeBridge, "db", ""},
		{"", "db:database", ""},
		{types.NetworkModeHost, "db", "Links are not supported when networkMode=host."},
		{types.NetworkModeAwsvpc, "db", "Links are not supported when networkMode=awsvpc."},
		{types.NetworkModeBridge, "other", "no other container named 'other'"},
		{types.NetworkModeBridge, "web:me", "no other container named 'web'"},
		{types.NetworkModeBridge, "db:", "'container:alias'"},
		{types.NetworkModeBridge, "db:a b", "'container:alias'"},
		{types.NetworkModeBridge, "db:a:b", "'container:alias'"},
		{types.NetworkModeBridge, "db:a\n1.2.3.4 b", "'container:alias'"},
	} {
		d := &types.TaskDefinition{NetworkMode: c.mode, ContainerDefinitions: []types.ContainerDefinition{
			{Name: aws.String("web"), Links: []string{c.link}}, {Name: aws.String("db")},
		}}
		err := linkRules(d, &d.ContainerDefinitions[0])
		if (err == nil) != (c.says == "") || err != nil && !strings.Contains(err.Error(), c.says) {
			t.Errorf("%q in mode %q: %v, want %q", c.link, c.mode, err, c.says)
		}
	}
}
