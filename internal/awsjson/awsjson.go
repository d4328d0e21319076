// Package awsjson turns AWS SDK shapes into AWS's own JSON and back, with the
// codec that the SDK itself uses (smithy-go's awsJson 1.1).
//
// It is what records in the store are kept as: readable with etcdctl, stable
// when the SDK's Go names change, and complete for unions. It drops by-value
// zeros, as the SDK's generated code does, which is harmless for storage (they
// are zero again when read) and wrong for responses: those are written by
// package wire.
package awsjson

import (
	"bytes"
	"context"
	"fmt"
	"io"

	"github.com/aws/smithy-go"
	"github.com/aws/smithy-go/transport/http"
	"github.com/aws/smithy-go/transport/http/protocol/awsjson"

	nethttp "net/http"
)

// The codec is reached through the client protocol: what a client would send
// is what Marshal returns, what it would receive is what Unmarshal reads. Only
// Input and Output of the operation schema are looked at, and only for nil.
var (
	anyStruct = smithy.NewSchema(smithy.ShapeID{Namespace: "berth", Name: "Any"}, smithy.ShapeTypeStructure, 0)
	operation = &smithy.OperationSchema{
		Schema: smithy.NewSchema(smithy.ShapeID{Namespace: "berth", Name: "Any"}, smithy.ShapeTypeOperation, 0),
		Input:  anyStruct,
		Output: anyStruct,
	}
	protocol = awsjson.New11(&smithy.ServiceSchema{
		Schema: smithy.NewSchema(smithy.ShapeID{Namespace: "berth", Name: "Store"}, smithy.ShapeTypeService, 0),
	})
)

// Marshal returns v as AWS JSON.
func Marshal(v smithy.Serializable) ([]byte, error) {
	req := http.NewStackRequest().(*http.Request)
	if err := protocol.SerializeRequest(context.Background(), operation, v, req); err != nil {
		return nil, fmt.Errorf("encode %T as AWS JSON: %w", v, err)
	}
	b, err := io.ReadAll(req.GetStream())
	if err != nil {
		return nil, fmt.Errorf("encode %T as AWS JSON: %w", v, err)
	}
	return b, nil
}

// Unmarshal reads AWS JSON into v.
func Unmarshal(data []byte, v smithy.Deserializable) error {
	resp := &http.Response{Response: &nethttp.Response{StatusCode: 200, Body: io.NopCloser(bytes.NewReader(data))}}
	if err := protocol.DeserializeResponse(context.Background(), operation, nil, resp, v); err != nil {
		return fmt.Errorf("decode AWS JSON into %T: %w", v, err)
	}
	return nil
}
