package launch

import (
	"fmt"
	"log/slog"
	"net/netip"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ecs/types"

	"github.com/berth/berth/place"
	"github.com/berth/berth/state"
	"github.com/berth/berth/store"
	"github.com/berth/berth/store/etcd"
)

// Each operation starts a task of a service, through the durable store, 100 in a
// transaction, as a loop does.
func BenchmarkPlace(b *testing.B) {
	for _, n := range []int{100, 1000, 10000} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			backend, err := etcd.Open(b.Context(), etcd.Config{Dir: b.TempDir(), Log: slog.New(slog.DiscardHandler)})
			if err != nil {
				b.Fatal(err)
			}
			s, err := store.Open(b.Context(), backend)
			if err != nil {
				b.Fatal(err)
			}
			defer s.Close()
			scope := state.Scope{Account: "123456789012", Region: "us-east-1"}
			cluster := &state.Cluster{Scope: scope, Name: "c", Status: "ACTIVE"}
			definition := &state.TaskDefinition{Scope: scope, Family: "f", Revision: 1}
			definition.Spec.V = types.TaskDefinition{
				NetworkMode: types.NetworkModeBridge, ContainerDefinitions: []types.ContainerDefinition{{Name: aws.String("web"), Image: aws.String("web"), Cpu: 16, Memory: aws.Int32(16)}},
			}
			for from := 0; from < n; from += 500 {
				err := s.Update(b.Context(), func(tx *store.Tx) error {
					for i := from; i < min(from+500, n); i++ {
						id, zone := fmt.Sprintf("%032x", i), fmt.Sprint("us-east-1", string(rune('a'+i%3)))
						store.Nodes.Put(tx, &state.Node{ID: id, Zones: []string{zone}, Arch: "X86_64", CPU: 16384, Memory: 65536, CPUOvercommit: 1, MemoryOvercommit: 1, Status: "READY"})
						store.Instances.Put(tx, &state.ContainerInstance{
							Scope: scope, Cluster: "c", ID: id, Node: id, CPU: 16384, Memory: 65536, Status: "ACTIVE", Connected: true,
							Attributes: []types.Attribute{{Name: aws.String(place.ZoneAttribute), Value: &zone}},
						})
					}
					return nil
				})
				if err != nil {
					b.Fatal(err)
				}
			}
			l := &Launcher{PublicPool: netip.MustParsePrefix("127.9.0.0/24"), Now: time.Now}
			const batch = 100
			b.ResetTimer()
			for done := 0; done < b.N; done += batch {
				order := &Order{Scope: scope, Cluster: cluster, Definition: definition, Launch: types.LaunchTypeEc2, Group: fmt.Sprint("service:", done/1000), Service: fmt.Sprint(done / 1000)}
				err := s.Update(b.Context(), func(tx *store.Tx) error {
					for i := range batch {
						if _, no := l.Place(tx, order, i, ""); no != nil {
							return fmt.Errorf("%v", no)
						}
					}
					return nil
				})
				if err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "placements/s")
		})
	}
}
