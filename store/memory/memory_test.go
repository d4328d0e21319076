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
