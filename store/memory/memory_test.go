package memory_test

import (
	"testing"

	"github.com/berth/berth/store"
	"github.com/berth/berth/store/memory"
	"github.com/berth/berth/store/storetest"
)

func TestBackend(t *testing.T) {
	storetest.Backend(t, func(*testing.T) store.Backend { return memory.New() })
}

func TestStore(t *testing.T) {
	storetest.Store(t, func(*testing.T) store.Backend { return memory.New() })
}

func TestSerial(t *testing.T) {
	storetest.Serial(t, func(*testing.T) store.Backend { return memory.New() })
}

func BenchmarkStore(b *testing.B) {
	storetest.Bench(b, func(*testing.B) store.Backend { return memory.New() })
}
