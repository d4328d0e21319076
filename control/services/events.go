package services

import (
	"fmt"
	"strings"
	"time"

	"github.com/berth/berth/state"
)

// The texts are AWS's: Amazon ECS Developer Guide, "Amazon ECS service event
// messages", "Stopped tasks error messages", "How the Amazon ECS deployment circuit
// breaker detects failures".

const (
	sickReason = "Task failed container health checks"
	// AWS has no words for a node that is lost.
	lostReason = "The host that the task runs on is not heard of any more"
)

// keptEvents is how many events of a service are kept.
const keptEvents = 100

// scaling is the reason of stops for the sake of counts.
func scaling(d *state.Deployment) string {
	if d == nil {
		return "Scaling activity initiated by the service scheduler"
	}
	return fmt.Sprintf("Scaling activity initiated by (deployment %s)", d.ID)
}

func scalingSet(id string) string {
	return fmt.Sprintf("Scaling activity initiated by (taskSet %s)", id)
}

// subject begins an event of a service, or of one of its task sets.
func subject(service, set string) string {
	if set == "" {
		return fmt.Sprintf("(service %s)", service)
	}
	return fmt.Sprintf("(service %s, taskSet %s)", service, set)
}

func started(service, set string, tasks []*state.Task) string {
	return fmt.Sprintf("%s has started %d tasks: %s.", subject(service, set), len(tasks), list(tasks))
}

func startedIn(service, zone string, tasks []*state.Task) string {
	return fmt.Sprintf("%s has started %d tasks in %s to AZ Rebalance: %s.", subject(service, ""), len(tasks), zone, list(tasks))
}

func stopped(service, set string, tasks []*state.Task) string {
	return fmt.Sprintf("%s has stopped %d running tasks: %s.", subject(service, set), len(tasks), list(tasks))
}

func list(tasks []*state.Task) string {
	var b strings.Builder
	for i, t := range tasks {
		if i > 0 {
			b.WriteByte(' ')
		}
		b.WriteString("(task ")
		b.WriteString(t.ID)
		b.WriteByte(')')
	}
	return b.String()
}

func (p *picture) say(format string, args ...any) {
	p.events = append(p.events, fmt.Sprintf(format, args...))
}

func steady(service string) string { return subject(service, "") + " has reached a steady state." }

func completed(service, deployment string) string {
	return fmt.Sprintf("(service %s) (deployment %s) deployment completed.", service, deployment)
}

func deploymentFailed(service, deployment, why string) string {
	return fmt.Sprintf("(service %s) (deployment %s) deployment failed: %s.", service, deployment, why)
}

func rollingBack(service, deployment string) string {
	return fmt.Sprintf("(service %s) rolling back to deployment %s.", service, deployment)
}

func cantStart(service string) string {
	return subject(service, "") + " is unable to consistently start tasks successfully. For more information, see the Troubleshooting section of the Amazon ECS Developer Guide."
}

func stuck(service string) string {
	return subject(service, "") + " was unable to stop or start tasks during a deployment because of the service deployment configuration. Update the minimumHealthyPercent or maximumPercent value and try again."
}

// The times between tries to start tasks that fail: the first, and the most
// (Amazon ECS Developer Guide, "Amazon ECS service throttle logic": up to 27
// minutes).
const (
	firstBackoff = time.Second
	mostBackoff  = 27 * time.Minute
	// After so many tries in a row an event says so.
	saysSo = 3
)

// backoff is how long to wait after a number of tries that failed in a row.
func backoff(failed int) time.Duration {
	if failed > 20 {
		return mostBackoff
	}
	return min(firstBackoff<<max(failed-1, 0), mostBackoff)
}
