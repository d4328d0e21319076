// Package arn builds and takes apart Amazon resource names,
// arn:partition:service:region:account:resource.
package arn

import (
	"fmt"
	"strings"
)

// ARN is one resource name in its six parts.
type ARN struct {
	Partition, Service, Region, Account string
	// Resource is everything after the account: "task/default/0123…".
	Resource string
}

// String returns the ARN as AWS writes it.
func (a ARN) String() string {
	return "arn:" + a.Partition + ":" + a.Service + ":" + a.Region + ":" + a.Account + ":" + a.Resource
}

// Is reports whether s has the look of an ARN, right or wrong.
func Is(s string) bool { return strings.HasPrefix(s, "arn:") }

// Parse takes s apart.
func Parse(s string) (ARN, error) {
	p := strings.SplitN(s, ":", 6)
	if len(p) != 6 || p[0] != "arn" || p[1] == "" || p[2] == "" || p[5] == "" {
		return ARN{}, fmt.Errorf("%q is not an ARN", s)
	}
	return ARN{Partition: p[1], Service: p[2], Region: p[3], Account: p[4], Resource: p[5]}, nil
}

// Partition returns the partition that a region belongs to.
func Partition(region string) string {
	switch {
	case strings.HasPrefix(region, "cn-"):
		return "aws-cn"
	case strings.HasPrefix(region, "us-gov-"):
		return "aws-us-gov"
	}
	return "aws"
}

// ECS returns the ARN of an ECS resource; resource is as in "cluster/default".
func ECS(region, account, resource string) string {
	return ARN{Partition(region), "ecs", region, account, resource}.String()
}
