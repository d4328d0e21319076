package cli

import (
	"strings"
	"testing"

	"github.com/berth/berth/instance"
)

func TestEnvForOldAndNewCLIs(t *testing.T) {
	for version, wraps := range map[string]bool{
		"": false, "2.9.19": true, "2.12.0": true, "2.13.0": false, "2.31.1": false, "1.28.9": true, "1.29.0": false, "1.45.11": false, "3.0.0": false, "odd": false,
	} {
		var b strings.Builder
		writeEnv(&b, instance.Keys{AccessKeyID: "AKIA", SecretAccessKey: "s/+", Account: "123456789012"}, instance.Endpoint{URL: "http://127.0.0.1:4566", Region: "eu-west-1"}, version)
		for _, want := range []string{"export AWS_ENDPOINT_URL=http://127.0.0.1:4566\n", "export AWS_ACCESS_KEY_ID=AKIA\n", "export AWS_SECRET_ACCESS_KEY=s/+\n", "export AWS_REGION=eu-west-1\n", "export AWS_DISABLE_HOST_PREFIX_INJECTION=true\n"} {
			if !strings.Contains(b.String(), want) {
				t.Errorf("CLI %q: no %q in\n%s", version, want, &b)
			}
		}
		if got := strings.Contains(b.String(), "aws() {"); got != wraps {
			t.Errorf("CLI %q is wrapped: %v, want %v", version, got, wraps)
		}
	}
}
