package ecs

import (
	"context"
	_ "embed"
	"reflect"

	"github.com/aws/aws-sdk-go-v2/service/ecs"

	"github.com/berth/berth/internal/fidelity"
)

//go:embed fidelity.txt
var ledgerText []byte

// Ledger is what Berth does with each field of each ECS operation.
func Ledger() *fidelity.Ledger { return fidelity.MustParse("ecs", ledgerText) }

// Inputs are the input structs of all ECS operations, by name.
func Inputs() map[string]reflect.Type { return fidelity.Inputs((*ecs.Client)(nil)) }

// Check refuses a request that sets a field which the ledger refuses. Package
// wire calls it before each operation. The error is InvalidParameterException,
// which ECS gives for a parameter that cannot be used; for a task definition it
// is ClientException, as of all that is wrong with one, and what AWS would
// refuse too is refused first, in AWS's words.
func (s *Service) Check(ctx context.Context, operation string, in any) error {
	refusals := s.ledger.Refusals(operation, in)
	if len(refusals) == 0 {
		return nil
	}
	fail := invalid
	if register, ok := in.(*ecs.RegisterTaskDefinitionInput); ok {
		if _, err := definition(register); err != nil {
			return err
		}
		fail = clientError
	}
	return fail("%s is not supported: %s.", refusals[0].Path, refusals[0].Reason)
}
