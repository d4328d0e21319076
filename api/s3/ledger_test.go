package s3

import "testing"

// Every operation and every field has its decision, and the methods are those
// that the ledger says are there.
func TestLedgerIsComplete(t *testing.T) {
	for _, problem := range append(Ledger().Audit(Inputs()), Ledger().AuditMethods(Inputs(), (*Service)(nil))...) {
		t.Error(problem)
	}
}
