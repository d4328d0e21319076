package logs

import "testing"

// Every operation and every field has its decision, and the methods are those
// that the ledger says are there.
func TestLedgerIsComplete(t *testing.T) {
	inputs := Inputs()
	if len(inputs) < 90 {
		t.Errorf("%d operations, CloudWatch Logs has at least 90", len(inputs))
	}
	for _, problem := range append(Ledger().Audit(inputs), Ledger().AuditMethods(inputs, (*Service)(nil))...) {
		t.Error(problem)
	}
}
