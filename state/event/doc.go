// Package event turns the changes that the store keeps into events of
// EventBridge: "ECS Task State Change", "ECS Container Instance State Change",
// "ECS Deployment State Change" and "ECS Service Action", each with the detail
// that AWS's has (Amazon ECS Developer Guide, "Amazon ECS events").
//
//	events, err := event.Of(set)
//
// It is pure: an event is made of the change alone, so that it is the same
// whenever it is made, also its ID. What a change doesn't have its event lacks:
// the remaining resources of a container instance, which its tasks decide.
package event
