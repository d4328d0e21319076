// Package logs is CloudWatch Logs' API over a log store: groups, streams, events,
// retention, tags, filters, Live Tail and Logs Insights. Its methods are operations
// (see package wire).
//
// It owns AWS's rules: limits, error texts and tokens. What is kept, in which order,
// and for how long, is package logstore's. The two languages are packages of their
// own, which know neither store nor request: pattern (filter patterns) and insights
// (queries); event reads JSON for both. Constraints of AWS's model (required members, lengths, patterns) are
// checked by package wire before a method is called. What becomes of each field is
// in fidelity.txt.
//
// [Sink] is the same store as the node's log driver sees it: without a request,
// without limits of age, and with a cursor that makes shipping exactly once.
//
//	lines := logs.New(store, time.Now, log)        // *logstore.Store
//	service, err := wire.NewService(wire.Logs, lines)
//	shipper, err := logdriver.New(logs.NewSink(store), log)
//	err = lines.Close()                            // before the store
//
// # Queries
//
// StartQuery keeps a record of the query (queries.go) and answers; two run at a
// time, others are Scheduled. Results are in memory only: a query is a function of
// its record and the events, so one whose results are gone (the process ended, or
// others' results took the room) is run again when somebody asks for them. Records
// are kept for seven days. While a query runs its results are empty, not partial.
//
// # Filters
//
// Metric and subscription filters are kept beside their group, with their patterns
// and transformations checked as AWS does. Nothing is done with events by them yet.
//
// # Live Tail
//
// A put leaves its events with the sessions that watch its group and goes on; a
// session matches them when it makes its update, once a second, of at most 500. What
// a session cannot hold, or send, counts as sampled away. SDKs put "stream-" before
// the endpoint's host for StartLiveTail, unless they are told not to: an endpoint
// http://localhost:… then wants a host stream-localhost.
//
// # Tests
//
// They serve the package over wire to the real SDK client and the AWS CLI, on a
// store in a temporary directory. The languages have tables and fuzzers.
package logs
