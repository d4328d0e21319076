package ecs

import (
	"context"
	"path"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ecs"
	"github.com/aws/aws-sdk-go-v2/service/ecs/types"

	"github.com/berth/berth/internal/id"
	"github.com/berth/berth/state"
	"github.com/berth/berth/store"
	"github.com/berth/berth/wire"
)

// Sessions carry commands to nodes.
type Sessions interface {
	// Reachable tells whether a node can run commands now.
	Reachable(node string) bool
	// Open offers a session, and returns the token by which its client is known.
	Open(ctx context.Context, s state.ExecSession) (token string, err error)
	// URL is where the client of a session goes. endpoint is what it knows the
	// server by.
	URL(endpoint, session string) string
}

// ExecuteCommand offers a session in which a command is run in a container of a
// running task. The command begins when the session's client comes.
func (s *Service) ExecuteCommand(ctx context.Context, in *ecs.ExecuteCommandInput) (*ecs.ExecuteCommandOutput, error) {
	caller := wire.CallerFrom(ctx)
	if strings.TrimSpace(aws.ToString(in.Command)) == "" {
		return nil, invalid("Command can not be blank.")
	}
	if !in.Interactive {
		return nil, invalid("Interactive is the only mode supported currently.")
	}
	view := s.store.View()
	cluster, err := s.activeCluster(view, caller, in.Cluster)
	if err != nil {
		return nil, err
	}
	t, err := s.task(view, cluster, aws.ToString(in.Task))
	if err != nil {
		return nil, err
	}
	if t == nil {
		return nil, invalid("The task provided in the request was not found.")
	}
	c, err := execContainer(t, aws.ToString(in.Container))
	if err != nil {
		return nil, err
	}
	if c.ExecAgent != state.ExecAgentRunning || t.Desired == state.Stopped {
		// AWS's words, apostrophe and all.
		return nil, invalid("The execute command failed because execute command was not enabled when the task was run or the execute command agent isn’t running. Wait and try again or run a new task with execute command enabled and try again.")
	}
	target, err := execLog(view, cluster, t, c.Name)
	if err != nil {
		return nil, err
	}
	sessionID := "ecs-execute-command-0" + id.Hex(8)
	session := state.ExecSession{
		Scope: t.Scope, ID: sessionID, Cluster: t.Cluster, TaskID: t.ID, Task: t.ARN(), Container: c.Name,
		RuntimeID: c.RuntimeID, Node: t.Node, Command: *in.Command, By: caller.ARN, From: caller.SourceIP, Log: target, Object: execObject(cluster, sessionID), CreatedAt: s.now(),
	}
	if target != nil {
		target.Stream = session.ID
	}
	if !s.sessions.Reachable(t.Node) {
		s.log.Warn("a command can't be run: the task's node can't be reached", "task", session.Task, "node", t.Node)
		return nil, notConnected()
	}
	token, err := s.sessions.Open(ctx, session)
	if err != nil {
		s.log.Warn("a command can't be run", "task", session.Task, "session", session.ID, "err", err)
		return nil, notConnected()
	}
	return &ecs.ExecuteCommandOutput{
		ClusterArn: aws.String(t.ClusterARN()), ContainerArn: aws.String(t.ContainerARN(c)), ContainerName: &c.Name, Interactive: true,
		TaskArn: &session.Task,
		Session: &types.Session{SessionId: &session.ID, StreamUrl: aws.String(s.sessions.URL(caller.Endpoint, session.ID)), TokenValue: &token},
	}, nil
}

// notConnected is what ECS says whatever keeps a command from its container.
// Berth's log says more.
func notConnected() error {
	return &types.TargetNotConnectedException{Message: aws.String("The execute command failed due to an internal error. Try again later.")}
}

// execContainer finds the container to run a command in, which must be named
// where there are several (ECS API Reference, ExecuteCommand.container).
func execContainer(t *state.Task, name string) (*state.Container, error) {
	if name == "" {
		if len(t.Containers) != 1 {
			return nil, invalid("The task has more than one container: container must be specified.")
		}
		return &t.Containers[0], nil
	}
	for i := range t.Containers {
		if t.Containers[i].Name == name {
			return &t.Containers[i], nil
		}
	}
	return nil, invalid("The container %s was not found in the task.", name)
}

// execObject is the object that the transcript of a session goes to by the
// cluster's configuration: the session's ID under the prefix, as Session Manager
// names it (AWS Systems Manager User Guide, "Logging session data using Amazon S3").
func execObject(cluster *state.Cluster, session string) *state.ObjectTarget {
	c := cluster.Spec.V.Configuration
	if c == nil || c.ExecuteCommandConfiguration == nil || c.ExecuteCommandConfiguration.Logging != types.ExecuteCommandLoggingOverride {
		return nil
	}
	l := c.ExecuteCommandConfiguration.LogConfiguration
	if l == nil || aws.ToString(l.S3BucketName) == "" {
		return nil
	}
	return &state.ObjectTarget{Bucket: *l.S3BucketName, Key: path.Join(strings.TrimPrefix(aws.ToString(l.S3KeyPrefix), "/"), session+".log")}
}

// execLog is where the transcript of a session goes by the cluster's
// configuration, but for its stream: to the container's own log group by
// default, to that of the configuration with OVERRIDE, nowhere with NONE or where
// the container's output doesn't go to CloudWatch Logs (SDK,
// types.ExecuteCommandConfiguration.Logging).
func execLog(v store.View, cluster *state.Cluster, t *state.Task, container string) (*state.LogTarget, error) {
	var e types.ExecuteCommandConfiguration
	if c := cluster.Spec.V.Configuration; c != nil && c.ExecuteCommandConfiguration != nil {
		e = *c.ExecuteCommandConfiguration
	}
	switch e.Logging {
	case types.ExecuteCommandLoggingNone:
		return nil, nil
	case types.ExecuteCommandLoggingOverride:
		if aws.ToString(e.LogConfiguration.CloudWatchLogGroupName) == "" {
			return nil, nil
		}
		return &state.LogTarget{Scope: t.Scope, Group: aws.ToString(e.LogConfiguration.CloudWatchLogGroupName)}, nil
	}
	def, ok := store.TaskDefinitions.Get(v, t.Scope.Key(state.RevisionID(t.Family, t.Revision)))
	if !ok {
		return nil, clientError("TaskDefinition not found.")
	}
	for _, d := range def.Spec.V.ContainerDefinitions {
		if l := d.LogConfiguration; aws.ToString(d.Name) == container && l != nil && l.LogDriver == types.LogDriverAwslogs {
			return &state.LogTarget{Scope: state.Scope{Account: t.Account, Region: l.Options["awslogs-region"]}, Group: l.Options["awslogs-group"]}, nil
		}
	}
	return nil, nil
}
