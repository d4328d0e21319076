// Package query reads and evaluates the cluster query language, which groups
// container instances: in the placement constraint memberOf, and in the filter
// of ListContainerInstances (Amazon ECS Developer Guide, "Create expressions to
// define container instances for Amazon ECS tasks").
//
//	x, err := query.Parse("attribute:ecs.instance-type =~ g2.* and task:group == service:web")
//	x.Match(query.Instance{Record: instance, Running: 3, Groups: groups})
//
// An error of Parse is a *SyntaxError and has the column.
//
// What the guide leaves open is settled here: "and" binds closer than "or", and
// "not" closer than both. A subject that an instance doesn't have equals
// nothing, is less and greater than nothing, is in no list and matches nothing:
// so !=, !in and !~ hold for it. An instance may have tasks of many groups:
// task:group == G holds when one of them is G, and != when none is. Attributes
// compare as numbers when both sides are numbers, else as texts; versions of
// agents compare number by number. A regular expression must match the whole
// value, as Java's String.matches has it; it is of RE2's syntax, which lacks
// Java's look-around and back-references, so that its cost is linear. A text in
// single or double quotes may have any characters.
//
// The package is pure and may know package state. FuzzParse holds it to: no
// panic, and what it prints reads as the same.
package query
