package wire

import (
	"fmt"
	"net/http"
)

// authKind is what is wrong with a request's signature.
type authKind int

const (
	authMissing    authKind = iota // there is none
	authIncomplete                 // it cannot be read
	authUnknown                    // nobody knows the key
	authMismatch                   // it is not what the key gives
	authExpired                    // it is too old or too new
)

// authError is a refused signature. The protocols name it differently, see authAnswer.
type authError struct {
	kind authKind
	text string // empty for AWS's standing text
}

func (e *authError) Error() string {
	return fmt.Sprintf("signature refused (%d): %s", e.kind, e.text)
}

func authFail(kind authKind, format string, a ...any) *authError {
	return &authError{kind, fmt.Sprintf(format, a...)}
}

const (
	textToken    = "The security token included in the request is invalid."
	textMismatch = "The request signature we calculated does not match the signature you provided. Check your AWS Secret Access Key and signing method. Consult the service documentation for details."
	textEC2      = "AWS was not able to validate the provided access credentials"
)

// authAnswers are the codes, statuses and texts as AWS's JSON services, its query
// services, S3 and EC2 give them. The syntaxes that are not here say what JSON says.
var authAnswers = map[Syntax]map[authKind]answer{
	JSON: {
		authMissing:    {status: http.StatusBadRequest, code: "MissingAuthenticationTokenException", message: "Missing Authentication Token"},
		authIncomplete: {status: http.StatusBadRequest, code: "IncompleteSignatureException"},
		authUnknown:    {status: http.StatusBadRequest, code: "UnrecognizedClientException", message: textToken},
		authMismatch:   {status: http.StatusBadRequest, code: "InvalidSignatureException", message: textMismatch},
		authExpired:    {status: http.StatusBadRequest, code: "InvalidSignatureException"},
	},
	Query: {
		authMissing:    {status: http.StatusForbidden, code: "MissingAuthenticationToken", message: "Request is missing Authentication Token"},
		authIncomplete: {status: http.StatusBadRequest, code: "IncompleteSignature"},
		authUnknown:    {status: http.StatusForbidden, code: "InvalidClientTokenId", message: textToken},
		authMismatch:   {status: http.StatusForbidden, code: "SignatureDoesNotMatch", message: textMismatch},
		authExpired:    {status: http.StatusForbidden, code: "SignatureDoesNotMatch"},
	},
	RESTXML: {
		authMissing:    {status: http.StatusForbidden, code: "AccessDenied", message: "Access Denied"},
		authIncomplete: {status: http.StatusBadRequest, code: "AuthorizationHeaderMalformed"},
		authUnknown:    {status: http.StatusForbidden, code: "InvalidAccessKeyId", message: "The AWS Access Key Id you provided does not exist in our records."},
		authMismatch:   {status: http.StatusForbidden, code: "SignatureDoesNotMatch", message: textMismatch},
		authExpired:    {status: http.StatusForbidden, code: "RequestTimeTooSkewed"},
	},
	EC2Query: {
		authMissing:    {status: http.StatusBadRequest, code: "MissingParameter", message: "The request must contain the parameter AWSAccessKeyId"},
		authIncomplete: {status: http.StatusBadRequest, code: "IncompleteSignature"},
		authUnknown:    {status: http.StatusUnauthorized, code: "AuthFailure", message: textEC2},
		authMismatch:   {status: http.StatusUnauthorized, code: "AuthFailure", message: textEC2},
		authExpired:    {status: http.StatusBadRequest, code: "RequestExpired", message: "Request has expired."},
	},
}

// authAnswer is how the protocol says e.
func authAnswer(s Syntax, e *authError) *answer {
	answers, ok := authAnswers[s]
	if !ok {
		answers = authAnswers[JSON]
	}
	a := answers[e.kind]
	if s == RESTJSON && e.kind != authIncomplete {
		a.status = http.StatusForbidden
	}
	if e.text != "" && (s != EC2Query || e.kind == authIncomplete) {
		a.message = e.text
	}
	return &a
}
