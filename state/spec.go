package state

import (
	"github.com/aws/smithy-go"

	"github.com/berth/berth/internal/awsjson"
)

// Spec holds an SDK shape and is kept as AWS's JSON.
//
// P is always *T; it is there so that the compiler knows the shape can be
// written and read: Spec[types.TaskDefinition, *types.TaskDefinition].
type Spec[T any, P interface {
	*T
	smithy.Serializable
	smithy.Deserializable
}] struct {
	V T
}

// MarshalJSON implements json.Marshaler with AWS's JSON.
func (s Spec[T, P]) MarshalJSON() ([]byte, error) { return awsjson.Marshal(P(&s.V)) }

// UnmarshalJSON implements json.Unmarshaler.
func (s *Spec[T, P]) UnmarshalJSON(b []byte) error {
	var v T
	if err := awsjson.Unmarshal(b, P(&v)); err != nil {
		return err
	}
	s.V = v
	return nil
}

// Tag is one tag of any resource.
type Tag struct {
	Key   string
	Value string
}
