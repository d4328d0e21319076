package ec2

import (
	"context"
	_ "embed"
	"fmt"
	"log/slog"
	"net/netip"
	"reflect"
	"time"

	"github.com/aws/smithy-go"

	"github.com/berth/berth/internal/fidelity"
	"github.com/berth/berth/internal/id"
	"github.com/berth/berth/state"
	"github.com/berth/berth/store"
	"github.com/berth/berth/wire"
)

// Config is what a Service needs. All fields are required.
type Config struct {
	Store *store.Store
	// Now is the clock of what is made.
	Now func() time.Time
	Log *slog.Logger
	// DefaultPrefix is the range of default VPCs (state.DefaultPrefix).
	DefaultPrefix netip.Prefix
}

// Service is the EC2 API over a store.
type Service struct {
	store  *store.Store
	now    func() time.Time
	log    *slog.Logger
	prefix netip.Prefix
	ledger *fidelity.Ledger
}

// New returns the EC2 API.
func New(cfg Config) *Service {
	return &Service{store: cfg.Store, now: cfg.Now, log: cfg.Log, prefix: cfg.DefaultPrefix, ledger: Ledger()}
}

//go:embed fidelity.txt
var ledgerText []byte

// Ledger is what Berth does with each field of the EC2 operations that it has.
func Ledger() *fidelity.Ledger { return fidelity.MustParse("ec2", ledgerText) }

// Inputs are the input structs of the EC2 operations that Berth has, by name.
func Inputs() map[string]reflect.Type { return fidelity.Inputs((*Service)(nil)) }

// Check refuses a request that sets a field which the ledger refuses. Package
// wire calls it before each operation.
func (s *Service) Check(ctx context.Context, operation string, in any) error {
	for _, r := range s.ledger.Refusals(operation, in) {
		return fail("UnsupportedOperation", "The parameter %s is not supported: %s.", r.Path, r.Reason)
	}
	return nil
}

// EnsureDefaultVPC makes the default VPC of a scope that has no VPC at all. It may
// be called at each start: who has deleted the default VPC and has others doesn't
// get it back.
func (s *Service) EnsureDefaultVPC(ctx context.Context, scope state.Scope) error {
	made := ""
	err := s.store.Update(ctx, func(tx *store.Tx) error {
		made = ""
		for range store.VPCs.List(tx, scope, "") {
			return nil
		}
		vpc, err := s.seed(tx, scope)
		if err != nil {
			return err
		}
		made = vpc.ID
		return nil
	})
	if err != nil {
		return fmt.Errorf("make the default VPC of account %s in %s: %w", scope.Account, scope.Region, err)
	}
	if made != "" {
		s.log.Info("made the default VPC", "account", scope.Account, "region", scope.Region, "vpc", made, "range", s.prefix)
	}
	return nil
}

// seed writes a default VPC into the transaction.
func (s *Service) seed(tx *store.Tx, scope state.Scope) (*state.VPC, error) {
	d, err := state.Seed(scope, s.prefix, s.now(), id.Resource)
	if err != nil {
		return nil, err
	}
	store.VPCs.Put(tx, d.VPC)
	for _, subnet := range d.Subnets {
		store.Subnets.Put(tx, subnet)
	}
	store.InternetGateways.Put(tx, d.InternetGateway)
	store.RouteTables.Put(tx, d.RouteTable)
	store.SecurityGroups.Put(tx, d.SecurityGroup)
	return d.VPC, nil
}

// scopeOf is where the caller's resources are.
func scopeOf(ctx context.Context) state.Scope {
	c := wire.CallerFrom(ctx)
	return state.Scope{Account: c.Account, Region: c.Region}
}

// fail is a client's error.
func fail(code, format string, args ...any) error {
	return &smithy.GenericAPIError{Code: code, Message: fmt.Sprintf(format, args...), Fault: smithy.FaultClient}
}

func invalidValue(format string, args ...any) error {
	return fail("InvalidParameterValue", format, args...)
}

func invalidCombination(format string, args ...any) error {
	return fail("InvalidParameterCombination", format, args...)
}

// missing is the error for a required parameter that isn't there.
func missing(parameter string) error {
	return fail("MissingParameter", "The request must contain the parameter %s", parameter)
}

// dryRun is what a call that was found right ends with when it must not be done.
func dryRun(asked *bool) error {
	if asked != nil && *asked {
		return fail("DryRunOperation", "Request would have succeeded, but DryRun flag is set.")
	}
	return nil
}
