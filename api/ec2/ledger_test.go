package ec2

import "testing"

func TestLedgerDecidesAboutEachField(t *testing.T) {
	for _, problem := range Ledger().Audit(Inputs()) {
		t.Error(problem)
	}
	for _, problem := range Ledger().AuditMethods(Inputs(), &Service{}) {
		t.Error(problem)
	}
}
