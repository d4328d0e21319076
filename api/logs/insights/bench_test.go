package insights

import (
	"fmt"
	"testing"
	"time"
)

// BenchmarkQueries runs queries over events like an application's.
func BenchmarkQueries(b *testing.B) {
	messages := make([]string, 20_000)
	for k := range messages {
		messages[k] = fmt.Sprintf(`{"level":"info","ts":"2026-11-23T10:%02d:%02d.%03dZ","msg":"request served","method":"GET","path":"/api/items/%d","status":%d,"ms":%d,"id":"%08x"}`,
			k/60000%60, k/1000%60, k%1000, k*7919%100000, 200+k%5, k%300, uint32(k)*2654435761)
	}
	for _, text := range []string{
		"filter status >= 202 | stats count(*), pct(ms, 99) by method",
		"filter @message like /GET.*items.9/ | stats count(*) by bin(1m)",
		"fields @timestamp, @message | sort ms desc | limit 20",
		"parse @message '\"path\":\"*\"' as p | stats count_distinct(p)",
	} {
		b.Run(text, func(b *testing.B) {
			q, err := Parse(text, time.Now())
			if err != nil {
				b.Fatal(err)
			}
			for b.Loop() {
				if _, err := q.Run(b.Context(), events(messages...), pointer, Limits{}, nil); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*len(messages)), "ns/event")
		})
	}
}
