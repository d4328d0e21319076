package store

import (
	"testing"

	"pgregory.net/rapid"

	"github.com/berth/berth/state"
)

// A path says of which table and key it is, whatever they hold.
func TestPaths(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		part := rapid.StringMatching(`[a-z0-9.:-]{2,8}`)
		k := state.Key{ID: rapid.StringMatching(`[a-zA-Z0-9/._:-]{1,20}`).Draw(t, "id")}
		if rapid.Bool().Draw(t, "scoped") {
			k.Scope = state.Scope{Account: part.Draw(t, "account"), Region: part.Draw(t, "region")}
		}
		table := part.Draw(t, "service") + "/" + part.Draw(t, "kind")
		gotTable, got, err := split(join(table, k))
		if err != nil || gotTable != table || got != k {
			t.Fatalf("%s, %+v became %s, %+v, %v", table, k, gotTable, got, err)
		}
	})
	for _, bad := range []string{"", "/berth/v1/", "/berth/v1/1/r/ecs/task", "/other/1/r/ecs/task/x"} {
		if _, _, err := split(bad); err == nil {
			t.Errorf("%q was taken for a record's path", bad)
		}
	}
}

// Records that this version can't read must stop it, and tables that it doesn't
// know must not.
func TestApplyUnknown(t *testing.T) {
	img := newImage()
	if ev, err := img.apply(1, Change{Path: "/berth/v1/-/-/future/thing/x", Value: []byte("?")}); ev != nil || err != nil {
		t.Errorf("an unknown table gave %v, %v", ev, err)
	}
	if _, err := img.apply(1, Change{Path: join(Tasks.Name(), state.Key{ID: "c/1"}), Value: []byte(`{"Last":"ASLEEP"}`)}); err == nil {
		t.Error("a task in an unknown state was taken")
	}
}
