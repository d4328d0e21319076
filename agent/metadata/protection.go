package metadata

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/netip"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"

	"github.com/berth/berth/state"
)

// Answers of the task scale-in protection endpoint (Amazon ECS Developer Guide,
// "Amazon ECS task scale-in protection endpoint").

type protectionAnswer struct {
	TaskArn           string
	ProtectionEnabled bool
	ExpirationDate    *time.Time `json:",omitempty"`
}

type protectionFailure struct {
	Arn    string
	Reason string
	Detail string `json:",omitempty"`
}

type protectionError struct {
	Arn     string
	Code    string
	Message string
}

// patience is how long the ECS agent waits for the API.
const patience = 4 * time.Second

// protection adds the agent's API for it. The ECS agent asks the API with the
// task's role, so a task without one is refused.
func (s *Server) protection(mux *http.ServeMux, owner func(netip.Addr) (string, bool)) {
	const path = "/api/{id}/task-protection/v1/state"
	mux.HandleFunc("GET "+path, func(w http.ResponseWriter, r *http.Request) {
		if a, ok := s.find(w, r, owner); ok {
			s.answerProtection(w, r, a.task, nil)
		}
	})
	mux.HandleFunc("PUT "+path, func(w http.ResponseWriter, r *http.Request) {
		a, ok := s.find(w, r, owner)
		if !ok {
			return
		}
		var in struct {
			ProtectionEnabled *bool
			ExpiresInMinutes  *int32
		}
		fail := func(message string) {
			failProtection(w, http.StatusBadRequest, a.task, "InvalidParameterException", message)
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
		change := state.ProtectionChange{Enabled: *in.ProtectionEnabled, Minutes: in.ExpiresInMinutes}
		if no := change.Check(); no != "" {
			fail(no)
			return
		}
		s.answerProtection(w, r, a.task, &change)
	})
}

func (s *Server) answerProtection(w http.ResponseWriter, r *http.Request, t *Task, change *state.ProtectionChange) {
	if !t.hasRole() {
		failProtection(w, http.StatusForbidden, t, "AccessDeniedException", "Failed to get task credentials: the task has no task role")
		return
	}
	ctx, cancel := context.WithTimeout(r.Context(), patience)
	defer cancel()
	s.mu.Lock()
	from := s.records
	s.mu.Unlock()
	p, no, err := from.Protection(ctx, &t.Task, change)
	switch {
	case errors.Is(err, context.DeadlineExceeded):
		failProtection(w, http.StatusGatewayTimeout, t, "RequestCanceled", "Timed out calling Amazon ECS Task Protection API")
	case err != nil:
		s.log.Warn("answer a task that asks for its protection", "task", t.Task.ID, "err", err)
		failProtection(w, http.StatusInternalServerError, t, "ServerException", "The task's protection can't be asked for or changed now.")
	case no != nil:
		reply(w, http.StatusOK, map[string]any{"failure": protectionFailure{t.Task.ARN(), no.Reason, no.Detail}})
	default:
		reply(w, http.StatusOK, map[string]any{"protection": protectionAnswer{t.Task.ARN(), p.Enabled, at(p.Until)}})
	}
}

func failProtection(w http.ResponseWriter, status int, t *Task, code, message string) {
	reply(w, status, map[string]any{"error": protectionError{t.Task.ARN(), code, message}})
}

// hasRole reports whether the task has a task role.
func (t *Task) hasRole() bool {
	return t.Definition != nil && aws.ToString(t.Definition.TaskRoleArn) != "" || aws.ToString(t.Task.Overrides.V.TaskRoleArn) != ""
}
