package ecs

import (
	"net/netip"
	"regexp"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ecs/types"
)

// The forms of names. A host name is one that Linux takes and DNS may know;
// search domains are as the SDK says (types.ContainerDefinition.DnsSearchDomains),
// and "." is none, as with Docker.
var (
	hostnameRule = regexp.MustCompile(`^[a-zA-Z0-9]([a-zA-Z0-9._-]{0,62}[a-zA-Z0-9])?$`)
	domainRule   = regexp.MustCompile(`^([a-zA-Z0-9.-]{0,253}[a-zA-Z0-9]|\.)$`)
)

// checkNames keeps to names and addresses that the files under /etc can hold.
// Where a container may have such at all is checked with its network mode.
func checkNames(d *types.TaskDefinition, c *types.ContainerDefinition) error {
	if d.NetworkMode == types.NetworkModeAwsvpc {
		return nil // it can't have any
	}
	if name := aws.ToString(c.Hostname); name != "" && !hostnameRule.MatchString(name) {
		return clientError("Invalid 'hostname' setting for container '%s': '%s' is not a host name.", *c.Name, name)
	}
	for i, h := range c.ExtraHosts {
		if name := aws.ToString(h.Hostname); !domainRule.MatchString(name) || name == "." {
			return clientError("Invalid 'extraHosts' setting for container '%s': extraHosts[%d].hostname must be a host name, not '%s'.", *c.Name, i, name)
		}
		if _, err := netip.ParseAddr(aws.ToString(h.IpAddress)); err != nil {
			return clientError("Invalid 'extraHosts' setting for container '%s': extraHosts[%d].ipAddress must be an IP address, not '%s'.", *c.Name, i, aws.ToString(h.IpAddress))
		}
	}
	for i, s := range c.DnsServers {
		if _, err := netip.ParseAddr(s); err != nil {
			return clientError("Invalid 'dnsServers' setting for container '%s': dnsServers[%d] must be an IP address, not '%s'.", *c.Name, i, s)
		}
	}
	for i, s := range c.DnsSearchDomains {
		if !domainRule.MatchString(s) {
			return clientError("Invalid 'dnsSearchDomains' setting for container '%s': dnsSearchDomains[%d] must be a domain name, not '%s'.", *c.Name, i, s)
		}
	}
	return nil
}
