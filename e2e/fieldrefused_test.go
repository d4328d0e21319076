package e2e

import (
	"reflect"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/service/ecs"

	"github.com/berth/berth/internal/fidelity"
)

// For some fields not just any value is let through to the ledger by the rules
// that come before it: samples are such values by how the field's path ends, and
// beside is what else there must be of the container, by what the path has.
var (
	samples = map[string]any{
		".sizeInGiB": 30, "resourceRequirements[].value": "1", ".sharingStrategy": map[string]any{"nvidiaMps": map[string]any{}},
		".containerConfigurations[]": map[string]any{"logLevel": "debug"},
	}
	beside = map[string]string{
		".resourceRequirements[]": `{"resourceRequirements": [{"type": "GPU", "value": "1"}]}`,
		".logConfiguration.":      `{"logConfiguration": {"logDriver": "awsfirelens"}, "firelensConfiguration": {"type": "fluentbit"}}`,
	}
)

// sample is a value of a leaf's type.
func sample(path string, t reflect.Type) any {
	for end, v := range samples {
		if strings.HasSuffix(path, end) {
			return v
		}
	}
	switch t.Kind() {
	case reflect.Struct: // one that leads back into itself
		return map[string]any{}
	case reflect.Bool:
		return true
	case reflect.Int32, reflect.Int64, reflect.Float64:
		return 1
	}
	if values := reflect.Zero(t).MethodByName("Values"); values.IsValid() {
		return values.Call(nil)[0].Index(0).String()
	}
	return "a"
}

// withLeaf is base, a value of type t, with the leaf at the rest of its path.
func withLeaf(base any, t reflect.Type, path string, rest []string) any {
	for t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	if len(rest) == 0 {
		return sample(path, t)
	}
	name, _, _ := strings.Cut(rest[0], "[]")
	name, _, _ = strings.Cut(name, "{}")
	field, ok := t.FieldByName(strings.ToUpper(name[:1]) + name[1:])
	if !ok {
		return nil
	}
	object, _ := base.(map[string]any)
	if object == nil {
		object = map[string]any{}
	}
	switch of := field.Type; of.Kind() {
	case reflect.Map:
		object[name] = map[string]any{"k": withLeaf(nil, of.Elem(), path, rest[1:])}
	case reflect.Slice:
		list, _ := object[name].([]any)
		object[name] = []any{withLeaf(append(list, nil)[0], of.Elem(), path, rest[1:])}
	default:
		object[name] = withLeaf(object[name], of, path, rest[1:])
	}
	return object
}

// Each field that the ledger refuses is refused, in the ledger's words, with
// the field named.
func TestRefusedByLedger(t *testing.T) {
	t.Parallel()
	h := newFieldHost(t)
	_, leaves := ledgerLeaves(t)
	inputs := fidelity.Inputs((*ecs.Client)(nil))
	refused := 0
	for _, leaf := range leaves {
		if leaf.Verdict != fidelity.Refused {
			continue
		}
		refused++
		op, rest, _ := strings.Cut(leaf.Path, ".")
		base := map[string]any{}
		if op == "RegisterTaskDefinition" {
			base["family"], base["networkMode"] = "refused", "bridge"
			container := any(map[string]any{"name": "main", "image": "probe", "memory": 32})
			for part, text := range beside {
				if strings.Contains(rest, part) {
					container = merged(container, fieldPart{text: text}.value(t, nil))
				}
			}
			base["containerDefinitions"] = []any{container}
			if strings.HasPrefix(rest, "volumes[]") {
				volume := map[string]any{"name": "v"}
				if strings.Contains(rest, ".efsVolumeConfiguration.") {
					volume["efsVolumeConfiguration"] = map[string]any{"fileSystemId": "fs-0123abcd", "transitEncryption": "ENABLED"}
				}
				base["volumes"] = []any{volume}
			}
		}
		_, got := h.call(t, op, withLeaf(base, inputs[op], leaf.Path, strings.Split(rest, ".")))
		code := "InvalidParameterException"
		if op == "RegisterTaskDefinition" {
			code = "ClientException"
		}
		shown := strings.NewReplacer("[]", "[0]", "{}", "{k}").Replace(leaf.Shown)
		if want := code + ": " + shown + " is not supported: " + leaf.Reason + "."; got != want {
			t.Errorf("%s: %q, want %q", leaf.Path, got, want)
		}
	}
	t.Logf("%d fields are refused", refused)
}
