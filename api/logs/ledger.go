package logs

import (
	"context"
	_ "embed"
	"reflect"

	cwl "github.com/aws/aws-sdk-go-v2/service/cloudwatchlogs"

	"github.com/berth/berth/internal/fidelity"
)

//go:embed fidelity.txt
var ledgerText []byte

// Ledger is what Berth does with each field of each operation of CloudWatch
// Logs.
func Ledger() *fidelity.Ledger { return fidelity.MustParse("logs", ledgerText) }

// Inputs are the input structs of all operations, by name.
func Inputs() map[string]reflect.Type { return fidelity.Inputs((*cwl.Client)(nil)) }

// Check refuses a request that sets a field which the ledger refuses. Package
// wire calls it before each operation.
func (s *Service) Check(_ context.Context, operation string, in any) error {
	for _, r := range s.ledger.Refusals(operation, in) {
		return invalid("%s is not supported: %s.", r.Path, r.Reason)
	}
	return nil
}
