package page

import (
	"errors"
	"fmt"
	"slices"
	"testing"

	"pgregory.net/rapid"
)

func TestPagesAddUpToTheList(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		n := rapid.IntRange(0, 50).Draw(t, "n")
		limit := rapid.IntRange(1, 60).Draw(t, "limit")
		var items []string
		for i := range n {
			items = append(items, fmt.Sprintf("%03d", i))
		}
		self := func(s string) string { return s }
		var got []string
		for token := ""; ; {
			p, next, err := Cut(items, self, "l", token, limit)
			if err != nil {
				t.Fatal(err)
			}
			if len(p) > limit {
				t.Fatalf("page of %d, limit %d", len(p), limit)
			}
			got = append(got, p...)
			if token = next; token == "" {
				break
			}
		}
		if !slices.Equal(got, items) {
			t.Fatalf("got %v, want %v", got, items)
		}
	})
}

func TestTokenOfAnotherListIsRefused(t *testing.T) {
	_, next, _ := Cut([]string{"a", "b"}, func(s string) string { return s }, "one", "", 1)
	for _, token := range []string{next, "x", "!!", ""} {
		_, _, err := Cut([]string{"a", "b"}, func(s string) string { return s }, "two", token, 1)
		if want := token != ""; errors.Is(err, ErrToken) != want {
			t.Errorf("token %q: error %v", token, err)
		}
	}
}

// A page cut from the items behind After is the page cut from all.
func TestAfter(t *testing.T) {
	items := []string{"a", "b", "c", "d", "e"}
	key := func(s string) string { return s }
	_, token, err := Cut(items, key, "list", "", 2)
	if err != nil {
		t.Fatal(err)
	}
	behind, err := After("list", token)
	if err != nil || behind != "b" {
		t.Fatalf("behind %q, %v", behind, err)
	}
	some, next, err := Cut(items[2:5], key, "list", token, 2)
	if err != nil || len(some) != 2 || some[0] != "c" || next == "" {
		t.Errorf("%v, %q, %v", some, next, err)
	}
	if behind, err := After("list", ""); err != nil || behind != "" {
		t.Errorf("no token: %q, %v", behind, err)
	}
	if _, err := After("other", token); !errors.Is(err, ErrToken) {
		t.Errorf("another list's token: %v", err)
	}
}
