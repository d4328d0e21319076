// Package insights is CloudWatch Logs Insights' query language: it parses a query,
// plans it, and runs it over events. It is pure: it knows no store and no request.
//
// The language is that of the CloudWatch Logs User Guide, "CloudWatch Logs Insights
// language query syntax": the commands fields, display, filter (where), stats, sort
// (order by), limit (head, tail), parse and dedup, with the guide's operators and
// functions. What a query has and this package lacks is an error, never left out.
//
//	q, err := insights.Parse("filter status >= 500 | stats count(*) by bin(5m)")
//	results, err := q.Run(ctx, events, pointer, insights.Limits{Rows: 10_000, Bytes: 64 << 20})
//
// A query is read by lex.go and parse.go into a chain of stages (stages.go), each
// of which takes a row and passes rows on. Expressions (expr.go) are functions of a
// row. Events must come newest first: that is the order of results without sort.
//
// # Fields
//
// A field is, in this order, what the query has made of that name; one of
// @timestamp, @ingestionTime, @message, @logStream, @log and @ptr; a property of
// an event that is JSON, with dots and array indexes (items.0.id), the first 200 of
// them. It may be missing: then it is in no result, equals nothing, and is counted
// by no function. A comparison of two numbers is one of numbers, any other is one of
// texts.
//
// # Bounds
//
// Memory is bounded by Limits.Bytes: a query that would keep more fails. pct keeps
// values as they are up to 4,096 of them and then within 1 percent, count_distinct
// counts exactly as far and then estimates, within 3 percent or so.
//
// # Tests
//
// A table has queries over a handful of events, most of them the guide's own. A
// fuzzer parses anything and runs what can be parsed.
package insights
