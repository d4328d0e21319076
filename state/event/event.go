package event

import (
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/ecs/types"

	"github.com/berth/berth/internal/arn"
	"github.com/berth/berth/state"
)

// Event is one event as EventBridge has it, in its JSON.
type Event struct {
	Version    string    `json:"version"` // "0"
	ID         string    `json:"id"`
	DetailType string    `json:"detail-type"`
	Source     string    `json:"source"`
	Account    string    `json:"account"`
	Time       time.Time `json:"time"`
	Region     string    `json:"region"`
	Resources  []string  `json:"resources"`
	Detail     any       `json:"detail"`
}

// Of makes the events of a set, in its order. A change of which AWS sends no event
// has none.
func Of(set *state.ChangeSet) ([]Event, error) {
	changes, err := set.Changes()
	if err != nil {
		return nil, err
	}
	var out []Event
	for i, c := range changes {
		e, ok, err := of(c)
		if err != nil {
			return nil, fmt.Errorf("read change %d of %s: %w", i, set.Key().ID, err)
		}
		if !ok {
			continue
		}
		h := sha256.Sum256(fmt.Appendf(nil, "%s %d", set.Key().ID, i))
		e.ID = fmt.Sprintf("%x-%x-%x-%x-%x", h[:4], h[4:6], h[6:8], h[8:10], h[10:16])
		e.Version, e.Source, e.DetailType, e.Time = "0", "aws.ecs", c.Kind, set.At.UTC().Truncate(time.Second)
		out = append(out, e)
	}
	return out, nil
}

func of(c state.Change) (Event, bool, error) {
	switch c.Kind {
	case state.TaskStateChange:
		var t state.Task
		err := json.Unmarshal(c.Record, &t)
		return Event{Account: t.Account, Region: t.Region, Resources: []string{t.ARN()}, Detail: taskDetail(&t)}, true, err
	case state.InstanceStateChange:
		var i state.ContainerInstance
		err := json.Unmarshal(c.Record, &i)
		return Event{Account: i.Account, Region: i.Region, Resources: []string{i.ARN()}, Detail: instanceDetail(&i)}, true, err
	case state.DeploymentStateChange:
		var d state.Deployment
		err := json.Unmarshal(c.Record, &d)
		detail, ok := deploymentDetail(&d)
		return Event{Account: d.Account, Region: d.Region, Resources: []string{serviceARN(d.Scope, d.Cluster, d.Service)}, Detail: detail}, ok, err
	case state.ServiceAction:
		var e state.ServiceEvent
		err := json.Unmarshal(c.Record, &e)
		detail, ok := actionDetail(&e)
		return Event{Account: e.Account, Region: e.Region, Resources: []string{serviceARN(e.Scope, e.Cluster, e.Service)}, Detail: detail}, ok, err
	}
	return Event{}, false, nil
}

func serviceARN(s state.Scope, cluster, service string) string {
	return (&state.Service{Scope: s, Cluster: cluster, Name: service}).ARN()
}

// DeploymentDetail is the detail of an ECS Deployment State Change.
type DeploymentDetail struct {
	EventType    string `json:"eventType"` // INFO, ERROR
	EventName    string `json:"eventName"`
	DeploymentID string `json:"deploymentId"`
	UpdatedAt    string `json:"updatedAt"`
	Reason       string `json:"reason"`
}

func deploymentDetail(d *state.Deployment) (DeploymentDetail, bool) {
	kind := map[types.DeploymentRolloutState]string{
		types.DeploymentRolloutStateInProgress: "INFO", types.DeploymentRolloutStateCompleted: "INFO", types.DeploymentRolloutStateFailed: "ERROR",
	}[d.Rollout]
	return DeploymentDetail{
		EventType: kind, EventName: "SERVICE_DEPLOYMENT_" + string(d.Rollout), DeploymentID: d.ID, UpdatedAt: stamp(d.UpdatedAt), Reason: d.RolloutReason,
	}, kind != ""
}

// ActionDetail is the detail of an ECS Service Action.
type ActionDetail struct {
	EventType  string `json:"eventType"` // INFO, WARN, ERROR
	EventName  string `json:"eventName"`
	ClusterARN string `json:"clusterArn"`
	CreatedAt  string `json:"createdAt"`
	Reason     string `json:"reason,omitempty"`
}

// actions are the service events that EventBridge is told of, by their words.
var actions = []struct{ words, kind, name string }{
	{"has reached a steady state", "INFO", "SERVICE_STEADY_STATE"},
	{"was unable to place a task", "ERROR", "SERVICE_TASK_PLACEMENT_FAILURE"},
	{"is unable to consistently start tasks successfully", "WARN", "SERVICE_TASK_START_IMPAIRED"},
}

func actionDetail(e *state.ServiceEvent) (ActionDetail, bool) {
	for _, a := range actions {
		if !strings.Contains(e.Message, a.words) {
			continue
		}
		d := ActionDetail{EventType: a.kind, EventName: a.name, ClusterARN: arn.ECS(e.Region, e.Account, "cluster/"+e.Cluster), CreatedAt: stamp(e.At)}
		if a.kind == "ERROR" {
			d.Reason = placementReason(e.Message)
		}
		return d, true
	}
	return ActionDetail{}, false
}

// placementReason is the failure reason that a service event's words stand for.
func placementReason(message string) string {
	for _, r := range [][2]string{
		{"insufficient CPU", "RESOURCE:CPU"}, {"insufficient memory", "RESOURCE:MEMORY"}, {"port required", "RESOURCE:PORTS"}, {"missing an attribute", "ATTRIBUTE"},
		{`error "AGENT"`, "AGENT"}, {"Capacity is unavailable", "RESOURCE:FARGATE"},
	} {
		if strings.Contains(message, r[0]) {
			return r[1]
		}
	}
	return "UNKNOWN"
}

// stamp is a time as events have it; empty for none.
func stamp(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.UTC().Format("2006-01-02T15:04:05.000Z")
}
