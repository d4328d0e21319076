package sts

import (
	"context"
	_ "embed"
	"reflect"

	"github.com/aws/aws-sdk-go-v2/service/sts"

	"github.com/berth/berth/internal/fidelity"
	"github.com/berth/berth/wire"
)

// Service is the STS API.
type Service struct{}

// New returns the STS API.
func New() *Service { return &Service{} }

//go:embed fidelity.txt
var ledgerText []byte

// Ledger is what Berth does with each field of each STS operation.
func Ledger() *fidelity.Ledger { return fidelity.MustParse("sts", ledgerText) }

// Inputs are the input structs of all STS operations, by name.
func Inputs() map[string]reflect.Type { return fidelity.Inputs((*sts.Client)(nil)) }

// GetCallerIdentity says whose key signed the request. For a root key the user
// ID is the account's.
func (*Service) GetCallerIdentity(ctx context.Context, _ *sts.GetCallerIdentityInput) (*sts.GetCallerIdentityOutput, error) {
	c := wire.CallerFrom(ctx)
	return &sts.GetCallerIdentityOutput{Account: &c.Account, Arn: &c.ARN, UserId: &c.UserID}, nil
}
