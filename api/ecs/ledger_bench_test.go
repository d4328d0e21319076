package ecs

import (
	"context"
	"testing"
)

// The ledger is asked for every request.
func BenchmarkCheck(b *testing.B) {
	s := New(Config{})
	in := fargateInput()
	for b.Loop() {
		if err := s.Check(context.Background(), "RegisterTaskDefinition", in); err != nil {
			b.Fatal(err)
		}
	}
}
