package insights

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// events are given oldest first, a minute apart from 2026-01-02 03:00.
func events(messages ...string) iter.Seq2[Event, error] {
	base := time.Date(2026, 1, 2, 3, 0, 0, 0, time.UTC).UnixMilli()
	return func(yield func(Event, error) bool) {
		for i := len(messages) - 1; i >= 0; i-- {
			at := base + int64(i)*60_000
			e := Event{Time: at, Ingested: at + 5, Message: messages[i], Stream: fmt.Sprint("s/", i%2), Log: "123456789012:g", Seq: uint64(i)}
			if !yield(e, nil) {
				return
			}
		}
	}
}

func pointer(e *Event) string { return fmt.Sprint("p", e.Seq) }

// show writes rows as name=value, without @ptr.
func show(rows [][]Field) string {
	var out []string
	for _, r := range rows {
		var fields []string
		for _, f := range r {
			if f.Name != "@ptr" {
				fields = append(fields, f.Name+"="+f.Value)
			}
		}
		out = append(out, strings.Join(fields, " "))
	}
	return strings.Join(out, "\n")
}

var (
	access = []string{
		`{"status": 200, "ms": 12, "path": "/a", "user": {"id": "u1"}, "tags": ["x", "y"]}`,
		`{"status": 404, "ms": 3.5, "path": "/b", "user": {"id": "u2"}, "ok": false, "@x": "at"}`,
		`{"status": 500, "ms": 130, "path": "/a", "user": {"id": "u1"}, "host-name": "h"}`,
		`plain text ERROR [worker] user=ann, method:GET, latency := 25`,
	}
	squid = []string{
		"user=ann, method:GET, latency := 10", "user=bob, method:PUT, latency := 30", "user=ann, method:GET, latency := 20", "nothing",
	}
)

func TestQueries(t *testing.T) {
	for _, c := range []struct {
		query    string
		messages []string
		want     string
		matched  float64
	}{
		{"", squid[:1], "@timestamp=2026-01-02 03:00:00.000 @message=user=ann, method:GET, latency := 10", 1},
		{"fields @timestamp, @logStream, @log, @ingestionTime # a comment", squid[:1], "@timestamp=2026-01-02 03:00:00.000 @logStream=s/0 @log=123456789012:g @ingestionTime=2026-01-02 03:00:00.005", 1},
		{"fields status, user.id, tags.1, ok, @@x, `host-name`", access, "\nstatus=500 user.id=u1 host-name=h\nstatus=404 user.id=u2 ok=0 @@x=at\nstatus=200 user.id=u1 tags.1=y", 4},
		{"fields ms | filter status >= 400 and ms < 100", access, "ms=3.5", 1},
		{"filter (status=404 or ms>100) | display status", access, "status=500\nstatus=404", 2},
		{"filter status = '200' | display path", access, "path=/a", 1},
		{"filter not (path = '/a') | display @logStream, path", access, "@logStream=s/1\n@logStream=s/1 path=/b", 2},
		{"filter path != '/a' | display path", access, "\npath=/b", 2},
		{"filter @message like /ERROR/ | display @timestamp", access, "@timestamp=2026-01-02 03:03:00.000", 1},
		{"filter @message like 'ERROR' | display @timestamp", access, "@timestamp=2026-01-02 03:03:00.000", 1},
		{"filter @message =~ /(?i)error/ | fields @logStream", access, "@logStream=s/1", 1},
		{"filter @message not like /ERROR/ | stats count(*)", access, "count(*)=3", 3},
		{"filter status in [404, 500] | display status | sort status", access, "status=404\nstatus=500", 2},
		{"filter status not in [404, 500] and ispresent(status) | display status", access, "status=200", 1},
		{`filter path in ["/b"] | display path`, access, "path=/b", 1},
		{"where isPresent(ok) | display ok", access, "ok=0", 1},

		{"stats count(*), count(status), sum(ms), avg(ms), min(ms), max(ms)", access, "count(*)=4 count(status)=3 sum(ms)=145.5 avg(ms)=48.5 min(ms)=3.5 max(ms)=130", 4},
		{"stats count(*) as n by path | sort n desc, path", access, "path=/a n=2\npath=/b n=1\nn=1", 4},
		{"stats count(*) by bin(2m)", access, "bin(2m)=2026-01-02 03:02:00.000 count(*)=2\nbin(2m)=2026-01-02 03:00:00.000 count(*)=2", 4},
		{"stats count() as n by bin(1h) as hour, status | sort status | limit 2", access, "hour=2026-01-02 03:00:00.000 status=200 n=1\nhour=2026-01-02 03:00:00.000 status=404 n=1", 4},
		{"stats count_distinct(path) as p, pct(ms, 50) as median, pct(ms, 100), stddev(status)", access[:3], "p=2 median=12 pct(ms, 100)=130 stddev(status)=125.09196616889511", 3},
		{"stats earliest(path) as first, latest(status) as last, sortsFirst(path), sortsLast(status)", access, "first=/a last=500 sortsFirst(path)=/a sortsLast(status)=500", 4},
		{"stats sum(ms) / count(ms) as mean, ceil(avg(ms)) as up", access, "mean=48.5 up=49", 4},
		{"stats count(*) as n by path | stats max(n) as m, count(*) as paths", access, "m=2 paths=3", 4},
		{"stats count(*) by path | filter ispresent(path) | sort path | limit 1", access, "path=/a count(*)=2", 4},
		{"filter status > 1000 | stats count(*), avg(ms)", access, "count(*)=0", 0},
		{"filter status > 1000 | stats count(*) by path", access, "", 0},

		{"sort ms desc | limit 2 | display ms", access, "ms=130\nms=12", 4},
		{"fields ms | sort ms", access, "ms=3.5\nms=12\nms=130\n", 4},
		{"fields @message | sort @timestamp asc | limit 1", squid, "@message=user=ann, method:GET, latency := 10", 4},
		{"display @timestamp | tail 1", squid, "@timestamp=2026-01-02 03:00:00.000", 4},
		{"display @timestamp | head 1", squid, "@timestamp=2026-01-02 03:03:00.000", 4},
		{"display @message | sort @message | limit 3", []string{"v10", "v9", "7", "a"}, "@message=a\n@message=v9\n@message=v10", 4},

		{`parse @message "user=*, method:*, latency := *" as @user, @method, @latency | stats avg(@latency) by @method, @user | sort @method`, squid,
			"@method=GET @user=ann avg(@latency)=15\n@method=PUT @user=bob avg(@latency)=30\n", 4},
		{`parse @message /user=(?<user2>.*?), method:(?<method2>.*?), latency := (?<latency2>.*)/ | stats sum(latency2) by method2 | sort method2`, squid,
			"method2=GET sum(latency2)=30\nmethod2=PUT sum(latency2)=30\n", 4},
		{`parse /user=(\w+)/ as who | filter ispresent(who) | display who`, squid, "who=ann\nwho=bob\nwho=ann", 3},
		{`fields @message | parse @message "* * *" as a, b, c | display a, b, c`, squid[:1], "a=user=ann, b=method:GET, c=latency := 10", 1},
		{`parse "[*]" as level`, access[3:], "@timestamp=2026-01-02 03:00:00.000 @message=plain text ERROR [worker] user=ann, method:GET, latency := 25 level=worker", 1},
		{`parse @logStream "*/*" as kind, shard | stats count(*) by kind, shard | sort shard`, squid, "kind=s shard=0 count(*)=2\nkind=s shard=1 count(*)=2", 4},

		{"display path, ms | dedup path", access, "\npath=/a ms=130\npath=/b ms=3.5", 4},
		{"sort ms asc | dedup user.id | limit 5", access[:3], "@timestamp=2026-01-02 03:01:00.000 @message=" + access[1] + "\n@timestamp=2026-01-02 03:00:00.000 @message=" + access[0], 3},

		{`fields strlen(path) as l, substr(path, 1) as s, concat(path, "-", status) as c, toupper(user.id) as u, replace(path, "/", "_") as r | display l, s, c, u, r`, access[:1], "l=2 s=a c=/a-200 u=U1 r=_a", 1},
		{`display ltrim("xyZfooxyZ","xyZ") as l, rtrim("xyZfooxyZ","xyZ") as r, trim("xyZfooxyZ","xyZ") as t, trim("  a ") as w, substr("xyZfooxyZ",3, 3) as s, replace("foo","o","0") as o`, squid[:1], "l=fooxyZ r=xyZfoo t=foo w=a s=foo o=f00", 1},
		{"display abs(0-3) as a, ceil(1.2) as b, floor(-1.2) as c, greatest(1,3,2) as d, least(4,2) as e, sqrt(16) as f, 2 ^ 3 as g, 10 % 3 as h, 1 + 2 * 3 as i, (1 + 2) * 3 as j, 7 / 2 as k", squid[:1],
			"a=3 b=2 c=-2 d=3 e=2 f=4 g=8 h=1 i=7 j=9 k=3.5", 1},
		{"display 1 / 0 as x, path + 1 as y, coalesce(nothing, 'z') as z, isempty(nothing) as e, isblank('  ') as b, strcontains('foo', 'o') as s, if(1 > 2, 'a', 'b') as i", squid[:1], "z=z e=1 b=1 s=1 i=b", 1},
		{"display datefloor(@timestamp, 1h) as f, dateceil(@timestamp, 1h) as c, bin(30s) as b, toMillis(@timestamp) as m, fromMillis(1000) as t", squid[:2],
			"f=2026-01-02 03:00:00.000 c=2026-01-02 04:00:00.000 b=2026-01-02 03:01:00.000 m=1767322860000 t=1970-01-01 00:00:01.000\nf=2026-01-02 03:00:00.000 c=2026-01-02 03:00:00.000 b=2026-01-02 03:00:00.000 m=1767322800000 t=1970-01-01 00:00:01.000", 2},
		{`display isValidIp("10.0.0.1") as a, isValidIpV6("10.0.0.1") as b, isIpInSubnet("10.0.0.1", "10.0.0.0/8") as c, isIpv4InSubnet("11.0.0.1", "10.0.0.0/8") as d`, squid[:1], "a=1 b=0 c=1 d=0", 1},
		{"filter @timestamp >= 1767322860000 | display @message", squid[:2], "@message=" + squid[1], 1},
	} {
		q, err := Parse(c.query, time.Now())
		if err != nil {
			t.Errorf("%s: %v", c.query, err)
			continue
		}
		got, err := q.Run(t.Context(), events(c.messages...), pointer, Limits{}, nil)
		if err != nil {
			t.Errorf("%s: %v", c.query, err)
		} else if s := show(got.Rows); s != c.want || got.Matched != c.matched || got.Scanned != float64(len(c.messages)) {
			t.Errorf("%s: %v of %v match\ngot  %q\nwant %q", c.query, got.Matched, got.Scanned, s, c.want)
		}
	}
}

func TestErrorsHavePositions(t *testing.T) {
	for _, c := range []struct {
		query, want string
		start, end  int
	}{
		{"fields @timestamp | count()", "mismatched input 'count' expecting {K_PARSE, K_FIELDS, K_DISPLAY, K_FILTER, K_STATS, K_SORT, K_ORDER, K_HEAD, K_LIMIT, K_TAIL, K_DEDUP} at line 1 and position 20", 20, 25},
		{"fields a,\n| limit 5", "unexpected symbol found | at line 2 and position 0", 10, 11},
		{"filter a = ", "unexpected symbol found <EOF> at line 1 and position 11", 11, 11},
		{"filter a ! b", "unexpected symbol found ! at line 1 and position 9", 9, 10},
		{"filter (a = 1", "unexpected symbol found <EOF> at line 1 and position 13", 13, 13},
		{"filter a like b", "unexpected symbol found b at line 1 and position 14", 14, 15},
		{"filter a like /b", "unexpected symbol found / at line 1 and position 14", 14, 16},
		{"filter a like /(/", "Invalid regular expression /(/ at line 1 and position 14", 14, 17},
		{"filter nope(a)", "Invalid function nope at line 1 and position 7", 7, 11},
		{"filter strlen(a, b) > 1", "Invalid number of arguments for function strlen at line 1 and position 7", 7, 20},
		{"filter count(*) > 1", "Aggregate function count is allowed only in stats, and not in another at line 1 and position 7", 7, 12},
		{"stats sum(count(a))", "Aggregate function count is allowed only in stats, and not in another at line 1 and position 10", 10, 15},
		{"stats count(*) by a | sort b", "Unknown symbols found in or after stats: b at line 1 and position 27", 27, 28},
		{"stats a", "Unknown symbols found in or after stats: a at line 1 and position 6", 6, 7},
		{"stats count(*) | stats count(*) by bin(5m)", "Unknown symbols found in or after stats: @timestamp at line 1 and position 35", 35, 38},
		{"stats count(*) by bin(5x)", "unexpected symbol found 5x at line 1 and position 22", 22, 24},
		{"limit 0", "unexpected symbol found 0 at line 1 and position 6", 6, 7},
		{"limit 100001", "unexpected symbol found 100001 at line 1 and position 6", 6, 12},
		{"parse @message 'a * b *' as x", "The number of fields, 1, is not that of the wildcards or groups, 2, at line 1 and position 15", 15, 29},
		{"dedup a | stats count(*)", "unexpected symbol found stats at line 1 and position 10", 10, 15},
		{"pattern @message", "The command pattern is not supported at line 1 and position 0", 0, 7},
		{"filter `a = 1", "unexpected symbol found ` at line 1 and position 7", 7, 13},
		{"filter " + strings.Repeat("(", 200), "unexpected symbol found ( at line 1 and position 107", 107, 108},
		{"filter " + strings.Repeat("not ", 200), "unexpected symbol found not at line 1 and position 403", 403, 406},
	} {
		_, err := Parse(c.query, time.Now())
		var e *SyntaxError
		if !errors.As(err, &e) || e.Text != c.want || e.Start != c.start || e.End != c.end {
			t.Errorf("%.40s: %+v\nwant %d %d %s", c.query, err, c.start, c.end, c.want)
			if e != nil {
				t.Logf("%d %d", e.Start, e.End)
			}
		}
	}
}

// Many values are told within the bounds that doc.go gives, and memory is kept to.
func TestManyValues(t *testing.T) {
	const n = 50_000
	many := func(yield func(Event, error) bool) {
		for i := range n {
			if !yield(Event{Time: int64(i), Message: fmt.Sprintf(`{"v": %d, "id": "user-%d"}`, (i*7919)%n, i)}, nil) {
				return
			}
		}
	}
	run := func(query string, l Limits) (Results, error) {
		q, err := Parse(query, time.Now())
		if err != nil {
			t.Fatal(err)
		}
		return q.Run(t.Context(), many, pointer, l, nil)
	}
	got, err := run("stats pct(v, 99) as p, count_distinct(id) as d", Limits{})
	var p, d float64
	if _, e := fmt.Sscanf(show(got.Rows), "p=%g d=%g", &p, &d); err != nil || e != nil || p < 0.99*0.99*n || p > 1.01*0.99*n || d < 0.95*n || d > 1.05*n {
		t.Errorf("%q, %v, %v", show(got.Rows), err, e)
	}
	for _, q := range []string{"stats count(*) by id", "fields @message | sort v | filter v > 1", "dedup id", "display id"} {
		if _, err := run(q, Limits{Rows: maxRows, Bytes: 1 << 20}); !errors.Is(err, ErrMemory) {
			t.Errorf("%s: %v", q, err)
		}
	}
	if got, err = run("sort v desc | limit 3 | display v", Limits{Bytes: 1 << 20}); err != nil || show(got.Rows) != "v=49999\nv=49998\nv=49997" || got.Matched != n {
		t.Errorf("%q, %v", show(got.Rows), err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	q, err := Parse("stats count(*)", time.Now())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := q.Run(ctx, many, pointer, Limits{}, nil); !errors.Is(err, context.Canceled) {
		t.Errorf("canceled: %v", err)
	}
}

func FuzzQuery(f *testing.F) {
	for _, q := range []string{
		"fields @timestamp, a.b as c | filter c like /x/ and not d in [1, 'y'] | sort c desc | limit 5",
		"stats count(*) as n, pct(x, 90) by bin(5m), y | stats max(n)", "parse @message 'a=* b' as z | dedup z", "parse /(?<q>x)/ | display q",
		"filter `a-b` = \"c\\\"d\" # e", "display datefloor(@timestamp, 1h), substr('a', 1, 2), -1 ^ 2", "tail 3", "parse'\xa6'",
	} {
		f.Add(q, `{"a": {"b": "x"}, "x": 1, "y": [null, {}]}`)
	}
	f.Fuzz(func(t *testing.T, query, message string) {
		q, err := Parse(query, time.Now())
		if err != nil {
			var e *SyntaxError
			if !errors.As(err, &e) || e.Start < 0 || e.Start > e.End || e.End > len(query) {
				t.Fatalf("%q: %+v", query, err)
			}
			return
		}
		if _, err := q.Run(t.Context(), events(message, message+"x", ""), pointer, Limits{Bytes: 1 << 20}, nil); err != nil && !errors.Is(err, ErrMemory) {
			t.Fatalf("%q on %q: %v", query, message, err)
		}
	})
}

// What stats, sort and limit make of random events is what plain loops make of
// them.
func TestAgainstLoops(t *testing.T) {
	type fact struct {
		K string
		V int
	}
	rapid.Check(t, func(t *rapid.T) {
		facts := rapid.SliceOfN(rapid.Custom(func(t *rapid.T) fact {
			return fact{rapid.SampledFrom([]string{"a", "b", "c10", "c9", ""}).Draw(t, "k"), rapid.IntRange(-50, 50).Draw(t, "v")}
		}), 0, 60).Draw(t, "facts")
		var messages []string
		sums, counts, most := map[string]int{}, map[string]int{}, map[string]int{}
		least := rapid.IntRange(-60, 60).Draw(t, "least")
		var kept []fact
		for _, f := range facts {
			b, err := json.Marshal(f)
			if err != nil {
				t.Fatal(err)
			}
			messages = append(messages, string(b))
			if f.V < least {
				continue
			}
			if _, ok := most[f.K]; !ok || f.V > most[f.K] {
				most[f.K] = f.V
			}
			sums[f.K] += f.V
			counts[f.K]++
			kept = append(kept, f)
		}
		run := func(query string) string {
			q, err := Parse(query, time.Now())
			if err != nil {
				t.Fatal(err)
			}
			got, err := q.Run(context.Background(), events(messages...), pointer, Limits{}, nil)
			if err != nil || got.Matched != float64(len(kept)) {
				t.Fatalf("%s: %v of %d match, %v", query, got.Matched, len(kept), err)
			}
			return show(got.Rows)
		}
		var want []string
		for _, k := range slices.SortedFunc(maps.Keys(counts), natural) {
			want = append(want, fmt.Sprintf("K=%s n=%d s=%d m=%d", k, counts[k], sums[k], most[k]))
		}
		if got := run(fmt.Sprintf("filter V >= 0 + %d | stats count(*) as n, sum(V) as s, max(V) as m by K | sort K", least)); got != strings.Join(want, "\n") {
			t.Fatalf("stats:\n%s\nwant\n%s", got, strings.Join(want, "\n"))
		}
		n := rapid.IntRange(1, 70).Draw(t, "limit")
		slices.Reverse(kept) // the newest first
		slices.SortStableFunc(kept, func(a, b fact) int { return b.V - a.V })
		want = nil
		for i, f := range kept {
			if i < n {
				want = append(want, fmt.Sprintf("V=%d K=%s", f.V, f.K))
			}
		}
		if got := run(fmt.Sprintf("filter V >= 0 + %d | sort V desc | limit %d | display V, K", least, n)); got != strings.Join(want, "\n") {
			t.Fatalf("sort:\n%s\nwant\n%s", got, strings.Join(want, "\n"))
		}
	})
}
