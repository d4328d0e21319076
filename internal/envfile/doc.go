// Package envfile reads environment files as Amazon ECS does: a variable a line,
// NAME=VALUE.
//
// It knows the format, not where files come from or which of two values wins.
//
//	variables, err := envfile.Parse(content)
//
// Tests: a table, and a fuzzer.
package envfile
