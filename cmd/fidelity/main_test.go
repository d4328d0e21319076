package main

import (
	"os"
	"testing"
)

func TestDocumentIsFresh(t *testing.T) {
	got, err := os.ReadFile("../../docs/fidelity.md")
	if err != nil {
		t.Fatal(err)
	}
	if string(got) != document() {
		t.Error("docs/fidelity.md is stale: run 'go run ./cmd/fidelity >docs/fidelity.md' in the root of the repository")
	}
}
