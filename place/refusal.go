package place

import (
	"fmt"
	"slices"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ecs/types"

	"github.com/berth/berth/state"
)

// ECS's reasons why an instance can't run a task, in the order in which they are
// asked (Amazon ECS Developer Guide, "API failure reasons" and "Amazon ECS
// service event messages").
const (
	NotActive     = "INACTIVE"
	NoAgent       = "AGENT"
	NoAttribute   = "ATTRIBUTE"
	NotMember     = "MemberOf placement constraint unsatisfied."
	NotDistinct   = "DistinctInstance placement constraint unsatisfied."
	NoLocation    = "LOCATION"
	NoCPU         = "RESOURCE:CPU"
	NoMemory      = "RESOURCE:MEMORY"
	NoGPU         = "RESOURCE:GPU"
	NoPorts       = "RESOURCE:PORTS"
	NoENI         = "RESOURCE:ENI"
	NoSpot        = "CAPACITY" // Berth's own: in a failure's detail alone
	EmptyProvider = "EMPTY CAPACITY PROVIDER"
)

var asked = []string{NotActive, NoAgent, NoAttribute, NotMember, NotDistinct, NoLocation, NoCPU, NoMemory, NoGPU, NoPorts, NoENI}

// noFargate is what ECS says when Fargate has no room.
const noFargate = "Capacity is unavailable at this time. Please try again later or in a different availability zone."

// maxMissed is how many instances a Refusal names.
const maxMissed = 100

// Refusal says why no node can run a task: each reason with how many nodes
// gave it, in the order they are asked.
type Refusal struct {
	// Nodes is how many nodes or instances were asked.
	Nodes   int
	Reasons []Reason
	// Missed are the container instances that were asked, those that came closest
	// first: at most 100. Fargate's nodes aren't named.
	Missed  []Missed
	Fargate bool
	// Provider is the capacity provider that was asked for; or empty.
	Provider string
}

// Reason is one cause and how many nodes it kept out.
type Reason struct {
	Code   string
	Detail string // goes after "3 of 5"
	Nodes  int
}

// Missed is an instance that can't run a task, and why.
type Missed struct {
	Instance *state.ContainerInstance
	Code     string
	Detail   string
	// near is how close it came: more is closer.
	near, free int64
}

// Refused is the refusal of one node for a reason which came up once it had been
// picked.
func Refused(code, detail string, i *state.ContainerInstance) *Refusal {
	r := &Refusal{Nodes: 1, Reasons: []Reason{{Code: code, Detail: detail, Nodes: 1}}, Fargate: i == nil}
	if i != nil {
		r.Missed = []Missed{{Instance: i, Code: code, Detail: detail}}
	}
	return r
}

// Code returns the reason that kept out the most nodes.
func (r *Refusal) Code() string {
	switch {
	case len(r.Reasons) > 0:
		return slices.MaxFunc(r.Reasons, func(a, b Reason) int { return a.Nodes - b.Nodes }).Code
	case r.Provider != "":
		return EmptyProvider
	}
	return NoAgent
}

// String tells it in words, with the counts.
func (r *Refusal) String() string {
	switch {
	case r.Nodes == 0 && r.Provider != "":
		return "no container instance is of the capacity provider " + r.Provider
	case r.Nodes == 0 && !r.Fargate:
		return "the cluster has no container instance"
	case r.Nodes == 0:
		return "there is no node: none has registered"
	}
	var parts []string
	for _, re := range r.Reasons {
		parts = append(parts, fmt.Sprintf("%d of %d %s", re.Nodes, r.Nodes, re.Detail))
	}
	return strings.Join(parts, "; ")
}

// Failures are RunTask's: one an instance, or one for all of Fargate.
func (r *Refusal) Failures() []types.Failure {
	switch {
	case r.Fargate && r.Code() == NoENI:
		return []types.Failure{{Reason: aws.String(NoENI), Detail: aws.String(r.Reasons[0].Detail)}}
	case r.Fargate:
		return []types.Failure{{Reason: aws.String(noFargate), Detail: aws.String(r.Code() + ": " + r.String())}}
	case len(r.Missed) == 0:
		return []types.Failure{{Reason: aws.String(r.Code()), Detail: aws.String(r.String())}}
	}
	var out []types.Failure
	for _, m := range r.Missed {
		out = append(out, types.Failure{Arn: aws.String(m.Instance.ARN()), Reason: aws.String(m.Code), Detail: &m.Detail})
	}
	return out
}

// Event is what a service's events say of it (Amazon ECS Developer Guide,
// "Amazon ECS service event messages").
func (r *Refusal) Event(service string) string {
	const more = " For more information, see the Troubleshooting section of the Amazon ECS Developer Guide."
	begin := fmt.Sprintf("(service %s) was unable to place a task", service)
	const none = " because no container instance met all of its requirements."
	switch {
	case r.Fargate && r.Code() == NoENI:
		return begin + ". Reason: " + r.Reasons[0].Detail + "." + more
	case r.Fargate:
		return begin + ". Reason: " + noFargate + more
	case len(r.Missed) == 0 && r.Provider != "":
		return begin + none + " Reason: The capacity provider " + r.Provider + " has no container instance." + more
	case len(r.Missed) == 0:
		return begin + none + " Reason: No Container Instances were found in your cluster." + more
	}
	closest := r.Missed[0]
	what := map[string]string{
		NoCPU: "has insufficient CPU units available", NoMemory: "has insufficient memory available", NoPorts: "is already using a port required by your task",
		NoAttribute: "is missing an attribute required by your task",
	}[closest.Code]
	if what == "" {
		what = fmt.Sprintf("encountered error %q", closest.Code)
	}
	return fmt.Sprintf("%s%s The closest matching (container-instance %s) %s.%s", begin, none, closest.Instance.ID, what, more)
}

// count adds nodes that gave a reason.
func (r *Refusal) count(code, detail string, nodes int) {
	for i := range r.Reasons {
		if r.Reasons[i].Code == code && r.Reasons[i].Detail == detail {
			r.Reasons[i].Nodes += nodes
			return
		}
	}
	r.Reasons = append(r.Reasons, Reason{Code: code, Detail: detail, Nodes: nodes})
}

// settle puts reasons and instances in their order.
func (r *Refusal) settle() {
	place := func(code string) int { return slices.Index(asked, code) }
	slices.SortStableFunc(r.Reasons, func(a, b Reason) int { return place(a.Code) - place(b.Code) })
	if len(r.Missed) > maxMissed {
		r.Missed = slices.Clone(r.Missed[:maxMissed])
	}
}
