package s3

import (
	"context"
	_ "embed"
	"errors"
	"reflect"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/smithy-go"

	"github.com/berth/berth/blobstore"
	"github.com/berth/berth/internal/fidelity"
	"github.com/berth/berth/wire"
)

// Service is S3's API.
type Service struct {
	store  *blobstore.Store
	ledger *fidelity.Ledger
}

// New returns the API of what store keeps.
func New(store *blobstore.Store) *Service { return &Service{store: store, ledger: Ledger()} }

//go:embed fidelity.txt
var ledgerText []byte

// Ledger is what Berth does with each field of each S3 operation.
func Ledger() *fidelity.Ledger { return fidelity.MustParse("s3", ledgerText) }

// Inputs are the input structs of all S3 operations, by name.
func Inputs() map[string]reflect.Type { return fidelity.Inputs((*s3.Client)(nil)) }

// Check refuses a request that sets a field which the ledger refuses, and one for a bucket
// that the caller says is another account's. Package wire calls it before each operation.
func (s *Service) Check(ctx context.Context, operation string, in any) error {
	for _, r := range s.ledger.Refusals(operation, in) {
		return fail("NotImplemented", "A header you provided implies functionality that is not implemented: "+r.Path+": "+r.Reason+".")
	}
	v := reflect.Indirect(reflect.ValueOf(in))
	owner := v.FieldByName("ExpectedBucketOwner")
	if owner.IsValid() && !owner.IsNil() && owner.Elem().String() != wire.CallerFrom(ctx).Account {
		return fail("AccessDenied", "Access Denied")
	}
	bucket := v.FieldByName("Bucket")
	if !bucket.IsValid() || operation == "CreateBucket" {
		return nil
	}
	b, err := s.store.Bucket(*bucket.Interface().(*string))
	if err != nil {
		return translate(err)
	}
	if b.Account != wire.CallerFrom(ctx).Account {
		return fail("AccessDenied", "Access Denied")
	}
	return nil
}

// fail is an error of the client's with a code and text of the S3 API Reference, "Error
// responses". Package wire knows the status of the code.
func fail(code, message string) error {
	return &smithy.GenericAPIError{Code: code, Message: message, Fault: smithy.FaultClient}
}

// translate says what the store found wrong as S3 does.
func translate(err error) error {
	switch {
	case errors.Is(err, blobstore.ErrNoBucket):
		return fail("NoSuchBucket", "The specified bucket does not exist")
	case errors.Is(err, blobstore.ErrNotEmpty):
		return fail("BucketNotEmpty", "The bucket you tried to delete is not empty")
	case errors.Is(err, blobstore.ErrNoObject):
		return fail("NoSuchKey", "The specified key does not exist.")
	case errors.Is(err, blobstore.ErrNoUpload):
		return fail("NoSuchUpload", "The specified upload does not exist. The upload ID may be invalid, or the upload may have been aborted or completed.")
	case errors.Is(err, blobstore.ErrNoPart):
		return fail("InvalidPart", "One or more of the specified parts could not be found.  The part may not have been uploaded, or the specified entity tag may not match the part's entity tag.")
	case errors.Is(err, blobstore.ErrCondition):
		return fail("PreconditionFailed", "At least one of the pre-conditions you specified did not hold")
	}
	return err
}

func quote(etag string) *string { return aws.String(`"` + etag + `"`) }
