package main

import (
	"strings"
	"testing"

	"github.com/alecthomas/kong"
)

func TestUpFlags(t *testing.T) {
	for args, wrong := range map[string]string{
		"":                           "",
		"--listen localhost:0":       "",
		"--listen [::1]:80":          "",
		"--listen 0.0.0.0:80":        "loopback",
		"--listen :80":               "loopback",
		"--listen 10.0.0.1:80":       "loopback",
		"--listen 127.0.0.1":         "--listen",
		"--account-id 12345":         "12 digits",
		"--account-id 00000000000x":  "12 digits",
		"--cpu-overcommit 0.5":       "1 or more",
		"--memory-overcommit 0":      "1 or more",
		"--cpu-overcommit NaN":       "1 or more",
		"--memory-overcommit +Inf":   "1 or more",
		"--memory-overcommit 1e30":   "1 or more",
		"--region moon":              "--region",
		"--region us-east-1;reboot":  "--region",
		"--region us-gov-west-1":     "",
		"--public-pool 127.9.0.0/16": "",
		"--public-pool fd00::/64":    "--public-pool",
		"--public-pool nonsense":     "--public-pool",
		"--stopped-retention=-1s":    "negative",
		"--credentials any --detach": "",

		"--image-pull-behavior once --insecure-registry a:5000 --insecure-registry b": "",
		"--image-gc-high 0":                   "",
		"--image-gc-high 100":                 "--image-gc-high",
		"--image-gc-high 50":                  "--image-gc-low",
		"--image-gc-min-age=-1s":              "--image-gc-min-age",
		"--image-gc-interval 0s":              "--image-gc-interval",
		"--registry-config /no/such/file":     "--registry-config",
		"--registry-config /proc/self/limits": "credentials in /proc/self/limits",
	} {
		var c commands
		parser, err := kong.New(&c)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := parser.Parse(append([]string{"up"}, strings.Fields(args)...)); err != nil {
			t.Errorf("%q can't be parsed: %v", args, err)
			continue
		}
		_, err = c.Up.config("dir")
		if (err != nil) != (wrong != "") || err != nil && !strings.Contains(err.Error(), wrong) {
			t.Errorf("%q: %v, want %q", args, err, wrong)
		}
	}
}
