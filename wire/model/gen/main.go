// Gen writes the data files of package wire from two sources that need no network:
// botocore's copy of AWS's service models (Apache-2.0) and the file names of the AWS
// SDK's modules.
//
//	go run ./wire/model/gen -botocore "$(python3 -c 'import botocore, os; print(os.path.dirname(botocore.__file__))')"
//
// The output is sorted JSON, one line a shape, and is reviewed as data. Hand-made
// corrections are in patch.json beside this file.
package main

import (
	"compress/gzip"
	_ "embed"
	"encoding/json"
	"flag"
	"fmt"
	"log"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
)

// target is a service and what its data file holds besides the operations.
type target struct {
	name, module, model string
	constraints         []string // operations whose inputs' rules are written
	names               []string // operations whose shapes' EC2 names are written
	rest, restNames     bool     // write where operations are, and where members
	roots               map[string]string
}

var targets = []target{
	{name: "ecs", module: "ecs", model: "ecs/2014-11-13"},
	{name: "logs", module: "cloudwatchlogs", model: "logs/2014-03-28", constraints: strings.Fields(logsOperations)},
	{name: "sts", module: "sts", model: "sts/2011-06-15", constraints: strings.Fields(stsOperations)},
	{name: "cloudwatch", module: "cloudwatch", model: "cloudwatch/2010-08-01"},
	{name: "eks", module: "eks", model: "eks/2017-11-01", rest: true},
	{name: "s3", module: "s3", model: "s3/2006-03-01", rest: true, restNames: true, roots: s3Roots()},
	{name: "ec2", module: "ec2", model: "ec2/2016-11-15", names: strings.Fields(ec2Operations)},
}

// ec2Operations are those for which package api/ec2 may have shapes.
//
//go:embed ec2operations.txt
var ec2Operations string

//go:embed patch.json
var patch []byte

// logsOperations and stsOperations are those that have, or may soon have, methods.
const (
	logsOperations = `AssociateKmsKey CreateLogGroup CreateLogStream DeleteLogGroup DeleteLogStream
		DeleteRetentionPolicy DeleteMetricFilter DeleteSubscriptionFilter DescribeLogGroups DescribeLogStreams
		DescribeMetricFilters DescribeQueries DescribeSubscriptionFilters DisassociateKmsKey FilterLogEvents
		GetLogEvents GetLogGroupFields GetLogRecord GetQueryResults ListLogGroups ListTagsForResource
		ListTagsLogGroup PutLogEvents PutMetricFilter PutRetentionPolicy PutSubscriptionFilter StartLiveTail
		StartQuery StopQuery TagLogGroup TagResource TestMetricFilter UntagLogGroup UntagResource`
	stsOperations = `AssumeRole AssumeRoleWithWebIdentity DecodeAuthorizationMessage GetAccessKeyInfo
		GetCallerIdentity GetFederationToken GetSessionToken`
)

// api is the part of botocore's service-2.json that is read.
type api struct {
	Operations map[string]struct {
		Input, Output *ref
		HTTP          struct {
			Method, RequestURI string
			ResponseCode       int
		}
	}
	Shapes map[string]*shape
}

type ref struct {
	Shape        string
	LocationName string
	QueryName    string

	Location        string
	Flattened       bool
	XMLAttribute    bool
	TimestampFormat string
}

type shape struct {
	Type       string
	Members    map[string]ref
	Required   []string
	Member     *ref
	Key, Value *ref
	Min, Max   *float64
	Pattern    string
	Enum       []string
	Flattened  bool
	Payload    string

	TimestampFormat string
}

func main() {
	botocore := flag.String("botocore", "", "directory of the Python package botocore")
	out := flag.String("out", "wire/model", "directory of the data files")
	flag.Parse()
	log.SetFlags(0)
	for _, t := range targets {
		if err := t.write(*botocore, *out); err != nil {
			log.Fatalf("%s: %v", t.name, err)
		}
	}
}

func (t target) write(botocore, out string) error {
	ops, err := operations(t.module)
	if err != nil {
		return err
	}
	a, err := readModel(filepath.Join(botocore, "data", t.model, "service-2.json.gz"))
	if err != nil {
		return err
	}
	sections := []section{{name: "operations", list: ops}}
	if t.constraints != nil {
		sections = append(sections, constraints(a, t.constraints)...)
	}
	var patches map[string]map[string]map[string]any // service, struct, field
	if err := json.Unmarshal(patch, &patches); err != nil {
		return fmt.Errorf("read patch.json: %w", err)
	}
	names := ec2Names(a, t.names)
	if t.restNames {
		names = restNames(a, ops)
	}
	if t.rest {
		sections = append(sections, section{name: "http", lines: routes(a, ops, t.roots)})
	}
	for s, fields := range patches[t.name] {
		if old, ok := names[s].(map[string]any); ok {
			maps.Copy(fields, old)
		}
		names[s] = fields
	}
	if t.names != nil {
		sections = append(sections, section{name: "named", list: t.names})
	}
	if len(names) > 0 {
		sections = append(sections, section{name: "names", lines: names})
	}
	return os.WriteFile(filepath.Join(out, t.name+".json"), render(sections), 0o644)
}

// operations lists the operations that an SDK module has, by its file names: the
// ec2 client is too large to compile.
func operations(module string) ([]string, error) {
	b, err := exec.Command("go", "list", "-m", "-f", "{{.Dir}}", "github.com/aws/aws-sdk-go-v2/service/"+module).Output()
	if err != nil {
		return nil, fmt.Errorf("find the SDK's module %s: %w", module, err)
	}
	files, err := filepath.Glob(filepath.Join(strings.TrimSpace(string(b)), "api_op_*.go"))
	if err != nil {
		return nil, err
	}
	var ops []string
	for _, f := range files {
		op := strings.TrimSuffix(strings.TrimPrefix(filepath.Base(f), "api_op_"), ".go")
		if !strings.HasSuffix(op, "_test") {
			ops = append(ops, op)
		}
	}
	slices.Sort(ops)
	return ops, nil
}

func readModel(path string) (*api, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	z, err := gzip.NewReader(f)
	if err != nil {
		return nil, err
	}
	a := &api{}
	if err := json.NewDecoder(z).Decode(a); err != nil {
		return nil, fmt.Errorf("read %s: %w", path, err)
	}
	return a, nil
}

// section is a part of a data file: a list, or a map with one line a key.
type section struct {
	name  string
	list  []string
	lines map[string]any
}

func render(sections []section) []byte {
	var b strings.Builder
	b.WriteString("{\n")
	for i, s := range sections {
		if i > 0 {
			b.WriteString(",\n")
		}
		if s.list != nil {
			b.WriteString(marshal(s.name) + ": [\n")
			for j, x := range s.list {
				b.WriteString(marshal(x) + comma(j, len(s.list)))
			}
			b.WriteString("]")
			continue
		}
		b.WriteString(marshal(s.name) + ": {\n")
		keys := sortedKeys(s.lines)
		for j, k := range keys {
			b.WriteString(marshal(k) + ": " + marshal(s.lines[k]) + comma(j, len(keys)))
		}
		b.WriteString("}")
	}
	b.WriteString("\n}\n")
	return []byte(b.String())
}

func comma(i, n int) string {
	if i == n-1 {
		return "\n"
	}
	return ",\n"
}

// marshal writes x; strings and maps of strings always have a form.
func marshal(x any) string {
	var b strings.Builder
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(x); err != nil {
		log.Fatalf("write %v: %v", x, err)
	}
	return strings.TrimSpace(b.String())
}

func sortedKeys[V any](m map[string]V) []string {
	keys := make([]string, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}
