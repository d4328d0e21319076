// Package pattern reads CloudWatch Logs' filter patterns and matches messages
// against them. It is pure: it knows no store and no request.
//
// The language is that of the CloudWatch Logs User Guide, "Filter pattern syntax
// for metric filters, subscription filters, filter log events, and Live Tail":
//
//	ERROR "user 7" -DEBUG                     terms, phrases, exclusions
//	?ERROR ?WARN                              one of them
//	%[45]\d\d%                                a regular expression
//	{ $.code >= 500 && $.user.id != "x*" }    of an event that is JSON
//	[ip, ..., status = 4*, bytes > 1000]      of an event of words
//
// A pattern is compiled once and may be used by many goroutines.
//
//	p, err := pattern.Parse(text)
//	if p.Match(message) { … }
//
// Where the guide leaves room:
//
//   - Terms with a question mark count for nothing beside others, as on AWS.
//   - A condition on a property that is missing, or is an object or an array, is
//     false, also with "!=": "the log format doesn't match the filter".
//   - IS NOT and EXISTS are refused, as on AWS; NOT EXISTS is there.
//   - An asterisk is a wildcard at the start and the end of a value; inside it
//     stands for itself.
//
// # Tests
//
// The tables are the guide's own examples. A fuzzer holds the parser to its
// contract: an error within the pattern, or a pattern that matches anything
// without a panic.
package pattern
