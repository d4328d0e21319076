package cli

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os/exec"
	"regexp"
	"strconv"

	"github.com/berth/berth/instance"
)

// Env prints the shell lines that point AWS clients at Berth:
//
//	eval "$(berth env)"
type Env struct{}

// Run prints the lines.
func (Env) Run(g *Globals) error {
	keys, err := instance.ReadKeys(g.DataDir)
	var endpoint instance.Endpoint
	if err == nil {
		endpoint, err = instance.ReadEndpoint(g.DataDir)
	}
	if errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("no berth has been started on %s: start one with 'berth up --data-dir %s'", g.DataDir, g.DataDir)
	}
	if err != nil {
		return err
	}
	writeEnv(g.Out, keys, endpoint, cliVersion())
	return nil
}

// writeEnv prints the exports and, for an AWS CLI that doesn't know
// AWS_ENDPOINT_URL, a shell function that gives it the endpoint.
func writeEnv(w io.Writer, k instance.Keys, e instance.Endpoint, version string) {
	fmt.Fprintf(w, "export AWS_ENDPOINT_URL=%s\n", e.URL)
	fmt.Fprintf(w, "export AWS_ACCESS_KEY_ID=%s\n", k.AccessKeyID)
	fmt.Fprintf(w, "export AWS_SECRET_ACCESS_KEY=%s\n", k.SecretAccessKey)
	fmt.Fprintf(w, "export AWS_REGION=%s\n", e.Region)
	fmt.Fprintf(w, "export AWS_DEFAULT_REGION=%s\n", e.Region)
	fmt.Fprintf(w, "unset AWS_SESSION_TOKEN AWS_PROFILE\n")
	fmt.Fprintf(w, "export AWS_EC2_METADATA_DISABLED=true\n")
	// Or clients that tail logs would look for streaming-logs.<address>.
	fmt.Fprintf(w, "export AWS_DISABLE_HOST_PREFIX_INJECTION=true\n")
	if version != "" && !knowsEndpointVariable(version) {
		fmt.Fprintf(w, "# AWS CLI %s doesn't read AWS_ENDPOINT_URL (1.29 and 2.13 do), so give it the endpoint:\n", version)
		fmt.Fprintf(w, "aws() { command aws --endpoint-url \"$AWS_ENDPOINT_URL\" \"$@\"; }\n")
	}
}

var cliVersionPattern = regexp.MustCompile(`^aws-cli/(\d+)\.(\d+)\S*`)

// cliVersion is what the installed AWS CLI says of itself, or "".
func cliVersion() string {
	out, err := exec.Command("aws", "--version").Output()
	if err != nil {
		return ""
	}
	m := cliVersionPattern.FindString(string(out))
	if m == "" {
		return ""
	}
	return m[len("aws-cli/"):]
}

// knowsEndpointVariable tells whether the CLI of that version reads
// AWS_ENDPOINT_URL (AWS SDKs and Tools Reference Guide, "Service-specific
// endpoints").
func knowsEndpointVariable(version string) bool {
	m := cliVersionPattern.FindStringSubmatch("aws-cli/" + version)
	if m == nil {
		return true
	}
	major, err1 := strconv.Atoi(m[1])
	minor, err2 := strconv.Atoi(m[2])
	if err1 != nil || err2 != nil {
		return true
	}
	return major == 1 && minor >= 29 || major == 2 && minor >= 13 || major > 2
}
