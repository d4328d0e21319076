package e2e

import (
	"bufio"
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"

	"github.com/berth/berth/instance"
)

// jsonTargets are the services that take JSON, by their ledger, and the others.
var (
	jsonTargets  = map[string]string{"ecs": "AmazonEC2ContainerServiceV20141113.", "logs": "Logs_20140328."}
	queryVersion = map[string]string{"ec2": "2016-11-15", "sts": "2011-06-15"}
)

var operationLine = regexp.MustCompile(`(?m)^([A-Z]\w+) +exact$`)

// served lists a service's operations by its ledger.
func served(t *testing.T, service string) []string {
	t.Helper()
	b, err := os.ReadFile("../api/" + service + "/fidelity.txt")
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, m := range operationLine.FindAllSubmatch(b, -1) {
		names = append(names, string(m[1]))
	}
	if len(names) == 0 {
		t.Fatalf("the ledger of %s names no operation", service)
	}
	return names
}

// caller sends requests of the test's making, signed well.
type caller struct {
	url    string
	keys   instance.Keys
	client *http.Client
}

func (c *caller) send(t *testing.T, service string, header map[string]string, body []byte) (int, string) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), "POST", c.url, bytes.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	for k, v := range header {
		r.Header.Set(k, v)
	}
	sum := sha256.Sum256(body)
	if err := v4.NewSigner().SignHTTP(t.Context(), aws.Credentials{AccessKeyID: c.keys.AccessKeyID, SecretAccessKey: c.keys.SecretAccessKey}, r, hex.EncodeToString(sum[:]), service, "us-east-1", time.Now()); err != nil {
		t.Fatal(err)
	}
	resp, err := c.client.Do(r)
	if err != nil {
		t.Errorf("%s %v: %v", service, header, err)
		return 0, ""
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Error(err)
	}
	return resp.StatusCode, string(b)
}

// newCaller starts an installation that logs all.
func newCaller(t *testing.T) (*host, *caller) {
	t.Helper()
	h := newHost(t, "--log-level", "debug")
	keys, err := instance.ReadKeys(h.dir)
	if err != nil {
		t.Fatal(err)
	}
	return h, &caller{h.endpoint() + "/", keys, &http.Client{Timeout: time.Minute, Transport: &http.Transport{MaxIdleConnsPerHost: 8}}}
}

// unbroken fails if Berth said that it was at fault, or is not there any more.
func (h *host) unbroken(t *testing.T) {
	t.Helper()
	h.aws(t, "sts", "get-caller-identity")
	b, err := os.ReadFile(h.said)
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(b)) {
		if strings.Contains(line, "level=ERROR") || strings.Contains(line, "panic") {
			t.Errorf("%.600s", line)
		}
	}
}

// Every operation gets bodies that no client sends. Each is answered, none by a
// fault of the server's, and the server's memory stays bounded.
func TestHostileBodies(t *testing.T) {
	t.Parallel()
	h, c := newCaller(t)
	member := regexp.MustCompile(`(?m)^(\w+)\.([a-zA-Z]+)`)
	bodies := func(ledger []byte, operation string) [][]byte {
		// The operation's own members, as far as the ledger names them, and those
		// that many have.
		names := []string{"cluster", "clusters", "tasks", "task", "taskDefinition", "family", "containerDefinitions", "tags", "resourceArn", "nextToken", "maxResults", "count",
			"networkConfiguration", "overrides", "logGroupName", "logStreamName", "logEvents", "startTime", "limit", "filterPattern", "name", "value", "include", "settings"}
		for _, m := range member.FindAllSubmatch(ledger, -1) {
			if name := string(m[2]); string(m[1]) == operation && !slices.Contains(names, name) {
				names = append(names, name)
			}
		}
		all := func(value string) []byte {
			var b bytes.Buffer
			b.WriteByte('{')
			for i, n := range names {
				if i > 0 {
					b.WriteByte(',')
				}
				fmt.Fprintf(&b, "%q:%s", n, value)
			}
			b.WriteByte('}')
			return b.Bytes()
		}
		out := [][]byte{nil, []byte("null"), []byte("[]"), []byte("{"), []byte("{}"), []byte("\xff\xfe"), []byte(`{"a":NaN}`), []byte(`{"a":Infinity}`), []byte("{} {}"),
			[]byte(strings.Repeat("[", 10_000)), []byte(strings.Repeat(`{"a":`, 10_000) + "1" + strings.Repeat("}", 10_000)), []byte("\xef\xbb\xbf{}"), []byte("{\"a\x00\":1}")}
		for _, v := range []string{`null`, `true`, `-1`, `0`, `1e309`, `-9223372036854775809`, `1.5`, `""`, `" "`, `"\u0000"`, `"\ud800"`, `"../../x"`, `"arn:aws:ecs:us-east-1:123456789012:task/x/y"`,
			`"arn:"`, `[]`, `{}`, `[null]`, `[[]]`, `[{}]`, `[""]`, `["a","a"]`, `{"":""}`, `{"awsvpcConfiguration":null}`, `[{"name":"a"},{"name":"a"}]`, `[{"key":"k"},{"key":"k","value":"v"}]`, `9999999999999999999999`} {
			out = append(out, all(v))
		}
		for _, n := range names {
			out = append(out, fmt.Appendf(nil, `{%q:1,%q:"x",%q:null}`, n, n, n), fmt.Appendf(nil, `{%q:[1,"x",null,{}]}`, n), fmt.Appendf(nil, `{%q:%s}`, n, `"`+strings.Repeat("é", 5000)+`"`))
		}
		return out
	}
	check := func(t *testing.T, service, operation string, status int, answer string, body []byte) {
		t.Helper()
		if status >= 500 && status != http.StatusNotImplemented || status == 0 || len(answer) > 1<<20 {
			t.Errorf("%s:%s answers %d, %.300s to %.200q", service, operation, status, answer, body)
		}
	}
	before := h.memoryPeak(t)
	var group sync.WaitGroup
	for service, target := range jsonTargets {
		ledger, err := os.ReadFile("../api/" + service + "/fidelity.txt")
		if err != nil {
			t.Fatal(err)
		}
		group.Go(func() {
			for _, operation := range served(t, service) {
				for _, body := range bodies(ledger, operation) {
					status, answer := c.send(t, service, map[string]string{"X-Amz-Target": target + operation, "Content-Type": "application/x-amz-json-1.1"}, body)
					check(t, service, operation, status, answer, body)
				}
			}
		})
	}
	for service, version := range queryVersion {
		group.Go(func() {
			for _, operation := range served(t, service) {
				for _, rest := range []string{"", "&&&", "&=", "&%zz", "&\xff=\xfe", "&DryRun=maybe", "&MaxResults=-1", "&MaxResults=99999999999", "&MaxResults=NaN", "&NextToken=x", "&Filter.1.Name=", "&Filter.1.Name=vpc-id&Filter.1.Value.1=" + strings.Repeat("x", 10_000),
					"&Filter.0.Name=a", "&Filter.-1.Name=a", "&Filter.99999999999.Name=a", "&Filter.1000000.Name=a", strings.Repeat("&Filter.1.Value.1=a", 1000), "&GroupId=", "&GroupId=..%2f..%2fx", "&GroupName=%00&Description=%00", "&VpcId=x&SubnetId.1=y",
					"&IpPermissions.1.FromPort=-9&IpPermissions.1.ToPort=99999999&IpPermissions.1.IpProtocol=x&GroupId=sg-1", "&IpPermissions.1.IpRanges.1.CidrIp=0.0.0.0/99&GroupId=sg-1", "&" + strings.Repeat("a.", 3000) + "=1", "&Version=1999-01-01", "&Action=" + operation, "&Attribute=x&NetworkInterfaceId=eni-1"} {
					body := []byte("Action=" + operation + "&Version=" + version + rest)
					status, answer := c.send(t, service, map[string]string{"Content-Type": "application/x-www-form-urlencoded"}, body)
					check(t, service, operation, status, answer, body)
				}
			}
		})
	}
	group.Wait()
	// Large ones, many at once.
	large := map[string][]byte{
		"a string of 7 MiB":  []byte(`{"cluster":"` + strings.Repeat("x", 7<<20) + `"}`),
		"a body of 10 MiB":   bytes.Repeat([]byte(" "), 10<<20),
		"a million elements": []byte(`{"tasks":[` + strings.Repeat(`"x",`, 1_000_000) + `"x"]}`),
		"a million objects":  []byte(`{"tags":[` + strings.Repeat(`{},`, 1_000_000) + `{}]}`),
		"a million members":  []byte(`{` + strings.Repeat(`"a":1,`, 1_000_000) + `"a":1}`),
	}
	for name, body := range large {
		for range 4 {
			for _, operation := range []string{"DescribeTasks", "RunTask", "TagResource", "RegisterTaskDefinition"} {
				group.Go(func() {
					status, answer := c.send(t, "ecs", map[string]string{"X-Amz-Target": jsonTargets["ecs"] + operation, "Content-Type": "application/x-amz-json-1.1"}, body)
					if status != http.StatusServiceUnavailable { // asked to come again
						check(t, "ecs", operation+" with "+name, status, answer, nil)
					}
				})
			}
		}
	}
	group.Wait()
	if grown := h.memoryPeak(t) - before; grown > 1024 {
		t.Errorf("Berth's memory grew by %d MiB", grown)
	} else {
		t.Logf("Berth's memory grew by %d MiB", grown)
	}
	h.unbroken(t)
}

// Requests that are no good HTTP, or come very slowly, or very many. Berth
// answers or hangs up, and answers others meanwhile.
func TestHostileConnections(t *testing.T) {
	t.Parallel()
	h, _ := newCaller(t)
	address := strings.TrimPrefix(h.endpoint(), "http://")
	talk := func(t *testing.T, text string, within time.Duration) (string, error) {
		t.Helper()
		conn, err := net.Dial("tcp", address)
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		if err := conn.SetDeadline(time.Now().Add(within)); err != nil {
			t.Fatal(err)
		}
		if _, err := io.WriteString(conn, text); err != nil {
			return "", nil // it has hung up
		}
		line, err := bufio.NewReader(conn).ReadString('\n')
		if err != nil && line == "" && !os.IsTimeout(err) {
			return "", nil
		}
		return strings.TrimSpace(line), err
	}
	const target = "X-Amz-Target: AmazonEC2ContainerServiceV20141113.ListClusters\r\nContent-Type: application/x-amz-json-1.1\r\n"
	for name, test := range map[string]struct{ send, want string }{
		"HTTP/1.0":                     {"POST / HTTP/1.0\r\n" + target + "Content-Length: 2\r\n\r\n{}", " 400 "},
		"HTTP/0.9":                     {"GET /\r\n", " 400 "},
		"HTTP/3":                       {"GET / HTTP/3.0\r\n\r\n", " 505 "},
		"HTTP/2 without TLS":           {"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", ""},
		"no host":                      {"POST / HTTP/1.1\r\n\r\n", " 400 "},
		"two hosts":                    {"POST / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", " 400 "},
		"TLS":                          {"\x16\x03\x01\x00\xa5\x01\x00\x00\xa1\x03\x03", " 400 "},
		"nothing but line ends":        {strings.Repeat("\r\n", 100), " 400 "},
		"noise":                        {"\x00\x01\x02\xff\xfe\r\n\r\n", " 400 "},
		"two lengths":                  {"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\n{}", " 400 "},
		"negative length":              {"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: -2\r\n\r\n{}", " 400 "},
		"length and chunks":            {"POST / HTTP/1.1\r\nHost: x\r\n" + target + "Content-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", " 400 "},
		"bad chunks":                   {"POST / HTTP/1.1\r\nHost: x\r\n" + target + "Transfer-Encoding: chunked\r\n\r\nzz\r\n{}\r\n", " 400 "},
		"huge chunk":                   {"POST / HTTP/1.1\r\nHost: x\r\n" + target + "Transfer-Encoding: chunked\r\n\r\nfffffffffffffffff\r\n{}\r\n", " 400 "},
		"another transfer":             {"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: gzip\r\n\r\n", " 501 "},
		"expect something":             {"POST / HTTP/1.1\r\nHost: x\r\nExpect: the-unexpected\r\nContent-Length: 2\r\n\r\n{}", " 417 "},
		"expect to continue":           {"POST / HTTP/1.1\r\nHost: x\r\n" + target + "Expect: 100-continue\r\nContent-Length: 2\r\n\r\n", " 100 "},
		"many headers":                 {"POST / HTTP/1.1\r\nHost: x\r\n" + strings.Repeat("A: b\r\n", 100_000) + "\r\n", " 431 "},
		"a long header":                {"POST / HTTP/1.1\r\nHost: x\r\nA: " + strings.Repeat("b", 1<<20) + "\r\n\r\n", " 431 "},
		"a long target":                {"GET /" + strings.Repeat("a", 1<<20) + " HTTP/1.1\r\nHost: x\r\n\r\n", " 431 "},
		"a path out":                   {"GET /../../../etc/passwd HTTP/1.1\r\nHost: x\r\n\r\n", " 400 "},
		"another's address":            {"GET http://169.254.169.254/ HTTP/1.1\r\nHost: x\r\n\r\n", " 400 "},
		"CONNECT":                      {"CONNECT 127.0.0.1:22 HTTP/1.1\r\nHost: x\r\n\r\n", " 400 "},
		"an unknown method":            {"BREW / HTTP/1.1\r\nHost: x\r\n\r\n", " 400 "},
		"no signature":                 {"POST / HTTP/1.1\r\nHost: x\r\n" + target + "Content-Length: 2\r\n\r\n{}", " 400 "},
		"an empty signature":           {"POST / HTTP/1.1\r\nHost: x\r\n" + target + "Authorization: \r\nContent-Length: 2\r\n\r\n{}", " 400 "},
		"another scheme":               {"POST / HTTP/1.1\r\nHost: x\r\n" + target + "Authorization: Basic YTpi\r\nContent-Length: 2\r\n\r\n{}", " 400 "},
		"a cut-off signature":          {"POST / HTTP/1.1\r\nHost: x\r\n" + target + "Authorization: AWS4-HMAC-SHA256 Credential=\r\nContent-Length: 2\r\n\r\n{}", " 400 "},
		"an unknown key":               {"POST / HTTP/1.1\r\nHost: x\r\n" + target + "X-Amz-Date: 20260101T000000Z\r\nAuthorization: AWS4-HMAC-SHA256 Credential=AKIA/20260101/us-east-1/ecs/aws4_request, SignedHeaders=host, Signature=00\r\nContent-Length: 2\r\n\r\n{}", " 400 "},
		"a signature of all the world": {"POST / HTTP/1.1\r\nHost: x\r\n" + target + "Authorization: AWS4-HMAC-SHA256 Credential=" + strings.Repeat("/", 30_000) + "\r\nContent-Length: 2\r\n\r\n{}", " 400 "},
		"a presigned request of none":  {"GET /?X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential=%zz&X-Amz-Expires=-1 HTTP/1.1\r\nHost: x\r\n\r\n", " 400 "},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			line, err := talk(t, test.send, 20*time.Second)
			if err != nil || line != "" && !strings.Contains(line, test.want) && !regexp.MustCompile(` 4\d\d `).MatchString(line) {
				t.Errorf("the answer is %q, %v, want %s", line, err, test.want)
			}
		})
	}
	t.Run("slowly", func(t *testing.T) {
		t.Parallel()
		// Who never ends the headers is hung up on; so, later, is who never ends the body.
		for _, start := range []string{"", "POST / HT", "POST / HTTP/1.1\r\nHost: x\r\nA: "} {
			conn, err := net.Dial("tcp", address)
			if err != nil {
				t.Fatal(err)
			}
			defer conn.Close()
			began := time.Now()
			if _, err := io.WriteString(conn, start); err != nil {
				t.Fatal(err)
			}
			if err := conn.SetReadDeadline(began.Add(90 * time.Second)); err != nil {
				t.Fatal(err)
			}
			if _, err := io.ReadAll(conn); os.IsTimeout(err) {
				t.Errorf("after %q Berth still waits after %v", start, time.Since(began))
			}
		}
	})
	t.Run("a slow body", func(t *testing.T) {
		t.Parallel()
		conn, err := net.Dial("tcp", address)
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		fmt.Fprintf(conn, "POST / HTTP/1.1\r\nHost: x\r\n%sContent-Length: 1000000\r\n\r\n", target)
		ctx, cancel := context.WithTimeout(t.Context(), 100*time.Second)
		defer cancel()
		go func() { // a byte now and then
			tick := time.NewTicker(500 * time.Millisecond)
			defer tick.Stop()
			for {
				select {
				case <-tick.C:
					conn.Write([]byte(" "))
				case <-ctx.Done():
					return
				}
			}
		}()
		conn.SetReadDeadline(time.Now().Add(90 * time.Second))
		if _, err := io.ReadAll(conn); os.IsTimeout(err) {
			t.Error("Berth waits for a body for ever")
		}
	})
	t.Run("many", func(t *testing.T) {
		t.Parallel()
		var conns []net.Conn
		defer func() {
			for _, c := range conns {
				c.Close()
			}
		}()
		before := h.memoryPeak(t)
		for range 3000 {
			c, err := net.Dial("tcp", address)
			if err != nil {
				t.Fatal(err)
			}
			conns = append(conns, c)
			fmt.Fprintf(c, "POST / HTTP/1.1\r\nHost: x\r\n%sContent-Length: 8000000\r\n\r\n%s", target, strings.Repeat(" ", 10_000))
		}
		if out := h.aws(t, "sts", "get-caller-identity"); !strings.Contains(out, "123456789012") {
			t.Errorf("with 3,000 slow connections: %s", out)
		}
		if grown := h.memoryPeak(t) - before; grown > 512 {
			t.Errorf("3,000 connections took %d MiB", grown)
		} else {
			t.Logf("3,000 connections took %d MiB", grown)
		}
	})
	t.Cleanup(func() {
		b, err := os.ReadFile(h.said)
		if err != nil || bytes.Contains(b, []byte("panic")) {
			t.Errorf("%v: %s", err, b)
		}
	})
}
