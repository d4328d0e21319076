package ecs

import (
	"strings"
	"unicode/utf8"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ecs/types"

	"github.com/berth/berth/state"
)

// The limits of tags (SDK, types.Tag and e.g. CreateClusterInput.Tags).
const (
	maxTags     = 50
	maxTagKey   = 128
	maxTagValue = 256
)

// tagsFrom checks the tags of a request and returns them in its order.
func tagsFrom(in []types.Tag) ([]state.Tag, error) {
	seen := map[string]bool{}
	var out []state.Tag
	for _, t := range in {
		key, value := aws.ToString(t.Key), aws.ToString(t.Value)
		if err := checkTagKey(key); err != nil {
			return nil, err
		}
		switch {
		case utf8.RuneCountInString(value) > maxTagValue:
			return nil, invalid("The value of the tag '%s' must be at most %d characters long.", key, maxTagValue)
		case seen[key]:
			return nil, invalid("Duplicate tag keys found: '%s'.", key)
		}
		seen[key] = true
		out = append(out, state.Tag{Key: key, Value: value})
	}
	return out, checkTagCount(out)
}

// checkTagCount keeps a resource to its number of tags. Those of AWS's own do
// not count.
func checkTagCount(tags []state.Tag) error {
	n := 0
	for _, t := range tags {
		if !reserved(t.Key) {
			n++
		}
	}
	if n > maxTags {
		return invalid("The number of tags must be at most %d.", maxTags)
	}
	return nil
}

// reserved says whether a key is for AWS's own tags.
func reserved(key string) bool { return strings.HasPrefix(strings.ToLower(key), "aws:") }

// checkTagKey refuses keys of a wrong length, and those of AWS's own.
func checkTagKey(key string) error {
	switch n := utf8.RuneCountInString(key); {
	case n == 0:
		return invalid("Tag keys must not be empty.")
	case n > maxTagKey:
		return invalid("Tag keys must be at most %d characters long.", maxTagKey)
	case reserved(key):
		return invalid("The tag key '%s' is not allowed: keys that begin with aws: are reserved.", key)
	}
	return nil
}

// tagsOf returns tags as responses show them, never nil.
func tagsOf(tags []state.Tag) []types.Tag {
	out := make([]types.Tag, 0, len(tags))
	for _, t := range tags {
		out = append(out, types.Tag{Key: aws.String(t.Key), Value: aws.String(t.Value)})
	}
	return out
}
