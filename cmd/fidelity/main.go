// Fidelity writes docs/fidelity.md from the ledgers of all services:
//
//	go run ./cmd/fidelity >docs/fidelity.md
//
// Like cmd/berth it knows every service, and nothing may import it. A new
// service is one line in services.
package main

import (
	"os"
	"reflect"
	"strings"

	"github.com/berth/berth/api/cloudwatch"
	"github.com/berth/berth/api/ec2"
	"github.com/berth/berth/api/ecs"
	"github.com/berth/berth/api/eks"
	"github.com/berth/berth/api/logs"
	"github.com/berth/berth/api/s3"
	"github.com/berth/berth/api/ssm"
	"github.com/berth/berth/api/sts"
	"github.com/berth/berth/internal/fidelity"
)

// chapter is one service of the document.
type chapter struct {
	title  string
	ledger *fidelity.Ledger
	inputs map[string]reflect.Type
}

func services() []chapter {
	return []chapter{
		{"Amazon ECS", ecs.Ledger(), ecs.Inputs()},
		{"Amazon EC2", ec2.Ledger(), ec2.Inputs()},
		{"Amazon CloudWatch Logs", logs.Ledger(), logs.Inputs()},
		{"AWS Systems Manager", ssm.Ledger(), ssm.Inputs()},
		{"Amazon S3", s3.Ledger(), s3.Inputs()},
		{"Amazon CloudWatch", cloudwatch.Ledger(), cloudwatch.Inputs()},
		{"Amazon EKS", eks.Ledger(), eks.Inputs()},
		{"AWS STS", sts.Ledger(), sts.Inputs()},
	}
}

const preface = `# Fidelity

What Berth does with each operation of the AWS APIs that it speaks, and with each
field of each request. Nothing is silently ignored: a field is as on AWS, or it is
refused with an error that names it, or it stands below as without effect, with the
reason. Members of lists follow []. Operations that are not built answer 501.

Made from api/*/fidelity.txt by cmd/fidelity. Don't edit it.
`

func document() string {
	var b strings.Builder
	b.WriteString(preface)
	for _, c := range services() {
		b.WriteString("\n" + c.ledger.Markdown(c.title, c.inputs))
	}
	return b.String()
}

func main() { os.Stdout.WriteString(document()) }
