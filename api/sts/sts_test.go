package sts

import (
	"errors"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/service/sts"
	"github.com/aws/smithy-go"

	"github.com/berth/berth/wire"
	"github.com/berth/berth/wire/wiretest"
)

func TestGetCallerIdentity(t *testing.T) {
	service, err := wire.NewService(wire.STS, New())
	if err != nil {
		t.Fatal(err)
	}
	_, cfg := wiretest.Serve(t, service)
	client := sts.NewFromConfig(cfg)
	out, err := client.GetCallerIdentity(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	if *out.Account != wiretest.Account || *out.UserId != wiretest.Account || *out.Arn != "arn:aws:iam::"+wiretest.Account+":root" {
		t.Errorf("%s %s %s", *out.Account, *out.UserId, *out.Arn)
	}
	_, err = client.GetSessionToken(t.Context(), nil)
	var e smithy.APIError
	if !errors.As(err, &e) || !strings.Contains(e.ErrorCode(), "NotImplemented") {
		t.Errorf("GetSessionToken: %v", err)
	}
}

func TestLedgerDecidesAboutEachField(t *testing.T) {
	for _, problem := range Ledger().Audit(Inputs()) {
		t.Error(problem)
	}
	for _, problem := range Ledger().AuditMethods(Inputs(), New()) {
		t.Error(problem)
	}
}
