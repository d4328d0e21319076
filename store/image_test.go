package store

import (
	"encoding/json"
	"fmt"
	"net/netip"
	"reflect"
	"strings"
	"testing"
	"time"

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

// fill sets every field to something.
func fill(v reflect.Value, n int) {
	switch at := v.Addr().Interface().(type) {
	case *time.Time:
		*at = time.Unix(int64(1000+n), 500).UTC()
		return
	case *netip.Addr:
		*at = netip.AddrFrom4([4]byte{10, 0, 0, byte(n)})
		return
	case *netip.Prefix:
		*at = netip.MustParsePrefix("10.0.0.0/8")
		return
	case *state.TaskState:
		*at = state.Running
		return
	}
	switch v.Kind() {
	case reflect.String:
		v.SetString(fmt.Sprint("<s&", n, ">"))
	case reflect.Bool:
		v.SetBool(true)
	case reflect.Int32, reflect.Int64, reflect.Int:
		v.SetInt(int64(n))
	case reflect.Float64:
		v.SetFloat(float64(n) + 0.5)
	case reflect.Pointer:
		v.Set(reflect.New(v.Type().Elem()))
		fill(v.Elem(), n)
	case reflect.Slice:
		v.Set(reflect.MakeSlice(v.Type(), 2, 2))
		for i := range 2 {
			fill(v.Index(i), n+i)
		}
	case reflect.Struct:
		if strings.HasPrefix(v.Type().Name(), "Spec[") {
			return // its JSON is AWS's, tested there
		}
		for i := range v.NumField() {
			fill(v.Field(i), n+i)
		}
	default:
		panic(v.Type())
	}
}

// What is read back from the engine is what was put, in every field.
func TestRecordsKeepAll(t *testing.T) {
	for _, rec := range []any{
		&state.Cluster{}, &state.Family{}, &state.TaskDefinition{}, &state.Task{}, &state.Grant{}, &state.Node{}, &state.VPC{}, &state.Subnet{},
		&state.InternetGateway{}, &state.RouteTable{}, &state.SecurityGroup{}, &state.ENI{}, &state.Address{},
	} {
		for _, full := range []bool{false, true} {
			if full {
				fill(reflect.ValueOf(rec).Elem(), 1)
			}
			b, err := json.Marshal(rec)
			if err != nil {
				t.Errorf("%T: %v", rec, err)
				continue
			}
			got := reflect.New(reflect.TypeOf(rec).Elem()).Interface()
			if err := json.Unmarshal(b, got); err != nil || !reflect.DeepEqual(got, rec) {
				t.Errorf("%+v came back as %+v, %v", rec, got, err)
			}
		}
	}
}
