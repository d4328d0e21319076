package state

import (
	"net/netip"
	"testing"
	"time"

	"github.com/berth/berth/internal/id"
)

func TestSeed(t *testing.T) {
	d, err := Seed(Scope{"123456789012", "us-east-1"}, DefaultPrefix, time.Unix(0, 0), id.Resource)
	if err != nil {
		t.Fatal(err)
	}
	want := []struct{ zone, id, prefix string }{
		{"us-east-1a", "use1-az1", "172.31.0.0/20"}, {"us-east-1b", "use1-az2", "172.31.16.0/20"}, {"us-east-1c", "use1-az3", "172.31.32.0/20"},
	}
	for i, w := range want {
		s := d.Subnets[i]
		if s.Zone != w.zone || s.ZoneID != w.id || s.Prefix.String() != w.prefix || !s.MapPublic || !s.DefaultForAZ || s.VPC != d.VPC.ID {
			t.Errorf("subnet %d is %+v, want %v", i, s, w)
		}
	}
	if d.RouteTable.Routes[1].Target != d.InternetGateway.ID || d.InternetGateway.VPC != d.VPC.ID || !d.RouteTable.Main {
		t.Errorf("no way out: %+v", d.RouteTable)
	}
	if r := d.SecurityGroup.Rules; len(r) != 2 || r[0].Group != d.SecurityGroup.ID || r[0].Egress || !r[1].Egress || r[1].IPv4 != "0.0.0.0/0" {
		t.Errorf("rules %+v", r)
	}
	seen := map[string]bool{}
	for _, id := range []string{d.VPC.ID, d.VPC.DHCP, d.InternetGateway.ID, d.RouteTable.ID, d.RouteTable.MainAssociation, d.SecurityGroup.ID, d.Subnets[0].ID, d.Subnets[1].ID, d.Subnets[2].ID} {
		if seen[id] {
			t.Errorf("%s twice", id)
		}
		seen[id] = true
	}
}

func TestSeedRange(t *testing.T) {
	for prefix, ok := range map[string]bool{
		"10.0.0.0/8": true, "10.1.2.0/24": true, "10.1.2.0/25": false, "10.1.2.3/16": false, "fd00::/16": false, "0.0.0.0/4": false,
	} {
		if _, err := Seed(Scope{}, netip.MustParsePrefix(prefix), time.Time{}, id.Resource); (err == nil) != ok {
			t.Errorf("%s: %v", prefix, err)
		}
	}
}

func TestZoneIDs(t *testing.T) {
	for region, want := range map[string]string{
		"us-east-1": "use1-az1", "ap-southeast-2": "apse2-az1", "eu-central-1": "euc1-az1", "us-gov-west-1": "usgw1-az1",
		"ap-northeast-1": "apne1-az1", "ca-central-1": "cac1-az1", "sa-east-1": "sae1-az1", "af-south-1": "afs1-az1", "eu-north-1": "eun1-az1", "cn-northwest-1": "cnnw1-az1",
	} {
		if got := Zones(region)[0].ID; got != want {
			t.Errorf("%s: %s, want %s", region, got, want)
		}
	}
}
