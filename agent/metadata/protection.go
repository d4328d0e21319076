package metadata

import (
	"encoding/json"
	"net/http"
	"net/netip"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
)

// Answers of the task scale-in protection endpoint (Amazon ECS Developer Guide,
// "Amazon ECS task scale-in protection endpoint").

type protectionFailure struct {
	Arn    string
	Reason string
	Detail string
}

type protectionError struct {
	Arn     string
	Code    string
	Message string
}

// protection adds the agent's API for it. The ECS agent asks the API with the
// task's role, and only tasks of a service can be protected; there are no others
// yet, so every question ends in one of AWS's refusals.
func (s *Server) protection(mux *http.ServeMux, owner func(netip.Addr) (string, bool)) {
	const path = "/api/{id}/task-protection/v1/state"
	mux.HandleFunc("GET "+path, func(w http.ResponseWriter, r *http.Request) {
		if a, ok := s.find(w, r, owner); ok {
			refuseProtection(w, a.task)
		}
	})
	mux.HandleFunc("PUT "+path, func(w http.ResponseWriter, r *http.Request) {
		a, ok := s.find(w, r, owner)
		if !ok {
			return
		}
		var in struct {
			ProtectionEnabled *bool
			ExpiresInMinutes  *int64
		}
		fail := func(message string) {
			reply(w, http.StatusBadRequest, map[string]any{"error": protectionError{a.task.Task.ARN(), "InvalidParameterException", message}})
		}
		d := json.NewDecoder(http.MaxBytesReader(w, r.Body, 4<<10))
		d.DisallowUnknownFields()
		if err := d.Decode(&in); err != nil {
			fail("UpdateTaskProtection: failed to decode request: " + err.Error())
			return
		}
		if in.ProtectionEnabled == nil {
			fail("Invalid request: does not contain 'ProtectionEnabled' field")
			return
		}
		if in.ExpiresInMinutes != nil && (*in.ExpiresInMinutes < 1 || *in.ExpiresInMinutes > 2880) {
			fail("expiresInMinutes must be between 1 and 2,880")
			return
		}
		refuseProtection(w, a.task)
	})
}

func refuseProtection(w http.ResponseWriter, t *Task) {
	switch role := t.Definition; {
	case (role == nil || aws.ToString(role.TaskRoleArn) == "") && aws.ToString(t.Task.Overrides.V.TaskRoleArn) == "":
		reply(w, http.StatusForbidden, map[string]any{"error": protectionError{t.Task.ARN(), "AccessDeniedException", "Failed to get task credentials: the task has no task role"}})
	case strings.HasPrefix(t.Task.Group, "service:"):
		reply(w, http.StatusNotImplemented, map[string]any{"error": protectionError{t.Task.ARN(), "ServerException", "UpdateTaskProtection and GetTaskProtection are not built"}})
	default:
		reply(w, http.StatusOK, map[string]any{"failure": protectionFailure{t.Task.ARN(), "TASK_NOT_VALID", "The task is not part of an Amazon ECS service."}})
	}
}
