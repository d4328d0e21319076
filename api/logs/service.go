package logs

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatchlogs/types"

	"github.com/berth/berth/internal/arn"
	"github.com/berth/berth/internal/fidelity"
	"github.com/berth/berth/logstore"
	"github.com/berth/berth/wire"
)

// Service is CloudWatch Logs over a store.
type Service struct {
	store   *logstore.Store
	now     func() time.Time
	log     *slog.Logger
	ledger  *fidelity.Ledger
	queries *queries
	tails   tails
}

// New returns the API. now is the clock that events' ages are judged by; log is
// told why queries fail, which AWS's answers have no place for. It panics when the
// embedded ledger is malformed, which its test keeps from happening.
func New(store *logstore.Store, now func() time.Time, log *slog.Logger) *Service {
	s := &Service{store: store, now: now, log: log, ledger: Ledger()}
	s.queries = newQueries(s)
	return s
}

// Close ends what runs in the background: queries and Live Tail sessions. The store must be open until
// then.
func (s *Service) Close() error {
	s.queries.close()
	return nil
}

// scopeOf is where the caller's groups are.
func scopeOf(ctx context.Context) logstore.Scope {
	c := wire.CallerFrom(ctx)
	return logstore.Scope{Account: c.Account, Region: c.Region}
}

// groupARN is a group's ARN as tags, policies and logGroupArn have it. The arn
// of DescribeLogGroups has ":*" behind it.
func groupARN(s logstore.Scope, group string) string {
	return arn.ARN{Partition: arn.Partition(s.Region), Service: "logs", Region: s.Region, Account: s.Account, Resource: "log-group:" + group}.String()
}

// groupName returns the group that a request means by name or by identifier,
// which is a name or an ARN.
func groupName(ctx context.Context, name, identifier *string) (string, error) {
	switch {
	case name != nil && identifier != nil:
		return "", invalid("Only one of logGroupName and logGroupIdentifier can be specified.")
	case name != nil:
		return *name, nil
	case identifier == nil:
		return "", invalid("One of logGroupName and logGroupIdentifier must be specified.")
	case arn.Is(*identifier):
		return groupOfARN(ctx, *identifier)
	}
	return *identifier, nil
}

// groupOfARN returns the name in a group's ARN. Groups of other accounts and
// regions are not there.
func groupOfARN(ctx context.Context, s string) (string, error) {
	a, err := arn.Parse(s)
	name, ok := strings.CutPrefix(a.Resource, "log-group:")
	name = strings.TrimSuffix(name, ":*")
	if err != nil || !ok || a.Service != "logs" || name == "" || strings.Contains(name, ":") {
		return "", invalid("Invalid log group ARN: %s", s)
	}
	if (logstore.Scope{Account: a.Account, Region: a.Region}) != scopeOf(ctx) {
		return "", answer(logstore.ErrNoGroup)
	}
	return name, nil
}

func invalid(format string, a ...any) error {
	return &types.InvalidParameterException{Message: aws.String(fmt.Sprintf(format, a...))}
}

// answer turns the store's errors into AWS's.
func answer(err error) error {
	missing := func(what string) error {
		return &types.ResourceNotFoundException{Message: aws.String("The specified log " + what + " does not exist.")}
	}
	exists := func(what string) error {
		return &types.ResourceAlreadyExistsException{Message: aws.String("The specified log " + what + " already exists")}
	}
	switch {
	case errors.Is(err, logstore.ErrNoGroup):
		return missing("group")
	case errors.Is(err, logstore.ErrNoStream):
		return missing("stream")
	case errors.Is(err, logstore.ErrGroupExists):
		return exists("group")
	case errors.Is(err, logstore.ErrStreamExists):
		return exists("stream")
	}
	return err
}

// limitOf is a request's limit, or AWS's default.
func limitOf(limit *int32, standard int) int {
	if limit == nil {
		return standard
	}
	return int(*limit)
}
