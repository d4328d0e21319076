package ssm

import (
	"context"
	_ "embed"
	"reflect"

	"github.com/aws/smithy-go"

	"github.com/berth/berth/internal/fidelity"
	"github.com/berth/berth/state"
	"github.com/berth/berth/wire"
)

//go:embed fidelity.txt
var ledgerText []byte

// Ledger is what Berth does with each field of the operations that it has.
func Ledger() *fidelity.Ledger { return fidelity.MustParse("ssm", ledgerText) }

// Inputs are the input structs of the operations that Berth has, by name.
func Inputs() map[string]reflect.Type { return fidelity.Inputs((*Service)(nil)) }

// Sessions are those of ECS Exec.
type Sessions interface {
	Find(id string) (state.ExecSession, bool)
	// Resume gives the client of an open session another token.
	Resume(id string) (token string, ok bool)
	Terminate(id string)
	URL(endpoint, id string) string
}

// Service is the API over sessions.
type Service struct{ sessions Sessions }

// New returns the API.
func New(s Sessions) *Service { return &Service{sessions: s} }

// ResumeSessionInput names the session of a client whose connection broke.
type ResumeSessionInput struct{ SessionId *string }

// ResumeSessionOutput has no token for a session that is over.
type ResumeSessionOutput struct{ SessionId, StreamUrl, TokenValue *string }

// TerminateSessionInput names a session to end.
type TerminateSessionInput struct{ SessionId *string }

// TerminateSessionOutput names it again.
type TerminateSessionOutput struct{ SessionId *string }

// ResumeSession gives a client what it needs to come back to its session. For
// one that is over, or was lost with the process that had it, there is no token:
// AWS's client then says that it timed out, and ends.
func (s *Service) ResumeSession(ctx context.Context, in *ResumeSessionInput) (*ResumeSessionOutput, error) {
	id, open, err := s.find(ctx, in.SessionId)
	if err != nil {
		return nil, err
	}
	out := &ResumeSessionOutput{SessionId: &id}
	if !open {
		return out, nil
	}
	if token, ok := s.sessions.Resume(id); ok {
		url := s.sessions.URL(wire.CallerFrom(ctx).Endpoint, id)
		out.TokenValue, out.StreamUrl = &token, &url
	}
	return out, nil
}

// TerminateSession ends a session. One that isn't open is no error (AWS Systems
// Manager API Reference, TerminateSession: ended sessions can be named).
func (s *Service) TerminateSession(ctx context.Context, in *TerminateSessionInput) (*TerminateSessionOutput, error) {
	id, open, err := s.find(ctx, in.SessionId)
	if err != nil {
		return nil, err
	}
	if open {
		s.sessions.Terminate(id)
	}
	return &TerminateSessionOutput{SessionId: &id}, nil
}

// find tells whether a session of the caller's account is open.
func (s *Service) find(ctx context.Context, ref *string) (id string, open bool, err error) {
	if ref == nil || *ref == "" || len(*ref) > 96 {
		return "", false, &smithy.GenericAPIError{Code: "ValidationException", Fault: smithy.FaultClient,
			Message: "1 validation error detected: Value at 'sessionId' failed to satisfy constraint: Member must have a length between 1 and 96"}
	}
	session, ok := s.sessions.Find(*ref)
	return *ref, ok && session.Account == wire.CallerFrom(ctx).Account, nil
}
