package storetest

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"

	"pgregory.net/rapid"

	"github.com/berth/berth/state"
	"github.com/berth/berth/store"
)

// Serial tests that transactions of two stores over one engine, running at the
// same time with the engine failing now and then, are as if they had run one
// after another, in the order in which a third store's watch shows them; that
// those which Update acknowledged are there, and no others. open returns an
// empty engine.
func Serial(t *testing.T, open func(t *testing.T) store.Backend) {
	b := open(t)
	rounds := 0
	rapid.Check(t, func(t *rapid.T) {
		rounds++
		runHistory(t, b, rounds)
	})
}

// step is one thing that a transaction does, and what it then saw.
type step struct {
	do   string // get, put, delete, list, by, fail, panic
	id   string
	node string
	saw  string
}

// script is one transaction.
type script struct {
	name  string
	steps []step
}

func drawScript(t *rapid.T, name, round string) *script {
	s := &script{name: name}
	for range rapid.IntRange(1, 5).Draw(t, "steps") {
		s.steps = append(s.steps, step{
			do:   rapid.SampledFrom([]string{"get", "get", "put", "put", "put", "delete", "list", "by"}).Draw(t, "do"),
			id:   fmt.Sprint(rapid.IntRange(0, 4).Draw(t, "id")),
			node: round + rapid.SampledFrom([]string{"x", "y"}).Draw(t, "node"),
		})
	}
	switch rapid.IntRange(0, 9).Draw(t, "end") {
	case 0:
		s.steps = append(s.steps, step{do: "fail"})
	case 1:
		s.steps = append(s.steps, step{do: "panic"})
	}
	return s
}

var errScript = errors.New("so it was written")

// records is what a script runs on: the store's tables, or the model.
type records interface {
	get(id string) (node, version string, ok bool)
	put(id, node, version string)
	delete(id string)
	list(node string) string // all if empty
}

func (s *script) run(r records) error {
	for i := range s.steps {
		st := &s.steps[i]
		st.saw = ""
		switch st.do {
		case "get":
			node, version, ok := r.get(st.id)
			st.saw = fmt.Sprint(node, version, ok)
		case "put":
			r.put(st.id, st.node, fmt.Sprint(s.name, ".", i))
		case "delete":
			r.delete(st.id)
		case "list":
			st.saw = r.list("")
		case "by":
			st.saw = r.list(st.node)
		case "fail":
			return errScript
		case "panic":
			panic("so it was written")
		}
	}
	return nil
}

// view is records in a store. tx is nil where nothing is written.
type view struct {
	v     store.View
	tx    *store.Tx
	scope state.Scope
}

func (r view) get(id string) (node, version string, ok bool) {
	t, ok := store.Tasks.Get(r.v, r.scope.Key("c/"+id))
	if !ok {
		return "", "", false
	}
	return t.Node, t.StartedBy, true
}

func (r view) put(id, node, version string) {
	store.Tasks.Put(r.tx, &state.Task{Scope: r.scope, Cluster: "c", ID: id, Node: node, StartedBy: version, Last: state.Running, Desired: state.Running})
}

func (r view) delete(id string) { store.Tasks.Delete(r.tx, r.scope.Key("c/"+id)) }

func (r view) list(node string) string {
	seq := store.Tasks.List(r.v, r.scope, "c/")
	if node != "" {
		seq = store.Tasks.By(r.v, store.TasksByNode, node)
	}
	var out strings.Builder
	for t := range seq {
		fmt.Fprint(&out, t.ID, t.Node, t.StartedBy, " ")
	}
	return out.String()
}

// model is records in plain maps.
type model map[string][2]string

func (m model) get(id string) (node, version string, ok bool) {
	r, ok := m[id]
	return r[0], r[1], ok
}
func (m model) put(id, node, version string) { m[id] = [2]string{node, version} }
func (m model) delete(id string)             { delete(m, id) }

func (m model) list(node string) string {
	var out strings.Builder
	for n := range 5 {
		id := fmt.Sprint(n)
		if r, ok := m[id]; ok && (node == "" || node == r[0]) {
			fmt.Fprint(&out, id, r[0], r[1], " ")
		}
	}
	return out.String()
}

func runHistory(t *rapid.T, b store.Backend, round int) {
	// Rounds share the engine and are apart by their scope and nodes.
	sc := state.Scope{Account: fmt.Sprint(round), Region: "r"}
	f := &flaky{Backend: b, rnd: rand.New(rand.NewPCG(rapid.Uint64().Draw(t, "luck"), 0))}
	var stores []*store.Store
	for _, b := range []store.Backend{f, f, b} {
		s, err := store.Open(context.Background(), shared{b})
		if err != nil {
			t.Fatal(err)
		}
		defer s.Close()
		stores = append(stores, s)
	}
	_, watch := stores[2].ViewAndWatch()
	defer watch.Close()
	var workers [4][]*script
	for w := range workers {
		for i := range rapid.IntRange(1, 6).Draw(t, "scripts") {
			workers[w] = append(workers[w], drawScript(t, fmt.Sprint("s", w, "-", i), sc.Account))
		}
	}
	var mu sync.Mutex
	acked := map[string]*script{}
	var wg sync.WaitGroup
	for w, scripts := range workers {
		wg.Go(func() {
			for _, s := range scripts {
				err := stores[w%2].Update(context.Background(), func(tx *store.Tx) error {
					// A record of its own tells the script's place among the others.
					store.Families.Put(tx, &state.Family{Scope: sc, Name: s.name})
					return s.run(view{tx, tx, sc})
				})
				if err == nil {
					mu.Lock()
					acked[s.name] = s
					mu.Unlock()
				}
			}
		})
	}
	wg.Wait()
	last := stores[2].Update(context.Background(), func(tx *store.Tx) error {
		store.Families.Put(tx, &state.Family{Scope: sc, Name: "end"})
		return nil
	})
	if last != nil {
		t.Fatal(last)
	}
	checkHistory(t, watch, sc, acked)
	for i, s := range stores {
		// An update that lists sees all that was committed before it.
		want, got := view{stores[2].View(), nil, sc}.list(""), ""
		for err := errRefused; err != nil; {
			err = s.Update(context.Background(), func(tx *store.Tx) error {
				got = view{tx, tx, sc}.list("")
				store.Families.Put(tx, &state.Family{Scope: sc, Name: "seen"})
				return nil
			})
			if err != nil && !errors.Is(err, errRefused) && !errors.Is(err, store.ErrUnknown) {
				t.Fatal(err)
			}
		}
		if got != want {
			t.Fatalf("store %d has %q, want %q", i, got, want)
		}
	}
}

// checkHistory runs the scripts on the model in the order that the watch shows.
func checkHistory(t *rapid.T, watch *store.Watch, sc state.Scope, acked map[string]*script) {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	m, seen := model{}, map[string]bool{}
	shown := map[string]string{}
	for !seen["end"] {
		events, err := watch.Next(ctx)
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range events {
			if e.Key.Scope != sc {
				continue
			}
			if e.Table == store.Tasks.Name() {
				if old, had := e.Old.(*state.Task); had && shown[e.Key.ID] != old.StartedBy || !had && shown[e.Key.ID] != "" {
					t.Fatalf("event %+v comes after %q", e, shown[e.Key.ID])
				}
				delete(shown, e.Key.ID)
				if now, ok := e.New.(*state.Task); ok {
					shown[e.Key.ID] = now.StartedBy
				}
				continue
			}
			name := e.Key.ID
			seen[name] = true
			if name == "end" {
				continue
			}
			s := acked[name]
			if s == nil {
				t.Fatalf("%s is there and was not acknowledged", name)
			}
			again := &script{name: s.name, steps: append([]step(nil), s.steps...)}
			if err := again.run(m); err != nil {
				t.Fatalf("%s was acknowledged and should have failed", name)
			}
			for i, st := range s.steps {
				if st != again.steps[i] {
					t.Fatalf("%s saw %+v, and one after another it would have been %+v", name, st, again.steps[i])
				}
			}
		}
	}
	for name := range acked {
		if !seen[name] {
			t.Fatalf("%s was acknowledged and is not there", name)
		}
	}
	want := map[string]string{}
	for id, r := range m {
		want["c/"+id] = r[1]
	}
	if !maps.Equal(shown, want) {
		t.Fatalf("events made %v, want %v", shown, want)
	}
}
