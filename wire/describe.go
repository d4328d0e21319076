package wire

import (
	"embed"
	"encoding/json"
	"fmt"
	"io/fs"
)

// Description is what the wire must know of a service and its Go types don't say.
type Description struct {
	// Name is the prefix of actions, and the signing name if there is no other: "ecs".
	Name string
	// Signing is the name in signatures where it is another one: "monitoring".
	Signing string
	// Target is the prefix of X-Amz-Target, for services that speak JSON:
	// "AmazonEC2ContainerServiceV20141113".
	Target string
	// Version is the API version: "2014-11-13".
	Version string
	// Namespace is the XML namespace of responses, for services that speak XML.
	Namespace string
	// Syntaxes are those that the service speaks, on AWS, and here.
	Syntaxes []Syntax
	// Operations are the names of all operations, also those without a method.
	// Nil takes the list of the service's data file, model/<Name>.json.
	Operations []string
	// Constraints is the code of the answer "1 validation error detected: …" to
	// inputs that break the model's rules, for services that give it on AWS.
	// Without it the rules are not checked.
	Constraints string
	// Failure is the code of internal failures where it is not that of the
	// syntax (InternalFailure, and InternalError on EC2): "ServerException".
	Failure string
	// VirtualHosts says that the first segment of a path may be a label of the host
	// instead: bucket.s3.amazonaws.com.
	VirtualHosts bool
	// BareErrors says that errors in XML are <Error> alone, as S3's.
	BareErrors bool
	// Unwrapped is the operation of an XML service whose only member is the text of
	// the answer's root element, as GetBucketLocation's.
	Unwrapped string
	// Unions are the variants of unions that are members of an input itself, as
	// nil or empty pointers: (*types.GatewayConfigurationMemberAlb)(nil). Go
	// cannot list the types that implement an interface. Deeper unions need none.
	Unions []any
}

// The services described here. The values are copied into a [Service] and never change.
var (
	ECS = Description{
		Name: "ecs", Target: "AmazonEC2ContainerServiceV20141113", Version: "2014-11-13",
		Syntaxes: []Syntax{JSON}, Failure: "ServerException",
	}
	Logs = Description{
		Name: "logs", Target: "Logs_20140328", Version: "2014-03-28",
		Syntaxes: []Syntax{JSON}, Constraints: "InvalidParameterException", Failure: "ServiceUnavailableException",
	}
	SSM = Description{
		Name: "ssm", Target: "AmazonSSM", Version: "2014-11-06", Syntaxes: []Syntax{JSON}, Failure: "InternalServerError",
	}
	CloudWatch = Description{
		Name: "cloudwatch", Signing: "monitoring", Target: "GraniteServiceVersion20100801", Version: "2010-08-01",
		Namespace: "http://monitoring.amazonaws.com/doc/2010-08-01/",
		Syntaxes:  []Syntax{CBOR, JSON, Query}, Failure: "InternalServiceFault",
	}
	EKS = Description{
		Name: "eks", Version: "2017-11-01", Syntaxes: []Syntax{RESTJSON}, Failure: "ServerException",
	}
	S3 = Description{
		Name: "s3", Version: "2006-03-01", Namespace: "http://s3.amazonaws.com/doc/2006-03-01/",
		Syntaxes: []Syntax{RESTXML}, Failure: "InternalError", VirtualHosts: true, BareErrors: true, Unwrapped: "GetBucketLocation",
	}
	STS = Description{
		Name: "sts", Version: "2011-06-15", Namespace: "https://sts.amazonaws.com/doc/2011-06-15/",
		Syntaxes: []Syntax{Query}, Constraints: "ValidationError",
	}
	EC2 = Description{
		Name: "ec2", Version: "2016-11-15", Namespace: "http://ec2.amazonaws.com/doc/2016-11-15/",
		Syntaxes: []Syntax{EC2Query},
	}
)

//go:embed model/*.json
var models embed.FS

// model is the content of a service's data file. Package gen writes it from
// AWS's models; it is reviewed as data.
type model struct {
	// Operations are sorted.
	Operations []string `json:"operations"`
	// Named are the operations whose shapes' names were looked at; nil means all.
	Named []string `json:"named,omitempty"`
	// HTTP is where the operations of a REST service are.
	HTTP map[string]httpForm `json:"http,omitempty"`
	// Names are wire names that do not follow the rule, by Go struct and field.
	Names map[string]map[string]wireName `json:"names,omitempty"`
	// Shapes are the constraints, by shape.
	Shapes map[string]constraint `json:"shapes,omitempty"`
	// Inputs are the shapes of operations' inputs.
	Inputs map[string]string `json:"inputs,omitempty"`
}

// loadModel reads the service's data file. A service without one has an empty model.
func loadModel(name string) (*model, error) {
	m := &model{}
	b, err := models.ReadFile("model/" + name + ".json")
	if err != nil {
		if _, missing := err.(*fs.PathError); missing {
			return m, nil
		}
		return nil, err
	}
	if err := json.Unmarshal(b, m); err != nil {
		return nil, fmt.Errorf("read wire/model/%s.json: %w", name, err)
	}
	return m, nil
}
