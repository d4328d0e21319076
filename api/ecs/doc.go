// Package ecs is the Amazon ECS API. It owns what a call means: it validates
// against AWS's rules, decides, and writes records in one store.Update; loops
// elsewhere make them true. It must not know other APIs, loops, nodes' agents or
// how a request arrived.
//
// A [Service] is given to wire.NewService with wire.ECS. Each exported method of
// the name of an operation answers that operation. [Service.Check] runs before
// each of them and refuses the fields that Berth lacks, by the ledger in
// fidelity.txt. Operations without a method answer 501.
//
// # Files
//
//	service.go     Service, and how requests name clusters and definitions
//	ledger.go      the fidelity ledger, and Check
//	tags.go        the rules of tags; tagging.go tags any ECS resource
//	cluster.go     clusters and their settings; capacity.go their capacity providers
//	taskdef*.go    task definitions: register, read, retire, list
//	validate*.go   the rules that a definition must keep, without the store
//	size.go        Fargate's CPU and memory matrix
//	plan.go        what tasks are started from, checked and resolved: tasks', services' and task sets'
//	task_*.go      tasks: run, stop, describe, list
//	service_*.go   services: create, update, describe, their revisions and deployments
//	taskset.go     task sets of services whose deployments others control
//	grant.go       client tokens
//	instance*.go   container instances; attribute.go their attributes
//	exec.go        ExecuteCommand: who may run a command where; sessions are others' business
//
// # Errors
//
// Handlers return the SDK's error types with AWS's messages where those are known
// from AWS's documentation or reports of users, and otherwise messages that name
// the field. Errors of other types are internal failures.
//
// # Tests
//
// Validation has tables, one row a rule. The rest runs through a real SDK client
// over wire and a store in memory.
package ecs
