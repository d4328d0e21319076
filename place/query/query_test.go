package query

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ecs/types"

	"github.com/berth/berth/state"
)

func attribute(name, value string) types.Attribute {
	return types.Attribute{Name: &name, Value: &value}
}

var sample = Instance{
	Record: &state.ContainerInstance{
		EC2InstanceID: "i-0abc", Connected: true, Agent: types.VersionInfo{AgentVersion: aws.String("1.10.2")},
		RegisteredAt: time.Date(2018, 6, 18, 22, 28, 28, 0, time.UTC),
		Attributes: []types.Attribute{
			attribute("ecs.instance-type", "g2.8xlarge"), attribute("ecs.availability-zone", "us-east-1a"), attribute("rack", "9"), {Name: aws.String("ssd")},
			attribute("words", "two words"),
		},
	},
	Running: 3, Pending: 1, Groups: slices.Values([]string{"service:production", "family:batch"}),
}

func TestMatch(t *testing.T) {
	for text, want := range map[string]bool{
		// The guide's examples.
		"attribute:ecs.instance-type == t2.small":                                               false,
		"attribute:ecs.availability-zone in [us-east-1a, us-east-1b]":                           true,
		"attribute:ecs.instance-type =~ g2.* and attribute:ecs.availability-zone != us-east-1d": true,
		"task:group == service:production":                                                      true,
		"not(task:group == database)":                                                           true,
		"runningTasksCount == 1":                                                                false,
		"agentVersion < 1.14.5":                                                                 true,
		"registeredAt < 2018-06-18":                                                             false,
		"(runningTasksCount == 1 or agentConnected == false) and ec2InstanceId in [i-0abc, i-xyz123]": false,

		// Each operator in both forms, on each subject.
		"attribute:rack equals 9":                       true,
		"attribute:rack not_equals 9":                   false,
		"attribute:rack > 10":                           false, // as numbers
		"attribute:rack greater_than 8":                 true,
		"attribute:rack >= 9.0":                         true,
		"attribute:rack greater_than_equal 9":           true,
		"attribute:rack < 10":                           true,
		"attribute:rack less_than 9":                    false,
		"attribute:rack <= 9":                           true,
		"attribute:rack less_than_equal 8":              false,
		"attribute:ecs.instance-type > g2.4xlarge":      true, // as texts
		"attribute:ssd exists":                          true,
		"attribute:ssd !exists":                         false,
		"attribute:hdd not_exists":                      true,
		"attribute:ssd == ''":                           true,
		"attribute:rack in [8,9]":                       true,
		"attribute:rack !in [8,9]":                      false,
		"attribute:rack not_in ['8', \"10\"]":           true,
		"attribute:rack matches [0-9]":                  true,
		"attribute:rack =~ [0-9]{2}":                    false,
		"attribute:rack !~ [0-8]":                       true,
		"attribute:rack not_matches .*":                 false,
		"attribute:words == 'two words'":                true,
		"attribute:ecs.instance-type =~ '(g2|p3)\\..*'": true,
		"attribute:ecs.instance-type =~ g2":             false, // the whole of it
		"agentConnected == true":                        true,
		"agentConnected != true":                        false,
		"agentConnected in [false]":                     false,
		"agentConnected =~ t.*":                         true,
		"agentVersion > 1.9.9":                          true,
		"agentVersion == 1.10.2":                        true,
		"agentVersion == 1.10.2.0":                      true,
		"agentVersion >= 1.11":                          false,
		"ec2InstanceId =~ i-0.*":                        true,
		"ec2InstanceId !in [i-0abc]":                    false,
		"registeredAt == 2018-06-18T22:28:28":           true,
		"registeredAt >= 2018-06-18T22:28:28Z":          true,
		"registeredAt > 2018-06-18T23:28:28+01:00":      false,
		"registeredAt != 2018-06-18":                    true,
		"runningTasksCount >= 3":                        true,
		"pendingTasksCount < 1":                         false,
		"task:group in [database, family:batch]":        true,
		"task:group != family:batch":                    false,
		"task:group != family:other":                    true,
		"task:group !in [family:other]":                 true,
		"task:group =~ service:.*":                      true,
		"task:group !~ .*database":                      true,

		// What isn't there.
		"attribute:none == x":   false,
		"attribute:none != x":   true,
		"attribute:none > 0":    false,
		"attribute:none < 9":    false,
		"attribute:none in [x]": false,
		"attribute:none !~ .*":  true,

		// Together.
		"attribute:a exists && attribute:b exists || attribute:rack exists": true, // and before or
		"attribute:rack exists || attribute:b exists && attribute:a exists": true,
		"(attribute:rack exists || attribute:b exists)&&attribute:a exists": false,
		"!attribute:a exists":                                                 true,
		"! ( attribute:rack==9&&runningTasksCount==3 )":                       false,
		"not not attribute:rack exists":                                       true,
		"not attribute:a exists and attribute:rack==9||agentConnected==false": true,
		"attribute:rack==9||attribute:a==9":                                   true,
	} {
		x, err := Parse(text)
		if err != nil {
			t.Errorf("%s: %v", text, err)
			continue
		}
		if got := x.Match(sample); got != want {
			t.Errorf("%s: %v, want %v (read as %s)", text, got, want, x)
		}
	}
}

func TestErrorsHaveTheirPlace(t *testing.T) {
	for text, want := range map[string]string{
		"":                                  "column 1: the expression is empty",
		"  ":                                "column 3: the expression is empty",
		"attribute:rack":                    `column 15: an operator is missing after "attribute:rack"`,
		"attribute: == x":                   "column 1: the attribute's name is missing",
		"attribute:rack ==":                 "column 18: an argument is missing after the operator",
		"attribute:rack == )":               `column 19: an argument is missing before ")"`,
		"attribute:rack = 1":                `column 16: expected an operator after "attribute:rack", not "="`,
		"rack == 1":                         `column 1: unknown subject "rack": subjects are agentConnected, agentVersion, attribute:NAME, ec2InstanceId, pendingTasksCount, registeredAt, runningTasksCount and task:group`,
		"attribute:ü == 1":                  `column 1: the attribute's name is missing`,
		"attribute:x == ü and task:x == 1":  `column 22: unknown subject "task:x": subjects are agentConnected, agentVersion, attribute:NAME, ec2InstanceId, pendingTasksCount, registeredAt, runningTasksCount and task:group`,
		"(attribute:x exists":               "column 1: the parenthesis is not closed",
		"attribute:x exists)":               `column 19: expected && or || or the end, not ")"`,
		"attribute:x exists attribute:y":    `column 20: expected && or || or the end, not "a"`,
		"attribute:x exists and":            "column 23: a subject is missing",
		"attribute:x exists || || y":        `column 23: expected a subject, not "|"`,
		"attribute:x in a":                  "column 16: expected a list, [argument1, argument2]",
		"attribute:x in [a":                 "column 16: the list is not closed by ]",
		"attribute:x in [a b]":              "column 16: the list is not closed by ]",
		"attribute:x in []":                 `column 17: an argument is missing before "]"`,
		"attribute:x == 'a":                 "column 16: the quote ' is not closed",
		"attribute:x =~ '('":                "column 16: \"(\" is not a regular expression that can be used here: error parsing regexp: missing closing ): `(`",
		"attribute:x =~ '(?=a)'":            "column 16: \"(?=a)\" is not a regular expression that can be used here: error parsing regexp: invalid or unsupported Perl syntax: `(?=`",
		"runningTasksCount == few":          `column 22: "few" is not a number`,
		"registeredAt > yesterday":          `column 16: "yesterday" is not a date: valid are 2018-06-18T22:28:28+00:00, 2018-06-18T22:28:28Z, 2018-06-18T22:28:28 and 2018-06-18`,
		"registeredAt =~ 2018":              "column 14: the operator =~ is not valid for registeredAt: valid are ==, !=, >, >=, <, <=",
		"task:group > a":                    "column 12: the operator > is not valid for task:group: valid are ==, !=, in, !in, =~, !~",
		"agentVersion exists":               "column 14: the operator exists is not valid for agentVersion: valid are ==, !=, >, >=, <, <=",
		strings.Repeat("(", 200):            "column 102: more than 100 parentheses and negations are open",
		strings.Repeat("!", 200):            "column 102: more than 100 parentheses and negations are open",
		strings.Repeat("x", MaxLength+1):    "column 2001: an expression has at most 2000 characters, not 2001",
		"attribute:x == 1 and not":          "column 25: a subject is missing",
		"attribute:x existsattribute:y !in": `column 13: expected an operator after "attribute:x", not "e"`,
	} {
		_, err := Parse(text)
		var syntax *SyntaxError
		if !errors.As(err, &syntax) || err.Error() != want {
			t.Errorf("%.60s:\n%v, want\n%v", text, err, want)
		}
	}
}

func TestAlike(t *testing.T) {
	for text, want := range map[string]bool{
		"attribute:a == b and agentVersion > 1 or not agentConnected == true": true,
		"attribute:a == b and task:group == c":                                false,
		"ec2InstanceId == i-1":                                                false,
		"not registeredAt > 2018-01-01":                                       false,
		"runningTasksCount == 0":                                              false,
	} {
		x, err := Parse(text)
		if err != nil || x.Alike() != want {
			t.Errorf("%s: %v, %v", text, err, x.Alike())
		}
	}
}

func FuzzParse(f *testing.F) {
	for _, text := range []string{
		"attribute:ecs.instance-type =~ g2.* and attribute:ecs.availability-zone != us-east-1d", "not(task:group == database)", "ec2InstanceId in ['a b', \"c\"]",
		"registeredAt > 2018-06-18 || runningTasksCount<=3 && !(agentConnected != true)", "attribute:a !exists", "((((", "attribute:x == 'a\"b'", "attribute:x =~ (",
	} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		x, err := Parse(text)
		if err != nil {
			var syntax *SyntaxError
			if !errors.As(err, &syntax) || syntax.Column < 1 || syntax.Column > len([]rune(text))+1 {
				t.Fatalf("%q: %v", text, err)
			}
			return
		}
		matched := x.Match(sample)
		if len(x.String()) > MaxLength {
			return
		}
		again, err := Parse(x.String())
		if err != nil {
			var syntax *SyntaxError
			if errors.As(err, &syntax) && strings.Contains(syntax.Message, "are open") {
				return // it is written with more parentheses
			}
			t.Fatalf("%q is written %q: %v", text, x, err)
		}
		if again.String() != x.String() || again.Match(sample) != matched {
			t.Fatalf("%q is written %q and that %q", text, x, again)
		}
	})
}
