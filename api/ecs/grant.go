package ecs

import (
	"crypto/sha256"
	"encoding/hex"
	"time"

	"github.com/aws/smithy-go"

	"github.com/berth/berth/internal/awsjson"
	"github.com/berth/berth/state"
	"github.com/berth/berth/store"
)

// grantLife is how long a client token stands for what it once did (SDK,
// RunTaskInput.ClientToken: up to 24 hours).
const grantLife = 24 * time.Hour

// fingerprint hashes a request, from which its token was taken.
func fingerprint(in smithy.Serializable) (string, error) {
	b, err := awsjson.Marshal(in)
	if err != nil {
		return "", err
	}
	hash := sha256.Sum256(b)
	return hex.EncodeToString(hash[:]), nil
}

// granted finds what a call did when its client token was used before; nil where
// it wasn't, or there is no token.
func (s *Service) granted(v store.View, scope state.Scope, call, token string) *state.Grant {
	if token == "" {
		return nil
	}
	g, ok := store.Grants.Get(v, (&state.Grant{Scope: scope, Call: call, Token: token}).Key())
	if !ok || !g.Expires.After(s.now()) {
		return nil
	}
	return g
}

// grant remembers what a call with a client token did; without one, nothing.
func (s *Service) grant(tx *store.Tx, scope state.Scope, call, token, sum string, results ...string) {
	if token != "" {
		store.Grants.Put(tx, &state.Grant{Scope: scope, Call: call, Token: token, Fingerprint: sum, Results: results, Expires: s.now().Add(grantLife)})
	}
}
